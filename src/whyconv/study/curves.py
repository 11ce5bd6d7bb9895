"""Learning curves read in pictures: how many a corner needs, how many times as many as another, how errors fall.

A curve is the mean test accuracy over draws at each number of pictures, made monotone (more pictures never hurt: the
best so far), straight between its points along log n. Intervals are over draws, paired: 2,000 times each draw gets a
weight at random, the same for all corners, so that weighted means spread as Student's t says. Draws drawn anew
(bootstrap) would spread too little: with five of them, intervals held the truth 85 times in 100.

References:
    Weerahandi, *Generalized confidence intervals* (1993), JASA 88, 899-905, for percentiles of such means.
    Hestness and others, *Deep learning scaling is predictable, empirically* (2017), arXiv 1712.00409, for
    error = a n^-b + c.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from whyconv.results import Crossing, Estimate
from whyconv.training.intervals import mean_weights

NUM_WEIGHTINGS = 2000
_FLOORS = 60  # that are tried, evenly below the least error


def draw_weights(num_draws: int, seed: int = 0) -> NDArray[np.float64]:
    """Weights of the draws (weightings + 1, draws); the first row weighs all alike."""
    random = np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, num_draws])))
    return mean_weights(num_draws, NUM_WEIGHTINGS, random)


def log_needed(
    sizes: Sequence[int], by_draw: NDArray[np.float64], target: float, weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Natural logarithm of the pictures needed for a target, for every weighting of the draws.

    Args:
        sizes: Numbers of pictures, rising.
        by_draw: Accuracies (sizes, draws).
        target: Accuracy.
        weights: From ``draw_weights``.

    Returns:
        (weightings + 1,); inf where the curve never arrives, -inf where its first point is there already.
    """
    curves = np.maximum.accumulate((by_draw @ weights.T).clip(0, 1), axis=0)
    places = np.log(np.asarray(sizes, float))
    return np.array([_crossing(places, curve, target) for curve in curves.T])


def _crossing(places: NDArray[np.float64], curve: NDArray[np.float64], target: float) -> float:
    there = np.flatnonzero(curve >= target - 1e-12)
    if not len(there):
        return np.inf
    after = int(there[0])
    if after == 0:
        return -np.inf
    low, high = curve[after - 1], curve[after]
    part = (target - low) / (high - low)
    return float(places[after - 1] + part * (places[after] - places[after - 1]))


def crossing(logs: NDArray[np.float64], sizes: Sequence[int], n: int) -> Crossing:
    """Pictures needed from their logarithms: the first is the value, the others make the interval."""
    low, high = _ends(logs[1:])
    value = float(logs[0])
    return Crossing(
        value=float(np.exp(value)) if np.isfinite(value) else None,
        low=None if low == -np.inf else float(np.exp(min(low, np.log(sizes[-1])))),
        high=None if high == np.inf else float(np.exp(max(high, np.log(sizes[0])))),
        above=float(sizes[-1]) if value == np.inf else None,
        below=float(sizes[0]) if value == -np.inf else None,
        n=n,
    )


def ratio(first: NDArray[np.float64], second: NDArray[np.float64], sizes: Sequence[int], n: int) -> Crossing:
    """How many times as many pictures the first needs as the second, from the logarithms of both.

    What was not reached is known to need more than the largest set, what was reached at once less than the smallest;
    so the ratio may be known only to be above, or below, a number; or not at all.
    """
    last, begin = float(np.log(sizes[-1])), float(np.log(sizes[0]))
    least = np.array([_least(a, b, begin, last) for a, b in zip(first, second, strict=True)])
    most = np.array([_most(a, b, begin, last) for a, b in zip(first, second, strict=True)])
    low, high = _ends(least[1:])[0], _ends(most[1:])[1]
    known = np.isfinite(first[0]) and np.isfinite(second[0])
    return Crossing(
        value=float(np.exp(least[0])) if known else None,
        low=float(np.exp(low)) if np.isfinite(low) else None,
        high=float(np.exp(high)) if np.isfinite(high) else None,
        above=float(np.exp(least[0])) if not known and np.isfinite(least[0]) else None,
        below=float(np.exp(most[0])) if not known and np.isfinite(most[0]) else None,
        n=n,
    )


