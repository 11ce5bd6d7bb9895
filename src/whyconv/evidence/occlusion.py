"""The occlusion map: how far the probability of a class falls when a patch of the picture is hidden.

It asks nothing but answers, so it holds for every network, whatever is averaged inside its file.

References:
    Zeiler, Fergus, *Visualizing and understanding convolutional networks* (2013), arXiv 1311.2901, section 4.2.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_FRACTION = 0.25  # of the side: about as much is hidden
_STEPS = 7  # about as many steps there are from one border to the other

Ask = Callable[[NDArray[np.uint8]], NDArray[np.float32]]


@dataclass(frozen=True)
class Patches:
    """Squares that slide over a picture and reach both of its borders.

    Attributes:
        side: Of the picture in pixels.
        size: Of a patch in pixels.
        step: Pixels from patch to patch.
    """

    side: int
    size: int
    step: int

    @property
    def places(self) -> range:
        """First pixels of the patches along one axis."""
        return range(0, self.side - self.size + 1, self.step)

    @property
    def box(self) -> tuple[float, float, float, float]:
        """What a map of one value a patch is drawn over: every value has ``step`` pixels around the patch's middle."""
        start = (self.size - self.step) / 2
        length = float(self.step * len(self.places))
        return start, start, length, length


def patches_for(side: int) -> Patches:
    """Patches of about a quarter of the side, about eight along each axis; size and step leave no rest."""
    wanted = max(2, round(_FRACTION * side))
    step = max(1, round((side - wanted) / _STEPS))
    count = max(0, round((side - wanted) / step))
    return Patches(side, max(1, side - count * step), step)


def occlusion_map(
    pixels: NDArray[np.uint8], ask: Ask, label: int, patches: Patches, level: NDArray[np.uint8]
) -> NDArray[np.float64]:
    """Returns how far the probability of a class falls when each patch is hidden; asks once, about all of them.

    Args:
        pixels: uint8 (side, side, channels), as the network sees them.
        ask: Gives probabilities (n, classes) of pixels (n, side, side, channels).
        label: Number of the class.
        patches: What is hidden.
        level: uint8 (channels,), what it is hidden by.

    Returns:
        float64 (h, w), one value a patch, in [-1, 1]; above 0: the probability falls.
    """
    places = patches.places
    hidden = np.repeat(pixels[None], 1 + len(places) ** 2, axis=0)
    corners = [(top, left) for top in places for left in places]
    for picture, (top, left) in zip(hidden[1:], corners, strict=True):
        picture[top : top + patches.size, left : left + patches.size] = level
    found = ask(hidden)[:, label].astype(np.float64)
    return np.asarray((found[0] - found[1:]).reshape(len(places), len(places)))
