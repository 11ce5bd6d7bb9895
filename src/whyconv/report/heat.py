"""Maps over places as inline SVG: color by value, with the scale beside them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from whyconv.report.pictures import data_uri

SIDE = 200
_SCALE_WIDTH, _LABEL = 12, 66
# The style sheet's --right and --wrong, which a picture cannot read.
_ABOVE_RGB, _BELOW_RGB = (43, 108, 196), (221, 107, 32)


def heat_map(values: Sequence[Sequence[float]], description: str, greatest: float | None = None) -> Markup:
    """Draws a map with its scale: empty at 0, blue above, orange below.

    Args:
        values: Finite (h, w).
        description: What a screen reader says, and the title.
        greatest: Absolute value of the full color; None for the greatest there is.
    """
    numbers = np.asarray(values, dtype=np.float64)
    top = float(np.abs(numbers).max(initial=0.0)) if greatest is None else greatest
    high, wide = map_size(numbers.shape)
    width, height = wide + _SCALE_WIDTH + _LABEL, max(high, 60) + 16
    opening = Markup('<svg class="matrix" viewBox="0 0 {w} {h}" width="{w}" height="{h}" role="img" aria-label="{}">')
    parts = [opening.format(description, w=width, h=height), Markup("<title>{}</title>").format(description)]
    parts.append(placed_picture(colors(numbers, top), 0, 8, wide, high))
    return Markup("").join([*parts, scale(wide + 10, height - 16, top, has_both=bool((numbers < 0).any()))]) + Markup(
        "</svg>"
    )


def map_size(shape: Sequence[int]) -> tuple[int, int]:
    """Height and width in pixels of a map of (h, w) places: the longer side is ``SIDE``."""
    longest = max(shape)
    return max(1, round(SIDE * shape[0] / longest)), max(1, round(SIDE * shape[1] / longest))


def colors(values: NDArray[np.float64], greatest: float) -> NDArray[np.uint8]:
    """Colors (h, w, 4): transparent at 0, full at ``greatest``; blue above 0 and orange below."""
    picture = np.zeros((*values.shape, 4), dtype=np.uint8)
    picture[..., :3] = np.where((values < 0)[..., None], _BELOW_RGB, _ABOVE_RGB)
    picture[..., 3] = np.rint(255 * np.clip(np.abs(values) / (greatest or 1.0), 0, 1))
    return picture


def placed_picture(pixels: NDArray[np.uint8], left: float, top: float, wide: float, high: float) -> Markup:
    """A picture at a place of a drawing, each of its pixels a square, on an empty ground."""
    return Markup(
        '<rect class="empty" x="{x}" y="{y}" width="{w}" height="{h}"/><image class="pixels" href="{}" x="{x}" y="{y}"'
        ' width="{w}" height="{h}" preserveAspectRatio="none"/>'
    ).format(data_uri(pixels), x=left, y=top, w=wide, h=high)


def scale(left: float, height: float, greatest: float, *, has_both: bool) -> Markup:
    """Draws the scale of a map's colors, from 0 or -greatest at the bottom to greatest at the top.

    Args:
        left: Of the scale in the drawing; it begins 8 pixels from the top.
        height: In pixels.
        greatest: Value of the full color.
        has_both: Whether there are values below 0.
    """
    lowest = -greatest if has_both else 0.0
    steps = np.linspace(greatest, lowest, 64)[:, None]
    parts = [placed_picture(colors(steps, greatest), left, 8, _SCALE_WIDTH, height)]
    text = Markup('<text class="tick" x="{}" y="{:.1f}">{}</text>')
    for value in (greatest, 0.0, lowest) if has_both else (greatest, 0.0):
        y = 8 + (greatest - value) / ((greatest - lowest) or 1.0) * height
        parts.append(text.format(left + _SCALE_WIDTH + 5, y + 4, f"{value:.3g}"))
    return Markup("").join(parts)
