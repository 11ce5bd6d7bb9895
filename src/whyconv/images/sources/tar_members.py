"""Members of tar files that are not packed, listed and read in place."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from whyconv.images.sources.member_names import MOST_MEMBERS, refusal, safe_name, too_many


@dataclass(eq=False)
class TarMembers:
    """Members of a tar file that is not packed; safe to share between threads."""

    path: Path
    names: list[str]
    sizes: np.ndarray
    offsets: np.ndarray

    def content(self, index: int) -> bytes:
        """Returns the bytes of a member."""
        with self.path.open("rb") as file:
            file.seek(int(self.offsets[index]))
            return file.read(int(self.sizes[index]))


def open_tar(path: Path) -> TarMembers:
    """Lists a tar file; errors as for ``open_archive``, and what ``tarfile`` raises."""
    names, sizes, offsets = [], [], []
    with tarfile.open(path, "r:") as archive:
        for name, member in regular_members(path, archive):
            names.append(name)
            sizes.append(member.size)
            offsets.append(member.offset_data)
    return TarMembers(path, names, np.array(sizes, np.int64), np.array(offsets, np.int64))


def regular_members(path: Path, archive: tarfile.TarFile) -> Iterator[tuple[str, tarfile.TarInfo]]:
    """Yields the regular files of an open tar file by their safe names, and holds none of them.

    Raises:
        DataError: A member is refused.
    """
    for member in _each_tar(path, archive):
        name = safe_name(path, member.name)
        if member.isdir():
            continue
        if not member.isreg() or member.issparse():
            is_link = member.islnk() or member.issym()
            raise refusal(path, member.name, "is a link" if is_link else "is no regular file")
        yield name, member


def _each_tar(path: Path, archive: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    number = 0
    while (member := archive.next()) is not None:
        number += 1
        if number > MOST_MEMBERS:
            raise too_many(path)
        archive.members.clear()  # type: ignore[attr-defined]  # which else holds every member
        yield member
    _require_end(archive)


def _require_end(archive: tarfile.TarFile) -> None:
    """Makes sure that zeros follow the last member: ``tarfile`` takes a head that is cut off for the end."""
    file: Any = archive.fileobj
    file.seek(archive.offset)
    if file.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
        raise tarfile.ReadError("its end is missing")
