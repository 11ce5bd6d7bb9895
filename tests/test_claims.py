"""Whether a claim holds: every pair of findings has its own word, and what cannot be told is never called refuted."""

from __future__ import annotations

import numpy as np
import pytest

from made_up_why import SQUARE, with_matched, without_targets
from whyconv.results import Crossing, Estimate, Place, Square
from whyconv.results.claims import Holds, claims, matched_words, unlearned_words
from whyconv.results.numbers import crossing_number
from whyconv.texts import say

PICTURES = ("still", "still_target", "moved", "moved_target")
SIGNS = {1: (0.01, 0.02, 0.03), 0: (-0.01, 0.01, 0.03), -1: (-0.03, -0.02, -0.01)}


def with_gains(still: int, moved: int) -> Square:
    """The made-up square with gains of locality of these signs, beyond doubt or not."""
    gains = {}
    for place, sign in (("still", still), ("moved", moved)):
        low, value, high = SIGNS[sign]
        gains[place] = Estimate(value=value, low=low, high=high, n=5, over="draws")
    names = ("locality_first", "locality_second")
    splits = [one.model_copy(update=dict.fromkeys(names, gains[one.place])) for one in SQUARE.splits]
    return SQUARE.model_copy(update={"splits": splits})


def gain(sign: int, value: float | None = None) -> Estimate:
    low, middle, high = SIGNS[sign]
    return Estimate(value=middle if value is None else value, low=low, high=high, n=5, over="draws")


@pytest.mark.parametrize(
    ("first", "second", "word"),
    [
        (gain(1), gain(-1), "by_order"),
        (gain(-1), gain(1), "by_order"),
        (gain(1), gain(0), "holds"),
        (gain(1), gain(0, -0.005), "unknown"),
        (gain(0, -0.005), gain(-1), "fails"),
        (gain(0), gain(0), "unknown"),
    ],
)
def test_a_structure_helps_where_neither_order_speaks_against_it(
    first: Estimate, second: Estimate, word: Holds
) -> None:
    for one, update in (
        ("locality", {"locality_first": first, "locality_second": second}),
        ("sharing", {"sharing_first": first, "sharing_second": second}),
    ):
        splits = [split.model_copy(update=update) for split in SQUARE.splits]
        found = {claim.name: claim for claim in claims(SQUARE.model_copy(update={"splits": splits}))}
        assert found[one].holds == word
        shown = {found[one].values["still"].value, found[one].values["still_other"].value}
        assert shown == {first.value, second.value}


@pytest.mark.parametrize(
    ("contradicted", "other", "word"),
    [
        ("moved", 1, "still_moved_by_order"),
        ("still", 1, "moved_still_by_order"),
        ("still", 0, "by_order"),
        ("moved", -1, "by_order"),
    ],
)
def test_pictures_where_the_orders_contradict_leave_the_others_their_word(
    contradicted: str, other: int, word: Holds
) -> None:
    both = {"locality_first": gain(1), "locality_second": gain(-1)}
    alike = dict.fromkeys(both, gain(other))
    splits = [one.model_copy(update=both if one.place == contradicted else alike) for one in SQUARE.splits]
    found = {one.name: one.holds for one in claims(SQUARE.model_copy(update={"splits": splits}))}
    assert found["locality"] == word


@pytest.mark.parametrize(("side", "kernel", "maps"), [(8, 3, 16), (16, 5, 8)])
def test_fewer_weights_are_those_of_the_layer_without_biases(side: int, kernel: int, maps: int) -> None:
    """On a ring: every unit of the dense layer sees all pixels, of the local one a window, and maps share theirs."""
    units, pixels = maps * side**2, 3 * side**2
    weights = {
        **{"dense": units * pixels + units, "local": units * 3 * kernel**2 + units},
        **{"shared_global": maps * pixels + maps, "convolution": maps * 3 * kernel**2 + maps},
    }
    protocol = SQUARE.protocol.model_copy(update={"side": side, "kernel": kernel, "maps": maps})
    found = claims(SQUARE.model_copy(update={"weights": weights, "protocol": protocol}))[0].values
    assert found["dense"] == units * pixels
    assert found["convolution"] == maps * 3 * kernel**2
    assert found["locality"] == side**2 / kernel**2
    assert found["sharing"] == side**2
    assert found["ratio"] == found["locality"] * found["sharing"]


@pytest.mark.parametrize(
    ("still", "moved", "word"),
    [
        (1, 1, "holds"),
        (0, 0, "unknown"),
        (-1, -1, "fails"),
        (1, 0, "still_only"),
        (0, 1, "moved_only"),
        (1, -1, "still_not_moved"),
        (-1, 1, "moved_not_still"),
        (-1, 0, "fails_one"),
        (0, -1, "fails_one"),
    ],
)
def test_each_pair_of_findings_has_its_word(still: int, moved: int, word: Holds) -> None:
    found = {one.name: one.holds for one in claims(with_gains(still, moved))}
    assert found["locality"] == word


