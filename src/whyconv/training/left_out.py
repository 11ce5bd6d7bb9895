"""What each picture is taken for by a classifier that has not seen it: all pictures left out, one by one, at no cost.

The classifier is a ridge regression on features, for which leaving a picture out is a formula and not a fit.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from whyconv.training.evaluate import fit_temperature, softmax

# Of the number of pictures: how strongly weights are held back; the least squared error of those left out decides.
PENALTIES = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1)
# Regression to 0 and 1 gives numbers of that size, temperatures are looked for between 0.05 and 20.
_SCALE = 10.0
_ROWS = 8192
# More features than these are mixed at random into so many: the time grows with their cube.
_MOST_FEATURES = 1280
# No picture decides its own score: rounding must not divide by 0.
_LEAST_LEFT = 1e-6
_LEAST_UNIT = 1e-6


def probabilities_left_out(
    features: NDArray[np.float32],
    labels: NDArray[np.int32],
    num_classes: int,
    copies: NDArray[np.int64] | None = None,
) -> NDArray[np.float64]:
    """Probabilities that follow for each picture from the labels of all others.

    A ridge regression from features to classes is fitted on all pictures but one and its copies, for each of them:
    by the formula, which is exact. One temperature, for all, makes scores probabilities.

    Args:
        features: Of the pictures (n, d), n >= 2.
        labels: As given (n,), indices of classes.
        num_classes: At least 2.
        copies: Pictures with the same number are left out together (n,); None: each alone.

    Returns:
        In [0, 1], (n, classes), rows sum to 1.

    References:
        Allen, *The relationship between variable selection and data augmentation and a method for prediction* (1974),
        Technometrics 16, for the formula (PRESS).
    """
    regression = Regression(features, labels, num_classes)
    tried = [regression.left_out(penalty, copies) for penalty in PENALTIES]
    best = min(tried, key=lambda scores: float(np.square(scores - regression.targets).sum()))
    scores = (_SCALE * best).astype(np.float32)
    return softmax(scores / fit_temperature(scores, labels))


class Regression:
    """Ridge regression of which every left-out score is known once the features are turned to their axes.

    Features are centered and divided by the root of the mean of their variances; a constant stands beside them.

    Args:
        features: (n, d).
        labels: (n,).
        num_classes: Of them.

    Attributes:
        targets: 1 at the label, else 0 (n, classes).
    """

    def __init__(self, features: NDArray[np.float32], labels: NDArray[np.int32], num_classes: int) -> None:
        self.targets = np.zeros((len(labels), num_classes))
        self.targets[np.arange(len(labels)), labels] = 1
        rows = _scaled(_mixed(features))
        self._lengths, axes = np.linalg.eigh(rows.T @ rows)
        # A few at a time, in place: of many pictures there is no room for two of these.
        for start in range(0, len(rows), _ROWS):
            rows[start : start + _ROWS] = rows[start : start + _ROWS] @ axes
        self._rows, self._sums = rows, rows.T @ self.targets

    def left_out(self, penalty: float, copies: NDArray[np.int64] | None = None) -> NDArray[np.float64]:
        """Scores (n, classes): of each picture by all others that are no copy of it.

        Args:
            penalty: On the squared weights, a multiple of n.
            copies: Pictures with the same number are left out together (n,).
        """
        held = np.maximum(self._lengths, 0) + penalty * len(self._rows)
        weights = 1 / held
        fitted = self._rows @ (weights[:, None] * self._sums)
        own = np.einsum("nd,nd,d->n", self._rows, self._rows, weights)[:, None]
        scores: NDArray[np.float64] = (fitted - own * self.targets) / np.maximum(1 - own, _LEAST_LEFT)
        for together in _groups(copies):
            rows, targets = self._rows[together], self.targets[together]
            if len(rows) > len(held):
                # What the others add up to: never singular, for the penalty is far above its rounding.
                others = np.diag(held) - rows.T @ rows
                scores[together] = rows @ np.linalg.solve(others, self._sums - rows.T @ targets)
                continue
            left = np.eye(len(rows)) - rows @ (weights[:, None] * rows.T)
            scores[together] = targets + np.linalg.lstsq(left, fitted[together] - targets, rcond=None)[0]
        return scores


def _mixed(features: NDArray[np.float32]) -> NDArray[np.float32]:
    """At most ``_MOST_FEATURES`` columns; distances between pictures stay nearly the same, on every machine."""
    width = features.shape[1]
    if width <= _MOST_FEATURES:
        return features
    mixing = np.random.default_rng(0).normal(0, _MOST_FEATURES**-0.5, (width, _MOST_FEATURES))
    return np.asarray(features @ mixing.astype(np.float32))


def _scaled(features: NDArray[np.float32]) -> NDArray[np.float64]:
    """Centered, of one common unit, with a column of ones."""
    rows = np.ones((len(features), features.shape[1] + 1))
    inner = rows[:, :-1]
    inner[:] = features
    inner -= inner.mean(axis=0)
    inner /= max(float(np.sqrt(np.einsum("nd,nd->", inner, inner) / inner.size)), _LEAST_UNIT)
    return rows


def _groups(copies: NDArray[np.int64] | None) -> Iterator[NDArray[np.int64]]:
    """Yields the rows of every two or more pictures that are copies."""
    if copies is None:
        return
    order = np.argsort(copies, kind="stable")
    for rows in np.split(order, np.flatnonzero(np.diff(copies[order])) + 1):
        if len(rows) > 1:
            yield rows
