"""Zip and tar archives, read member by member: nothing in them can be written where they say.

What could only be meant to harm, or to be unpacked elsewhere, is refused as a whole, from the list of members.
"""

from __future__ import annotations

import lzma
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from whyconv.errors import DataError, PictureError, StorageError
from whyconv.images.sources.archive_endings import archive_ending
from whyconv.images.sources.kept import kept_of
from whyconv.images.sources.listing import MAX_FILE_BYTES, Names, Stat, printable, stat_file
from whyconv.images.sources.packed_tar import packing_of, unpack_tar
from whyconv.images.sources.tar_members import open_tar
from whyconv.images.sources.zip_members import open_zip

DAMAGE = (zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, struct.error, EOFError, ValueError,
           NotImplementedError, OverflowError, RuntimeError, IndexError)  # fmt: skip


class Members(Protocol):
    """The regular files of an archive, in its own order.

    Attributes:
        path: The archive.
        names: With ``/`` between folders, none of which is ``..``.
        sizes: Of the content in bytes, int64 (n,).
    """

    path: Path
    names: list[str]
    sizes: np.ndarray

    def content(self, index: int) -> bytes:
        """Returns the bytes of a member; raises OSError or what the format raises for damage."""

    def blocks(self, index: int) -> Iterator[bytes]:
        """Yields the bytes of a member piece by piece; raises as ``content``."""


def open_archive(path: Path, store: Path | None = None) -> Members:
    """Lists what lies in an archive; no content is read, but a tar file that is packed is unpacked into the cache.

    Args:
        path: The archive.
        store: The cache; None is the default one.

    Raises:
        DataError: The archive is damaged, locked, or holds what is refused: members that lead out of it, links,
            devices, one name twice, data that two members share, more than ``MOST_MEMBERS``; or it unpacks to far more
            than pictures do.
        StorageError: The cache does not take what a packed tar file holds.
    """
    try:
        members = open_zip(path) if archive_ending(path.name) == ".zip" else _open_tar(path, store)
    except StorageError:
        raise
    except OSError as error:
        raise DataError(f"{printable(path.name)} cannot be read: {(error.strerror or str(error)).lower()}.") from None
    except DAMAGE as error:
        kind = archive_ending(path.name).lstrip(".")
        raise DataError(f"{printable(path.name)} cannot be read as {kind}: {error}. Is the file complete?") from None
    return members


def _open_tar(path: Path, store: Path | None) -> Members:
    packing = packing_of(path)
    return open_tar(path, unpack_tar(kept_of(path, store), packing) if packing else path)


@dataclass(frozen=True, eq=False)
class Archive:
    """An archive whose members are pictures; rows are its members."""

    members: Members

    def pictures(self, paths: Names, prefix: str = "") -> MemberContents:
        """Returns the pictures of these names, which need not be there; ``prefix`` goes before each of them."""
        place = {name: row for row, name in enumerate(self.members.names)}
        return MemberContents(self, paths, np.array([place.get(prefix + path, -1) for path in paths], np.int64))

    def read(self, row: int) -> bytes:
        """Returns the bytes of a picture; raises PictureError where they are damaged or too many."""
        size = int(self.members.sizes[row])
        if size > MAX_FILE_BYTES:
            raise PictureError(f"the file has {size:,} bytes; at most {MAX_FILE_BYTES:,} are read")
        try:
            content = self.members.content(row)
        except OSError as error:
            raise PictureError(f"the archive cannot be read: {(error.strerror or 'unknown reason').lower()}") from None
        except (*DAMAGE, KeyError) as error:
            raise PictureError(f"it is damaged in the archive: {error}") from None
        if len(content) != size:
            raise PictureError(f"it has {len(content):,} bytes, and the archive says {size:,}")
        return content

    def stat(self, row: int) -> Stat:
        """Returns the picture's size, and time and mark of the archive."""
        return stat_file(self.members.path)._replace(size=int(self.members.sizes[row]))


@dataclass(frozen=True, eq=False)
class MemberContents:
    """Pictures in an archive, by name.

    Attributes:
        archive: The archive.
        paths: As they are named there, below the folder that was looked through.
        rows: int64 (n,), the member of each; -1 where there is none.
    """

    archive: Archive
    paths: Names
    rows: np.ndarray

    def read(self, row: int) -> bytes:
        """Returns the bytes of a picture; raises PictureError where there are none to be had."""
        return self.archive.read(self._member(row))

    def stat(self, row: int) -> Stat:
        """Returns a picture's size, and time and mark of the archive; raises PictureError."""
        return self.archive.stat(self._member(row))

    def take(self, rows: np.ndarray) -> MemberContents:
        """Returns the pictures of ``rows`` only."""
        return MemberContents(self.archive, self.paths.take(rows), self.rows[rows])

    def missing(self) -> list[str]:
        """Returns the paths that the archive does not hold."""
        return [self.paths[int(row)] for row in np.flatnonzero(self.rows < 0)]

    def _member(self, row: int) -> int:
        if self.rows[row] < 0:
            raise PictureError("file is missing")
        return int(self.rows[row])
