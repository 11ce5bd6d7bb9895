"""Intervals against statsmodels' published formula values, scipy, and simulation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from whyconv.training.intervals import fraction, mean, mean_of_fractions


@pytest.mark.parametrize(("right", "n"), [(0, 10), (10, 10), (90, 100), (1, 3), (500, 1000), (49, 50)])
def test_wilson_equals_scipys(right: int, n: int) -> None:
    found, expected = fraction(right, n), stats.binomtest(right, n).proportion_ci(0.95, method="wilson")
    assert found.value == right / n
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_a_single_fraction_is_its_own_mean() -> None:
    assert mean_of_fractions([fraction(7, 9)]).model_dump() == pytest.approx(fraction(7, 9).model_dump())


def test_the_interval_of_a_mean_covers_the_truth_about_95_times_of_100() -> None:
    generator = np.random.default_rng(0)
    truth, sizes = np.array([0.95, 0.7, 0.85]), (40, 60, 25)
    covered = 0
    for _ in range(2000):
        parts = [fraction(int(generator.binomial(n, p)), n) for n, p in zip(sizes, truth, strict=True)]
        found = mean_of_fractions(parts)
        covered += found.low <= truth.mean() <= found.high
    assert 0.93 <= covered / 2000 <= 0.975


@pytest.mark.parametrize(("n", "reach"), [(2, 12.706), (3, 4.303), (5, 2.776), (11, 2.228)])
def test_a_mean_reaches_as_far_as_the_t_table_says(n: int, reach: float) -> None:
    """Two-sided 95 % points of Student's t for n - 1 degrees of freedom, as printed in any table."""
    values = np.random.default_rng(n).normal(0.6, 0.1, n)
    found = mean(values.tolist(), over="seeds")
    assert found.value == pytest.approx(values.mean())
    assert found.high - found.value == pytest.approx(reach * values.std(ddof=1) / np.sqrt(n), rel=2e-4)
    assert found.value - found.low == pytest.approx(found.high - found.value)
    assert (found.n, found.over) == (n, "seeds")
