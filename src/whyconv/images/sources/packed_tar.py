"""Tar files that are packed as a whole: unpacked once, as a stream, into a plain tar file in the cache.

No member is written under its name; what the list of members is refused for is noticed while it goes by.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Protocol

from whyconv import files
from whyconv.images.sources.kept import Budget, Kept
from whyconv.images.sources.tar_members import list_members

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_BLOCK_BYTES = 1 << 20
# What unpacking may hold in memory of what came before; the strongest usual setting takes 65 MiB.
_XZ_MEMORY_BYTES = 256 << 20
_MAGIC_AT, _MAGIC = 257, b"ustar"


class Readable(Protocol):
    """What gives bytes one after another."""

    def read(self, size: int, /) -> bytes:
        """Returns the next bytes, fewer only at the end."""


@dataclass(eq=False)
class Unpacking:
    """A packed file read once from its beginning to its end, and written down as it is read."""

    stream: Readable
    copy: IO[bytes]
    budget: Budget
    position: int = 0

    def read(self, size: int) -> bytes:
        """Returns the next bytes, fewer only at the end; raises what the packing raises for damage."""
        try:
            data = self.stream.read(size)
        except OSError as error:
            if error.errno is not None:
                raise
            # Of the packing, not of the disk.
            raise tarfile.ReadError(str(error)) from None
        self.budget.spend(len(data))
        self.copy.write(data)
        self.position += len(data)
        return data

    def seek(self, position: int) -> int:
        """Reads on to a later place, or to the end."""
        while self.position < position and self.read(min(_BLOCK_BYTES, position - self.position)):
            pass
        return self.position

    def tell(self) -> int:
        """Returns how much was read."""
        return self.position

    def finish(self) -> None:
        """Reads to the end, where the sum of it all stands."""
        while self.read(_BLOCK_BYTES):
            pass


class XzStream(io.RawIOBase):
    """What an xz file holds, within a bound on memory that ``lzma.LZMAFile`` cannot be given."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._decoder: lzma.LZMADecompressor | None = None

    def readable(self) -> bool:
        """Returns True."""
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Fills a buffer from the front; returns 0 at the end."""
        view = memoryview(buffer)
        data = self._some(len(view))
        view[: len(data)] = data
        return len(data)

    def _some(self, most: int) -> bytes:
        while True:
            if self._decoder is None or self._decoder.eof:
                packed = self._next_stream()
                if not packed:
                    return b""
                self._decoder = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_XZ_MEMORY_BYTES)
            else:
                packed = self._file.read(_BLOCK_BYTES) if self._decoder.needs_input else b""
                if self._decoder.needs_input and not packed:
                    raise EOFError("it ends within its data")
            if data := self._decoder.decompress(packed, most):
                return data

    def _next_stream(self) -> bytes:
        """The beginning of the next stream, before which zeros may lie; b"" at the end of the file."""
        packed = self._decoder.unused_data.lstrip(b"\0") if self._decoder is not None else b""
        while not packed and (block := self._file.read(_BLOCK_BYTES)):
            packed = block.lstrip(b"\0")
        return packed


_OPENERS: dict[bytes, Callable[[IO[bytes]], Readable]] = {
    b"\x1f\x8b": lambda file: gzip.GzipFile(fileobj=file),
    b"BZh": bz2.BZ2File,
    b"\xfd7zXZ\0": lambda file: io.BufferedReader(XzStream(file), _BLOCK_BYTES),
}


def packing_of(path: Path) -> bytes:
    """Returns the first bytes by which a tar file is packed, whatever its name; b"" for one that is not.

    Browsers unpack on the way and keep the name, and people leave the ending away.
    """
    with path.open("rb") as file:
        head = file.read(512)
    is_plain = head[_MAGIC_AT:].startswith(_MAGIC)
    return b"" if is_plain else next((magic for magic in _OPENERS if head.startswith(magic)), b"")


def unpack_tar(kept: Kept, packing: bytes) -> Path:
    """Returns the plain tar file that a packed one holds; unpacks it where that was not done before.

    Args:
        kept: Where it goes.
        packing: As ``packing_of`` says.

    Raises:
        DataError: A member is refused, or it unpacks to too much.
        StorageError: The disk does not take it.
    """
    if kept.tar.is_file():
        return kept.tar
    with kept.filling() as budget, kept.archive.open("rb") as file, files.writing(kept.tar) as copy:
        unpacking = Unpacking(_OPENERS[packing](file), copy, budget)
        list_members(kept.archive, unpacking)
        unpacking.finish()
    return kept.tar
