"""Whether stated probabilities, sets and refusals keep what they promise, judged on labelled pictures. NumPy, scipy."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from whyconv.answer_sets import conformal_rank, least_probability
from whyconv.results import Acceptance, DebiasedError, Estimate, SetScore
from whyconv.training.chance import simulated_rights
from whyconv.training.intervals import share

SET_LEVEL = 0.95
_NUM_BINS, _LEAST_IN_BIN = 15, 10


def debiased_error(
    probabilities: NDArray[np.float32], labels: NDArray[np.int32], groups: NDArray[np.int64] | None = None
) -> DebiasedError:
    """Expected calibration error over bins of equally many pictures, less what chance alone would show.

    A recognizer whose probabilities are all true is simulated 1,000 times with the same first probabilities, always
    with the same seed: each answer is right with just that probability. The mean error of these is subtracted; the
    middle 95 % of theirs, less the same mean, are the band in which a perfectly calibrated recognizer would lie. Of
    more than 6,000 independent pictures, those that are neighbors in probability share their mean in the simulation;
    of so many copies that more than 20,000 would be wrong, sums of right answers are normal. So time and memory have a
    bound.

    Args:
        probabilities: In [0, 1], shape (n, classes).
        labels: The truth (n,), n >= 1.
        groups: Pictures with equal numbers (n,) are not independent, such as copies: chance answers them alike, so that
            it shows more; None: all are independent.

    References:
        Bröcker, Smith, *Increasing the reliability of reliability diagrams* (2007), Weather and Forecasting 22, for the
        simulation. Kumar, Liang, Ma, *Verified uncertainty calibration* (2019), arXiv 1909.10155, for the bias and for
        bins of equal mass.
    """
    n, sure = len(labels), probabilities.max(axis=1).astype(np.float64)
    order = np.argsort(sure, kind="stable")
    num_bins = max(1, min(_NUM_BINS, n // _LEAST_IN_BIN))
    starts = np.linspace(0, n, num_bins + 1).round().astype(int)[:-1]
    right = (probabilities.argmax(axis=1) == labels)[order]
    sure = sure[order]
    expected = np.add.reduceat(sure, starts)
    value = float(np.abs(np.add.reduceat(right, starts, dtype=np.int64) - expected).sum() / n)
    rights = simulated_rights(sure, starts, None if groups is None else groups[order])
    simulated = np.abs(rights - expected).sum(axis=1) / n
    bias = float(simulated.mean())
    low, high = np.quantile(simulated, [0.025, 0.975]) - bias
    return DebiasedError(value=value - bias, low=float(low), high=float(high), bias=bias, n=n, num_bins=num_bins)


def score_sets(
    probabilities: NDArray[np.float32],
    labels: NDArray[np.int32],
    truths: Sequence[float],
    level: float = SET_LEVEL,
    groups: NDArray[np.int64] | None = None,
) -> SetScore | None:
    """How often answer sets hold the truth; None where the validation pictures are too few for the level.

    Args:
        probabilities: Of the scored pictures (n, classes).
        labels: Their truth (n,), n >= 1.
        truths: Probability of the truth of each validation picture, ascending.
        level: As asked for, in (0, 1).
        groups: As in ``debiased_error``.
    """
    if conformal_rank(len(truths), level) is None:
        return None
    n, least = len(labels), least_probability(truths, level)
    own = probabilities[np.arange(n), labels]
    members = probabilities >= least
    first = probabilities.argmax(axis=1)
    members[np.arange(n), first] = True
    low, high = chance_band(number_alone(n, groups), len(truths), level)
    return SetScore(
        level=level,
        coverage=share(members[np.arange(n), labels], groups),
        bare_coverage=share(own >= least, groups),
        low=low,
        high=high,
        mean_size=float(members.sum(axis=1).mean()),
        n_fit=len(truths),
    )


def score_acceptance(
    novelty: NDArray[np.floating],
    threshold: float,
    is_right: NDArray[np.bool_],
    n_fit: int,
    level: float,
    groups: NDArray[np.int64] | None = None,
) -> Acceptance:
    """How many answers are not called unsure, and how many of them, and of the others, are right.

    Args:
        novelty: Of the scored pictures (n,), n >= 1.
        threshold: Above it an answer is unsure.
        is_right: Whether the first answer is (n,).
        n_fit: Validation pictures that the threshold follows from.
        level: The fraction that it was to accept, in (0, 1).
        groups: As in ``debiased_error``.
    """
    accepted = novelty <= threshold

    def right(rows: NDArray[np.bool_]) -> Estimate | None:
        return share(is_right[rows], None if groups is None else groups[rows]) if rows.any() else None

    low, high = chance_band(number_alone(len(accepted), groups), n_fit, level)
    return Acceptance(
        accepted=share(accepted, groups),
        low=low,
        high=high,
        accuracy_accepted=right(accepted),
        accuracy_unsure=right(~accepted),
        n_fit=n_fit,
    )


def number_alone(n: int, groups: NDArray[np.int64] | None) -> int:
    """How many independent pictures n pictures are worth, those of a group being alike: Kish's number, rounded."""
    if groups is None:
        return n
    sizes = np.unique(groups, return_counts=True)[1].astype(np.float64)
    return round(n**2 / float((sizes**2).sum()))


def chance_band(n: int, n_fit: int, level: float) -> tuple[float, float]:
    """Where the fraction of n pictures lies, 95 times in 100, that are within what was to hold ``level`` of all.

    Args:
        n: Pictures, n >= 1.
        n_fit: Pictures exchangeable with them that the bound follows from; enough for the level.
        level: In (0, 1).

    References:
        Vovk, *Conditional validity of inductive conformal predictors* (2012), section 2: given the pictures of the
        bound, coverage has a Beta distribution, so that the covered of n new ones have a beta-binomial one.
    """
    from scipy.stats import betabinom

    rank = conformal_rank(n_fit, level)
    assert rank is not None
    low, high = betabinom.ppf([0.025, 0.975], n, rank, n_fit + 1 - rank) / n
    return float(low), float(high)
