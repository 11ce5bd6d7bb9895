"""Sets of input pixels along one axis, one for each output, as the bits of whole numbers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from whyconv.counting.axis import Axis

# Bit x of number u is set where output u depends on pixel x.
Rows = tuple[int, ...]


def own_pixels(length: int) -> Rows:
    """Returns the rows of a picture: each pixel depends on itself."""
    return tuple(1 << pixel for pixel in range(length))


def gather(rows: Rows, axis: Axis, *, is_transposed: bool) -> Rows:
    """Returns the rows of the outputs of a window that slides over these."""
    sources = axis.sources().tolist()
    if is_transposed:
        spread = [0] * axis.length
        for bits, places in zip(rows, sources, strict=True):
            for place in places:
                if place >= 0:
                    spread[place] |= bits
        return tuple(spread)
    return tuple(_union(rows, places) for places in sources)


def union(one: Rows, other: Rows) -> Rows:
    """Returns the rows of both together."""
    return tuple(first | second for first, second in zip(one, other, strict=True))


def is_within(one: Rows, other: Rows) -> bool:
    """Returns whether every set of one lies in that of the other."""
    return all(first & ~second == 0 for first, second in zip(one, other, strict=True))


def everything(rows: Rows) -> int:
    """Returns the union over all outputs."""
    return _union(rows, range(len(rows)))


def as_array(bits: int, length: int) -> NDArray[np.bool_]:
    """Returns a set as an array (length,) of booleans."""
    raw = np.frombuffer(bits.to_bytes(-(-length // 8), "little"), np.uint8)
    return np.unpackbits(raw, count=length, bitorder="little").astype(bool)


def _union(rows: Rows, places: Sequence[int]) -> int:
    bits = 0
    for place in places:
        if place >= 0:
            bits |= rows[place]
    return bits
