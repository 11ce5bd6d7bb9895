"""The folder where what was decoded once is kept: where it is, what lies in it, how it is emptied."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import zipfile
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from whyconv import files
from whyconv.errors import StorageError
from whyconv.texts import as_typed
from whyconv.untrusted import json_in

PIXELS, SURVEYS, NETWORKS, SHARDS, ARCHIVES = "pixels", "surveys", "networks", "shards", "archives"
INDEX_NAME = "index.npz"

# Left free on the disk, for the run itself and for everybody else.
RESERVE_BYTES = 200_000_000

# As ``entry_path`` names them.
_OWN_NAME = re.compile(r".+-[0-9a-f]{16}")
# The same as a whole file, or as ``files.writing`` names one until it is whole.
_OWN_SURVEY = re.compile(r".+-[0-9a-f]{16}(\.copies)?\.npz|\..+-[0-9a-f]{16}(\.copies)?\.npz\..+\.part")
_NETWORK_FILES = (".onnx", ".safetensors")
_READ_ERRORS = (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile)


@dataclass(frozen=True)
class CacheEntry:
    """Something kept in the cache.

    Attributes:
        path: A folder of pixels or of what was unpacked of an archive; the file of a survey, of a network, or of what
            lies in a shard.
        kind: "pixels", "survey", "network", "archive" or "shards".
        where: The pictures it was made from; of a network its file, of a shard its path or URL. "": not known, of what
            was stopped before it said so.
        num_bytes: On disk.
        used: When it was last written, in seconds since 1970.
    """

    path: Path
    kind: str
    where: str
    num_bytes: int
    used: float


def default_folder() -> Path:
    """Returns ``$XDG_CACHE_HOME/whyconv``, or ``~/.cache/whyconv`` where that is not set."""
    home = os.environ.get("XDG_CACHE_HOME", "")
    # The XDG rule: a relative path there is invalid and ignored.
    root = Path(home) if Path(home).is_absolute() else Path.home() / ".cache"
    return root / "whyconv"


def entry_path(folder: Path | None, kind: str, where: str, *ingredients: str) -> Path:
    """Returns where something made from ``where`` by ``ingredients`` is kept; its name begins as the data's."""
    source = os.path.realpath(where)
    key = hashlib.blake2b("\0".join((source, *ingredients)).encode("utf-8", "surrogateescape"), digest_size=8)
    name = re.sub(r"[^A-Za-z0-9._-]+", "_", Path(source).name).strip("._")[:40] or "pictures"
    return (folder or default_folder()) / kind / f"{name}-{key.hexdigest()}"


def clear_command(folder: Path | None) -> str:
    """Returns what empties a cache (None: the default one), to be typed into a shell."""
    store = [] if folder is None or folder == default_folder() else ["--store", str(folder)]
    return as_typed("whyconv", "cache", "--clear", *store)


