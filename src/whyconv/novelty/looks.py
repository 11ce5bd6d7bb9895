"""What a picture looks like, whatever it shows: brightness, and contrast at every scale, gray and colored.

Noise, blank pictures and drawings shown to a recognizer of photos can land in the middle of a class, because a network
that never met such pictures was never asked to keep them apart. Here they lie far away.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

WHITE = 255.0
# Variance of the rounding to 256 levels: less contrast cannot be told from none.
ROUNDING_VARIANCE = 1 / (12 * WHITE**2)
# Brightness, red less green, yellow less blue: rows of weights for the channels.
OPPONENT = ((1 / 3, 1 / 3, 1 / 3), (1.0, -1.0, 0.0), (0.5, 0.5, -1.0))
# Between the pixels of a block of two by two; Haar's: their squares sum to the variance inside of it.
DIFFERENCES = np.array([[[1, 1], [-1, -1]], [[1, -1], [1, -1]], [[1, -1], [-1, 1]]]) / 4
_BATCH = 64


class Pixels(Protocol):
    """An array uint8 (n, side, side, channels), or what looks like one and reads a slice of it when it is asked to."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(n, side, side, channels)."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: slice, /) -> NDArray[np.uint8]: ...


def num_scales(side: int) -> int:
    """How often a square can be halved, the odd row left out, until it is a single pixel."""
    return side.bit_length() - 1


def planes(num_channels: int) -> NDArray[np.float64]:
    """Weights (planes, channels) that make brightness, and of color pictures the two opponent colors."""
    return np.array(OPPONENT if num_channels == 3 else [[1.0]])


def looks(pixels: Pixels) -> NDArray[np.float64]:
    """Describes pictures by their means, and by the variances inside of blocks of two by two, scale after scale.

    Args:
        pixels: (n, side, side, channels), 1 or 3 channels.

    Returns:
        (n, planes (1 + 2 scales)): the mean of each plane in [-1, 1]; then, from the finest scale on, the natural
        logarithm of the mean m of the variances v inside of the blocks of each plane, and of mean(v²) / m²: how
        unevenly contrast is spread over the places. The variance of rounding is added to m, its square to mean(v²).
        Each scale is the one before with each block replaced by its mean.

    References:
        Haar, *Zur Theorie der orthogonalen Funktionensysteme* (1910), Mathematische Annalen 69: with the mean squares
        of all scales these sum to that of the picture. Ruderman, *The statistics of natural images* (1994), Network 5,
        for how alike photos are in this.
    """
    starts = range(0, len(pixels), _BATCH)
    size = len(planes(pixels.shape[3])) * (1 + 2 * num_scales(pixels.shape[1]))
    parts = [_of_batch(np.asarray(pixels[start : start + _BATCH])) for start in starts]
    return np.concatenate([np.empty((0, size)), *parts])


def _of_batch(pixels: NDArray[np.uint8]) -> NDArray[np.float64]:
    x = np.einsum("nhwc,pc->nphw", pixels / WHITE, planes(pixels.shape[3]), optimize=True)
    columns = [x.mean(axis=(2, 3))]
    while x.shape[2] > 1:
        x, variance = _halved(x)
        contrast = np.log(variance.mean(axis=(2, 3)) + ROUNDING_VARIANCE)
        spread = np.log((variance**2).mean(axis=(2, 3)) + ROUNDING_VARIANCE**2) - 2 * contrast
        columns += [contrast, spread]
    return np.concatenate(columns, axis=1)


def _halved(x: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean and variance of each block of two by two: sums of four views, for numpy's own over two axes take longer."""
    half = x.shape[2] // 2
    corners = [x[:, :, row : 2 * half : 2, column : 2 * half : 2] for row in (0, 1) for column in (0, 1)]
    mean = (corners[0] + corners[1] + corners[2] + corners[3]) / 4
    variance = np.zeros_like(mean)
    for corner in corners:
        variance += (corner - mean) ** 2
    return mean, variance / 4
