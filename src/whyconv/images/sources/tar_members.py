"""Members of tar files that are not packed, listed and read in place."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

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
        for member in _each_tar(path, archive):
            if member.isdir():
                safe_name(path, member.name)
                continue
            if not member.isreg() or member.issparse():
                raise refusal(
                    path, member.name, "is a link" if member.islnk() or member.issym() else "is no regular file"
                )
            names.append(member.name)
            sizes.append(member.size)
            offsets.append(member.offset_data)
    names = [safe_name(path, name) for name in names]
    return TarMembers(path, names, np.array(sizes, np.int64), np.array(offsets, np.int64))


def _each_tar(path: Path, archive: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    number = 0
    while (member := archive.next()) is not None:
        number += 1
        if number > MOST_MEMBERS:
            raise too_many(path)
        archive.members.clear()  # type: ignore[attr-defined]  # which else holds every member
        yield member
