"""Differences with their intervals, one below the other, as inline SVG: dots on whiskers about a line at 0."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from markupsafe import Markup

from whyconv.report.charts import number_text, ticks
from whyconv.report.names import shown, text_width
from whyconv.results import Estimate

_WIDTH, _ROW, _TOP, _BOTTOM = 480, 22, 12, 40
_FONT_PIXELS = 12
_WIDEST_NAME = 230


def effect_chart(rows: Sequence[tuple[str, Estimate]], description: str, axis_name: str) -> Markup:
    """Draws differences of fractions in percentage points.

    Args:
        rows: Name and difference, at least one.
        description: What a screen reader says.
        axis_name: What the axis counts.
    """
    names = [shown(name, limit=34) for name, _ in rows]
    left = min(_WIDEST_NAME, max(text_width(name, _FONT_PIXELS) for name in names)) + 12
    # At least a point, so that differences of nothing stand at the line.
    low = 100 * min(-0.005, *(one.low for _, one in rows))
    high = 100 * max(0.005, *(one.high for _, one in rows))

    def place(points: float) -> float:
        return left + (points - low) / (high - low) * (_WIDTH - 14 - left)

    height = _TOP + _ROW * len(rows) + _BOTTOM
    parts = [_grid(low, high, place, height, axis_name)]
    for index, (name, (_, one)) in enumerate(zip(names, rows, strict=True)):
        parts.append(_row(name, one, _TOP + _ROW * (index + 0.5), left, place))
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


def _row(name: str, one: Estimate, y: float, left: float, place: Callable[[float], float]) -> Markup:
    title = f"{name}: {100 * one.value:+.1f} ({100 * one.low:+.1f} .. {100 * one.high:+.1f})"
    return Markup(
        '<g><title>{}</title><text class="tick y" x="{:.1f}" y="{:.1f}">{}</text><line class="whisker" x1="{:.1f}"'
        ' x2="{:.1f}" y1="{y:.1f}" y2="{y:.1f}"/><circle class="dot first" cx="{:.1f}" cy="{y:.1f}" r="3.4"/></g>'
    ).format(title, left - 8, y + 4, name, place(100 * one.low), place(100 * one.high), place(100 * one.value), y=y)
