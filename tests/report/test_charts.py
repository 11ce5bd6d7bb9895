from __future__ import annotations

import re

import numpy as np
import pytest

from whyconv.report.charts import Axis, Series, decimate, legend, line_chart, log_ticks, running_mean, ticks


def drawn_points(svg: str) -> list[list[tuple[float, float]]]:
    lines = re.findall(r'<polyline[^>]*points="([^"]*)"', svg)
    return [[(float(x), float(y)) for x, y in (pair.split(",") for pair in line.split())] for line in lines]


def chart(y, x=None, y_axis=None, **options) -> str:
    y = np.asarray(y, float)
    x = np.arange(len(y), dtype=float) if x is None else np.asarray(x, float)
    x_axis = Axis("step", float(x[0]), float(x[-1]))
    return str(line_chart([Series("J", x, y)], x_axis, y_axis or Axis("J", 0.0, 1.0), "J of every step", **options))


def test_points_fall_where_a_ruler_puts_them() -> None:
    # The frame reaches from 46 to 350 across and from 200 (bottom) up to 30, in a drawing of 360 x 240.
    svg = chart([0.0, 0.5, 1.0])
    assert drawn_points(svg) == [[(46.0, 200.0), (198.0, 115.0), (350.0, 30.0)]]
    assert 'viewBox="0 0 360 240"' in svg


def test_a_logarithmic_axis_puts_equal_ratios_at_equal_distances() -> None:
    svg = chart([0.01, 0.1, 1.0], y_axis=Axis("J", 0.01, 1.0, is_log=True))
    assert [y for _, y in drawn_points(svg)[0]] == [200.0, 115.0, 30.0]


def test_a_line_breaks_where_the_loss_was_not_finite() -> None:
    lines = drawn_points(chart([0.0, np.nan, 0.5, np.inf, 1.0]))
    assert [[x for x, _ in line] for line in lines] == [[46.0], [198.0], [350.0]]


def test_ticks_and_names_are_written() -> None:
    texts = re.findall(r"<text[^>]*>([^<]*)</text>", chart([0.0, 1.0], x=[0, 100]))
    assert texts[:6] == ["0", "0.2", "0.4", "0.6", "0.8", "1"]
    assert texts[6:12] == ["0", "20", "40", "60", "80", "100"]
    assert texts[12:] == ["J", "step"]


def test_epochs_are_written_as_whole_numbers() -> None:
    texts = re.findall(r'<text class="tick x"[^>]*>([^<]*)</text>', chart([0, 1, 1], x=[1, 2, 3]))
    assert texts == ["1", "2", "3"]


def test_the_mark_stands_at_its_epoch_with_its_label_inside_the_drawing() -> None:
    left, right = chart([0, 1, 1], mark=(0.0, "kept")), chart([0, 1, 1], mark=(2.0, "kept"))
    assert '<line class="mark" x1="46.0" x2="46.0"' in left
    assert '<text class="tick" x="51.0"' in left
    assert '<line class="mark" x1="350.0" x2="350.0"' in right
    assert '<text class="tick y" x="345.0"' in right


def test_names_are_escaped() -> None:
    hostile = [Series("<img onerror=x>", np.array([0.0, 1.0]), np.array([0.0, 1.0]))]
    svg = line_chart(hostile, Axis("<b>", 0, 1), Axis("</svg>", 0, 1), '"><script>')
    assert "<b>" not in svg
    assert "<script>" not in svg
    assert svg.count("</svg>") == 1
    assert "<img" not in legend(hostile)


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1]),
        (0, 1.7, [0, 0.5, 1, 1.5]),
        (0, 40_000, [0, 10_000, 20_000, 30_000, 40_000]),
        (90, 100, [90, 92, 94, 96, 98, 100]),
        (3, 3, [3]),
        (0.1, 0.31, [0.1, 0.15, 0.2, 0.25, 0.3]),
    ],
)
def test_ticks_are_round_and_few(low: float, high: float, expected: list[float]) -> None:
    assert ticks(low, high) == pytest.approx(expected)


def test_log_ticks_are_powers_of_ten_or_one_two_five() -> None:
    assert log_ticks(0.001, 10) == [0.001, 0.01, 0.1, 1, 10]
    assert log_ticks(0.1, 1) == [0.1, 0.2, 0.5, 1]
    assert log_ticks(1068, 1068) == [1068]
    assert log_ticks(100, 100) == [100]


def test_decimation_keeps_every_spike_and_the_order() -> None:
    y = np.sin(np.arange(50_000) / 700)
    y[12_345], y[40_001] = 9.0, -9.0
    x, kept = decimate(np.arange(50_000.0), y, 300)
    assert len(kept) <= 602
    assert {9.0, -9.0} <= set(kept)
    assert (np.diff(x) > 0).all()
    assert (x[0], x[-1]) == (0, 49_999)
    assert (kept == y[x.astype(int)]).all()


def test_short_lines_are_not_thinned() -> None:
    x, y = decimate(np.arange(600.0), np.arange(600.0), 300)
    assert len(x) == len(y) == 600


def test_running_mean_by_hand() -> None:
    assert running_mean(np.array([1.0, 2, 6, 4]), 2) == pytest.approx([1.5, 4, 5])
