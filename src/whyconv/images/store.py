"""Prepared pixels kept on disk, so that every picture is decoded once and never again.

A store is a folder with an index and one file of pixels. The index names the file it belongs to and is
replaced in one step, after the pixels are safely on disk: whoever opens the store, and whenever the machine
stops, sees the old pixels or the new ones, never half of them.
"""

from __future__ import annotations

import errno
import secrets
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from whyconv import files
from whyconv.errors import DecodeTimeoutError, PictureError, StorageError
from whyconv.images.cache import INDEX_NAME, PIXELS, RESERVE_BYTES, clear_command, entry_path
from whyconv.images.content import DIGEST_BYTES, Stats, content_digest, decoder_versions, stat_all, unchanged
from whyconv.images.index import Index, read_index, write_index
from whyconv.images.prepare import PicturePolicy, prepare
from whyconv.images.sources.listing import Pictures
from whyconv.images.threads import decoding_threads, map_in_order
from whyconv.machine import free_disk_bytes
from whyconv.results import Note, Notify, Progress, ignore
from whyconv.texts import size

# Raised whenever a store is laid out in another way: older stores are then made anew.
_VERSION = "1"

_LEFTOVER_SECONDS = 3600.0
_PROGRESS_SECONDS = 0.1
_TRIES = 3
# Where less would be taken.
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@dataclass(frozen=True, eq=False)
class PixelStore:
    """Prepared pictures, row for row as in the source.

    Attributes:
        pixels: uint8 (n, side, side, channels), 0-255, read-only and mapped from disk: a row is loaded when it
            is read. Zeros where a picture cannot be read.
        readable: bool (n,).
        reasons: Why a picture cannot be read, by its index.
        digests: Of the contents that the pixels were made from, uint8 (n, 16); zeros where there were none to be had.
        path: Folder of the store.
        num_decoded: How many pictures were decoded to open it; the others were there already.
    """

    pixels: np.ndarray
    readable: np.ndarray
    reasons: dict[int, str]
    digests: np.ndarray
    path: Path
    num_decoded: int = 0


@dataclass(frozen=True, eq=False)
class _Job:
    """What is asked for, and where it is kept."""

    pictures: Pictures
    policy: PicturePolicy
    path: Path
    notify: Notify
    num_threads: int | None

    @property
    def shape(self) -> tuple[int, int, int, int]:
        return len(self.pictures), self.policy.side, self.policy.side, self.policy.channels

    @property
    def num_bytes(self) -> int:
        return int(np.prod(self.shape, dtype=np.int64))


def open_store(
    pictures: Pictures,
    policy: PicturePolicy,
    *,
    folder: Path | None = None,
    notify: Notify = ignore,
    num_threads: int | None = None,
) -> PixelStore:
    """Opens the prepared pixels of ``pictures``; prepares those that are missing or have changed.

    Pictures are known by name, size, time and file. Where one of these differs, the digest of the content decides:
    a file that was only touched, or copied, keeps its pixels. Two processes may do this at the same time.

    Args:
        pictures: Their order is the order of the rows.
        policy: How they are prepared.
        folder: Cache folder; None is the default one.
        notify: Told of the size before anything is written, and of progress, stage "store".
        num_threads: Number of threads that decode; None means one for each core. For small pictures one is enough.

    Raises:
        StorageError: The disk cannot hold the pixels, or the folder cannot be written.
    """
    path = entry_path(folder, PIXELS, pictures.where, _VERSION, decoder_versions(), policy.model_dump_json())
    job = _Job(pictures, policy, path, notify, num_threads)
    names, stats = list(pictures.names), stat_all(pictures)
    old, old_pixels = _recall(job)
    places, sure = _match(job, old, names, stats)
    if names == old.names and (places >= 0).all() and old.file:
        if not sure.all():
            # Only saves reading the touched files once more; a cache that cannot be written serves as well.
            with suppress(OSError):
                write_index(path, pictures.where, old.with_stats(stats))
        return _finish(job, old_pixels, old, num_decoded=0)
    digests = np.zeros((len(names), DIGEST_BYTES), np.uint8)
    digests[places >= 0] = old.digests[places[places >= 0]]
    kept = Index(names, stats, digests, old.reasons_at(places), old.file)
    _announce(job)
    try:
        return _build(job, kept, old_pixels, places)
    except OSError as error:
        raise _storage_error(job, error) from error


def _recall(job: _Job) -> tuple[Index, np.ndarray]:
    """Returns the index and pixels there are; empty ones if there are none that are whole."""
    for _ in range(_TRIES):
        # Between reading an index and mapping its pixels, another process may put newer ones in place.
        old = read_index(job.path)
        pixels = _map(job, old) if old else None
        if old is not None and pixels is not None:
            return old, pixels
    nothing = np.zeros(0, np.int64)
    return Index([], Stats(nothing, nothing, nothing)), np.zeros((0, *job.shape[1:]), np.uint8)


def _match(job: _Job, old: Index, names: list[str], stats: Stats) -> tuple[np.ndarray, np.ndarray]:
    """Finds the row of each picture whose pixels still hold, -1 for the others; also whether that is sure.

    Where size, time or file differ, the content decides. A file that could not be opened is tried again, too.
    """
    places = old.places(names)
    sure = unchanged(stats, old.stats, places)
    sure[sure] = old.digests[places[sure]].any(1)
    for index in np.flatnonzero((places >= 0) & ~sure).tolist():
        if not np.array_equal(_digest(job, index), old.digests[places[index]]):
            places[index] = -1
    return places, sure


