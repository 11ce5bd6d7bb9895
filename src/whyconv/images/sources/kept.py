"""What is unpacked of an archive, kept in the cache: a folder for each archive, and in it the state it is in now."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from whyconv.errors import DataError, StorageError
from whyconv.images.cache import ARCHIVES, INDEX_NAME, RESERVE_BYTES, clear_command, entry_path, write_arrays
from whyconv.images.sources.listing import mark_of, printable
from whyconv.machine import free_disk_bytes
from whyconv.results import Note

# Raised whenever what is kept is laid out in another way: older entries are then of no use.
_VERSION = "1"

# Pictures are packed already, and arrays of them shrink to a twentieth at best: what unpacks to far more was made to
# fill a disk. Where little is unpacked it does no harm, so few and plain pictures pass.
MOST_TIMES = 100
ALWAYS_BYTES = 256_000_000
_LEFTOVER_SECONDS = 3600.0


@dataclass(frozen=True)
class Kept:
    """A place in the cache for one archive.

    Attributes:
        archive: The archive.
        folder: Of this archive alone.
        stamp: Changes with its size and the time of its last change.
    """

    archive: Path
    folder: Path
    stamp: str

    @property
    def tar(self) -> Path:
        """Where the tar file lies that a packed one holds."""
        return self.folder / f"{self.stamp}.tar"

    @property
    def files(self) -> Path:
        """Folder of single members."""
        return self.folder / self.stamp

    def note(self) -> Note | None:
        """Says what is kept and where; None where nothing is."""
        found = [path for path in (self.tar, *self.files.rglob("*")) if path.is_file()]
        if not found:
            return None
        num_bytes = sum(path.stat().st_size for path in found)
        values = {"file": printable(self.archive.name), "num_bytes": f"{num_bytes:,}", "folder": str(self.folder)}
        values["command"] = printable(clear_command(self.folder.parents[1]))
        return Note(key="archive_unpacked", values=values)

    @contextmanager
    def filling(self) -> Iterator[Budget]:
        """Makes the folder ready, and takes it away again where nothing came to be kept.

        Raises:
            StorageError: The folder cannot be written.
        """
        # First of all, so that what a killed process leaves behind is listed and can be removed.
        write_arrays(self.folder / INDEX_NAME, {"where": np.array(os.path.realpath(self.archive))})
        self._sweep()
        size = self.archive.stat().st_size
        try:
            yield Budget(self, max(ALWAYS_BYTES, MOST_TIMES * size), free_disk_bytes(self.folder) - RESERVE_BYTES)
        except BaseException:
            if not self.tar.exists():
                shutil.rmtree(self.folder, ignore_errors=True)
            raise

    def _sweep(self) -> None:
        """Removes what was unpacked of the archive before it changed, and what a killed process has left."""
        for path in self.folder.iterdir():
            is_own = path.name == INDEX_NAME or path.name.startswith(self.stamp)
            with suppress(OSError):
                # Another process may be writing right now; one that has not for an hour is gone.
                is_fresh = path.name.startswith(".") and time.time() - path.stat().st_mtime < _LEFTOVER_SECONDS
                if path.is_dir() and not is_own:
                    shutil.rmtree(path, ignore_errors=True)
                elif not is_own and not is_fresh:
                    path.unlink()


@dataclass
class Budget:
    """How much may still be unpacked.

    Attributes:
        kept: Where to.
        most: Bytes in all that an archive of this size may come to.
        free: Bytes that the disk has, less a reserve.
        spent: Bytes unpacked so far.
    """

    kept: Kept
    most: int
    free: int
    spent: int = 0

    def spend(self, num_bytes: int) -> None:
        """Counts bytes before they are written.

        Raises:
            DataError: It is more than an archive of pictures comes to.
            StorageError: It is more than the disk has room for.
        """
        self.spent += num_bytes
        name = printable(self.kept.archive.name)
        if self.spent > self.most:
            raise DataError(
                f"{name} is refused: it unpacks to more than {self.most:,} bytes, and at most {MOST_TIMES} times its "
                f"own size, or {ALWAYS_BYTES:,} bytes, is unpacked. If that is right, unpack it yourself and name the "
                "folder."
            )
        if self.spent > self.free:
            raise StorageError(
                f"{name} unpacks to more than the {max(self.free, 0):,} bytes that {self.kept.folder.parent} has "
                f"beside {RESERVE_BYTES:,} that are left for others. Name a folder on another disk: --store DIR; empty "
                f"the cache: {clear_command(self.kept.folder.parents[1])}; or unpack it yourself and name the folder."
            )


def kept_of(archive: Path, store: Path | None) -> Kept:
    """Returns the place for an archive in the cache ``store`` (None: the default); raises OSError where it is gone."""
    facts = archive.stat()
    folder = entry_path(store, ARCHIVES, str(archive), _VERSION)
    return Kept(archive, folder, f"{facts.st_size}-{facts.st_mtime_ns}-{mark_of(facts)}")
