"""The confusion matrix, and small bars with intervals, as inline SVG."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from whyconv.report.names import shown, text_width
from whyconv.report.pictures import data_uri
from whyconv.results import Estimate

MOST_LABELLED_CLASSES = 30
_FONT = 12
_WIDEST_CELL, _NARROWEST_CELL, _ROOMY_SIDE = 46, 28, 320
_NAME_LENGTH = 14
_LIGHT_TEXT_FROM = 0.6
_COMPACT_SIDE = 420
_BAR_WIDTH, _BAR_HEIGHT = 110, 14
# The style sheet's --right and --wrong, which a picture cannot read.
_RIGHT_RGB, _WRONG_RGB = (43, 108, 196), (221, 107, 32)


def confusion_map(confusion: Sequence[Sequence[int]], names: Sequence[str], truth: str, answer: str) -> Markup:
    """Draws a confusion matrix: numbers and names up to 30 classes, color alone above that.

    Args:
        confusion: Counts; rows are the truth (classes, classes).
        names: In the order of the rows.
        truth: What the rows are, in the reader's language.
        answer: What the columns are.
    """
    counts = np.asarray(confusion, dtype=np.int64).reshape(len(names), len(names))
    if len(names) > MOST_LABELLED_CLASSES:
        return _compact_map(counts, truth, answer)
    return _cell_map(counts, [shown(name, _NAME_LENGTH) for name in names], truth, answer)


def fullness(counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Returns how full each cell's color is, in [0, 1]: the root of its share of its row.

    The root lets one mistake in a hundred (0.1) still be seen. A class without pictures stays empty.
    """
    rows = counts.sum(axis=1, keepdims=True)
    return np.asarray(np.sqrt(counts / np.maximum(rows, 1)), dtype=np.float64)


def interval_bar(estimate: Estimate, description: str) -> Markup:
    """Draws an estimate in [0, 1] as a dot, on the line of its 95 % interval."""
    low, value, high = (round(3 + part * (_BAR_WIDTH - 6), 1) for part in (estimate.low, estimate.value, estimate.high))
    return Markup(
        '<svg class="bar" viewBox="0 0 {w} {h}" role="img" aria-label="{}"><rect class="track" x="0" y="6" width="{w}"'
        ' height="2"/><line class="whisker" x1="{}" x2="{}" y1="7" y2="7"/><circle class="dot first" cx="{}" cy="7"'
        ' r="4"/></svg>'
    ).format(description, low, high, value, w=_BAR_WIDTH, h=_BAR_HEIGHT)


def count_bar(count: int, greatest: int) -> Markup:
    """Draws a count as a bar beside others; its number stands next to it, so it is hidden from readers."""
    width = round(_BAR_WIDTH * count / max(greatest, 1), 1)
    return Markup(
        '<svg class="bar" viewBox="0 0 {w} {h}" aria-hidden="true"><rect class="track" x="0" y="3" width="{w}"'
        ' height="8"/><rect class="fill" x="0" y="3" width="{}" height="8"/></svg>'
    ).format(width, w=_BAR_WIDTH, h=_BAR_HEIGHT)


@dataclass(frozen=True, eq=False)
class _Grid:
    """What every cell of a labelled map needs; ``cell``, ``left`` and ``top`` are in pixels."""

    counts: NDArray[np.int64]
    full: NDArray[np.float64]
    names: Sequence[str]
    cell: int
    left: int
    top: int


