"""Receptive fields against published ones, against brute force, and where stride leaves a rest."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from numpy.typing import NDArray

from drawn_graph import DrawnGraph
from published_graphs import PUBLISHED
from random_graph import random_graph
from summing_network import supports
from whyconv.counting import Axis, Node
from whyconv.counting.receptive_field import receptive_fields
from whyconv.counting.stride import even_lengths, uneven_strides
from whyconv.errors import UsageError
from whyconv.results.fields import ReceptiveField


@pytest.mark.parametrize(("build", "size", "jump"), PUBLISHED.values(), ids=PUBLISHED)
def test_published_fields(build: Callable[[], DrawnGraph], size: int, jump: int) -> None:
    field = receptive_fields(build().graph())[-1]
    assert [axis.size for axis in field.axes] == [size, size]
    assert [axis.jump for axis in field.axes] == [jump, jump]


def test_fields_in_the_middle_of_a_large_picture_are_hulls_of_gradients() -> None:
    for seed in range(40):
        graph = random_graph(seed, (150,), 6)
        truth = {value: found.numpy() for value, found in supports(graph).items()}
        for field in receptive_fields(graph):
            _compare(field, truth[field.output])


def _compare(field: ReceptiveField, truth: NDArray[np.bool_]) -> None:
    axis, middle = field.axes[0], len(truth) // 2
    hulls = {u: np.flatnonzero(truth[u]) for u in range(middle - len(truth) // 5, middle + len(truth) // 5)}
    spans = {u: (int(pixels[0]), int(pixels[-1])) for u, pixels in hulls.items() if len(pixels)}
    sizes = [last - first + 1 for first, last in spans.values()]
    if axis.jump is None:  # branches drift apart: the widest lies at one end
        assert max(sizes) <= axis.size
        return
    assert (max(sizes), min(sizes)) == (axis.size, axis.least_size)
    starts = {u: axis.start + u * axis.jump for u in spans}
    beyond = [max(starts[u] - first, last + 1 - axis.size - starts[u]) for u, (first, last) in spans.items()]
    assert axis.overreach == (max(beyond) if len(spans) == len(hulls) else None)
    for u, (first, last) in spans.items():
        if u % 8 == 0:  # upsampled three times at most
            assert first == axis.start + u * axis.jump
            assert Fraction(first + last, 2) == axis.center + u * axis.jump


def test_a_path_by_the_closed_form() -> None:
    net = DrawnGraph(64, 64)
    x = net.slide("picture", (Axis(64, 5, 2, (2, 1)), Axis(64, 3, 3, (1, 1), 2)))
    net.window(x, 3, 2, 1)
    down, across = receptive_fields(net.graph())[-1].axes
    assert (down.size, down.jump, down.start, down.center) == (5 + 2 * 2, 4, -2 - 2, 0)
    assert (across.size, across.jump, across.start, across.center) == (5 + 2 * 3, 6, -1 - 3, 1)


def test_upsampling_has_jumps_below_one() -> None:
    net = DrawnGraph(8)
    net.window(net.transposed("picture", 2, 2), 3, padding=1)
    nearest, smooth = (field.axes[0] for field in receptive_fields(net.graph()))
    assert (nearest.size, nearest.jump, nearest.start) == (1, Fraction(1, 2), 0)
    assert (smooth.size, smooth.least_size, smooth.jump, smooth.start) == (2, 2, Fraction(1, 2), -1)
    assert nearest.overreach == smooth.overreach == Fraction(1, 2)


@pytest.mark.parametrize(("stride", "times", "overreach"), [(2, 2, 1), (4, 4, 3), (1, 1, 0), (3, 3, 2)])
def test_fields_of_one_size_need_not_follow_one_another_evenly(stride: int, times: int, overreach: int) -> None:
    net = DrawnGraph(48)
    net.transposed(net.window("picture", 1, stride), times, times)
    axis = receptive_fields(net.graph())[-1].axes[0]
    # As often as the stride the same pixel, which lies up to stride - 1 before start + jump * place.
    assert (axis.size, axis.least_size, axis.jump, axis.start) == (1, 1, 1, 0)
    assert axis.overreach == overreach


def test_branches_that_look_elsewhere_are_told_in_pixels() -> None:
    net = DrawnGraph(8)
    left = net.slide("picture", (Axis(8, 2, 1, (1, 0)),))
    right = net.slide("picture", (Axis(8, 4, 1, (0, 3)),))
    net.meet(left, right)
    field = receptive_fields(net.graph())[-1]
    assert field.misalignment == (Fraction(2),)  # middles at u - 1/2 and u + 3/2
    assert not field.is_aligned
    assert (field.axes[0].start, field.axes[0].size) == (-1, 5)


def test_branches_of_different_jumps_are_told() -> None:
    net = DrawnGraph(8)
    net.meet(net.window("picture", 2, 2), net.window("picture", 5))
    field = receptive_fields(net.graph())[-1]
    assert field.axes[0].jump is None
    assert field.misalignment == (Fraction(3, 2),)  # |2 u + 1/2 - (u + 2)| for u in 0..3


def test_residual_branches_of_odd_kernels_are_aligned() -> None:
    fields = receptive_fields(PUBLISHED["ResNet-50"][0]().graph())
    assert all(field.is_aligned for field in fields)
    assert sum(bool(field.misalignment) for field in fields) == 16


@pytest.mark.parametrize("last", ["linear", "pooling", "flat"])
def test_behind_a_layer_that_sees_all_the_field_is_the_picture(last: str) -> None:
    net = DrawnGraph(8, 8)
    x = net.window("picture", 3)
    if last == "pooling":
        net.window(x, 6, kind="pooling")
    elif last == "linear":
        net.everywhere(x, 1, 1)
    else:
        net.shapes["flat:0"] = (1, 36)
        net.nodes.append(Node("flat", "reshape", "flatten", "same", (x,), ("flat:0",)))
    field = receptive_fields(net.graph())[-1]
    assert field.is_whole
    assert field.axes == ()


def test_what_is_not_understood_is_told() -> None:
    net = DrawnGraph(8, 8)
    net.window(net.add("not_analyzed", "unknown", ["picture"], (8, 8), reason="a sort"), 3)
    assert [field.reason for field in receptive_fields(net.graph())] == ["a sort", "a sort"]


def test_224_leaves_a_rest_in_every_strided_layer_of_a_resnet_and_225_in_none() -> None:
    graph = PUBLISHED["ResNet-18"][0]().graph()
    uneven = [one for one in uneven_strides(graph) if one.axis == 0]
    assert [(one.length, one.unused_padding, one.unused_inputs) for one in uneven[:3]] == [
        (224, 1, 0),
        (112, 1, 0),
        (56, 1, 0),
    ]
    assert even_lengths(graph, 0) == (193, 225)


@pytest.mark.parametrize("length", range(3, 30))
def test_the_remainder_is_the_one_that_leaves_no_rest(length: int) -> None:
    net = DrawnGraph(length)
    net.window("picture", 3, 4, 1)
    uneven = uneven_strides(net.graph())
    assert bool(uneven) == ((length + 2 - 3) % 4 != 0)
    assert all(one.remainder == 1 for one in uneven)
    below, above = even_lengths(net.graph(), 0)
    assert below == length - (length - 1) % 4
    assert above == below + 4


def test_several_inputs_need_a_name() -> None:
    net = DrawnGraph(8)
    net.window("picture", 3)
    graph = replace(net.graph(), inputs=("picture", "other"))
    with pytest.raises(UsageError, match=r"2 inputs \(picture, other\)"):
        receptive_fields(graph)