def test_a_bound_is_no_finding_where_its_interval_reaches_one() -> None:
    bound = Crossing(value=None, low=0.8, high=None, above=1.7, n=5)
    ratios = [one.model_copy(update={"times": bound}) for one in SQUARE.ratios]
    found = {one.name: one.holds for one in claims(SQUARE.model_copy(update={"ratios": ratios}))}
    assert found["pictures"] == "unknown"


def test_a_target_about_which_nothing_is_known_is_not_the_one_that_is_told() -> None:
    told = Crossing(value=2.8, low=1.5, high=6.3, n=5)
    silent = Crossing(value=None, low=None, high=None, above=1.2, n=5)
    highest = max(one.target for one in SQUARE.ratios)
    ratios = [one.model_copy(update={"times": silent if one.target == highest else told}) for one in SQUARE.ratios]
    found = next(one for one in claims(SQUARE.model_copy(update={"ratios": ratios})) if one.name == "pictures")
    assert found.holds == "holds"
    assert found.values["moved"] == told


@pytest.mark.parametrize(
    ("lacking", "sentence", "word"),
    [
        (("still",), "pictures_moved", "moved_only"),
        (("moved",), "pictures_still", "fails_one"),
        (("still", "moved"), "pictures_none", "unknown"),
    ],
)
def test_where_no_corner_beats_the_largest_class_there_is_no_target_and_nothing_can_be_told(
    lacking: tuple[Place, ...], sentence: str, word: Holds
) -> None:
    found = next(one for one in claims(without_targets(SQUARE, lacking)) if one.name == "pictures")
    assert (found.sentence, found.holds) == (sentence, word)
    assert set(found.values) == {key for key in PICTURES if key.removesuffix("_target") not in lacking}
    whole = next(one for one in claims(SQUARE) if one.name == "pictures")
    assert all(found.values[key] == whole.values[key] for key in found.values)


def test_pictures_needed_are_not_claimed_of_one_size() -> None:
    protocol = SQUARE.protocol.model_copy(update={"sizes": [SQUARE.protocol.sizes[-1]]})
    one_size = without_targets(SQUARE, ("still", "moved")).model_copy(update={"protocol": protocol})
    assert "pictures" not in {one.name for one in claims(one_size)}


def test_a_bound_is_the_end_of_its_interval() -> None:
    above = Crossing(value=None, low=6.6, high=None, above=10.3, n=5)
    below = Crossing(value=None, low=None, high=71.7, below=50, n=5)
    assert crossing_number(above, is_ratio=True) == "> 6.6"
    assert crossing_number(below) == "<= 72"
    for unknown in (above.model_copy(update={"low": None}), below.model_copy(update={"high": None})):
        assert crossing_number(unknown) == ""
    assert crossing_number(Crossing(value=None, low=1257, high=None, above=1257, n=5)) == "> 1,257"


@pytest.mark.parametrize(
    ("end", "is_ratio", "above", "below"),
    [
        (9.96, True, "> 9.9", "<= 10"),
        (1.96, True, "> 1.9", "<= 2"),
        (4.1, True, "> 4.1", "<= 4.1"),
        (0.996, True, "> 0.99", "<= 1"),
        (0.000414, True, "> 0.00041", "<= 0.00042"),
        (99.2, True, "> 99", "<= 100"),
        (99.6, True, "> 99", "<= 100"),
        (1257.6, False, "> 1,257", "<= 1,258"),
        # What was a whole number before its logarithm was taken still is one.
        (float(np.exp(np.log(50.0))), False, "> 50", "<= 50"),
        (float(np.nextafter(50.0, 51)), False, "> 50", "<= 50"),
        (float(np.nextafter(50.0, 49)), False, "> 50", "<= 50"),
    ],
)
def test_a_bound_claims_no_more_than_was_found(end: float, is_ratio: bool, above: str, below: str) -> None:
    least = Crossing(value=None, low=end, high=None, above=2000.0, n=5)
    most = Crossing(value=None, low=None, high=end, below=1e-5, n=5)
    assert crossing_number(least, is_ratio=is_ratio) == above
    assert crossing_number(most, is_ratio=is_ratio) == below


@pytest.mark.parametrize(
    ("known", "shown"), [(0.986, 98.6), (0.98999, 98.9), (0.9899999999999999, 98.9), (0.731, 73.1), (0.57, 57.0)]
)
def test_what_is_not_known_to_99_percent_is_never_said_to_be(known: float, shown: float) -> None:
    known_part = SQUARE.scores[0].train_accuracy.model_copy(update={"value": known})
    scores = [one.model_copy(update={"train_accuracy": known_part}) for one in SQUARE.scores]
    words = unlearned_words(SQUARE.model_copy(update={"scores": scores}))
    assert {one["part"] for _, _, one in words} == {shown}
    text = say("square_unlearned_still", "en", corner="dense", **words[0][2])
    assert text == f"dense {shown:.1f} % in 25 steps"


def test_what_is_said_of_as_few_parameters_is_of_that_matching() -> None:
    words = matched_words(with_matched(SQUARE))
    assert words == {
        **{"units": 11, "parameters": 12_345_678, "convolution": 12_345_678},
        **{"still": "-10.0 ± 0.0", "moved": "-10.0 ± 0.0"},
    }
    assert matched_words(SQUARE) is None
