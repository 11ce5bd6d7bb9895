"""Whether a claim holds: every pair of findings has its own word, and what cannot be told is never called refuted."""

from __future__ import annotations

import pytest

from made_up_why import SQUARE, with_matched
from whyconv.results import Crossing, Estimate, Square
from whyconv.results.claims import Holds, claims, matched_words

SIGNS = {1: (0.01, 0.02, 0.03), 0: (-0.01, 0.01, 0.03), -1: (-0.03, -0.02, -0.01)}


def with_gains(still: int, moved: int) -> Square:
    """The made-up square with gains of locality of these signs, beyond doubt or not."""
    gains = {}
    for place, sign in (("still", still), ("moved", moved)):
        low, value, high = SIGNS[sign]
        gains[place] = Estimate(value=value, low=low, high=high, n=5, over="draws")
    splits = [one.model_copy(update={"locality_first": gains[one.place]}) for one in SQUARE.splits]
    return SQUARE.model_copy(update={"splits": splits})


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


def test_what_is_said_of_as_few_parameters_is_of_that_matching() -> None:
    words = matched_words(with_matched(SQUARE))
    assert words == {
        **{"units": 11, "parameters": 12_345_678, "convolution": 12_345_678},
        **{"still": "-10.0 ± 0.0", "moved": "-10.0 ± 0.0"},
    }
    assert matched_words(SQUARE) is None
