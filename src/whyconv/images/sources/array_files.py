"""Files of arrays, opened without reading the pictures in them: .npz, .npy, HDF5, IDX, CIFAR's rows of bytes."""

from __future__ import annotations

import importlib
import itertools
import lzma
import math
import threading
import tokenize
import zipfile
import zlib
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import IO, Any, Literal, NamedTuple, Protocol

import numpy as np

from whyconv.errors import DataError, MissingExtraError
from whyconv.images.sources.binary_files import batch_of, is_binary, is_idx, read_cifar, read_idx
from whyconv.images.sources.labels import natural_key
from whyconv.images.sources.listing import printable

NPZ_ENDINGS = (".npz",)
NPY_ENDINGS = (".npy",)
HDF5_ENDINGS = (".h5", ".hdf5", ".hdf", ".he5")
ARRAY_ENDINGS = (*NPZ_ENDINGS, *NPY_ENDINGS, *HDF5_ENDINGS)

# What numpy, zipfile and h5py raise on files that are damaged or lie.
_DAMAGE = (
    *(OSError, ValueError, EOFError, KeyError, NotImplementedError, RuntimeError, MemoryError, OverflowError),
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, tokenize.TokenError),
)


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


@dataclass(frozen=True, eq=False)
class StackedRows:
    """Arrays one after another, as one.

    Attributes:
        parts: The arrays.
        files: Where each of them lies.
    """

    parts: tuple[Rows, ...]
    files: tuple[Path, ...] = ()

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes of all axes."""
        return (sum(part.shape[0] for part in self.parts), *self.parts[0].shape[1:])

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of one value."""
        return self.parts[0].dtype

    @cached_property
    def starts(self) -> tuple[int, ...]:
        """The first row of each part."""
        return (0, *itertools.accumulate(part.shape[0] for part in self.parts[:-1]))

    def __getitem__(self, rows: int | slice, /) -> np.ndarray:
        """Returns one row, or a slice of rows in steps of one, as an array."""
        if isinstance(rows, int):
            # Picture by picture all are read so: the other parts are not asked for no rows each time.
            row = range(self.shape[0])[rows]
            number = bisect_right(self.starts, row) - 1
            return np.asarray(self.parts[number][row - self.starts[number]])
        first, last, _ = rows.indices(self.shape[0])
        return np.concatenate(
            [
                np.asarray(part[max(first - start, 0) : max(last - start, 0)])
                for part, start in zip(self.parts, self.starts, strict=True)
            ]
        )


