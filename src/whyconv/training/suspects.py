"""Labels that are worth a look: confident learning, from probabilities that no picture's own label went into."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from whyconv.training.pixel_rows import row_blocks

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
    own = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    likely, is_beaten = np.zeros(len(labels), np.int64), np.zeros(len(labels), bool)
    for some in row_blocks(*probabilities.shape):
        others, places = probabilities[some].astype(np.float64), np.arange(len(labels[some]))
        others[places, labels[some]] = -1
        likely[some] = others.argmax(axis=1)
        is_beaten[some] = others[places, likely[some]] > own[some]
    counted = confident_classes(probabilities, labels)
    return Doubts(own, likely, is_beaten, (counted >= 0) & (counted != labels))


def confident_classes(probabilities: NDArray[np.floating], labels: NDArray[np.int32]) -> NDArray[np.int64]:
    """The most probable class that claims each picture (n,); -1 where none does."""
    num_classes = probabilities.shape[1]
    counts = np.bincount(labels, minlength=num_classes)
    own = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    # A class without pictures claims none.
    least = np.where(counts > 0, np.bincount(labels, own, num_classes) / np.maximum(counts, 1), np.inf)
    found = np.full(len(labels), -1, np.int64)
    for some in row_blocks(*probabilities.shape):
        claimed = np.where(probabilities[some] >= least, probabilities[some], -1.0)
        found[some] = np.where(claimed.max(axis=1) >= 0, claimed.argmax(axis=1), -1)
    return found


def agreed(votes: Iterable[NDArray[np.floating]]) -> NDArray[np.floating]:
    """The geometric mean of several probabilities (n, classes), with rows that sum to 1.

    What one of them takes for granted, because its features were learned with the label, the others can deny. Of votes
    that are made one by one there are two tables in memory at a time.

    Args:
        votes: At least one.
    """
    logs, count = np.zeros((0, 0)), 0
    for vote in votes:
        logs = logs if count else np.zeros_like(vote)
        for some in row_blocks(*vote.shape):
            logs[some] += np.log(np.maximum(vote[some], _TINY))
        count += 1
        # Else it would be kept until the next one is there.
        del vote
    for some in row_blocks(*logs.shape):
        together = np.exp((logs[some] - logs[some].max(axis=1, keepdims=True)) / count)
        logs[some] = together / together.sum(axis=1, keepdims=True)
    return logs
