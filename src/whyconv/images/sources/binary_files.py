"""The forms in which MNIST and CIFAR are published: IDX files, zipped or not, and rows of bytes.

References:
    IDX: http://yann.lecun.com/exdb/mnist, "The IDX file format"; CIFAR: https://www.cs.toronto.edu/~kriz/cifar.html,
    "Binary version".
"""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

import numpy as np

from whyconv.images.sources.labels import PART_ALIASES

_IDX = re.compile(r"[-.]idx([1-4])-(?:ubyte|byte|short|int|float|double)(?:\.gz)?$")
_CIFAR = re.compile(r"(data_batch_\d+|test_batch|train|test)\.bin$")
_TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_MOST_AXES = 4
_MOST_INFLATED = 1_032  # times its size: deflate cannot do more
_SIDE, _CHANNELS = 32, 3
_CLASS_NAMES = {1: "batches.meta.txt", 2: "fine_label_names.txt"}


def is_binary(name: str) -> bool:
    """Whether a file is of one of these forms, by its name."""
    return is_idx(name) or _CIFAR.match(name) is not None


def is_idx(name: str) -> bool:
    """Whether a file is called as IDX files are: ``t10k-images-idx3-ubyte.gz``, ``train-labels.idx1-ubyte``."""
    return _IDX.search(name) is not None


def without_packed(paths: Sequence[Path]) -> list[Path]:
    """Returns the files without the zipped ones that lie beside themselves unpacked, as torchvision leaves them."""
    there = set(paths)
    return [path for path in paths if not (path.suffix == ".gz" and path.with_suffix("") in there)]


def idx_name(name: str) -> tuple[str, int, str]:
    """Returns the name of an IDX file without its ending, the number of axes in that, and how it begins; else ""."""
    found = _IDX.search(name)
    return (name[: found.start()], int(found[1]), found[0][0]) if found else ("", 0, "")


def cifar_labels(name: str) -> int:
    """Returns how many labels a row of a CIFAR file has, by its name: 1 of CIFAR-10, 2 of CIFAR-100; 0 of others."""
    return 0 if not _CIFAR.match(name) else 1 if "batch" in name else 2


def read_idx(path: Path) -> tuple[str, np.ndarray]:
    """Returns the one array of an IDX file and its name, such as "train_images"; mapped where it is not zipped.

    Raises:
        OSError: The file cannot be read.
        ValueError: It is no IDX file, or not as long as it says.
    """
    is_zipped = path.name.endswith(".gz")
    try:
        with gzip.open(path) if is_zipped else path.open("rb") as file:
            dtype, shape = _idx_head(file)
            start, num_bytes = 4 + 4 * len(shape), dtype.itemsize * int(np.prod(shape, dtype=np.float64))
            if is_zipped and num_bytes > _MOST_INFLATED * path.stat().st_size:
                raise ValueError(f"its head speaks of {num_bytes:,} bytes, more than the file can hold")
            content = file.read(num_bytes + 1) if is_zipped else b""
    except (zlib.error, EOFError) as error:
        raise ValueError(f"it is damaged or cut short: {error}") from None
    found = len(content) if is_zipped else path.stat().st_size - start
    if found < num_bytes:
        raise ValueError(f"its head speaks of {num_bytes:,} bytes, and only {found:,} follow")
    if found > num_bytes:
        raise ValueError(f"its head speaks of {num_bytes:,} bytes, and more than {num_bytes:,} follow")
    array = np.frombuffer(content, dtype).reshape(shape) if content else np.zeros(shape, dtype)
    return _idx_key(path.name, shape), np.memmap(path, dtype, "r", start, shape) if not is_zipped and found else array


def _idx_head(file: IO[bytes] | gzip.GzipFile) -> tuple[np.dtype[np.generic], tuple[int, ...]]:
    head = file.read(4)
    if len(head) < 4 or head[:2] != b"\0\0" or head[2] not in _TYPES or not 1 <= head[3] <= _MOST_AXES:
        raise ValueError(
            f"it begins with {head.hex(' ') or 'nothing'}; expected 00 00, a type and 1 to {_MOST_AXES} axes"
        )
    axes = file.read(4 * head[3])
    if len(axes) < 4 * head[3]:
        raise ValueError("it ends within its head")
    return np.dtype(_TYPES[head[2]]), tuple(np.frombuffer(axes, ">u4").tolist())


def _idx_key(name: str, shape: tuple[int, ...]) -> str:
    words = re.split(r"[^a-z0-9]+", name.casefold())
    part = next((word for word in words if word in PART_ALIASES), "test" if "t10k" in words else "")
    return f"{part}_{'labels' if len(shape) == 1 else 'images'}".lstrip("_")


def read_cifar(path: Path) -> Iterator[tuple[Path, str, np.ndarray]]:
    """Yields file, name and rows of the arrays in a binary file of CIFAR-10 or CIFAR-100, mapped; and class names.

    Of CIFAR-100, the fine labels are the labels.

    Raises:
        OSError: A file cannot be read.
        ValueError: Its length is not that of whole rows.
    """
    stem = path.stem
    num_labels = cifar_labels(path.name)
    width = num_labels + _CHANNELS * _SIDE * _SIDE
    size = path.stat().st_size
    if not size or size % width:
        raise ValueError(f"it has {size:,} bytes, and CIFAR-{10 if num_labels == 1 else 100} has rows of {width:,}")
    rows = np.memmap(path, np.uint8, "r", 0, (size // width, width))
    part = "test" if stem.startswith("test") else "train"
    yield path, f"{part}_images", rows[:, num_labels:].reshape(-1, _CHANNELS, _SIDE, _SIDE)
    yield path, f"{part}_labels", rows[:, num_labels - 1]
    if num_labels > 1:
        yield path, f"{part}_coarse_labels", rows[:, 0]
    if (names := class_names_beside(path)) is not None:
        yield names, "classes", np.array(names.read_text(encoding="utf-8").split())


def names_classes(name: str) -> bool:
    """Whether a file is called as the one with the names of CIFAR's classes."""
    return name in _CLASS_NAMES.values()


def class_names_beside(path: Path) -> Path | None:
    """Returns the file with the names of the classes of a CIFAR file; None where there is none."""
    num_labels = cifar_labels(path.name)
    names = path.with_name(_CLASS_NAMES[num_labels]) if num_labels else None
    return names if names and names.is_file() else None


def batch_of(path: Path) -> str:
    """Returns what the files that one array is spread over share in their names; "" where each is whole."""
    return "data_batch" if _CIFAR.match(path.name) and path.stem.startswith("data_batch") else ""
