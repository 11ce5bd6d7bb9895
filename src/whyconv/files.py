"""The one writer: what is written is there whole or not at all, also after a power cut."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from whyconv.errors import StorageError

_BLOCK_BYTES = 1 << 20
_PART = ".part"
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextmanager
def writing(path: Path, num_bytes: int | None = None) -> Iterator[IO[bytes]]:
    """Opens a temporary file beside ``path`` and puts it in place when the block ends well.

    The order is: write, fsync the file, rename over ``path``, fsync the folder. An error inside the
    block leaves ``path`` as it was and removes the temporary file; a process that is killed leaves that behind,
    for ``remove_parts``.

    Args:
        path: Of the file.
        num_bytes: What it will hold, where that is known: a full disk's message says so.

    Raises:
        StorageError: The system does not take it: the disk is full, read-only or broken, the folder not ours.
    """
    written, is_own = 0, True
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", suffix=_PART, dir=path.parent)
        try:
            with os.fdopen(descriptor, "wb") as file:
                try:
                    is_own = False
                    yield file
                    is_own = True
                    file.flush()
                finally:
                    written = os.fstat(descriptor).st_size
                os.fsync(descriptor)
            os.chmod(temporary, 0o666 & ~_umask())
            os.replace(temporary, path)
        except BaseException:
            with suppress(FileNotFoundError):
                os.unlink(temporary)
            raise
        sync_folder(path.parent)
    except OSError as error:
        if not is_own and error.errno not in (*_FULL, errno.EIO):
            raise  # of what the block reads, perhaps
        raise _storage_error(path, error, num_bytes, written) from error


def write_bytes(path: Path, data: bytes) -> None:
    """Writes ``data`` to ``path``, whole or not at all.

    Raises:
        StorageError: The system does not take it.
    """
    with writing(path, len(data)) as file:
        file.write(data)


def write_text(path: Path, text: str) -> None:
    """Writes ``text`` as UTF-8 with Unix line ends, whole or not at all."""
    write_bytes(path, text.encode("utf-8"))


def append_line(path: Path, line: str) -> None:
    """Adds one line to a log such as ``metrics.jsonl``, and waits until the disk has it.

    Raises:
        StorageError: The system does not take it; the log ends where it ended before.
    """
    data = (line + "\n").encode("utf-8")
    try:
        with path.open("ab", buffering=0) as file:
            end = file.tell()
            try:
                rest = memoryview(data)
                while rest:
                    rest = rest[file.write(rest) :]
                os.fsync(file.fileno())
            except OSError:
                with suppress(OSError):
                    file.truncate(end)
                raise
    except OSError as error:
        raise _storage_error(path, error, len(data), 0) from error


def try_folder(folder: Path) -> None:
    """Makes sure that a folder takes files, by one without a name: it may be somebody else's, or only be read.

    Raises:
        OSError: It does not.
    """
    with tempfile.TemporaryFile(dir=folder):
        pass


def unwritable(path: Path, error: OSError) -> StorageError:
    """What is said of a file of a run that cannot be opened to write."""
    return StorageError(
        f"{path} cannot be written: {error.strerror or error}. Expected a folder that you may write to: give yourself "
        "the right to, or go on with a copy of it."
    )


def is_part(path: Path) -> bool:
    """Whether a file is one that was being written here, and has not been put in place."""
    return path.name.startswith(".") and path.name.endswith(_PART)


def remove_parts(folder: Path) -> None:
    """Removes what processes that were killed left of files they were writing; only for who alone writes there."""
    for path in folder.glob(f".*{_PART}"):
        with suppress(OSError):
            path.unlink()


def digest(path: Path) -> str:
    """Returns the BLAKE2b digest (16 bytes, as 32 hex characters) of a file, read in blocks."""
    hasher = hashlib.blake2b(digest_size=16)
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            hasher.update(block)
    return hasher.hexdigest()


def digest_bytes(data: bytes) -> str:
    """Returns the BLAKE2b digest (16 bytes, as 32 hex characters) of ``data``."""
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def sync_folder(folder: Path) -> None:
    """Makes a rename inside ``folder`` durable; a no-op where folders cannot be opened (Windows)."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _umask() -> int:
    current = os.umask(0)
    os.umask(current)
    return current


def _storage_error(path: Path, error: OSError, num_bytes: int | None, written: int) -> StorageError:
    reason = error.strerror or str(error)
    if error.errno not in _FULL:
        return StorageError(f"{path} cannot be written: {reason}. What was there before is as it was.")
    needed = f"{num_bytes:,}" if num_bytes is not None else f"more than {written:,}"
    try:
        free = f"{shutil.disk_usage(path.parent).free:,}"
    except OSError:
        free = "an unknown number of"
    return StorageError(
        f"{path} cannot be written: {reason}. It needs {needed} bytes, {free} bytes are free there. What was there "
        "before is as it was; make room and try again."
    )
