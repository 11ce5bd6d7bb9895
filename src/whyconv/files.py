"""The one writer: what is written is there whole or not at all, also after a power cut."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

_BLOCK_BYTES = 1 << 20


@contextmanager
def writing(path: Path) -> Iterator[IO[bytes]]:
    """Opens a temporary file beside ``path`` and puts it in place when the block ends well.

    The order is: write, fsync the file, rename over ``path``, fsync the folder. An error inside the
    block leaves ``path`` as it was and removes the temporary file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(temporary)
        raise
    sync_folder(path.parent)


def write_bytes(path: Path, data: bytes) -> None:
    """Writes ``data`` to ``path``, whole or not at all."""
    with writing(path) as file:
        file.write(data)


def write_text(path: Path, text: str) -> None:
    """Writes ``text`` as UTF-8 with Unix line ends, whole or not at all."""
    write_bytes(path, text.encode("utf-8"))


def append_line(path: Path, line: str) -> None:
    """Adds one line to a log such as ``metrics.jsonl`` and flushes it to the system."""
    with path.open("a", encoding="utf-8", newline="\n") as file:
        file.write(line + "\n")


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
