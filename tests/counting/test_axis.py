"""Counts along one axis against sliding the kernel by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from whyconv.counting import Axis, PaddingMode
from whyconv.counting.bordered import BorderedAxis
from whyconv.errors import UsageError

NUMPY_MODE = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}


@st.composite
def axes(draw: st.DrawFn) -> Axis:
    mode = draw(st.sampled_from(["zeros", "reflect", "replicate", "circular"]))
    length, kernel = draw(st.integers(1, 12)), draw(st.integers(1, 6))
    most = {"reflect": length - 1, "circular": length}.get(mode, 8)
    padding = (draw(st.integers(0, most)), draw(st.integers(0, most)))
    dilation = draw(st.integers(1, 4))
    fits = length + sum(padding) >= dilation * (kernel - 1) + 1
    return Axis(length, kernel if fits else 1, draw(st.integers(1, 5)), padding, dilation, mode)


def slide(axis: Axis) -> list[list[int]]:
    """The input under each tap of each output, by walking over a padded axis; -1 in zero padding."""
    inside = np.arange(axis.length)
    if axis.mode == "zeros":
        padded = np.pad(inside, axis.padding, constant_values=-1)
    else:
        padded = np.pad(inside, axis.padding, mode=NUMPY_MODE[axis.mode])
    rows, start = [], 0
    while start + axis.dilation * (axis.kernel - 1) < len(padded):
        rows.append([int(padded[start + tap * axis.dilation]) for tap in range(axis.kernel)])
        start += axis.stride
    return rows


@st.composite
def bordered(draw: st.DrawFn) -> tuple[Axis, list[list[int]]]:
    """An axis that slides over what was padded before, and the input under each tap of each output."""
    outer = draw(axes())
    mode = draw(st.sampled_from(["zeros", "reflect", "replicate", "circular"]))
    before = draw(st.integers(0, outer.length - 1))
    after = draw(st.integers(0, outer.length - 1 - before))
    length = outer.length - before - after
    most = {"reflect": length - 1, "circular": length}.get(mode, 12)
    if max(before, after) > most:
        mode = "zeros"
    border = Axis(length, 1, 1, (before, after), mode=mode)
    within = [row[0] for row in slide(border)]
    return BorderedAxis.of(outer, border), [[-1 if at < 0 else within[at] for at in row] for row in slide(outer)]


@given(axes())
def test_every_count_is_that_of_sliding_by_hand(axis: Axis) -> None:
    compare(axis, slide(axis))
    starts = [output * axis.stride for output in range(axis.output_length)]
    reached = {start + tap * axis.dilation for start in starts for tap in range(axis.kernel)}
    assert axis.num_places_reached == (len(reached) if axis.mode == "zeros" else axis.num_inputs_met)


@given(bordered())
def test_so_is_that_of_an_axis_over_padding(found: tuple[Axis, list[list[int]]]) -> None:
    compare(*found)


def compare(axis: Axis, rows: list[list[int]]) -> None:
    assert axis.output_length == len(rows)
    assert axis.sources().tolist() == rows
    assert axis.tap_counts == [sum(row[tap] >= 0 for row in rows) for tap in range(axis.kernel)]
    inputs = [len(set(row) - {-1}) for row in rows]
    assert [axis.num_inputs_at(output) for output in range(len(rows))] == inputs
    assert axis.num_connections == sum(inputs)
    assert axis.inputs_per_output == (min(inputs), max(inputs))
    assert axis.num_outputs_on_data == sum(max(row) >= 0 for row in rows)
    assert axis.num_inputs_met == len({place for row in rows for place in row} - {-1})


@pytest.mark.parametrize(
    ("mode", "merged"), [("zeros", 7 * 8), ("replicate", 7 * 8), ("reflect", 7 * 8), ("circular", 0)]
)
def test_a_long_axis_is_counted_at_once(mode: PaddingMode, merged: int) -> None:
    axis = Axis(10**15, 10**3, padding=(7, 7), mode=mode)
    assert axis.num_connections == 10**3 * axis.output_length - merged
    assert axis.inputs_per_output == (10**3 - (7 if merged else 0), 10**3)


def test_places_of_a_long_axis_that_nothing_reaches_are_left_out_at_once() -> None:
    axis = Axis(10**15, 10**3, stride=10**4, padding=(7, 7))
    assert axis.num_inputs_met == 10**14 - 7
    assert axis.num_places_reached == 10**14


@pytest.mark.parametrize(
    ("axis", "words"),
    [
        ({"length": 4, "kernel": 5}, "reaches over 5 places, and there are only 4"),
        ({"length": 4, "kernel": 0}, "kernel 0"),
        ({"length": 4, "kernel": 2, "stride": 0}, "stride 0"),
        ({"length": 4, "kernel": 2, "padding": (0, -1)}, "padding -1"),
        ({"length": 4, "kernel": 2, "padding": (4, 0), "mode": "reflect"}, "at most 3 of 4"),
        ({"length": 4, "kernel": 2, "padding": (0, 5), "mode": "circular"}, "at most 4 of 4"),
    ],
)
def test_what_cannot_slide_is_refused(axis: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        Axis(**axis)  # type: ignore[arg-type]
