"""Pictures whose truth is planted: the sign of a mark tells the class, and is turned in a part of the picture."""

from __future__ import annotations

import numpy as np

from whyconv.study import SquarePictures
from whyconv.training.pixel_rows import LabelledPixels


def marks(n: int, seed: int, *, turned_rows: int = 0, side: int = 8) -> LabelledPixels:
    """A bright mark is class 1, a dark one class 0; in the first ``turned_rows`` rows it is the other way around."""
    generator = np.random.default_rng(seed)
    levels = generator.normal(0, 12, (n, side, side))
    labels = np.arange(n, dtype=np.int32) % 2
    for picture, label in zip(levels, labels, strict=True):
        row, column = generator.integers(0, side - 1, 2)
        sign = (1 if label else -1) * (-1 if row < turned_rows else 1)
        picture[row : row + 2, column : column + 2] += 70 * sign
    pixels = np.clip(np.rint(levels + 128), 0, 255).astype(np.uint8)
    return LabelledPixels(pixels[..., None], labels)


def mark_pictures(turned_rows: int = 0, n: int = 256) -> SquarePictures:
    parts = [marks(count, seed, turned_rows=turned_rows) for count, seed in ((n, 1), (100, 2), (200, 3))]
    return SquarePictures(*parts, num_classes=2, mean=[128.0], std=[32.0])
