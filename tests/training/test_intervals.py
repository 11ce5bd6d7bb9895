"""Intervals against statsmodels' published formula values, scipy, and simulation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from whyconv.training.intervals import fraction, mean, mean_of_shares, share


@pytest.mark.parametrize(("right", "n"), [(0, 10), (10, 10), (90, 100), (1, 3), (500, 1000), (49, 50)])
def test_wilson_equals_scipys(right: int, n: int) -> None:
    found, expected = fraction(right, n), stats.binomtest(right, n).proportion_ci(0.95, method="wilson")
    assert found.value == right / n
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-12)


def right(count: int, n: int) -> np.ndarray:
    return np.arange(n) < count


@pytest.mark.parametrize(("count", "n"), [(7, 9), (9, 9), (0, 4), (1, 1)])
def test_one_part_has_wilsons_interval(count: int, n: int) -> None:
    found = mean_of_shares(right(count, n), np.zeros(n, int))
    assert found.model_dump() == pytest.approx(fraction(count, n).model_dump())


def test_parts_count_alike_however_large_they_are() -> None:
    values = np.concatenate([right(90, 100), right(1, 2)])
    assert mean_of_shares(values, np.repeat([0, 1], [100, 2])).value == pytest.approx((0.9 + 0.5) / 2)


def test_many_parts_of_one_size_are_about_as_sure_as_all_their_pictures() -> None:
    """100 classes of 20 pictures, 19 right in each: nearly Wilson's interval of 1,900 right of 2,000."""
    found = mean_of_shares(np.tile(right(19, 20), 100), np.repeat(np.arange(100), 20))
    expected = fraction(1900, 2000)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=0.002)


def test_films_of_all_classes_that_fail_as_one_are_no_surer_of_the_mean_of_classes() -> None:
    """Ten films with a picture of each of ten classes, two films failed: ten outcomes, and not a hundred."""
    films, classes = np.repeat(np.arange(10), 10), np.tile(np.arange(10), 10)
    values = films >= 2
    found, accuracy = mean_of_shares(values, classes, films), share(values, films)
    assert (found.value, accuracy.value) == (0.8, 0.8)
    assert (found.low, found.high) == pytest.approx((accuracy.low, accuracy.high), abs=0.02)
    assert found.high - found.low > 2.5 * (mean_of_shares(values, classes).high - mean_of_shares(values, classes).low)


def test_groups_across_classes_that_are_not_alike_cost_little() -> None:
    random = np.random.default_rng(0)
    values, classes, groups = random.random(1000) < 0.8, np.tile(np.arange(10), 100), np.repeat(np.arange(100), 10)
    apart, together = mean_of_shares(values, classes), mean_of_shares(values, classes, groups)
    assert together.high - together.low < 1.25 * (apart.high - apart.low)


def test_two_copies_under_two_labels_change_next_to_nothing() -> None:
    random = np.random.default_rng(0)
    values, classes, groups = random.random(1000) < 0.9, np.arange(1000) % 10, np.arange(1000)
    apart, together = mean_of_shares(values, classes), np.where(groups == 1, 0, groups)
    found = mean_of_shares(values, classes, together)
    assert (found.low, found.high) == pytest.approx((apart.low, apart.high), abs=1e-3)


@pytest.mark.parametrize("count", [0, 3, 20])
def test_copies_count_once_where_they_are_answered_alike(count: int) -> None:
    """20 pictures, each there five times: the interval is that of 20 or so, not of 100."""
    copies = share(np.repeat(right(count, 20), 5), np.repeat(np.arange(20), 5))
    single, hundred = fraction(count, 20), fraction(5 * count, 100)
    assert copies.n == 100
    assert copies.high - copies.low > 1.5 * (hundred.high - hundred.low)
    assert copies.high - copies.low == pytest.approx(single.high - single.low, rel=0.12)


def test_groups_of_one_change_nothing() -> None:
    values = right(17, 25)
    assert share(values, np.arange(25)) == share(values) == fraction(17, 25)


def test_groups_that_are_not_alike_cost_little() -> None:
    values = np.tile([True, False], 500)  # each group of two holds one of either kind
    found, alone = share(values, np.repeat(np.arange(500), 2)), share(values)
    assert found.high - found.low == pytest.approx(alone.high - alone.low, rel=0.01)


@pytest.mark.parametrize(("n", "reach"), [(2, 12.706), (3, 4.303), (5, 2.776), (11, 2.228)])
def test_a_mean_reaches_as_far_as_the_t_table_says(n: int, reach: float) -> None:
    """Two-sided 95 % points of Student's t for n - 1 degrees of freedom, as printed in any table."""
    values = np.random.default_rng(n).normal(0.6, 0.1, n)
    found = mean(values.tolist(), over="seeds")
    assert found.value == pytest.approx(values.mean())
    assert found.high - found.value == pytest.approx(reach * values.std(ddof=1) / np.sqrt(n), rel=2e-4)
    assert found.value - found.low == pytest.approx(found.high - found.value)
    assert (found.n, found.over) == (n, "seeds")