def _build(job: _Job, index: Index, old_pixels: np.ndarray, places: np.ndarray) -> PixelStore:
    """Writes a new file of pixels, with the old rows where there are such, and then its index."""
    name = f"pixels-{secrets.token_hex(8)}.u8"
    with files.writing(job.path / name) as file:
        for row, (picture, digest, reason) in enumerate(_rows(job, old_pixels, places, index.stats.sizes)):
            file.write(np.ascontiguousarray(picture).data)
            if places[row] < 0:
                index.digests[row] = digest
            if reason:
                index.reasons[row] = reason
    built = replace(index, file=name)
    pixels = _map(job, built)
    if pixels is None:
        raise OSError("the pixels were removed while they were being written")
    try:
        write_index(job.path, job.pictures.where, built)
    except BaseException:
        (job.path / name).unlink(missing_ok=True)
        raise
    _sweep(job.path, name, index.file)
    return _finish(job, pixels, built, num_decoded=int((places < 0).sum()))


def _rows(
    job: _Job, old_pixels: np.ndarray, places: np.ndarray, sizes: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray, str]]:
    """Yields pixels, digest and reason of every row in order; digest and reason only of those decoded now."""
    missing = np.flatnonzero(places < 0).tolist()
    threads = decoding_threads(job.num_threads, sizes[missing], lambda row: job.pictures.read(missing[row]))
    decoded = map_in_order(lambda row: _decode(job, row), missing, threads)
    no_digest = np.zeros(DIGEST_BYTES, np.uint8)
    done, told = 0, time.monotonic()
    for place in places.tolist():
        if place >= 0:
            yield old_pixels[place], no_digest, ""
            continue
        yield next(decoded)
        done += 1
        if done == len(missing) or time.monotonic() - told >= _PROGRESS_SECONDS:
            told = time.monotonic()
            job.notify(Progress(stage="store", done=done, total=len(missing)))


def _decode(job: _Job, row: int) -> tuple[np.ndarray, np.ndarray, str]:
    """Returns prepared pixels, the digest of the content, and why it cannot be read, or "".

    The digest is zeros where the picture is to be tried again the next time.
    """
    blank, digest = np.zeros(job.shape[1:], np.uint8), np.zeros(DIGEST_BYTES, np.uint8)
    try:
        content = job.pictures.read(row)
        digest = content_digest(content)
        return prepare(content, job.policy), digest, ""
    except DecodeTimeoutError as error:
        return blank, np.zeros_like(digest), str(error)
    except PictureError as error:
        return blank, digest, str(error)


def _digest(job: _Job, row: int) -> np.ndarray:
    """Returns the digest of a picture's content; zeros where it cannot be opened."""
    try:
        return content_digest(job.pictures.read(row))
    except PictureError:
        return np.zeros(DIGEST_BYTES, np.uint8)


def _map(job: _Job, index: Index) -> np.ndarray | None:
    """Maps the pixels of an index; None if they are gone, or not whole."""
    shape = (len(index.names), *job.shape[1:])
    path = job.path / index.file
    try:
        if not index.file or path.stat().st_size != np.prod(shape, dtype=np.int64):
            return None
        # An empty file cannot be mapped.
        return np.memmap(path, np.uint8, "r", shape=shape) if shape[0] else np.zeros(shape, np.uint8)
    except FileNotFoundError:
        return None


def _finish(job: _Job, pixels: np.ndarray, index: Index, *, num_decoded: int) -> PixelStore:
    readable = np.ones(len(job.pictures), bool)
    readable[list(index.reasons)] = False
    return PixelStore(pixels, readable, index.reasons, index.digests, job.path, num_decoded)


def _announce(job: _Job) -> None:
    """Says how large the store will be; refuses if the disk cannot hold it beside what is there."""
    free = free_disk_bytes(job.path)
    values = {"num_bytes": job.num_bytes, "free_bytes": free, "folder": str(job.path.parent)}
    job.notify(Note(key="store_size", values=values))
    if free < job.num_bytes + RESERVE_BYTES:
        raise StorageError(
            f"The decoded pictures take {size(job.num_bytes)} and {size(RESERVE_BYTES)} are left free, "
            f"but {job.path.parent} has only {size(free)}. Name a folder on another disk: --store DIR; "
            f"take smaller pictures: --size N (now {job.policy.side}); or empty the cache: "
            f"{clear_command(job.path.parents[1])}."
        )


def _storage_error(job: _Job, error: OSError) -> StorageError:
    # The writer's own error names a file that the user knows nothing of; what it is made from has the system's reason.
    cause = error.__cause__ if isinstance(error, StorageError) and isinstance(error.__cause__, OSError) else error
    smaller = "; or take smaller pictures: --size N" if cause.errno in _FULL else ""
    return StorageError(
        f"The decoded pictures ({size(job.num_bytes)}) cannot be kept in {job.path.parent}: "
        f"{(cause.strerror or str(cause)).rstrip('.')}. Name another folder: --store DIR{smaller}."
    )


def _sweep(path: Path, name: str, old_name: str) -> None:
    """Removes the pixels that were replaced, and what a process that was stopped has left behind."""
    for leftover in path.iterdir():
        if leftover.name in (name, INDEX_NAME):
            continue
        # Another process may be writing its own right now; one that has not for an hour is gone. Where the
        # old pixels are still mapped and so cannot be removed (Windows), the next sweep removes them.
        with suppress(OSError):
            if leftover.name == old_name or time.time() - leftover.stat().st_mtime > _LEFTOVER_SECONDS:
                leftover.unlink()
