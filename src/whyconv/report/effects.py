"""Differences with their intervals, one below the other, as inline SVG: dots on whiskers about a line at 0."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from markupsafe import Markup

from whyconv.report.charts import Style, number_text, ticks
from whyconv.report.names import shown, text_width
from whyconv.results import Estimate
from whyconv.results.numbers import points_with_ends

_WIDTH, _ROW, _TOP, _BOTTOM = 480, 22, 12, 40
_FONT_PIXELS = 12
_WIDEST_NAME = 230
_MARGIN = 26  # widths are guessed
_APART = 6
_STYLES: tuple[Style, ...] = ("first", "second", "third")


def effect_chart(rows: Sequence[tuple[str, Estimate]], description: str, axis_name: str) -> Markup:
    """Draws differences of fractions in percentage points.

    Args:
        rows: Name and difference, at least one.
        description: What a screen reader says.
        axis_name: What the axis counts.
    """
    return dot_chart([(name, [one]) for name, one in rows], description, axis_name)


def dot_chart(rows: Sequence[tuple[str, Sequence[Estimate | None]]], description: str, axis_name: str) -> Markup:
    """Draws one or several fractions a row, in percent, with their intervals and a line at 0.

    Args:
        rows: Name and at most three fractions, each in a style of its own; None where one is missing. At least one
            row.
        description: What a screen reader says.
        axis_name: What the axis counts.
    """
    names = [shown(name, limit=34) for name, _ in rows]
    found = [one for _, several in rows for one in several if one is not None]
    left = min(_WIDEST_NAME, max(text_width(name, _FONT_PIXELS) for name in names)) + _MARGIN
    # At least a point, so that differences of nothing stand at the line.
    low = 100 * min(-0.005, *(one.low for one in found))
    high = 100 * max(0.005, *(one.high for one in found))

    def place(points: float) -> float:
        return left + (points - low) / (high - low) * (_WIDTH - 14 - left)

    height = _TOP + _ROW * len(rows) + _BOTTOM
    parts = [_grid(low, high, place, height, axis_name)]
    label = Markup('<text class="tick y" x="{:.1f}" y="{:.1f}">{}</text>')
    for index, (name, (_, several)) in enumerate(zip(names, rows, strict=True)):
        y = _TOP + _ROW * (index + 0.5)
        parts.append(label.format(left - 8, y + 4, name))
        for number, one in enumerate(several):
            if one is not None:
                apart = _APART * (number - (len(several) - 1) / 2)
                parts.append(_dot(name, one, y + apart, _STYLES[number], place))
    opening = Markup('<svg class="chart" viewBox="0 0 {} {}" role="img" aria-label="{}">')
    return opening.format(_WIDTH, height, description) + Markup("").join(parts) + Markup("</svg>")


def _grid(low: float, high: float, place: Callable[[float], float], height: int, name: str) -> Markup:
    bottom = height - _BOTTOM
    line = Markup('<line class="{}" x1="{x}" x2="{x}" y1="{}" y2="{}"/><text class="tick x" x="{x}" y="{}">{}</text>')
    parts = [
        line.format(
            "axis" if value == 0 else "grid", 4, bottom, bottom + 16, number_text(value), x=f"{place(value):.1f}"
        )
        for value in ticks(low, high)
    ]
    parts.append(Markup('<text class="name end" x="{}" y="{}">{}</text>').format(_WIDTH - 14, height - 6, name))
    return Markup("").join(parts)


def _dot(name: str, one: Estimate, y: float, style: Style, place: Callable[[float], float]) -> Markup:
    title = f"{name}: {points_with_ends(one)}"
    return Markup(
        '<g><title>{}</title><line class="whisker {style}" x1="{:.1f}" x2="{:.1f}" y1="{y:.1f}" y2="{y:.1f}"/>'
        '<circle class="dot {style}" cx="{:.1f}" cy="{y:.1f}" r="3.4"/></g>'
    ).format(title, place(100 * one.low), place(100 * one.high), place(100 * one.value), y=y, style=style)