@dataclass(frozen=True)
class ObjectRows:
    """An array of Python objects, of which the size is known and that is never loaded: they could run code."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any] = field(default_factory=lambda: np.dtype(object))

    def __getitem__(self, rows: int | slice, /) -> np.ndarray:
        raise ValueError("Python objects are never loaded")


class _Header(NamedTuple):
    """What stands at the head of a .npy file."""

    shape: tuple[int, ...]
    is_fortran: bool
    dtype: np.dtype[Any]


def is_array_file(name: str) -> bool:
    """Whether a file holds arrays, by its name."""
    return name.lower().endswith(ARRAY_ENDINGS) or is_binary(name)


def members_of(path: Path) -> list[Member]:
    """Lists the arrays of a file; pictures in it stay on disk where the format allows it.

    Arrays in an uncompressed .npz (``np.savez``) and in .npy files are memory-mapped, those in HDF5 read
    row by row; only arrays of a compressed .npz are held in memory as a whole.

    Raises:
        DataError: The file is damaged.
        MissingExtraError: HDF5 without h5py.
    """
    kind, opener = _opener(path)
    try:
        return list(opener(path))
    except _DAMAGE as error:
        said = str(error) or "it asks for more memory than there is"
        raise DataError(f"{printable(path.name)} cannot be read as {kind}: {said}. Is the file complete?") from None


def _opener(path: Path) -> tuple[str, Callable[[Path], Iterator[Member]]]:
    """Returns what a file of arrays is called, and what opens it."""
    ending = path.suffix.lower()
    if is_binary(path.name):
        return ("IDX" if is_idx(path.name) else "CIFAR's rows of bytes"), _binary
    if ending in NPZ_ENDINGS:
        return ending, _npz
    return (ending, _npy) if ending in NPY_ENDINGS else ("HDF5", _hdf5)


def _npy(path: Path) -> Iterator[Member]:
    with path.open("rb") as file:
        yield Member(path, path.stem, _array(file, 0, path.stat().st_size, path, path.stem))


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
                start = info.header_offset + 30 + int(lengths.sum())
                yield Member(path, key, _array(file, start, info.file_size, path, key))
            else:
                yield Member(path, key, _packed_array(archive, info, key))


def _binary(path: Path) -> Iterator[Member]:
    if is_idx(path.name):
        yield Member(path, *read_idx(path))
        return
    yield from (Member(*found) for found in read_cifar(path))


def stacked(members: Sequence[Member]) -> list[Member]:
    """Returns the arrays, with those made one that are spread over several files; class names once."""
    alike: dict[tuple[Path | str, str], list[Member]] = {}
    for member in sorted(members, key=lambda member: natural_key(member.file.name)):
        alike.setdefault((batch_of(member.file) or member.file, member.key), []).append(member)
    return [_as_one(found) if batch_of(found[0].file) else found[0] for found in alike.values()]


def _as_one(members: Sequence[Member]) -> Member:
    rows = StackedRows(tuple(member.rows for member in members), tuple(member.file for member in members))
    return Member(members[0].file, members[0].key, rows)


def _array(file: IO[bytes], start: int, num_bytes: int, path: Path, key: str) -> Rows:
    """Maps the array of a .npy file that takes ``num_bytes`` from ``start`` on."""
    file.seek(start)
    header = _header(file, key, num_bytes)
    if header.dtype.hasobject:
        return ObjectRows(header.shape)
    if 0 in header.shape or not header.shape:
        file.seek(start)
        return np.lib.format.read_array(file, allow_pickle=False)
    order: Literal["F", "C"] = "F" if header.is_fortran else "C"
    return np.memmap(path, header.dtype, "r", file.tell(), header.shape, order)


def _packed_array(archive: zipfile.ZipFile, info: zipfile.ZipInfo, key: str) -> Rows:
    """Reads a compressed .npy file as a whole, once its header agrees with its size."""
    with archive.open(info) as packed:
        header = _header(packed, key, info.file_size)
    if header.dtype.hasobject:
        return ObjectRows(header.shape)
    with archive.open(info) as packed:
        return np.lib.format.read_array(packed, allow_pickle=False)


def _header(file: IO[bytes], key: str, num_bytes: int) -> _Header:
    """Reads the head of a .npy file of ``num_bytes``; raises ValueError where the array would be larger."""
    start = file.tell()
    version = np.lib.format.read_magic(file)
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    if version not in readers:
        raise ValueError(f"array '{key}' has format version {version}, which is not supported")
    header = _Header(*readers[version](file))
    needed = math.prod(header.shape) * header.dtype.itemsize
    there = num_bytes - (file.tell() - start)
    if not header.dtype.hasobject and (needed > there or min(header.shape, default=0) < 0):
        raise ValueError(
            f"array '{key}' is said to have shape {header.shape}, {needed:,} bytes, and {there:,} are there"
        )
    return header


def _hdf5(path: Path) -> Iterator[Member]:
    h5py = _import_h5py()
    found: list[Member] = []

    def visit(key: str, item: object) -> None:
        if isinstance(item, h5py.Dataset):
            if item.is_virtual or item.external:
                raise ValueError(f"dataset '{key}' lies in other files, which are not opened")
            # A dataset without values ("null") has no shape either.
            has_values = item.shape is not None
            rows = Hdf5Rows(path, key, item.shape, item.dtype) if has_values else np.zeros(0, item.dtype)
            found.append(Member(path, key, rows))

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
