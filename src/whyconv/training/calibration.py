"""How far stated probabilities are from what comes true: the expected calibration error, with an interval that holds.

Drawing the pictures anew (bootstrap) would not do: the error of few pictures is too high, that of pictures drawn anew
higher still, and of perfect probabilities the interval never holds the true error, which is 0.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from whyconv.results import Estimate
from whyconv.training.reliability import number_alone

NUM_BINS = 15
_NUM_DRAWS, _HALVINGS = 2000, 30
# Pictures added to a bin for its spread: as right as was said, and half of them right.
_AS_SAID, _HALF = 4.0, 1.0
_TAIL, _SMALL = 0.025, 0.1
# Deviations beyond the largest gap that the greatest true error is looked for in.
_FAR = 10.0

Floats = NDArray[np.float64]


def calibration_error(
    probabilities: NDArray[np.float32], labels: NDArray[np.int32], groups: NDArray[np.int64] | None = None
) -> Estimate:
    """Expected calibration error in [0, 1], 15 equally wide bins of the first answer's probability; lower is better.

    Biased upward for small n. The interval holds the true errors under which so high an error would be seen more than
    25 times in 1,000, and so low a one more than 25 times in 1,000 of those in which perfect probabilities show it; and
    the value itself, where it lies above them.

    Args:
        probabilities: In [0, 1], shape (n, classes), rows sum to 1.
        labels: The truth (n,), n >= 1.
        groups: Pictures with equal numbers (n,) are not independent, such as copies: they are taken to be answered
            alike; None: all are independent.

    References:
        Guo, Pleiss, Sun, Weinberger, *On calibration of modern neural networks* (2017), arXiv 1706.04599, eq. 3.
        Carpenter, *Test inversion bootstrap confidence intervals* (1999), JRSS B 61, 159-172, for the interval. Read,
        *Presentation of search results: the CLs technique* (2002), J. Phys. G 28, for its upper end, which is not 0
        where the error is less than even perfect probabilities would show.
    """
    n = len(labels)
    bins = _bins(probabilities, labels, groups)
    value = float(bins.gaps.sum())
    low, high = bins.ends()
    return Estimate(value=value, low=min(low, value), high=min(1.0, max(high, value)), n=n)


@dataclass(frozen=True, eq=False)
class _Bins:
    """Of each bin that holds pictures: its part of the error, and the standard deviation of that part."""

    gaps: Floats
    spreads: Floats

    def ends(self) -> tuple[float, float]:
        """The least and the greatest true error that go with what was seen."""
        half = np.random.default_rng(0).standard_normal((_NUM_DRAWS // 2, len(self.gaps))) * self.spreads
        drawn, seen = np.concatenate([half, -half]), float(self.gaps.sum())

        def errors(shrunk: float) -> Floats:
            return np.asarray(np.abs(self._shrunk(shrunk) + drawn).sum(axis=1))

        most = float((self.gaps / self.spreads).max()) + 1
        chance = errors(most)
        small = max(seen, float(np.quantile(chance, _SMALL)))  # of less, draws are too few to tell
        rare = _TAIL * float((chance <= small).mean())
        first = _last(lambda by: bool((errors(by) >= seen).mean() >= _TAIL), -most - _FAR, most)
        second = _last(lambda by: bool((errors(by) <= small).mean() < rare), -most - _FAR, most)
        return float(self._shrunk(first).sum()), float(self._shrunk(second).sum())

    def _shrunk(self, by: float) -> Floats:
        """The gaps, each less so many of its deviations, from 0: a line of true errors through what was seen."""
        return np.maximum(self.gaps - by * self.spreads, 0)


def _bins(probabilities: NDArray[np.float32], labels: NDArray[np.int32], groups: NDArray[np.int64] | None) -> _Bins:
    n, sure = len(labels), probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == labels
    places = np.clip(np.ceil(sure * NUM_BINS).astype(int) - 1, 0, NUM_BINS - 1)
    counts = np.bincount(places, minlength=NUM_BINS).astype(np.float64)
    is_used = counts > 0
    said, found = (np.bincount(places, each, NUM_BINS)[is_used] for each in (sure.astype(np.float64), right))
    counts = counts[is_used]
    together = n / number_alone(n, groups)
    # Of copies, what is added to a bin are as many groups: single pictures would hardly move what few groups say.
    added = together * (_AS_SAID * said / counts + _HALF / 2)
    likely = (found + added) / (counts + together * (_AS_SAID + _HALF))
    return _Bins(np.abs(found - said) / n, np.sqrt(together * counts * likely * (1 - likely)) / n)


def _last(holds: Callable[[float], bool], low: float, high: float) -> float:
    """Where what holds at ``low`` ceases to."""
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low
