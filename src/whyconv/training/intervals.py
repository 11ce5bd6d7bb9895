"""95 % intervals for fractions and means that were measured. How often each holds the truth: docs/trust.md."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import fmean, stdev
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, stdtrit  # scipy.stats takes a second and a half to load

from whyconv.results import Estimate

_Z = 1.959963984540054
# Squares of deviations below this are rounding: all values are alike.
_ALIKE = 1e-15

Floats = NDArray[np.float64]


def fraction(successes: int, n: int) -> Estimate:
    """The fraction ``successes / n`` with Wilson's score interval, which holds at 0 % and 100 % too.

    Args:
        successes: From 0 to ``n``.
        n: Independent trials, >= 1.

    References:
        Wilson, *Probable inference, the law of succession, and statistical inference* (1927), JASA 22.
    """
    low, high = wilson(successes / n, n)
    return Estimate(value=successes / n, low=low, high=high, n=n)


def wilson(value: float, n: float, reach: float = _Z) -> tuple[float, float]:
    """The ends of Wilson's interval of a fraction of n, which need not be whole; ``reach`` is the quantile."""
    spread = 1 + reach**2 / n
    middle = (value + reach**2 / (2 * n)) / spread
    half = reach * math.sqrt(value * (1 - value) / n + reach**2 / (4 * n**2)) / spread
    # At the ends the exact interval touches 0 or 1; rounding must not leave it 1e-17 beside.
    return 0.0 if value == 0 else max(0.0, middle - half), 1.0 if value == 1 else min(1.0, middle + half)


def share(values: NDArray[np.floating] | NDArray[np.bool_], groups: NDArray[np.int64] | None = None) -> Estimate:
    """The mean of values in [0, 1], one of each picture, with Wilson's interval at the effective number of pictures.

    Where the values themselves say how they spread, as fractions and groups do, the quantile is Student's.

    Args:
        values: (n,), n >= 1; of zeros and ones of independent pictures it is ``fraction``.
        groups: Pictures with equal numbers (n,) are not independent, such as copies; None: all are.

    References:
        Korn, Graubard, *Confidence intervals for proportions with small expected number of positive counts estimated
        from survey data* (1998), Survey Methodology 24, for the effective number; Dean, Pagano, *Evaluating confidence
        interval methods for binomial proportions in clustered surveys* (2015), JSSAM 3, for Wilson's interval with it.
    """
    numbers = np.asarray(values, np.float64)
    value, n = float(numbers.mean()), len(numbers)
    low, high = wilson(value, effective_number(numbers, groups), _reach(numbers, groups))
    return Estimate(value=value, low=low, high=high, n=n)


def mean_of_shares(
    values: NDArray[np.bool_], parts: NDArray[np.integer], groups: NDArray[np.int64] | None = None
) -> Estimate:
    """The plain mean over parts of the shares of their values, with Wilson's interval at an effective number.

    That number is the one at which a fraction would spread as the mean does. A part's spread is computed with the
    mean of all added as one picture, and with four more, half of them right, for as many parts as decide the spread:
    so parts that are answered rightly throughout have one. Groups that lie within parts are counted there, as by
    ``share``; where one has pictures of several parts, the parts are not independent either, and the whole mean spreads
    by the design effect more.

    Args:
        values: Whether each picture is answered rightly (n,), n >= 1.
        parts: Which part, a class for instance, it belongs to (n,).
        groups: As in ``share``.

    References:
        Price, Bonett, *An improved confidence interval for a linear function of binomial proportions* (2004),
        Computational Statistics & Data Analysis 45, 449-456, for what is added. Kish, *Survey Sampling* (1965), section
        8.2, for the design effect.
    """
    across = groups if groups is not None and _cross(parts, groups) else None
    within = groups if across is None else None
    rows = [np.flatnonzero(parts == part) for part in np.unique(parts)]
    right = [values[each].astype(np.float64) for each in rows]
    means = np.array([each.mean() for each in right])
    numbers = np.array(
        [effective_number(own, None if within is None else within[each]) for own, each in zip(right, rows, strict=True)]
    )
    value, effective, reach = float(means.mean()), _effective_of_parts(means, numbers), _Z
    if across is not None:
        effective, reach = effective / _design_effect(values, parts, across), _reach(values.astype(np.float64), across)
    low, high = wilson(value, effective, reach)
    return Estimate(value=value, low=low, high=high, n=len(values))


def _cross(parts: NDArray[np.integer], groups: NDArray[np.int64]) -> bool:
    """Whether a group has pictures of several parts."""
    return len(np.unique(np.column_stack([groups, parts]), axis=0)) > len(np.unique(groups))


