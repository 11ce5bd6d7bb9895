"""The receptive field on a picture: a rectangle for a unit of each of a few layers, on what the network sees."""

from __future__ import annotations

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from whyconv.report.charts import Series, Style, legend
from whyconv.report.heat import placed_picture
from whyconv.report.names import shown
from whyconv.results.unit_fields import UnitField, UnitFields
from whyconv.texts import say

_SIDE, _EDGE = 288, 4
_STYLES: tuple[Style, ...] = ("first", "second", "third", "fourth")


def fields_figure(found: UnitFields, pixels: NDArray[np.uint8] | None, language: str) -> Markup:
    """Draws the picture, the fields as rectangles, and a dot at the middle of the smallest.

    Args:
        found: The fields.
        pixels: The picture, uint8 (high, wide, channels); None leaves the ground empty.
        language: Of the description.
    """
    high, wide = found.picture
    scale = _SIDE / max(high, wide)
    width, height = round(scale * wide) + 2 * _EDGE, round(scale * high) + 2 * _EDGE
    description = say("fields_figure", language, n=len(found.units))
    opening = Markup('<svg class="matrix" viewBox="0 0 {w} {h}" width="{w}" height="{h}" role="img" aria-label="{}">')
    parts = [opening.format(description, w=width, h=height), Markup("<title>{}</title>").format(description)]
    ground = (_EDGE, _EDGE, width - 2 * _EDGE, height - 2 * _EDGE)
    if pixels is None:
        parts.append(Markup('<rect class="empty" x="{}" y="{}" width="{}" height="{}"/>').format(*ground))
    else:
        parts.append(placed_picture(pixels, *ground))
    # The largest first, so that no rectangle hides a smaller one.
    for unit, style in reversed(list(zip(found.units, _STYLES, strict=False))):
        parts.append(_rectangle(unit, style, scale))
    return Markup("").join(parts) + Markup("</svg>")


def fields_legend(found: UnitFields) -> Markup:
    """Returns which rectangle is which layer's."""
    nothing = np.zeros(0)
    names = [f"{shown(one.layer)} {one.size[0]} x {one.size[1]}" for one in found.units]
    return legend([Series(name, nothing, nothing, style) for name, style in zip(names, _STYLES, strict=False)])


def _rectangle(unit: UnitField, style: Style, scale: float) -> Markup:
    """A light line below the colored one, so that it is seen on any picture."""
    top, left, high, wide = (round(scale * length, 1) for length in unit.box)
    path = Markup('<rect class="{}" x="{}" y="{}" width="{}" height="{}" fill="none"/>')
    place = (round(left + _EDGE, 1), round(top + _EDGE, 1), wide, high)
    title = Markup("<title>{}</title>").format(f"{shown(unit.layer)}: {unit.size[0]} x {unit.size[1]}")
    return Markup("<g>{}{}{}</g>").format(title, path.format("halo", *place), path.format(f"line {style}", *place))
