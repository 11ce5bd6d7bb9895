"""Labels that are worth a look: confident learning, from probabilities that no picture's own label went into."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_TINY = 1e-12


@dataclass(frozen=True, eq=False)
class Doubts:
    """What speaks against each of n labels.

    Attributes:
        own: Probability of the label, in [0, 1] (n,): the lower, the more doubtful.
        likely: The most probable other class (n,).
        is_beaten: Whether that is more probable than the label (n,).
        is_sure: Whether the picture counts as one of another class by the confident joint (n,).
    """

    own: NDArray[np.float64]
    likely: NDArray[np.int64]
    is_beaten: NDArray[np.bool_]
    is_sure: NDArray[np.bool_]

    def ranked(self) -> NDArray[np.int64]:
        """Rows of the pictures whose label another class beats, the most doubtful first."""
        order = np.argsort(self.own, kind="stable")
        return order[self.is_beaten[order]]


def doubts(probabilities: NDArray[np.floating], labels: NDArray[np.int32]) -> Doubts:
    """Judges labels by probabilities of pictures that were left out, or not learned from.

    A class claims a picture whose probability for it is at least the mean probability that its own pictures have for
    it; a picture counts as of the most probable class that claims it (the confident joint).

    Args:
        probabilities: In [0, 1], (n, classes).
        labels: As given (n,).

    References:
        Northcutt, Jiang, Chuang, *Confident learning: estimating uncertainty in dataset labels* (2021), JAIR 70:
        section 3.1 for the joint, 3.2 for the label's own probability as the order.
    """
    rows = np.arange(len(labels))
    own = probabilities[rows, labels].astype(np.float64)
    others = probabilities.astype(np.float64)
    others[rows, labels] = -1
    likely = others.argmax(axis=1)
    counted = confident_classes(probabilities, labels)
    return Doubts(own, likely, others[rows, likely] > own, (counted >= 0) & (counted != labels))


def confident_classes(probabilities: NDArray[np.floating], labels: NDArray[np.int32]) -> NDArray[np.int64]:
    """The most probable class that claims each picture (n,); -1 where none does."""
    num_classes = probabilities.shape[1]
    counts = np.bincount(labels, minlength=num_classes)
    own = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    # A class without pictures claims none.
    least = np.where(counts > 0, np.bincount(labels, own, num_classes) / np.maximum(counts, 1), np.inf)
    claimed = np.where(probabilities >= least, probabilities, -1.0)
    return np.where(claimed.max(axis=1) >= 0, claimed.argmax(axis=1), -1)


def agreed(votes: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    """The geometric mean of several probabilities (n, classes), with rows that sum to 1.

    What one of them takes for granted, because its features were learned with the label, the others can deny.
    """
    logs = np.mean([np.log(np.maximum(vote, _TINY)) for vote in votes], axis=0)
    together = np.exp(logs - logs.max(axis=1, keepdims=True))
    return np.asarray(together / together.sum(axis=1, keepdims=True))
