"""One output written out: the lecture's picture, torch for the others, and what happens when the counts are wrong."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from whyconv.counting import Axis
from whyconv.counting.words import LayerWords
from whyconv.counting.worked import work_out
from whyconv.errors import ParityError, UsageError

TORCH_MODE = {"zeros": "constant"}


def test_the_vertical_edge_of_the_lecture() -> None:
    shown = work_out(LayerWords("6x6").convolution(), 0, 1)
    assert shown.picture == [[10, 10, 10, 0, 0, 0]] * 6
    assert shown.weights == [[1, 0, -1]] * 3
    assert shown.outputs == [[0, 30, 30, 0]] * 4
    assert shown.value == 30 == sum(term.value * term.weight for term in shown.terms)
    assert [term.place for term in shown.terms[:4]] == [(0, 1), (0, 2), (0, 3), (1, 1)]
    assert (shown.num_connected, shown.num_others) == (9, 27)
    assert shown.num_others_that_moved_it == 0
    assert shown.num_connected_that_moved_it == 6  # three lie under a weight of 0


def test_an_output_at_the_border_sees_padding() -> None:
    shown = work_out(LayerWords("6x6", padding="1").convolution(), 0, 0)
    assert [term.place for term in shown.terms].count(None) == 5
    assert (shown.num_connected, shown.num_others) == (4, 32)
    assert shown.value == -20


def test_every_channel_of_the_first_group_adds_the_same() -> None:
    shown = work_out(LayerWords("6x6x6", filters="2", groups="2").convolution(), 2, 1)
    assert (shown.num_channels, shown.value) == (3, 90)
    assert (shown.num_connected, shown.num_others) == (27, 6 * 36 - 27)


LAYERS = [
    ("8x9", {"kernel": "3x4", "stride": "2", "padding": "2x1"}),
    ("7x7x2", {"kernel": "3", "dilation": "2", "padding": "3", "padding_mode": "reflect"}),
    ("5x6", {"kernel": "5", "padding": "4", "padding_mode": "circular", "stride": "3"}),
    ("6x5x3", {"kernel": "2x1", "padding": "2", "padding_mode": "replicate"}),
    ("6x6", {"kernel": "4", "padding": "same"}),
]


@pytest.mark.parametrize(("shape", "words"), LAYERS, ids=str)
def test_all_outputs_are_those_of_torch(shape: str, words: dict[str, str]) -> None:
    layer = LayerWords(shape, **words).convolution()  # type: ignore[arg-type]
    shown = work_out(layer, 1, 1)
    picture = torch.tensor(shown.picture, dtype=torch.float64).expand(1, layer.in_channels, -1, -1)
    weights = torch.tensor(shown.weights, dtype=torch.float64).expand(1, layer.in_channels, -1, -1)
    height, width = layer.axes
    mode = TORCH_MODE.get(height.mode, height.mode)
    padded = functional.pad(picture, (*width.padding, *height.padding), mode=mode)
    stride, dilation = (height.stride, width.stride), (height.dilation, width.dilation)
    expected = functional.conv2d(padded, weights, None, stride, 0, dilation)[0, 0]
    assert shown.outputs == expected.long().tolist()
    assert shown.value == shown.outputs[1][1]


def test_a_wrong_count_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Axis, "num_inputs_at", lambda *_: 2)
    with pytest.raises(ParityError, match="9 inputs move output 0,1, 4 were counted"):
        work_out(LayerWords("6x6").convolution(), 0, 1)


@pytest.mark.parametrize(
    ("shape", "words", "place", "told"),
    [
        ("6x6", {}, (4, 0), "row from 0 to 3 and a column from 0 to 3"),
        ("32x33", {}, (0, 0), r"33 columns \(at most 24\)"),
        ("33x6", {}, (0, 0), r"33 rows \(at most 32\)"),
        ("20x20", {"kernel": "8"}, (0, 0), r"64 products \(at most 49\)"),
        ("20x20x64", {}, (0, 0), r"25,600 inputs to be changed one by one"),
        ("20x20", {"axes": "1"}, (0, 0), "two axes; this one has 1"),
    ],
)
def test_what_nobody_could_read_is_refused(
    shape: str, words: dict[str, str], place: tuple[int, int], told: str
) -> None:
    layer = LayerWords(shape, **words).convolution()  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=told):
        work_out(layer, *place)
