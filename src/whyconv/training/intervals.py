"""95 % intervals for fractions and means that were measured."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean, stdev
from typing import Literal

from scipy.special import stdtrit  # scipy.stats takes a second and a half to load

from whyconv.results import Estimate

_Z = 1.959963984540054


def fraction(successes: int, n: int) -> Estimate:
    """The fraction ``successes / n`` with Wilson's score interval, which holds at 0 % and 100 % too.

    Args:
        successes: From 0 to ``n``.
        n: Independent trials, >= 1.

    References:
        Wilson, *Probable inference, the law of succession, and statistical inference* (1927), JASA 22.
    """
    share = successes / n
    spread = 1 + _Z**2 / n
    middle = (share + _Z**2 / (2 * n)) / spread
    half = _Z * math.sqrt(share * (1 - share) / n + _Z**2 / (4 * n**2)) / spread
    # At the ends the exact interval touches 0 or 1; rounding must not leave it 1e-17 beside.
    low = 0.0 if successes == 0 else max(0.0, middle - half)
    high = 1.0 if successes == n else min(1.0, middle + half)
    return Estimate(value=share, low=low, high=high, n=n)


def mean_of_fractions(parts: Sequence[Estimate]) -> Estimate:
    """The plain mean of independent fractions, with an interval recovered from theirs (MOVER).

    Args:
        parts: At least one fraction with its interval; ``n`` of the result is their sum.

    References:
        Zou, Donner, *Construction of confidence limits about effect measures* (2008), Statistics in
        Medicine 27, 1693-1702, section 2, for a sum of estimates.
    """
    count = len(parts)
    value = sum(part.value for part in parts) / count
    below = math.sqrt(sum((part.value - part.low) ** 2 for part in parts)) / count
    above = math.sqrt(sum((part.high - part.value) ** 2 for part in parts)) / count
    n = sum(part.n for part in parts)
    return Estimate(value=value, low=max(0.0, value - below), high=min(1.0, value + above), n=n)


def mean(values: Sequence[float], over: Literal["seeds", "draws"] = "draws") -> Estimate:
    """The mean of repeated measurements with Student's t interval.

    Args:
        values: At least two, independent of each other; differences of pairs, for instance.
        over: What was repeated.

    References:
        Student, *The probable error of a mean* (1908), Biometrika 6, 1-25.
    """
    n, middle = len(values), fmean(values)
    half = float(stdtrit(n - 1, 0.975)) * stdev(values) / math.sqrt(n)
    return Estimate(value=middle, low=middle - half, high=middle + half, n=n, over=over)
