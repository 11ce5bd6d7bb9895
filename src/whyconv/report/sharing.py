"""The layers as a picture: the weights each has, the connections they make, the weights a dense layer would hold."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from markupsafe import Markup

from whyconv.report.charts import number_text
from whyconv.report.names import shown, text_width
from whyconv.results.network import LayerCount

Say = Callable[..., str]

MOST_LAYERS = 40
_WIDTH, _ROW, _TOP, _BOTTOM = 720, 22, 30, 34
_FONT_PIXELS = 12
_WIDEST_NAME = 190


def sharing_chart(layers: Sequence[LayerCount], description: str, axis_name: str) -> Markup:
    """Draws a row for each layer, from its free weights over its connections to the weights of a dense layer.

    The axis is logarithmic, so that the two parts of a row are as long as its factors are large: sharing on the left,
    locality on the right.

    Args:
        layers: With free weights, at most ``MOST_LAYERS``.
        description: What a screen reader says.
        axis_name: What the axis counts.
    """
    names = [shown(layer.name, limit=30) for layer in layers]
    left = min(_WIDEST_NAME, max(text_width(name, _FONT_PIXELS) for name in names)) + 12
    top = max(math.log10(layer.dense.weights) for layer in layers if layer.dense)
    bottom = min(math.log10(layer.weights) for layer in layers if layer.weights)
    low, high = math.floor(bottom), max(math.ceil(top), math.floor(bottom) + 1)

    def place(count: int) -> float:
        return left + (math.log10(count) - low) / (high - low) * (_WIDTH - 24 - left)

    height = _TOP + _ROW * len(layers) + _BOTTOM
    parts = [_grid(range(low, high + 1), place, height, axis_name)]
    for row, (layer, name) in enumerate(zip(layers, names, strict=True)):
        parts.append(_row(layer, name, _TOP + _ROW * row, left, place))
    opening = Markup('<svg class="chart sharing" viewBox="0 0 {} {}" role="img" aria-label="{}">')
    return opening.format(_WIDTH, height, description) + Markup("").join(parts) + Markup("</svg>")


def _grid(exponents: range, place: Callable[[int], float], height: int, name: str) -> Markup:
    step = max(1, math.ceil(len(exponents) / 8))
    line = Markup('<line class="grid" x1="{x}" x2="{x}" y1="{}" y2="{}"/><text class="tick x" x="{x}" y="{}">{}</text>')
    parts = [
        line.format(_TOP - 8, height - _BOTTOM, height - _BOTTOM + 16, _power(exponent), x=f"{place(10**exponent):.1f}")
        for exponent in exponents[::step]
    ]
    parts.append(Markup('<text class="name end" x="{}" y="{}">{}</text>').format(_WIDTH - 24, 14, name))
    return Markup("").join(parts)


def _power(exponent: int) -> str:
    return number_text(10.0**exponent) if exponent < 5 else f"10^{exponent}"


def _row(layer: LayerCount, name: str, y: float, left: float, place: Callable[[int], float]) -> Markup:
    assert layer.weights
    assert layer.connections
    assert layer.dense
    ends = [place(count) for count in (layer.weights, layer.connections, layer.dense.weights)]
    middle = y + _ROW / 2
    text = Markup('<text class="tick y" x="{}" y="{}">{}</text>').format(f"{left - 8:.1f}", f"{middle + 4:.1f}", name)
    bar = Markup('<rect class="{}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="8"/>')
    first, second = sorted(ends[:2])  # taps that never meet data can outnumber the connections
    parts = [text, bar.format("shared", first, middle - 4, max(second - first, 0.5))]
    parts.append(bar.format("local", ends[1], middle - 4, max(ends[2] - ends[1], 0.5)))
    dot = Markup('<circle class="dot second" cx="{:.1f}" cy="{:.1f}" r="3.4"/>')
    return Markup("").join([*parts, dot.format(ends[1], middle)])
