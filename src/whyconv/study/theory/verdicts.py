"""From what was found to a verdict: does the interval lie on the expected side of a bound, beyond it, or around it?

No bound is taken from a result. Each follows from what is known of its task before anything is trained:

* *learned, not learned*: guessing is right in 1/2, the best possible rule in b, which is known (1 where the sample
  decides the label). Halfway, (1/2 + b) / 2, lies between what has learned and what has not.
* *order*: a ratio of samples against 1, a difference paired by seed against 0.
* *ceiling*: what no rule that sees so much can surpass, exact.
* *equal*: the same but for rounding.

Intervals are over seeds, each with a secret, samples, starting weights and test samples of its own: so they hold the
spread between seeds, and the binomial spread of an accuracy over so many test samples as well.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from whyconv.results import Architecture, Estimate, Expectation, SamplesNeeded, TheoryScore, Verdict
from whyconv.results.theory import ExpectationName
from whyconv.training.intervals import mean_weights

NUM_DRAWS = 2000
# Relative difference of logits that double precision may bring about.
ROUNDING = 1e-9


def at_least(low: float, high: float, bound: float) -> Verdict:
    """Expected: more than ``bound``."""
    if low >= bound:
        return "as_expected"
    return "contradicts" if high < bound else "not_at_this_size"


def at_most(low: float, high: float, bound: float) -> Verdict:
    """Expected: less than ``bound``."""
    return at_least(-high, -low, -bound)


def halfway(best: float, guessing: float = 0.5) -> float:
    """The bound between what has learned and what has not."""
    return (guessing + best) / 2


def not_below(low: float, high: float, bound: float) -> Verdict:
    """Known: as good as ``bound`` or better; so only an interval that lies below contradicts."""
    return not_above(-high, -low, -bound)


def not_above(low: float, high: float, bound: float) -> Verdict:
    """Known: nothing is above ``bound``; so only an interval that is contradicts."""
    del high
    return "contradicts" if low > bound else "as_expected"


def expect(
    name: ExpectationName,
    found: Estimate,
    bound: float,
    rule: Callable[[float, float, float], Verdict] = at_least,
    *,
    is_accuracy: bool = False,
    is_promised: bool = True,
) -> Expectation:
    """An expectation about an accuracy, or about a difference of accuracies.

    Args:
        name: Which.
        found: With its interval over seeds.
        bound: What it is compared with.
        rule: How.
        is_accuracy: Whether it is one; else a difference.
        is_promised: Whether the self-test fails where it is not as expected.
    """
    return Expectation(
        name=name,
        unit="accuracy" if is_accuracy else "points",
        bound=bound,
        value=found.value,
        low=max(-1.0, found.low),
        high=min(1.0, found.high),
        n=found.n,
        is_promised=is_promised,
        verdict=rule(found.low, found.high, bound),
    )


def expect_equal_logits(name: ExpectationName, differences: Sequence[float]) -> Expectation:
    """An expectation that two pictures are answered alike, whatever the weights: certified, but for rounding.

    Args:
        name: Which.
        differences: Largest relative difference of logits, for each seed's network, in double precision.
    """
    largest = max(differences)
    return Expectation(
        name=name,
        unit="logits",
        bound=ROUNDING,
        value=largest,
        low=largest,
        high=largest,
        n=len(differences),
        is_promised=True,
        verdict="as_expected" if largest <= ROUNDING else "contradicts",
    )


def samples_for(sizes: Sequence[int], accuracy: Sequence[float], target: float) -> float:
    """Samples with which the target is reached: straight lines in log n through the rising envelope of the accuracies.

    Args:
        sizes: Rising.
        accuracy: At each size; where it falls, the best of the smaller sizes counts.
        target: An accuracy.

    Returns:
        The least size where that already reaches the target; infinity where none does.
    """
    risen = np.maximum.accumulate(np.asarray(accuracy, np.float64))
    first = int(np.searchsorted(risen, target))
    if first == len(sizes):
        return math.inf
    if first == 0:
        return float(sizes[0])
    part = (target - risen[first - 1]) / (risen[first] - risen[first - 1])
    return math.exp(math.log(sizes[first - 1]) * (1 - part) + math.log(sizes[first]) * part)


class Needs:
    """Samples needed by several networks, and their ratios, over the same weights of seeds.

    Args:
        scores: Of each network, at the same sizes and for the same seeds.
        target: Accuracy to be reached.
        seed: Of the weights.

    References:
        Weerahandi, *Generalized confidence intervals* (1993), JASA 88, 899-905: percentiles over weights under which
        means spread as Student's t says. Five seeds drawn anew (bootstrap) would spread too little.
    """

    def __init__(self, scores: Sequence[TheoryScore], target: float, seed: int) -> None:
        self._sizes = sorted({one.n_train for one in scores if one.n_train is not None})
        self._target = target
        networks = list(dict.fromkeys(one.network for one in scores))
        by_size = {(one.network, one.n_train): one.by_seed for one in scores}
        # (sizes, seeds) of every network.
        self._accuracy = {one: np.array([by_size[one, size] for size in self._sizes]) for one in networks}
        self._num_seeds = next(iter(self._accuracy.values())).shape[1]
        random = np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, len(scores)])))
        self._weights = mean_weights(self._num_seeds, NUM_DRAWS, random)[1:]

    def needed(self, network: Architecture) -> SamplesNeeded:
        """With its interval."""
        low, high = _percentiles(self._drawn(network))
        return SamplesNeeded(network=network, value=_finite(self._value(network)), low=_finite(low), high=_finite(high))

    def ratio(self, name: ExpectationName, more: Architecture, less: Architecture, *, is_promised: bool) -> Expectation:
        """How many times as many ``more`` needs: expected to be above 1.

        Where ``more`` never reaches the target, the largest size takes its place: the ratio is at least so much. Where
        ``less`` never does, nothing is known, and 0 takes the ratio's place.
        """
        value, draws = self._value(more) / self._value(less), self._drawn(more, self._sizes[-1]) / self._drawn(less)
        low, high = _percentiles(draws)
        is_open = bool(np.quantile(self._drawn(more), 0.975, method="higher") == math.inf)
        least = min(self._value(more), self._sizes[-1]) / self._value(less)
        return Expectation(
            name=name,
            unit="times",
            bound=1.0,
            value=value if math.isfinite(value) else None,
            low=low,
            high=None if is_open else high,
            n=self._num_seeds,
            at_least=None if math.isfinite(value) else least,
            is_promised=is_promised,
            verdict=at_least(low, math.inf if is_open else high, 1.0) if low != 1.0 else "not_at_this_size",
        )

    def _value(self, network: Architecture) -> float:
        return samples_for(self._sizes, self._accuracy[network].mean(1).tolist(), self._target)

    def _drawn(self, network: Architecture, most: float = math.inf) -> NDArray[np.float64]:
        means = (self._accuracy[network] @ self._weights.T).clip(0, 1).T
        found = [samples_for(self._sizes, one.tolist(), self._target) for one in means]
        return np.array([min(one, most) for one in found])


def _percentiles(draws: NDArray[np.float64]) -> tuple[float, float]:
    low, high = (float(np.quantile(draws, part, method="nearest")) for part in (0.025, 0.975))
    return low, high


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
