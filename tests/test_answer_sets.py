"""Ranks and sets: against brute force, and by what they promise about pictures like the known ones."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from scipy.stats import binom

from whyconv.answer_sets import conformal_rank, highest_level, least_needed, least_probability, require_level
from whyconv.errors import UsageError

LEVELS = [Fraction(percent, 100) for percent in (10, 50, 80, 90, 95, 99)]


@pytest.mark.parametrize("level", LEVELS)
def test_the_rank_is_the_least_that_covers_often_enough(level: Fraction) -> None:
    # A new score is equally likely at each of n + 1 places among n old ones: at most the k-th of them k times in n + 1.
    for n in range(1, 130):
        enough = [k for k in range(1, n + 1) if Fraction(k, n + 1) >= level]
        assert conformal_rank(n, float(level)) == (enough[0] if enough else None)


@pytest.mark.parametrize("level", LEVELS)
def test_the_fewest_pictures_are_those_with_a_rank(level: Fraction) -> None:
    n = least_needed(float(level))
    assert conformal_rank(n, float(level)) is not None
    assert n == 1 or conformal_rank(n - 1, float(level)) is None


@pytest.mark.parametrize("level", ["0.001", "0.3", "0.7", "0.999", "0.9999", "0.99999", "0.9995", "0.9994999"])
def test_the_fewest_pictures_are_exact(level: str) -> None:
    """n / (n + 1) >= level, in whole numbers of the last digit."""
    share, places = Fraction(level), 10 ** (len(level) - 2)
    n = least_needed(float(level))
    assert n * places >= (n + 1) * int(share * places)
    assert n == 1 or (n - 1) * places < n * int(share * places)


@pytest.mark.parametrize("n", [1, 3, 19, 32, 99, 189, 441, 2000])
def test_the_highest_level_is_one_that_n_pictures_allow(n: int) -> None:
    assert n / (n + 1) - 0.01 < highest_level(n) <= n / (n + 1)
    assert conformal_rank(n, highest_level(n)) == n


@pytest.mark.parametrize("level", [0.5, 0.9, 0.95])
def test_sets_hold_the_truth_as_often_as_promised(level: float) -> None:
    """Over 4,000 worlds of n validation pictures and one new one, all alike: at least the level, less 4 deviations."""
    generator, n, worlds = np.random.default_rng(1), 40, 4000
    scores = generator.beta(5, 1, (worlds, n + 1))
    held = sum(row[-1] >= least_probability(sorted(row[:-1].tolist()), level) for row in scores)
    assert binom.ppf(3e-5, worlds, level) <= held <= binom.ppf(1 - 3e-5, worlds, level + 1 / (n + 1))
    # Three ranks lower, and the promise is broken: the check can fail.
    rank = conformal_rank(n, level)
    assert rank is not None
    fewer = sum(row[-1] >= np.sort(row[:-1])[n - rank + 3] for row in scores)
    assert fewer < binom.ppf(3e-5, worlds, level)


@pytest.mark.parametrize(
    ("level", "n", "reason"),
    [
        (0.99, 32, "need 99 validation pictures; this recognizer has 32. Ask for at most 0.969"),
        (
            0.9999,
            500,
            r"need 9,999 validation pictures; .* has 500, and none keeps .* more than 2,000. Ask for at most",
        ),
        (0.9999, 500, r"at most 0.998, or train with more validation pictures, for up to 0.9995\.$"),
        (0.9999, 2000, r"Ask for at most 0.9995\.$"),
        (0.9995, 1998, r"need 1,999 validation pictures; .* or train with more validation pictures\.$"),
        ("0.95", 100, "is '0.95'. Expected more than 0 and less than 1"),
        (None, 100, "is None. Expected more than 0"),
        (0.95, 0, "no scores of validation pictures"),
        (0.95, None, "whyconv train --resume RUN"),
        (1.0, 100, "Expected more than 0 and less than 1"),
        (-0.5, 100, "Expected more than 0 and less than 1"),
        (float("nan"), 100, "Expected more than 0"),
    ],
)
def test_what_cannot_be_promised_is_refused_with_the_reason(level: float, n: int | None, reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        require_level(level, n)
