"""One detector as a figure: where it fires in the mean, and the patches it answers to most."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from whyconv.report.heat import SIDE, colors, map_size, placed_picture
from whyconv.report.names import shown
from whyconv.results.detectors import Detector, LayerDetectors
from whyconv.texts import say

_GAP, _IN_A_ROW = 4, 3


def detector_figure(
    layer: LayerDetectors, one: Detector, patches: Sequence[NDArray[np.uint8]], language: str
) -> Markup:
    """Draws the mean activation map, its quadrants marked, and at most nine patches beside it.

    Args:
        layer: That the detector is of.
        one: The detector.
        patches: Pixels uint8 (high, wide, channels) of its patches, strongest first; borders of pictures cut some.
        language: Of the description.
    """
    drawn = patches[: _IN_A_ROW**2]
    description = say("detectors_figure", language, channel=one.channel, layer=shown(layer.layer), n=len(drawn))
    numbers = np.asarray(one.map, dtype=np.float64)
    high, wide = map_size(numbers.shape)
    width, height = wide + 16 + SIDE, SIDE
    opening = Markup('<svg class="matrix" viewBox="0 0 {w} {h}" width="{w}" height="{h}" role="img" aria-label="{}">')
    parts = [opening.format(description, w=width, h=height), Markup("<title>{}</title>").format(description)]
    parts.append(placed_picture(colors(numbers, float(numbers.max(initial=0.0))), 0, 0, wide, high))
    parts.append(_cross(numbers.shape, high, wide))
    parts += [_patch(pixels, index, wide + 16, drawn) for index, pixels in enumerate(drawn)]
    return Markup("").join(parts) + Markup("</svg>")


def _cross(shape: tuple[int, ...], high: int, wide: int) -> Markup:
    """The lines between the quadrants."""
    y, x = (size * (places // 2) / places for size, places in zip((high, wide), shape, strict=True))
    line = Markup('<line class="mark" x1="{:.1f}" x2="{:.1f}" y1="{:.1f}" y2="{:.1f}"/>')
    return line.format(0, wide, y, y) + line.format(x, x, 0, high)


def _patch(pixels: NDArray[np.uint8], index: int, left: float, patches: Sequence[NDArray[np.uint8]]) -> Markup:
    """A patch in its cell, all at one scale, so that those cut at a border are smaller."""
    cell = (SIDE - _GAP * (_IN_A_ROW - 1)) / _IN_A_ROW
    scale = cell / max(max(each.shape[:2]) for each in patches)
    row, column = divmod(index, _IN_A_ROW)
    x, y = left + column * (cell + _GAP), row * (cell + _GAP)
    high, wide = (round(scale * length, 1) for length in pixels.shape[:2])
    return placed_picture(pixels, round(x, 1), round(y, 1), wide, high)
