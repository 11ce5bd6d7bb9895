"""Line charts as inline SVG: axes with round ticks, colors left to the style sheet of the page."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from whyconv.report.names import text_width

WIDTH, HEIGHT = 360, 240
LEFT, RIGHT, TOP, BOTTOM = 46, 350, 30, 200
_MOST_MARKED_POINTS = 30
_FONT_PIXELS = 12

Floats = NDArray[np.float64]
Style = Literal["first", "second", "third", "fourth", "faint"]


@dataclass(frozen=True, eq=False)
class Series:
    """One line of a chart.

    Attributes:
        name: What the legend calls it.
        x: Ascending (n,).
        y: As many values; where one is not finite, the line is broken.
        style: Its class in the style sheet.
        low: Lower ends of intervals, as many; with ``high``, drawn as whiskers.
        high: Their upper ends.
    """

    name: str
    x: Floats
    y: Floats
    style: Style = "first"
    low: Floats | None = None
    high: Floats | None = None


@dataclass(frozen=True)
class Axis:
    """What an axis is called and covers, in data units; ``is_log`` needs ``low`` > 0."""

    name: str
    low: float
    high: float
    is_log: bool = False

    def place(self, value: Floats | float, start: float, end: float) -> Floats:
        """Returns pixel positions: ``low`` falls on ``start``, ``high`` on ``end``."""
        scale: Callable[..., Floats] = np.log10 if self.is_log else np.asarray
        low, high = scale(self.low), scale(self.high)
        span = high - low if high > low else 1.0
        return np.asarray(start + (scale(value) - low) / span * (end - start), dtype=np.float64)


def line_chart(
    series: Sequence[Series],
    x_axis: Axis,
    y_axis: Axis,
    description: str,
    mark: tuple[float, str] | None = None,
    levels: Sequence[float] = (),
) -> Markup:
    """Draws lines over common axes.

    Args:
        series: Later ones lie on top.
        x_axis: Left to right; steps or epochs, so that only whole numbers are written.
        y_axis: Bottom to top.
        description: What a screen reader says.
        mark: An x value to be marked by an upright line, and its label.
        levels: Values of y to be marked by level lines.
    """
    parts = [_frame(x_axis, y_axis)]
    if mark is not None:
        parts.append(_mark(x_axis, *mark))
    level = Markup('<line class="mark" x1="{}" x2="{}" y1="{y:.1f}" y2="{y:.1f}"/>')
    parts += [level.format(LEFT, RIGHT, y=float(y_axis.place(value, BOTTOM, TOP))) for value in levels]
    parts += [_whiskers(item, x_axis, y_axis) for item in series]
    parts += [_line(item, x_axis, y_axis) for item in series]
    opening = Markup('<svg class="chart" viewBox="0 0 {} {}" role="img" aria-label="{}">').format(
        WIDTH, HEIGHT, description
    )
    return opening + Markup("").join(parts) + Markup("</svg>")


def legend(series: Sequence[Series]) -> Markup:
    """Returns the legend as an HTML list, which wraps where SVG text would not."""
    rows = [Markup('<li class="{}">{}</li>').format(item.style, item.name) for item in series]
    return Markup('<ul class="legend">') + Markup("").join(rows) + Markup("</ul>")


def ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Returns the multiples of 1, 2 or 5 times a power of ten that lie in [low, high], at most ``most``."""
    if not high > low:
        return [low]
    step = 10.0 ** math.floor(math.log10((high - low) / most))
    for factor in (1, 2, 5, 10, 20):
        first, last = math.ceil(low / (factor * step) - 1e-9), math.floor(high / (factor * step) + 1e-9)
        if last - first < most:
            break
    return [float(f"{index * factor * step:.12g}") for index in range(first, last + 1)]


def log_ticks(low: float, high: float) -> list[float]:
    """Returns powers of ten in [low, high]; with 2 and 5 between them where there are fewer than three.

    Where there is none of these, both ends; one where they are the same.
    """
    exponents = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for factors in ((1,), (1, 2, 5)):
        found = [factor * 10.0**exponent for exponent in exponents for factor in factors]
        found = [float(f"{value:.12g}") for value in found if low * (1 - 1e-9) <= value <= high * (1 + 1e-9)]
        if len(found) >= 3:
            break
    return found[:: math.ceil(len(found) / 7)] if found else sorted({low, high})


def decimate(x: Floats, y: Floats, num_bins: int) -> tuple[Floats, Floats]:
    """Thins a line to at most two points a bin, the least and the greatest, so that no spike is lost.

    Args:
        x: Ascending (n,).
        y: Finite values (n,).
        num_bins: About one per pixel of the drawing.

    Returns:
        The points kept, in their order; all of them where n is at most 2 ``num_bins``.
    """
    if len(y) <= 2 * num_bins:
        return x, y
    edges = np.linspace(0, len(y), num_bins + 1).astype(int)
    kept = {0, len(y) - 1}
    for start, end in pairwise(edges):
        kept |= {start + int(np.argmin(y[start:end])), start + int(np.argmax(y[start:end]))}
    indices = np.array(sorted(kept))
    return x[indices], y[indices]