def _design_effect(values: NDArray[np.bool_], parts: NDArray[np.integer], groups: NDArray[np.int64]) -> float:
    """By how many times the mean of shares varies more than of independent pictures, >= 1.

    How alike those of a group are, each around the share of its own part, is estimated with one more group added whose
    values are all alike, as in ``effective_number``.
    """
    _, part, sizes = np.unique(parts, return_inverse=True, return_counts=True)
    _, group = np.unique(groups, return_inverse=True)
    weights, means = 1 / (len(sizes) * sizes[part]), np.bincount(part, values) / sizes
    deviations = weights * (values - means[part])
    largest, own = float((weights**2).sum()), float((deviations**2).sum())
    larger = float((np.bincount(group, weights) ** 2).sum()) / largest - 1
    pairs = float((np.bincount(group, deviations) ** 2).sum()) - own
    middle = float(means.mean())
    added = larger * largest / len(values) * max(middle, 1 - middle) ** 2
    return 1 + larger * min(1.0, max(0.0, (pairs + added) / (larger * own + added)))


def _effective_of_parts(means: Floats, numbers: Floats) -> float:
    deciding = (1 / numbers).sum() ** 2 / (numbers**-2.0).sum()
    added = 4 / deciding
    total = numbers + added + 1
    middles = (means * numbers + added / 2 + means.mean()) / total
    # The estimate of a part's spread from its own pictures is too small by the second factor.
    spreads = middles * (1 - middles) / numbers / (1 - numbers / total**2 * (1 - 1 / deciding))
    middle = float(middles.mean())
    return middle * (1 - middle) * len(means) ** 2 / float(spreads.sum())


def effective_number(values: Floats, groups: NDArray[np.int64] | None = None) -> float:
    """How many independent zeros and ones have a mean that spreads as that of these values does.

    That is n for zeros and ones, more for values between, and fewer where those of a group are alike. How alike they
    are is estimated with one more group added whose values are all alike; where all values are alike, that is all
    there is, and a group counts no more than a picture.

    Args:
        values: In [0, 1], (n,).
        groups: As in ``share``.
    """
    n, middle = len(values), float(values.mean())
    squares = (values - middle) ** 2
    between = n * middle * (1 - middle) / float(squares.sum()) if squares.sum() > _ALIKE * n else 1.0
    if groups is None:
        return n * between
    _, numbers, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    larger = float((sizes**2).sum()) / n - 1
    within = np.bincount(numbers, squares)
    pairs = float((np.bincount(numbers, values - middle) ** 2 - within).sum())
    at_most, added = float(((sizes - 1) * within).sum()), larger * max(middle, 1 - middle) ** 2
    alike = min(1.0, max(0.0, (pairs + added) / (at_most + added))) if larger > 0 else 0.0
    return n * between / (1 + alike * larger)


def _reach(values: Floats, groups: NDArray[np.int64] | None) -> float:
    """The quantile: of the normal distribution for independent zeros and ones, else Student's."""
    num_groups = len(values) if groups is None else len(np.unique(groups))
    is_counted = bool(((values == 0) | (values == 1)).all())
    if (is_counted and num_groups == len(values)) or num_groups < 2:
        return _Z
    return float(stdtrit(num_groups - 1, 0.975))


def paired(differences: Floats) -> Estimate:
    """Mean of paired differences of right answers with an interval over pictures.

    Two pictures are added for the interval, one of either sign: so it holds where few pictures differ, or none.

    Args:
        differences: In [-1, 1] (n,): of each picture, right by the first less right by the second; means over several
            trainings too.

    References:
        Bonett, Price, *Adjusted Wald confidence interval for a difference of binomial proportions based on paired
        data* (2012), Journal of Educational and Behavioral Statistics 37, 479-488.
    """
    added = np.concatenate([differences, [1.0, -1.0]])
    half = _Z * math.sqrt(float(added.var()) / len(added))
    middle = float(added.mean())
    low, high = max(-1.0, middle - half), min(1.0, middle + half)
    value = float(differences.mean())
    return Estimate(value=value, low=min(low, value), high=max(high, value), n=len(differences))


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


def mean_weights(n: int, count: int, random: np.random.Generator) -> Floats:
    """Weights of n measurements: what is computed from means so weighted spreads as Student's t says.

    For few measurements: means of n that are drawn anew never leave the range of the n, and so spread too little.

    Args:
        n: Measurements, >= 2.
        count: Of rows that are drawn.
        random: Where they come from.

    Returns:
        (count + 1, n), each row adding up to 1, some weights below 0; the first row is 1 / n throughout.

    References:
        Weerahandi, *Generalized confidence intervals* (1993), JASA 88, 899-905, for the mean of normal measurements.
    """
    normal = random.standard_normal((count, n))
    scale = np.sqrt((n - 1) / random.chisquare(n - 1, (count, 1)) / (n * (n - 1)))
    drawn = 1 / n + (normal - normal.mean(axis=1, keepdims=True)) * scale
    return np.concatenate([np.full((1, n), 1 / n), drawn])


def bootstrap_ends(n: int) -> tuple[float, float]:
    """Which points of a bootstrap of n units are the ends of a 95 % interval: farther out than 2.5 and 97.5 %.

    References:
        Hesterberg, *What teachers should know about the bootstrap* (2015), The American Statistician 69, 371-386,
        section 4.3, for expanded percentiles.
    """
    low = float(ndtr(-math.sqrt(n / (n - 1)) * stdtrit(n - 1, 0.975)))
    return low, 1 - low
