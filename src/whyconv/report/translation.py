"""How answers hold under each shift, as a map of cells: inline SVG."""

from __future__ import annotations

import math

from markupsafe import Markup

from whyconv.report.names import text_width
from whyconv.results.translation import ShiftScore, Translation
from whyconv.texts import say

_FONT = 12
_WIDEST_CELL, _NARROWEST_CELL, _ROOMY_SIDE = 46, 14, 340
_NUMBERED_FROM = 28  # a cell narrower than this has no room for "100"
_LIGHT_TEXT_FROM = 0.6
_LEAST = 0.04  # of color, so that a cell where no answer is kept is not taken for an empty one
_LEFT, _TOP = 56, 48


def shift_map(found: Translation, language: str) -> Markup:
    """Draws a cell for each shift, the fuller the more pictures keep their answer; the middle is no shift.

    The color grows with the consistency from 0 to 1, so that maps of two networks can be compared. Each cell holds
    its number in percent where there is room, and says all of it to who points at it.

    Args:
        found: The shifts are a square without its middle, as ``translation`` tries them.
        language: Of the words on it.
    """
    description = say("translation_map", language)
    down, right = say("translation_map_down", language), say("translation_map_right", language)
    steps = sorted({each.shift[0] for each in found.by_shift} | {each.shift[1] for each in found.by_shift} | {0.0})
    place = {step: index for index, step in enumerate(steps)}
    k = len(steps)
    cell = min(_WIDEST_CELL, max(_NARROWEST_CELL, _ROOMY_SIDE // k))
    side = k * cell
    cells = [
        _cell(each, _LEFT + place[each.shift[1]] * cell, _TOP + place[each.shift[0]] * cell, cell)
        for each in found.by_shift
    ]
    middle = Markup('<rect class="empty" x="{x}" y="{y}" width="{s}" height="{s}"/>').format(
        x=_LEFT + place[0.0] * cell, y=_TOP + place[0.0] * cell, s=cell - 2
    ) + Markup('<text class="count" x="{}" y="{}">0</text>').format(
        _LEFT + place[0.0] * cell + (cell - 2) / 2, _TOP + place[0.0] * cell + (cell - 2) / 2 + 4
    )
    width = max(_LEFT + side + 4, _LEFT + math.ceil(text_width(right, _FONT)) + 24)
    height = max(_TOP + side + 2, math.ceil(text_width(down, _FONT)) + 24)
    opening = Markup(
        '<svg class="matrix shifts" viewBox="0 0 {w} {h}" width="{w}" height="{h}" role="img" aria-label="{}">'
    ).format(description, w=width, h=height)
    return opening + _labels(steps, cell, down, right) + Markup("").join(cells) + middle + Markup("</svg>")


def _labels(steps: list[float], cell: int, down: str, right: str) -> Markup:
    parts = [
        Markup('<text class="name" x="{}" y="14">{} →</text>').format(_LEFT, right),
        Markup('<text class="name end" transform="translate(14 {}) rotate(-90)">← {}</text>').format(_TOP, down),
    ]
    row = Markup('<text class="tick y" x="{}" y="{}">{}</text>')
    column = Markup('<text class="tick x" x="{}" y="{}">{}</text>')
    every = max(1, math.ceil(30 / cell))
    middle = len(steps) // 2
    for index, step in enumerate(steps):
        if (index - middle) % every == 0:
            center = index * cell + (cell - 2) / 2
            parts.append(row.format(_LEFT - 6, _TOP + center + 4, f"{step:g}"))
            parts.append(column.format(_LEFT + center, _TOP - 8, f"{step:g}"))
    return Markup("").join(parts)


def _cell(score: ShiftScore, x: int, y: int, cell: int) -> Markup:
    side = cell - 2
    down, right = score.shift
    title = f"{down:+g}, {right:+g}: {100 * score.consistency:.1f} %"
    box = Markup('<rect class="right" x="{}" y="{}" width="{s}" height="{s}" fill-opacity="{:.2f}"/>').format(
        x, y, _LEAST + (1 - _LEAST) * score.consistency, s=side
    )
    number = Markup("")
    if cell >= _NUMBERED_FROM:
        style = " on" if score.consistency > _LIGHT_TEXT_FROM else ""
        text = f"{100 * score.consistency:.0f}"
        number = Markup('<text class="count{}" x="{}" y="{}">{}</text>').format(
            style, x + side / 2, y + side / 2 + 4, text
        )
    return Markup("<g><title>{}</title>{}{}</g>").format(title, box, number)