def _least(first: float, second: float, begin: float, last: float) -> float:
    """The least that the logarithm of the ratio can be."""
    if first == -np.inf or second == np.inf:
        return -np.inf
    return min(first, last) - max(second, begin)


def _most(first: float, second: float, begin: float, last: float) -> float:
    if first == np.inf or second == -np.inf:
        return np.inf
    return max(first, begin) - min(second, last)


def _ends(values: NDArray[np.float64]) -> tuple[float, float]:
    """The 2.5th and 97.5th percentile, of values that may be infinite: no interpolation between neighbors."""
    ordered = np.sort(values)
    last = len(ordered) - 1
    return float(ordered[int(np.floor(0.025 * last))]), float(ordered[int(np.ceil(0.975 * last))])


def targets(best: float, chance: float) -> list[float]:
    """Three accuracies: half, three quarters and nine tenths of the way from chance to the best, in whole percent.

    Fewer, or none, where the best is hardly above chance.
    """
    found = {round(chance + part * (best - chance), 2) for part in (0.5, 0.75, 0.9)}
    return sorted(target for target in found if chance < target <= best)


def exponent(
    sizes: Sequence[int], by_draw: NDArray[np.float64], weights: NDArray[np.float64]
) -> tuple[Estimate, float] | None:
    """Fits error = a n^-b + c to a learning curve.

    For each of 60 floors c, evenly from 0 to below the least error, a straight line is fitted to log(error - c) over
    log n by least squares in these logarithms; -b is its slope. The floor whose curve has the least squares in the
    errors themselves is taken: b is not what least squares in a, b and c at once would give.

    Args:
        sizes: At least 3 numbers of pictures.
        by_draw: Accuracies (sizes, draws).
        weights: From ``draw_weights``.

    Returns:
        b with its interval, and c: 0 where there are fewer than 5 sizes. None where the curve has fewer than 3 points
        or reaches an error of 0, which no power of n is.
    """
    errors = 1 - (by_draw @ weights.T).clip(0, 1)
    if len(sizes) < 3 or errors[:, 0].min() <= 0:
        return None
    places = np.log(np.asarray(sizes, float))
    # Weighted otherwise, an error may happen to be 0: half the smallest of the others is put there.
    least = errors[errors > 0].min() / 2
    powers, floors = _powers(places, np.maximum(errors, least), num_floors=_FLOORS if len(sizes) >= 5 else 1)
    low, high = _ends(powers[1:])
    found = Estimate(value=float(powers[0]), low=low, high=high, n=by_draw.shape[1], over="draws")
    return found, float(floors[0])


def _powers(
    places: NDArray[np.float64], errors: NDArray[np.float64], num_floors: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The exponent and the floor: for each floor a line by least squares in logarithms, of them the best in errors.

    Args:
        places: Logarithms of the numbers of pictures (sizes,).
        errors: Above 0 (sizes, curves); all curves are fitted at once.
        num_floors: That are tried, the first of them 0.

    Returns:
        Both (curves,).
    """
    floors = np.linspace(0, errors.min(0), num_floors, endpoint=False)
    logs, centered = np.log(errors - floors[:, None]), places - places.mean()
    slopes = np.einsum("s,fsc->fc", centered, logs) / np.square(centered).sum()
    lines = logs.mean(1, keepdims=True) + slopes[:, None] * centered[:, None]
    best = np.square(np.exp(lines) + floors[:, None] - errors).sum(1).argmin(0)
    curves = np.arange(errors.shape[1])
    return -slopes[best, curves], floors[best, curves]
