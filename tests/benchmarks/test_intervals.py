"""Ratios of errors against Fieller's set, found by trying ratios, and against draws whose true ratio is known."""

from __future__ import annotations

import math

import numpy as np
import pytest
from racing.intervals import Mean, apart, error_rate, ratio
from scipy import stats


def around(value: float, half: float, n: int = 3) -> Mean:
    return Mean(value, value - half, value + half, n, "seeds")


def tried_ratios(top: Mean, bottom: Mean) -> tuple[float, float]:
    """Fieller: the ratios r for which top - r bottom may be 0, for independent means with the same quantile."""
    ratios = np.linspace(0, 40, 4_000_001)
    halves = np.hypot(top.high - top.value, ratios * (bottom.high - bottom.value))
    kept = ratios[np.abs(top.value - ratios * bottom.value) <= halves]
    return float(kept[0]), float(kept[-1])


@pytest.mark.parametrize(
    ("top", "bottom"),
    [
        (around(0.06, 0.004), around(0.2, 0.01)),
        (around(0.3, 0.05), around(0.2, 0.08)),
        (around(0.01, 0.009), around(0.02, 0.002)),
        (around(0.19, 0.001), around(0.2, 0.19)),
    ],
)
def test_the_interval_of_a_ratio_is_fiellers(top: Mean, bottom: Mean) -> None:
    found = ratio(top, bottom)
    low, high = tried_ratios(top, bottom)
    assert (found.low, found.high) == pytest.approx((low, high), rel=1e-3, abs=2e-5)
    assert found.value == pytest.approx(top.value / bottom.value)


def covered(shrink: float) -> float:
    """How often the true ratio 0.5 lies in the interval, over draws of three seeds each."""
    random = np.random.default_rng(1)
    hits, draws = 0, 1500
    for _ in range(draws):
        means = []
        for value, spread in ((0.1, 0.01), (0.2, 0.015)):
            drawn = random.normal(value, spread, 3)
            half = shrink * stats.t.ppf(0.975, 2) * drawn.std(ddof=1) / math.sqrt(3)
            means.append(around(float(drawn.mean()), float(half)))
        found = ratio(*means)
        hits += found.low <= 0.5 <= found.high
    return hits / draws


def test_the_interval_covers_the_true_ratio_as_often_as_it_says() -> None:
    assert covered(1.0) > 0.94
    assert covered(0.3) < 0.9, "intervals that are too short are noticed"


def test_a_bottom_that_may_be_zero_gives_no_upper_bound() -> None:
    assert ratio(around(0.1, 0.01), Mean(0.01, 0.0, 0.03, 3, "seeds")).high == math.inf
    assert ratio(around(0.1, 0.01), Mean(0.0, 0.0, 0.0, 3, "seeds")).value == math.inf


def test_no_errors_at_all_are_a_ratio_of_zero() -> None:
    found = ratio(error_rate([0, 0, 0], [411] * 3), around(0.02, 0.004))
    assert (found.value, found.low, found.high) == (0, 0, 0)
    one_seed = ratio(error_rate([0], [411]), around(0.02, 0.004))
    assert one_seed.low == 0 < one_seed.high
    assert one_seed.over == "pictures"


def test_errors_over_seeds_have_students_interval_and_over_pictures_wilsons() -> None:
    wrong, n = [60, 66, 57], 736
    rates = np.array(wrong) / n
    found = error_rate(wrong, [n] * 3)
    low, high = stats.t.interval(0.95, 2, rates.mean(), stats.sem(rates))
    assert (found.value, found.low, found.high) == pytest.approx((rates.mean(), low, high))
    assert (found.n, found.over) == (3, "seeds")
    single = error_rate([60], [n])
    wilson = stats.binomtest(60, n).proportion_ci(method="wilson")
    assert (single.low, single.high) == pytest.approx((wilson.low, wilson.high))
    assert (single.n, single.over) == (n, "pictures")


def test_intervals_are_apart_only_without_a_common_point() -> None:
    assert apart(around(0.1, 0.01), around(0.2, 0.08))
    assert apart(around(0.2, 0.08), around(0.1, 0.01))
    assert not apart(around(0.1, 0.03), around(0.2, 0.08))
