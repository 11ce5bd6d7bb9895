"""Files of arrays, opened without reading the pictures in them: .npz, .npy, HDF5."""

from __future__ import annotations

import importlib
import threading
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import IO, Any, Protocol

import numpy as np

from whyconv.errors import DataError, MissingExtraError
from whyconv.images.sources.listing import printable

NPZ_ENDINGS = (".npz",)
NPY_ENDINGS = (".npy",)
HDF5_ENDINGS = (".h5", ".hdf5", ".hdf", ".he5")
ARRAY_ENDINGS = (*NPZ_ENDINGS, *NPY_ENDINGS, *HDF5_ENDINGS)


class Rows(Protocol):
    """An array of which single rows can be had without reading the rest."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes of all axes."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of one value."""

    def __getitem__(self, rows: int | slice, /) -> np.ndarray:
        """Returns one row or a slice of rows, as an array."""


@dataclass(frozen=True, eq=False)
class Member:
    """One named array of a file."""

    file: Path
    key: str
    rows: Rows


def members_of(path: Path) -> list[Member]:
    """Lists the arrays of a file; pictures in it stay on disk where the format allows it.

    Arrays in an uncompressed .npz (``np.savez``) and in .npy files are memory-mapped, those in HDF5 read
    row by row; only arrays of a compressed .npz are held in memory as a whole.

    Raises:
        DataError: The file is damaged, or an array holds Python objects.
        MissingExtraError: HDF5 without h5py.
    """
    ending = path.suffix.lower()
    opener: Callable[[Path], Iterator[Member]] = _npz if ending in NPZ_ENDINGS else _hdf5
    if ending in NPY_ENDINGS:
        opener = _npy
    try:
        return list(opener(path))
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        kind = "HDF5" if opener is _hdf5 else ending
        raise DataError(f"{printable(path.name)} cannot be read as {kind}: {error}. Is the file complete?") from None


def _npy(path: Path) -> Iterator[Member]:
    with path.open("rb") as file:
        yield Member(path, path.stem, _mapped(file, 0, path, path.stem))


def _npz(path: Path) -> Iterator[Member]:
    with path.open("rb") as file, zipfile.ZipFile(file) as archive:
        for info in archive.infolist():
            if not info.filename.endswith(".npy"):
                continue
            key = info.filename.removesuffix(".npy")
            if info.compress_type == zipfile.ZIP_STORED and not info.flag_bits & 1:
                # A stored member is a .npy file in the middle of the archive: its local header has 30
                # bytes, then a name and an extra field whose lengths stand at 26 and 28 (APPNOTE 4.3.7).
                file.seek(info.header_offset + 26)
                lengths = np.frombuffer(file.read(4), "<u2")
                yield Member(path, key, _mapped(file, info.header_offset + 30 + int(lengths.sum()), path, key))
            else:
                with archive.open(info) as packed:
                    yield Member(path, key, np.lib.format.read_array(packed, allow_pickle=False))


def _mapped(file: IO[bytes], start: int, path: Path, key: str) -> np.ndarray:
    file.seek(start)
    version = np.lib.format.read_magic(file)
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    if version not in readers:
        raise ValueError(f"array '{key}' has format version {version}, which is not supported")
    shape, is_fortran, dtype = readers[version](file)
    if dtype.hasobject:
        raise ValueError(f"array '{key}' holds Python objects, which are never loaded; save it as numbers or text")
    if 0 in shape or not shape:
        file.seek(start)
        return np.lib.format.read_array(file, allow_pickle=False)
    return np.memmap(path, dtype, "r", file.tell(), shape, "F" if is_fortran else "C")


def _hdf5(path: Path) -> Iterator[Member]:
    h5py = _import_h5py()
    found: list[Member] = []

    def visit(key: str, item: object) -> None:
        if isinstance(item, h5py.Dataset):
            if item.is_virtual or item.external:
                raise ValueError(f"dataset '{key}' lies in other files, which are not opened")
            found.append(Member(path, key, Hdf5Rows(path, key, item.shape, item.dtype)))

    with h5py.File(path, "r") as file:
        file.visititems(visit)
    yield from found


@dataclass
class Hdf5Rows:
    """A dataset of an HDF5 file, read row by row; safe to share between threads."""

    path: Path
    key: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)
    _file: Any = field(default=None, repr=False)

    def __getitem__(self, rows: int | slice, /) -> np.ndarray:
        with self._lock:
            if self._file is None:
                self._file = _import_h5py().File(self.path, "r")
            return np.asarray(self._file[self.key][rows])

    def __getstate__(self) -> dict[str, Any]:
        """Leaves the open file and the lock behind: another process opens its own."""
        return {"path": self.path, "key": self.key, "shape": self.shape, "dtype": self.dtype}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Opens again from path and key."""
        self.__dict__.update(Hdf5Rows(**state).__dict__)


def _import_h5py() -> ModuleType:
    try:
        return importlib.import_module("h5py")
    except ImportError:
        raise MissingExtraError("Reading HDF5", "tables") from None
