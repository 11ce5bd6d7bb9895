"""Intervals as scipy gives them; both orders of the split add up to the gain."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from whyconv.results import CORNERS
from whyconv.study.split import accuracy_of, difference, split_gain
from whyconv.training.intervals import mean


def test_the_interval_is_that_of_scipy() -> None:
    values = [0.81, 0.84, 0.79, 0.9, 0.86]
    theirs = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    ours = mean(values)
    assert (ours.value, ours.low, ours.high) == pytest.approx((np.mean(values), theirs.low, theirs.high))
    assert (ours.n, ours.over) == (5, "draws")


def test_accuracies_stay_within_their_range() -> None:
    assert accuracy_of([1.0, 1.0, 0.9]).high == 1.0
    assert accuracy_of([0.0, 0.0, 0.1]).low == 0.0
    same = accuracy_of([0.5, 0.5, 0.5])
    assert (same.low, same.high) == (0.5, 0.5)


def test_differences_are_paired() -> None:
    first, second = [0.9, 0.5, 0.7], [0.8, 0.4, 0.6]
    found = difference(first, second)
    assert found.value == pytest.approx(0.1)
    assert found.high - found.low < 1e-9  # each pair differs by the same, however the draws differ


def test_both_orders_add_up_to_the_gain() -> None:
    random = np.random.default_rng(3)
    by_draw = {corner: random.random(5).tolist() for corner in CORNERS}
    split = split_gain(by_draw, "still", 50)
    gain = np.mean(by_draw["convolution"]) - np.mean(by_draw["dense"])
    assert split.gain.value == pytest.approx(gain)
    assert split.locality_first.value + split.sharing_second.value == pytest.approx(gain)
    assert split.sharing_first.value + split.locality_second.value == pytest.approx(gain)
    assert split.interaction.value == pytest.approx(split.sharing_second.value - split.sharing_first.value)
    assert split.interaction.value == pytest.approx(split.locality_second.value - split.locality_first.value)
    assert split.locality_first.value == pytest.approx(np.mean(by_draw["local"]) - np.mean(by_draw["dense"]))
