"""Chosen rows of a memory map, read when they are asked for: what is too large for memory stays on disk."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# Of a table, that are worked on together.
_CELLS = 1_000_000


@dataclass(frozen=True, eq=False)
class PixelRows:
    """Looks like an array uint8 (n, side, side, channels) as far as its first axis is concerned.

    Attributes:
        source: uint8 (all, side, side, channels), mapped from disk.
        rows: int64 (n,), which rows of the source these are.
    """

    source: NDArray[np.uint8]
    rows: NDArray[np.int64]

    @property
    def shape(self) -> tuple[int, ...]:
        """(n, side, side, channels)."""
        return len(self.rows), *self.source.shape[1:]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int | slice | NDArray[np.int64]) -> NDArray[np.uint8]:
        """Reads one picture (side, side, channels), or several, into memory."""
        rows = self.rows[index]
        found = self.source[rows]
        # One row is still the map itself, several are a copy already.
        return np.array(found) if np.ndim(rows) == 0 else np.asarray(found)


def evenly_chosen(count: int, wanted: int) -> NDArray[np.int64]:
    """Rows of ``wanted`` of ``count`` pictures, evenly chosen; 0: all."""
    if not wanted or wanted >= count:
        return np.arange(count)
    return np.linspace(0, count - 1, wanted).round().astype(np.int64)


def row_blocks(count: int, width: int) -> Iterator[slice]:
    """Yields all rows of a table, a few at a time, so that a few numbers for each of its cells take little memory."""
    at_once = max(1, _CELLS // max(1, width))
    for start in range(0, count, at_once):
        yield slice(start, min(start + at_once, count))


Pixels = NDArray[np.uint8] | PixelRows


@dataclass(frozen=True, eq=False)
class LabelledPixels:
    """Pictures at the network's size, and their labels.

    Attributes:
        pixels: uint8 (n, side, side, channels); on disk where memory is short.
        labels: Indices of classes (n,).
    """

    pixels: Pixels
    labels: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.labels)


def some(data: LabelledPixels, rows: NDArray[np.int64]) -> LabelledPixels:
    """Chosen pictures of a part, read when they are asked for."""
    if len(rows) == len(data):
        return data
    if isinstance(data.pixels, PixelRows):
        return LabelledPixels(PixelRows(data.pixels.source, data.pixels.rows[rows]), data.labels[rows])
    return LabelledPixels(PixelRows(data.pixels, rows), data.labels[rows])
