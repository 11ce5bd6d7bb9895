"""Zip and tar archives, read member by member and never unpacked: nothing in them can be written anywhere.

What could only be meant to harm, or to be unpacked elsewhere, is refused as a whole, from the list of members.
"""

from __future__ import annotations

import lzma
import struct
import tarfile
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from whyconv.errors import DataError, PictureError
from whyconv.images.sources.listing import MAX_FILE_BYTES, printable, stat_file
from whyconv.images.sources.member_names import refusal
from whyconv.images.sources.tar_members import open_tar
from whyconv.images.sources.zip_members import open_zip

ARCHIVE_ENDINGS = (".zip", ".tar")

_DAMAGE = (zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, struct.error, EOFError, ValueError,
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


def open_archive(path: Path) -> Members:
    """Lists what lies in an archive; no content is read.

    Raises:
        DataError: The archive is damaged, locked, or holds what is refused: members that lead out of it, links,
            devices, one name twice, data that two members share, more than ``MOST_MEMBERS``.
    """
    try:
        members = open_zip(path) if path.suffix.lower() == ".zip" else open_tar(path)
    except OSError as error:
        raise DataError(f"{printable(path.name)} cannot be read: {(error.strerror or str(error)).lower()}.") from None
    except _DAMAGE as error:
        kind = path.suffix.lower().lstrip(".")
        raise DataError(f"{printable(path.name)} cannot be read as {kind}: {error}. Is the file complete?") from None
    seen = set()
    for name in members.names:
        if name in seen:
            raise refusal(path, name, "is there twice")
        seen.add(name)
    return members


@dataclass(frozen=True, eq=False)
class Archive:
    """An archive whose members are pictures; rows are its members."""

    members: Members

    def read(self, row: int) -> bytes:
        """Returns the bytes of a picture; raises PictureError where they are damaged or too many."""
        size = int(self.members.sizes[row])
        if size > MAX_FILE_BYTES:
            raise PictureError(f"the file has {size:,} bytes; at most {MAX_FILE_BYTES:,} are read")
        try:
            content = self.members.content(row)
        except OSError as error:
            raise PictureError(f"the archive cannot be read: {(error.strerror or 'unknown reason').lower()}") from None
        except (*_DAMAGE, KeyError) as error:
            raise PictureError(f"it is damaged in the archive: {error}") from None
        if len(content) != size:
            raise PictureError(f"it has {len(content):,} bytes, and the archive says {size:,}")
        return content

    def stat(self, row: int) -> tuple[int, int]:
        """Returns the picture's size, and the time of the archive's last change in ns."""
        return int(self.members.sizes[row]), stat_file(self.members.path)[1]