def write_arrays(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Writes named arrays into one file, whole or not at all; makes no copy of them."""
    with files.writing(path, sum(array.nbytes for array in arrays.values())) as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]  # its stub takes no dictionary of arrays


def read_arrays(path: Path) -> dict[str, np.ndarray] | None:
    """Reads what ``write_arrays`` wrote; None where there is none, or it is damaged."""
    try:
        # np.load leaves a file open that it opened itself and could not read.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}
    except _READ_ERRORS:
        return None


def pack(texts: Iterable[str]) -> np.ndarray:
    """Returns texts as bytes, uint8, joined by zero bytes."""
    return np.frombuffer("\0".join(texts).encode("utf-8", "surrogateescape"), np.uint8)


def unpack(packed: np.ndarray, count: int) -> list[str]:
    """Returns the ``count`` texts that ``pack`` joined; raises ValueError for another number."""
    texts = packed.tobytes().decode("utf-8", "surrogateescape").split("\0") if count else []
    if len(texts) != count:
        raise ValueError(f"expected {count} texts, found {len(texts)}")
    return texts


def list_stores(folder: Path | None = None) -> list[CacheEntry]:
    """Lists what is kept in ``folder`` (None: the default), the largest first; other files are not ours.

    Raises:
        StorageError: The folder, or one in it, may not be read.
    """
    root = folder or default_folder()
    try:
        _require_open(root)
        return _entries(root)
    except OSError as error:
        raise StorageError(
            f"The cache {root} cannot be read: {error.strerror or error}. Name another folder: --store DIR, or "
            "set XDG_CACHE_HOME."
        ) from error


def remove_stores(folder: Path | None = None, *, where: str | Path | None = None) -> list[CacheEntry]:
    """Removes what is kept, and nothing else.

    Args:
        folder: The cache; None is the default one.
        where: Only what was made from these pictures; None removes all.

    Returns:
        What was removed.
    """
    removed = []
    for entry in list_stores(folder):
        if where is not None and entry.where not in {os.path.realpath(where), str(where)}:
            continue
        if entry.path.is_dir():
            shutil.rmtree(entry.path, ignore_errors=True)
        else:
            entry.path.unlink(missing_ok=True)
            if entry.kind == "shards":
                entry.path.with_suffix(".json").unlink(missing_ok=True)
        if not entry.path.exists():
            removed.append(entry)
    return removed


def _require_open(root: Path) -> None:
    """Raises OSError where something may not be read: searching it, Python finds nothing there, and says nothing."""
    for place in (root, *(root / kind for kind in (PIXELS, SURVEYS, NETWORKS, SHARDS, ARCHIVES))):
        with suppress(FileNotFoundError, NotADirectoryError):
            os.scandir(place).close()


def _entries(root: Path) -> list[CacheEntry]:
    found = [_pixels(path) for path in sorted((root / PIXELS).glob("*")) if path.is_dir()]
    found += [_entry(index.parent, index, "archive") for index in sorted((root / ARCHIVES).glob(f"*/{INDEX_NAME}"))]
    found += [_survey(path) for path in sorted((root / SURVEYS).glob("*"))]
    networks = sorted(path for path in (root / NETWORKS).glob("[!.]*") if path.suffix in _NETWORK_FILES)
    found += [_network(path) for path in networks]
    found += [_listing(path) for path in sorted((root / SHARDS).glob("[!.]*.entries"))]
    return sorted((entry for entry in found if entry is not None), key=lambda entry: -entry.num_bytes)


def _network(path: Path) -> CacheEntry:
    stat = path.stat()
    return CacheEntry(path, "network", str(path), stat.st_size, stat.st_mtime)


def _listing(path: Path) -> CacheEntry | None:
    try:
        where = str(json_in(path.with_suffix(".json"))["place"])
    except _READ_ERRORS:
        where = ""  # its other half is missing, so it is of no use, but it can be removed
    stat = path.stat()
    return CacheEntry(path, "shards", where, stat.st_size, stat.st_mtime)


def _pixels(folder: Path) -> CacheEntry | None:
    found = _entry(folder, folder / INDEX_NAME, "pixels")
    if found is not None or not _OWN_NAME.fullmatch(folder.name):
        return found
    # Its first decoding has not ended, or its index is damaged: nobody knows of what it is, but it can be removed.
    return CacheEntry(folder, "pixels", "", _num_bytes(folder), folder.stat().st_mtime)


def _survey(path: Path) -> CacheEntry | None:
    found = _entry(path, path, "survey") if path.suffix == ".npz" and not path.name.startswith(".") else None
    if found is not None or not path.is_file() or not _OWN_SURVEY.fullmatch(path.name):
        return found
    # Damaged, or what a process that was stopped has begun: nobody knows of what it is, but it can be removed.
    stat = path.stat()
    return CacheEntry(path, "survey", "", stat.st_size, stat.st_mtime)


def _num_bytes(path: Path) -> int:
    parts = [path] if path.is_file() else [part for part in path.rglob("*") if part.is_file()]
    return sum(part.stat().st_size for part in parts)


def _entry(path: Path, index: Path, kind: str) -> CacheEntry | None:
    try:
        with index.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            where = str(stored["where"])
    except _READ_ERRORS:
        return None
    return CacheEntry(path, kind, where, _num_bytes(path), index.stat().st_mtime)
