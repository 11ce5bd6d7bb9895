"""Members of zip files, listed and read without unpacking.

References:
    PKWARE, APPNOTE.TXT, .ZIP file format specification.
"""

from __future__ import annotations

import stat
import threading
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, cast

import numpy as np

from whyconv.images.sources.member_names import MOST_MEMBERS, decode_names, refusal, refuse_twice, safe_name, too_many

_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
_LOCAL_HEAD_BYTES = 30
_BLOCK_BYTES = 1 << 20
_IS_LOCKED, _IS_UTF8 = 1, 1 << 11


@dataclass(eq=False)
class ZipMembers:
    """Members of a zip file; safe to share between threads."""

    path: Path
    names: list[str]
    sizes: np.ndarray
    infos: list[zipfile.ZipInfo]
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)
    _file: Any = field(default=None, repr=False)

    def content(self, index: int) -> bytes:
        """Returns the bytes of a member, checked by their sum."""
        with self._opened(index) as member:
            # One more than there should be, so that the sum is checked and a longer one noticed.
            return member.read(int(self.sizes[index]) + 1)

    def blocks(self, index: int) -> Iterator[bytes]:
        """Yields the bytes of a member piece by piece; their sum is checked at the end."""
        with self._opened(index) as member:
            while block := member.read(_BLOCK_BYTES):
                yield block

    def _opened(self, index: int) -> IO[bytes]:
        with self._lock:
            if self._file is None:
                self._file = zipfile.ZipFile(self.path)
        return cast("IO[bytes]", self._file.open(self.infos[index]))

    def __getstate__(self) -> dict[str, Any]:
        """Leaves the open file behind: another process opens its own."""
        return {"path": self.path, "names": self.names, "sizes": self.sizes, "infos": self.infos}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Opens again from the path."""
        self.__dict__.update(ZipMembers(**state).__dict__)


def open_zip(path: Path) -> ZipMembers:
    """Lists a zip file; errors as for ``open_archive``, and what ``zipfile`` raises."""
    with path.open("rb") as file:
        if _told_members(file, path.stat().st_size) > MOST_MEMBERS:
            raise too_many(path)
        with zipfile.ZipFile(file) as archive:
            infos = archive.infolist()
    if len(infos) > MOST_MEMBERS:
        raise too_many(path)
    spelled = decode_names([(info.orig_filename, bool(info.flag_bits & _IS_UTF8)) for info in infos])
    kept = [
        (safe_name(path, name), info) for name, info in zip(spelled, infos, strict=True) if _is_file(path, name, info)
    ]
    _refuse_shared(path, infos)
    refuse_twice(path, [name for name, _ in kept])
    sizes = np.array([info.file_size for _, info in kept], np.int64)
    return ZipMembers(path, [name for name, _ in kept], sizes, [info for _, info in kept])


def _told_members(file: IO[bytes], size: int) -> int:
    """How many members a zip file says it has, before a list of them is made (APPNOTE 4.3.14 to 4.3.16)."""
    file.seek(max(0, size - (1 << 16) - 22))
    tail = file.read()
    at = tail.rfind(b"PK\5\6")
    if at < 0 or len(tail) < at + 22:
        raise zipfile.BadZipFile("its end is missing")
    number = int.from_bytes(tail[at + 10 : at + 12], "little")
    if number == 0xFFFF and at >= 20 and tail[at - 20 : at - 16] == b"PK\6\7":
        file.seek(int.from_bytes(tail[at - 12 : at - 4], "little"))
        number = int.from_bytes(file.read(56)[32:40], "little")
    file.seek(0)
    return number


def _is_file(path: Path, name: str, info: zipfile.ZipInfo) -> bool:
    """Whether a member is a regular file and no folder; refuses everything else."""
    mode = info.external_attr >> 16
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
        raise refusal(path, name, "is a link" if stat.S_ISLNK(mode) else "is no regular file")
    if info.flag_bits & _IS_LOCKED:
        raise refusal(path, name, "is locked with a password")
    if info.compress_type not in _METHODS:
        raise refusal(path, name, f"is packed by method {info.compress_type}, which is not read")
    safe_name(path, name)
    return not (info.is_dir() or name.endswith("\\") or stat.S_ISDIR(mode))


def _refuse_shared(path: Path, infos: Sequence[zipfile.ZipInfo]) -> None:
    """Refuses members that share data: a small file of them can stand for more than any disk holds."""
    end = 0
    for info in sorted(infos, key=lambda info: info.header_offset):
        if info.header_offset < end:
            raise refusal(path, info.filename, "shares its data with another")
        end = info.header_offset + _LOCAL_HEAD_BYTES + info.compress_size
