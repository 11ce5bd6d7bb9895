"""What depends on what, against the support of gradients, on random graphs with branches."""

from __future__ import annotations

import math
import random
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from drawn_graph import DrawnGraph
from random_graph import random_graph
from summing_network import gradient_support, supports
from whyconv.counting import Graph
from whyconv.counting.dependency import dependency_set
from whyconv.counting.reach import reach
from whyconv.counting.receptive_field import receptive_fields
from whyconv.errors import UsageError
from whyconv.results.fields import Reach


@pytest.mark.parametrize(
    "seed", [*range(150), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(150, 1000))]
)
def test_sets_and_reach_are_the_support_of_gradients(seed: int) -> None:
    lengths = ((8, 7), (13,), (4, 3, 3))[seed % 3]
    graph = random_graph(seed, lengths, 8)
    draw = random.Random(seed)
    by_output = {one.output: one for one in reach(graph)}
    for value, truth in supports(graph).items():
        if value != "picture":
            _compare(graph, value, by_output[value], truth.numpy(), draw)
    place = tuple(draw.randrange(size) for size in graph.shapes[value][2:])
    assert np.array_equal(dependency_set(graph, value, [place]).mask, gradient_support(graph, value, place))


def _compare(graph: Graph, value: str, found: Reach, truth: NDArray[np.bool_], draw: random.Random) -> None:
    num_axes = truth.ndim // 2
    places, num_pixels = truth.shape[:num_axes], math.prod(truth.shape[num_axes:])
    sizes = truth.reshape(*places, -1).sum(axis=-1)
    if not sizes.any():
        assert found.reason == "it does not depend on the picture"
        return
    assert not found.is_bound
    assert found.num_places == sizes.size
    assert found.mean == pytest.approx(sizes.mean() / num_pixels, rel=1e-12)
    assert (found.least, found.most) == (sizes.min() / num_pixels, sizes.max() / num_pixels)
    assert found.central == sizes[tuple(size // 2 for size in places)] / num_pixels
    some = [tuple(draw.randrange(size) for size in places) for _ in range(2)]
    for chosen in (some[:1], some):
        expected = np.logical_or.reduce([truth[place] for place in chosen])
        assert np.array_equal(dependency_set(graph, value, chosen).mask, expected)


def test_the_lecture_s_nine_of_36() -> None:
    net = DrawnGraph(6, 6)
    second = net.window(net.window("picture", 3), 3)
    net.everywhere(second, 1, 1)
    first, second, last = reach(net.graph())
    assert (first.num_places, first.mean, first.least, first.most) == (16, 9 / 36, 9 / 36, 9 / 36)
    assert (second.num_places, second.mean) == (4, 25 / 36)
    assert last.mean == 1


def test_dilation_leaves_holes() -> None:
    net = DrawnGraph(9, 9)
    net.window("picture", 3, dilation=2)
    found = dependency_set(net.graph(), "convolution0", [(1, 1)])
    assert np.array_equal(found.mask, np.outer(np.arange(9) % 2, np.arange(9) % 2)[:, :] & _within(1, 5))
    assert (found.num_pixels, found.bounds, found.num_holes) == (9, ((1, 5), (1, 5)), 16)
    assert found.fraction == 9 / 81


def _within(first: int, last: int) -> NDArray[np.int64]:
    inside = (np.arange(9) >= first) & (np.arange(9) <= last)
    return np.outer(inside, inside).astype(np.int64)


def test_a_cross_is_not_its_square() -> None:
    net = DrawnGraph(9, 9)
    net.meet(net.window("picture", (1, 3), padding=(0, 1)), net.window("picture", (3, 1), padding=(1, 0)))
    found = reach(net.graph())[-1]
    assert (found.most, found.central) == (5 / 81, 5 / 81)
    assert found.least == 3 / 81


def test_a_dense_layer_sees_no_more_than_what_its_input_saw() -> None:
    net = DrawnGraph(8, 8)
    net.everywhere(net.window("picture", 3, 3), 1, 1)  # stride 3 leaves two rows and columns unread
    assert reach(net.graph())[-1].mean == 36 / 64


def test_channels_taken_apart_are_called_a_bound() -> None:
    net = DrawnGraph(8, 8)
    both = net.meet(net.window("picture", 3, padding=1), "picture", kind="concatenate")
    half = net.add("slice", "same", [both], (8, 8))
    net.shapes[both] = (1, 2, 8, 8)
    net.window(half, 1)
    found = reach(net.graph())
    assert [one.is_bound for one in found] == [False, False, True, True]
    assert dependency_set(net.graph(), net.nodes[-1].name).is_bound
    assert not dependency_set(net.graph(), net.nodes[0].name).is_bound


def test_what_is_not_understood_is_told_and_never_0() -> None:
    net = DrawnGraph(8, 8)
    x = net.add("not_analyzed", "unknown", [net.window("picture", 3)], (6, 6), reason="a sort")
    net.window(x, 3)
    assert [one.reason for one in reach(net.graph())] == ["", "a sort", "a sort"]
    with pytest.raises(UsageError, match="a sort"):
        dependency_set(net.graph(), net.nodes[-1].name)


def test_mistakes_are_told() -> None:
    net = DrawnGraph(8, 8)
    net.window("picture", 3)
    graph = net.graph()
    with pytest.raises(UsageError, match=r"no layer 'convolutoin0'\. Did you mean 'convolution0'"):
        dependency_set(graph, "convolutoin0")
    with pytest.raises(UsageError, match=r"no place \(6, 0\) in .* 6 x 6"):
        dependency_set(graph, "convolution0", [(6, 0)])
    with pytest.raises(UsageError, match=r"no input 'pictures'\. Did you mean 'picture'"):
        reach(graph, "pictures")
    with pytest.raises(UsageError, match="limit is 100 B"):
        reach(graph, most_bytes=100)


def test_a_wrong_window_is_noticed() -> None:
    net = DrawnGraph(6, 6)
    net.window("picture", 3, padding=1)
    graph = net.graph()
    node, sizes = graph.nodes[0], supports(graph)["convolution0:0"].sum(dim=(2, 3)).numpy()
    assert reach(graph)[0].mean == sizes.mean() / 36
    for wrong in ({"padding": (0, 2)}, {"mode": "circular"}, {"dilation": 2, "padding": (2, 2)}, {"mode": "replicate"}):
        axis = replace(node.axes[0], **wrong)
        faulty = replace(graph, nodes=(replace(node, axes=(axis, node.axes[1])),))
        places = [(u, v) for u in range(6) for v in range(6)]
        found = [dependency_set(faulty, node.name, [place]).mask for place in places]
        truth = supports(graph)["convolution0:0"].flatten(0, 1).numpy()
        assert not np.array_equal(found, truth) or wrong == {"mode": "replicate"}  # which sees the same here


def _excited() -> DrawnGraph:
    """A map times a number for the whole of it, as in squeeze-and-excitation, and a window behind."""
    net = DrawnGraph(8, 8)
    first = net.window("picture", 3, padding=1)
    gate = net.window(net.everywhere(first, 1, 1), 1)
    net.window(net.meet(first, gate), 3, padding=1)
    return net


def test_a_summary_of_the_whole_picture_is_told_beside_the_windows() -> None:
    plain = DrawnGraph(8, 8)
    plain.window(plain.window("picture", 3, padding=1), 3, padding=1)
    windows = reach(plain.graph())
    first, _, _, product, last = reach(_excited().graph())
    assert (first.mean, first.mean_by_windows) == (windows[0].mean, None)
    assert (product.mean, product.mean_by_windows) == (1.0, windows[0].mean)
    assert (last.mean, last.mean_by_windows) == (1.0, windows[1].mean)
    fields = receptive_fields(_excited().graph())
    assert [field.is_whole for field in fields] == [False, True, True, True, True]
    assert [[axis.size for axis in field.axes] for field in fields] == [[3, 3], [], [], [3, 3], [5, 5]]