def running_mean(y: Floats, window: int) -> Floats:
    """Returns the mean of ``window`` neighbors, for every full window (n - window + 1,)."""
    sums = np.concatenate([[0.0], np.cumsum(y)])
    return np.asarray((sums[window:] - sums[:-window]) / window, dtype=np.float64)


def number_text(value: float) -> str:
    """Returns a tick's number, short: 0.5, 20, 15,000, 1e-05."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def _frame(x_axis: Axis, y_axis: Axis) -> Markup:
    parts = []
    for value in log_ticks(y_axis.low, y_axis.high) if y_axis.is_log else ticks(y_axis.low, y_axis.high):
        y = float(y_axis.place(value, BOTTOM, TOP))
        parts.append(
            Markup(
                '<line class="grid" x1="{}" x2="{}" y1="{y}" y2="{y}"/><text class="tick y" x="{}" y="{}">{}</text>'
            ).format(LEFT, RIGHT, LEFT - 6, f"{y + 4:.1f}", number_text(value), y=f"{y:.1f}")
        )
    across = log_ticks(x_axis.low, x_axis.high) if x_axis.is_log else ticks(x_axis.low, x_axis.high)
    for value in filter(float.is_integer, across):
        x = f"{float(x_axis.place(value, LEFT, RIGHT)):.1f}"
        parts.append(Markup('<text class="tick x" x="{}" y="{}">{}</text>').format(x, BOTTOM + 17, number_text(value)))
    names = Markup(
        '<line class="axis" x1="{left}" x2="{right}" y1="{bottom}" y2="{bottom}"/>'
        '<text class="name" x="{left}" y="{}">{}</text><text class="name end" x="{right}" y="{}">{}</text>'
    )
    parts.append(names.format(TOP - 14, y_axis.name, BOTTOM + 35, x_axis.name, left=LEFT, right=RIGHT, bottom=BOTTOM))
    return Markup("").join(parts)


def _mark(axis: Axis, value: float, label: str) -> Markup:
    x = float(axis.place(value, LEFT, RIGHT))
    room_on_right = RIGHT - x > text_width(label, _FONT_PIXELS) + 6
    line = Markup('<line class="mark" x1="{x}" x2="{x}" y1="{}" y2="{}"/>').format(TOP - 4, BOTTOM, x=f"{x:.1f}")
    style, text_x = ("tick", x + 5) if room_on_right else ("tick y", x - 5)
    return line + Markup('<text class="{}" x="{:.1f}" y="{}">{}</text>').format(style, text_x, BOTTOM - 8, label)


def _whiskers(item: Series, x_axis: Axis, y_axis: Axis) -> Markup:
    if item.low is None or item.high is None:
        return Markup("")
    across = x_axis.place(item.x, LEFT, RIGHT)
    low, high = (y_axis.place(np.clip(ends, y_axis.low, y_axis.high), BOTTOM, TOP) for ends in (item.low, item.high))
    line = Markup('<line class="whisker {}" x1="{x:.1f}" x2="{x:.1f}" y1="{:.1f}" y2="{:.1f}"/>')
    return Markup("").join(line.format(item.style, a, b, x=x) for x, a, b in zip(across, low, high, strict=True))


def _line(item: Series, x_axis: Axis, y_axis: Axis) -> Markup:
    usable = np.isfinite(item.y) & ((item.y > 0) | (not y_axis.is_log))
    parts = []
    for run in np.split(np.arange(len(item.y)), np.flatnonzero(np.diff(usable)) + 1):
        if len(run) and usable[run[0]]:
            parts.append(_points(item.x[run], item.y[run], item.style, x_axis, y_axis))
    return Markup("").join(parts)


def _points(x: Floats, y: Floats, style: str, x_axis: Axis, y_axis: Axis) -> Markup:
    across, down = x_axis.place(x, LEFT, RIGHT), y_axis.place(np.clip(y, y_axis.low, y_axis.high), BOTTOM, TOP)
    pairs = [f"{a:.1f},{b:.1f}" for a, b in zip(across, down, strict=True)]
    line = Markup('<polyline class="line {}" points="{}"/>').format(style, " ".join(pairs))
    if len(x) > _MOST_MARKED_POINTS or style == "faint":
        return line
    dot = Markup('<circle class="dot {}" cx="{:.1f}" cy="{:.1f}" r="2.6"/>')
    return line + Markup("").join(dot.format(style, a, b) for a, b in zip(across, down, strict=True))
