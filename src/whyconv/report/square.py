"""The control square as a figure: four corners, and arrows between them with what each step gains."""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup

from whyconv.results import CORNERS, Corner, Estimate, Place, Square
from whyconv.results.numbers import in_points
from whyconv.texts import say

_WIDTH, _HEIGHT = 496, 300
_LEFT, _TOP = 26, 34
_BOX_WIDTH, _BOX_HEIGHT = 146, 82
_GAP_ACROSS, _GAP_DOWN = 146, 92
_TIP = 7
_RIGHT = _LEFT + _BOX_WIDTH + _GAP_ACROSS
_LOWER = _TOP + _BOX_HEIGHT + _GAP_DOWN
# Left and top of each corner's box: locality to the right, sharing downward.
_BOXES: dict[Corner, tuple[int, int]] = {
    "dense": (_LEFT, _TOP),
    "local": (_RIGHT, _TOP),
    "shared_global": (_LEFT, _LOWER),
    "convolution": (_RIGHT, _LOWER),
}


@dataclass(frozen=True)
class _Arrow:
    """From one corner to the next, with the word for the step and what it gains."""

    start: Corner
    end: Corner
    word: str
    gain: Estimate


def square_figure(square: Square, place: Place, language: str) -> Markup:
    """Draws accuracies at the largest training size, and the gain in both orders on the arrows between them.

    A thick arrow is a gain (blue) or a loss (orange) whose interval leaves out 0, a broken gray one cannot be told.

    Args:
        square: The record.
        place: Pictures as they are, or moved.
        language: Of the words on it.
    """
    split = square.split(place)
    locality, sharing = say("report_why_locality", language), say("report_why_sharing", language)
    arrows = [
        _Arrow("dense", "local", locality, split.locality_first),
        _Arrow("local", "convolution", sharing, split.sharing_second),
        _Arrow("dense", "shared_global", sharing, split.sharing_first),
        _Arrow("shared_global", "convolution", locality, split.locality_second),
    ]
    description = say(f"report_why_square_{place}", language)
    opening = Markup('<svg class="chart square" viewBox="0 0 {} {}" role="img" aria-label="{}"><title>{}</title>')
    parts = [opening.format(_WIDTH, _HEIGHT, description, description), _heads(language)]
    parts += [_box(corner, square.score(corner, place).accuracy, language) for corner in CORNERS]
    parts += [_drawn(arrow) for arrow in arrows]
    middle = _LEFT + _BOX_WIDTH + _GAP_ACROSS / 2, _TOP + _BOX_HEIGHT + _GAP_DOWN / 2
    parts.append(_two_lines(say("square_interaction", language), in_points(split.interaction), *middle, "middle"))
    return Markup("").join([*parts, Markup("</svg>")])


def _heads(language: str) -> Markup:
    across = Markup('<text class="name middle" x="{}" y="16">{}</text>')
    down = Markup('<text class="name middle" transform="translate(14 {}) rotate(-90)">{}</text>')
    columns = (("square_sees_all", _LEFT), ("square_sees_window", _RIGHT))
    rows = (("square_own_weights", _TOP), ("square_shared_weights", _LOWER))
    return Markup("").join(
        [
            *(across.format(left + _BOX_WIDTH // 2, say(key, language)) for key, left in columns),
            *(down.format(top + _BOX_HEIGHT // 2, say(key, language)) for key, top in rows),
        ]
    )


def _box(corner: Corner, accuracy: Estimate, language: str) -> Markup:
    x, y = _BOXES[corner]
    middle = x + _BOX_WIDTH // 2
    style = " fourth" if corner == "convolution" else ""
    interval = f"{100 * accuracy.low:.1f}–{100 * accuracy.high:.1f}, n={accuracy.n}"
    return Markup(
        '<rect class="corner{}" x="{}" y="{}" width="{}" height="{}" rx="8"/><text class="middle" x="{m}" y="{}">{}'
        '</text><text class="middle big" x="{m}" y="{}">{:.1f} %</text>'
        '<text class="tick middle" x="{m}" y="{}">{}</text>'
    ).format(
        *(style, x, y, _BOX_WIDTH, _BOX_HEIGHT, y + 22, say(f"square_corner_{corner}", language)),
        *(y + 47, 100 * accuracy.value, y + 69, interval),
        m=middle,
    )


def _drawn(arrow: _Arrow) -> Markup:
    """The line, its tip and its label: above and below a level arrow, on the outer side of an upright one."""
    style = "gains" if arrow.gain.sign > 0 else "loses" if arrow.gain.sign < 0 else "open"
    (x1, y1), (x2, y2) = _BOXES[arrow.start], _BOXES[arrow.end]
    number = in_points(arrow.gain)
    if y1 == y2:
        y = y1 + _BOX_HEIGHT / 2
        start, end = x1 + _BOX_WIDTH + 6, x2 - 6
        path, tip = f"M{start} {y}H{end - _TIP}", f"M{end} {y}l-{_TIP + 3} -5v10z"
        label = _two_lines(arrow.word, number, (start + end) / 2, y, "middle", gap=8)
    else:
        x = x1 + _BOX_WIDTH / 2
        start, end = y1 + _BOX_HEIGHT + 6, y2 - 6
        path, tip = f"M{x} {start}V{end - _TIP}", f"M{x} {end}l-5 -{_TIP + 3}h10z"
        is_left = x1 == _LEFT
        label = _two_lines(arrow.word, number, x + (-8 if is_left else 8), (start + end) / 2, "end" if is_left else "")
    line = Markup('<path class="arrow {s}" d="{}"/><path class="tip {s}" d="{}"/>').format(path, tip, s=style)
    return Markup("<g><title>{}</title>{}{}</g>").format(f"{arrow.word} {number}", line, label)


def _two_lines(word: str, number: str, x: float, y: float, anchor: str, gap: float = 3) -> Markup:
    """A word above ``y`` and its number below it."""
    return Markup('<text class="tick {a}" x="{x}" y="{}">{}</text><text class="{a}" x="{x}" y="{}">{}</text>').format(
        y - gap, word, y + gap + 11, number, x=x, a=anchor
    )