def _cell_map(counts: NDArray[np.int64], names: Sequence[str], truth: str, answer: str) -> Markup:
    k = len(names)
    widest = max(text_width(name, _FONT) for name in names)
    slanted = math.ceil(widest * 0.72)
    cell = min(_WIDEST_CELL, max(_NARROWEST_CELL, _ROOMY_SIDE // k))
    grid = _Grid(counts, fullness(counts), names, cell, left=math.ceil(widest) + 34, top=slanted + 44)
    cells = [_cell(grid, row, column) for row in range(k) for column in range(k)]
    width, height = grid.left + k * cell + max(8, slanted - 8), grid.top + k * cell + 2
    opening = _opening("matrix", width, height, f"{truth} / {answer}")
    return opening + _labels(grid, truth, answer) + Markup("").join(cells) + Markup("</svg>")


def _opening(kind: str, width: int, height: int, description: str) -> Markup:
    return Markup('<svg class="{}" viewBox="0 0 {w} {h}" width="{w}" height="{h}" role="img" aria-label="{}">').format(
        kind, description, w=width, h=height
    )


def _labels(grid: _Grid, truth: str, answer: str) -> Markup:
    left, top, side = grid.left, grid.top, len(grid.names) * grid.cell
    parts = [
        Markup('<text class="name end" x="{}" y="14">{} →</text>').format(left + side, answer),
        Markup('<text class="name middle" transform="translate(14 {}) rotate(-90)">← {}</text>').format(
            top + side / 2, truth
        ),
    ]
    row = Markup('<text class="tick y" x="{}" y="{}">{}</text>')
    column = Markup('<text class="tick" transform="translate({} {}) rotate(-45)">{}</text>')
    for index, name in enumerate(grid.names):
        center = (index + 0.5) * grid.cell
        parts += [row.format(left - 6, top + center + 4, name), column.format(left + center + 2, top - 6, name)]
    return Markup("").join(parts)


def _cell(grid: _Grid, row: int, column: int) -> Markup:
    x, y, side = grid.left + column * grid.cell, grid.top + row * grid.cell, grid.cell - 2
    count, strength = int(grid.counts[row, column]), grid.full[row, column]
    box = Markup('<rect class="{}" x="{}" y="{}" width="{s}" height="{s}" fill-opacity="{:.2f}"/>')
    empty = box.format("empty", x, y, 1, s=side)
    if not count:
        return empty
    title = f"{grid.names[row]} → {grid.names[column]}: {count} / {grid.counts[row].sum()}"
    colored = box.format("right" if row == column else "wrong", x, y, strength, s=side)
    number = Markup('<text class="count{}" x="{}" y="{}">{}</text>').format(
        " on" if strength > _LIGHT_TEXT_FROM else "", x + side / 2, y + side / 2 + 4, _short(count)
    )
    return Markup("<g><title>{}</title>{}{}{}</g>").format(title, empty, colored, number)


def _short(count: int) -> str:
    return str(count) if count < 10_000 else f"{count // 1000}k"


def _compact_map(counts: NDArray[np.int64], truth: str, answer: str) -> Markup:
    k = len(counts)
    picture = np.zeros((k, k, 4), dtype=np.uint8)
    picture[..., :3] = np.where(np.eye(k, dtype=bool)[..., None], _RIGHT_RGB, _WRONG_RGB)
    picture[..., 3] = np.rint(255 * fullness(counts))
    side, margin = _COMPACT_SIDE, 40
    body = Markup(
        '<rect class="empty" x="{m}" y="{m}" width="{s}" height="{s}"/>'
        '<image class="pixels" href="{}" x="{m}" y="{m}" width="{s}" height="{s}" preserveAspectRatio="none"/>'
        '<text class="name end" x="{}" y="14">{} →</text>'
        '<text class="name middle" transform="translate(12 {}) rotate(-90)">← {}</text>'
    ).format(data_uri(picture), margin + side, answer, margin + side / 2, truth, m=margin, s=side)
    number = Markup('<text class="tick middle" x="{p}" y="{}">{i}</text><text class="tick y" x="{}" y="{q}">{i}</text>')
    for index in sorted({1, *range(10, k, max(10, k // 100 * 10)), k}):
        place = round(margin + (index - 0.5) * side / k, 1)
        body += number.format(margin - 5, margin - 5, p=place, q=place + 4, i=index)
    return (
        _opening("matrix compact", margin + side + 12, margin + side + 2, f"{truth} / {answer}")
        + body
        + Markup("</svg>")
    )
