"""Dense networks in three matchings: counts against modules, widths by brute force, gains by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from small_square import SMALL, small_pictures
from whyconv.nets import MatchedPerceptron, dense_twin
from whyconv.nets.twins.counted import count
from whyconv.results import CORNERS, MATCHED_ARMS, MATCHES, PLACES, Match, Square
from whyconv.study import Extent, KeptTrials, make_protocol, make_study, measure_square, predict_seconds
from whyconv.study.corners import OneHiddenLayer, Sizes, num_multiply_adds, num_parameters
from whyconv.study.matched import matched_sizes, matched_told
from whyconv.study.protocol import ADDITIONS, BASE, needed_trainings

SIZES = Sizes(3, 8, 4, 3, 5)
SHAPE = (3, 8, 8)
ARMS = ["same_parameters", "same_multiply_adds"]


@pytest.fixture(scope="module")
def square() -> Square:
    protocol = SMALL.model_copy(update={"arms": ARMS, "steps": 15, "controlled": []})
    return measure_square(small_pictures(), protocol)


@pytest.mark.parametrize("corner", CORNERS)
@pytest.mark.parametrize(
    "sizes",
    [SIZES, replace(SIZES, readout="places"), replace(SIZES, is_normalized=True)],
    ids=["mean", "places", "norm"],
)
def test_counts_are_those_of_the_module(corner: str, sizes: Sizes) -> None:
    counted = count(OneHiddenLayer(corner, sizes).eval(), SHAPE)
    assert num_parameters(corner, sizes) == counted.parameters
    # A circular correlation is counted as the products that it stands for, however it is computed.
    if corner in ("dense", "convolution"):
        assert num_multiply_adds(corner, sizes) == counted.multiply_adds


@pytest.mark.parametrize(("match", "of"), [("parameters", num_parameters), ("multiply_adds", num_multiply_adds)])
def test_no_other_width_comes_nearer(match: Match, of) -> None:
    aim = of("convolution", SIZES)
    width = matched_sizes(SIZES, match).width
    nearest = min(range(1, 200), key=lambda one: abs(of("dense", replace(SIZES, width=one)) - aim))
    assert width == nearest
    assert matched_sizes(SIZES, "units") == SIZES


@pytest.mark.parametrize("match", ["parameters", "multiply_adds"])
def test_it_is_the_perceptron_of_the_twins(match: Match) -> None:
    twin = dense_twin(OneHiddenLayer("convolution", SIZES), SHAPE, match=match)
    assert isinstance(twin, MatchedPerceptron)
    network = OneHiddenLayer("dense", matched_sizes(SIZES, match))
    hidden, readout = (part for part in twin if isinstance(part, torch.nn.Linear))
    hidden.load_state_dict(network.hidden.state_dict())
    readout.load_state_dict(network.readout.state_dict())
    x = torch.randn(7, *SHAPE)
    assert torch.allclose(twin(x), network(x), atol=1e-6)


def test_only_the_dense_corner_is_trained_again(square: Square) -> None:
    found = {(one.corner, one.place, one.n_train, one.arm) for one in square.scores if one.arm != "plain"}
    assert found == {("dense", place, n, arm) for place in PLACES for n in SMALL.sizes for arm in ARMS}
    assert {(one.place, one.arm) for one in square.splits} == {(place, "plain") for place in PLACES}


def test_gains_are_paired_by_draw(square: Square) -> None:
    assert square.matched is not None
    for match in MATCHES:
        for place in PLACES:
            convolution = square.score("convolution", place, 60).by_draw
            dense = square.score("dense", place, 60, arm=MATCHED_ARMS[match]).by_draw
            differences = [a - b for a, b in zip(convolution, dense, strict=True)]
            gain = square.matched.gain(match, place, 60)
            assert gain.value == pytest.approx(sum(differences) / 3)
            # Student's t with 2 degrees of freedom; two intervals that are not paired would be another one.
            spread = (sum((one - gain.value) ** 2 for one in differences) / 2 / 3) ** 0.5
            assert gain.high - gain.value == pytest.approx(4.3026527 * spread, abs=1e-6)
    assert square.matched.gain("units", "moved", 60) == square.split("moved", 60).gain
    with pytest.raises(KeyError):
        square.matched.gain("units", "moved", 11)


def test_the_table_says_how_much_each_has(square: Square) -> None:
    assert square.matched is not None
    units, parameters, multiply_adds = square.matched.sizes
    convolution = square.matched.convolution
    assert units.units == convolution.units == 4 * 64
    assert parameters.parameters < 2 * convolution.parameters < units.parameters
    assert abs(multiply_adds.multiply_adds / convolution.multiply_adds - 1) < 0.05
    assert parameters.units < multiply_adds.units < units.units


def test_nothing_is_told_where_one_matching_is_missing(square: Square) -> None:
    protocol = square.protocol.model_copy(update={"arms": ["same_parameters"]})
    assert matched_told(square.scores, protocol, SIZES) is None
    assert measure_square(small_pictures(), SMALL.model_copy(update={"steps": 2, "controlled": []})).matched is None


def test_networks_of_few_units_are_not_billed_as_dense_ones() -> None:
    study = make_study(small_pictures(), SMALL.model_copy(update={"arms": [*ARMS, "normalized"]}))
    predict = predict_seconds(study, KeptTrials(None, ""))

    def seconds(extent: Extent) -> float:
        return predict(make_protocol(extent, side=8, channels=1, num_train=60, num_classes=2, seed=0))

    plain = replace(BASE, num_sizes=1)
    matched, normalized = (ADDITIONS[name](plain) for name in ("matched", "normalized"))
    assert seconds(plain) < seconds(matched) < seconds(normalized)


def test_normalized_corners_are_trained_where_they_are_like_no_other() -> None:
    protocol = SMALL.model_copy(update={"arms": ["normalized"], "controlled": []})
    found = [one for one in needed_trainings(protocol) if one.arm == "normalized" and one.n_train == 60]
    expected = [("still", corner) for corner in CORNERS] + [("moved", "dense"), ("moved", "local")]
    assert sorted((one.place, one.corner) for one in found) == sorted(expected)


def test_random_places_tell_apart_what_is_normalized() -> None:
    """Per channel: what is added to a whole map, or multiplied with it, is taken away again; to one place it is not."""
    network = OneHiddenLayer("local", replace(SIZES, is_normalized=True)).train()
    x = torch.randn(6, *SHAPE)
    before = network(x)
    with torch.no_grad():
        network.hidden.bias.add_(3.0)
    assert torch.allclose(network(x), before, atol=1e-4)
    with torch.no_grad():
        network.hidden.bias[0, 0].add_(3.0)
    assert not torch.allclose(network(x), before, atol=1e-2)
