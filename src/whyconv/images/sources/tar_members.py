"""Members of tar files that are not packed, listed and read in place."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from whyconv.images.sources.member_names import MOST_MEMBERS, refusal, refuse_twice, safe_name, too_many

_BLOCK_BYTES = 1 << 20
# Name and numbers of one member, where they do not fit into its 512 bytes.
_LONGEST_HEAD = 1 << 20


class Forward(Protocol):
    """A file that is only ever read from its beginning to its end."""

    def read(self, size: int, /) -> bytes:
        """Returns the next bytes."""

    def seek(self, position: int, /) -> int:
        """Goes on to a later place."""

    def tell(self) -> int:
        """Returns the place."""


@dataclass(eq=False)
class Heads:
    """A tar file of which only the heads of its members are read, one by one, and none that fills the memory.

    Attributes:
        file: The tar file.
        last: What was read last.
    """

    file: Forward
    last: bytes = b""

    def read(self, size: int) -> bytes:
        """Returns the next bytes; raises tarfile.ReadError for a head that is too long."""
        if size > _LONGEST_HEAD:
            raise tarfile.ReadError(f"the head of a member has {size:,} bytes, at most {_LONGEST_HEAD:,} are read")
        self.last = self.file.read(size)
        return self.last

    def seek(self, position: int) -> int:
        """Goes on to a later place."""
        return self.file.seek(position)

    def tell(self) -> int:
        """Returns the place."""
        return self.file.tell()

    def close(self) -> None:
        """Leaves the file to who opened it."""


@dataclass(eq=False)
class TarMembers:
    """Members of a tar file; safe to share between threads.

    Attributes:
        path: The archive as it was named.
        names: As in ``Members``.
        sizes: As in ``Members``.
        offsets: Where the contents begin, int64 (n,).
        plain: The file that they are read from: the archive itself, or what it was unpacked to.
    """

    path: Path
    names: list[str]
    sizes: np.ndarray
    offsets: np.ndarray
    plain: Path

    def content(self, index: int) -> bytes:
        """Returns the bytes of a member."""
        with self.plain.open("rb") as file:
            file.seek(int(self.offsets[index]))
            return file.read(int(self.sizes[index]))

    def blocks(self, index: int) -> Iterator[bytes]:
        """Yields the bytes of a member piece by piece."""
        rest = int(self.sizes[index])
        with self.plain.open("rb") as file:
            file.seek(int(self.offsets[index]))
            while rest and (block := file.read(min(rest, _BLOCK_BYTES))):
                rest -= len(block)
                yield block


def open_tar(path: Path, plain: Path) -> TarMembers:
    """Lists a tar file; errors as for ``open_archive``, and what ``tarfile`` raises.

    Args:
        path: The archive, as it is named to people.
        plain: What to read.
    """
    with plain.open("rb") as file:
        names, sizes, offsets = list_members(path, file)
    return TarMembers(path, names, np.array(sizes, np.int64), np.array(offsets, np.int64), plain)


def list_members(path: Path, file: Forward) -> tuple[list[str], list[int], list[int]]:
    """Returns names, sizes and places of the regular files; errors as for ``open_tar``."""
    names, sizes, offsets = list[str](), list[int](), list[int]()
    for name, member in regular_members(path, file):
        names.append(name)
        sizes.append(member.size)
        offsets.append(member.offset_data)
    refuse_twice(path, names)
    return names, sizes, offsets


def regular_members(path: Path, file: Forward) -> Iterator[tuple[str, tarfile.TarInfo]]:
    """Yields the regular files of a tar file by their safe names, and holds none of them.

    Raises:
        DataError: A member is refused.
        tarfile.TarError: The list of members is damaged, or has no end.
    """
    heads, number = Heads(file), 0
    with tarfile.open(fileobj=heads, mode="r:") as archive:  # type: ignore[call-overload]  # it asks for no more
        while (member := archive.next()) is not None:
            number += 1
            if number > MOST_MEMBERS:
                raise too_many(path)
            archive.members.clear()  # which else holds every member
            name = safe_name(path, member.name)
            if _is_file(path, member):
                yield name, member
        _require_end(heads, archive.offset)


def _is_file(path: Path, member: tarfile.TarInfo) -> bool:
    """Whether a member is a regular file and no folder; refuses everything else."""
    if member.size < 0:
        raise refusal(path, member.name, f"has a size of {member.size:,} bytes")
    if not (member.isreg() or member.isdir()) or member.issparse():
        is_link = member.islnk() or member.issym()
        raise refusal(path, member.name, "is a link" if is_link else "is no regular file")
    return not member.isdir()


def _require_end(heads: Heads, offset: int) -> None:
    """Makes sure that zeros follow the last member: of a head that it cannot read, ``tarfile`` says the same."""
    if heads.last.strip(b"\0"):
        raise tarfile.ReadError(f"the list of members is damaged at byte {offset:,}")
    if len(heads.last) < tarfile.BLOCKSIZE:
        raise tarfile.ReadError("its end is missing")
