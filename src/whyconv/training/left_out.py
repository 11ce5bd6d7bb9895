"""What each picture is taken for by a classifier that has not seen it: all pictures left out, one by one, at no cost.

The classifier is a ridge regression on features, for which leaving a picture out is a formula and not a fit.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from whyconv.training.evaluate import fit_temperature, softmax
from whyconv.training.pixel_rows import evenly_chosen, row_blocks

# Of the number of pictures: how strongly weights are held back; the least squared error of those left out decides.
PENALTIES = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1)
# Regression to 0 and 1 gives numbers of that size, temperatures are looked for between 0.05 and 20.
_SCALE = 10.0
_ROWS = 8192
# Cells of the table of scores that the temperature follows from: 100 classes of 50,000 pictures.
_MOST_FITTED = 5_000_000
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
) -> NDArray[np.float32]:
    """Probabilities that follow for each picture from the labels of all others.

    A ridge regression from features to classes is fitted on all pictures but one and its copies, for each of them:
    by the formula, which is exact. One temperature, for all, makes scores probabilities; of large tables it follows
    from pictures evenly chosen. Of such tables there is one in memory, the result.

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
    scores = np.empty((len(labels), num_classes), np.float32)
    errors = [regression.squared_error(regression.left_out(penalty, copies, scores)) for penalty in PENALTIES]
    regression.left_out(PENALTIES[int(np.argmin(errors))], copies, scores)
    scores *= _SCALE
    few = evenly_chosen(len(labels), max(2, _MOST_FITTED // num_classes))
    temperature = fit_temperature(scores[few], labels[few])
    for rows in row_blocks(*scores.shape):
        scores[rows] = softmax(scores[rows] / temperature)
    return scores


class Regression:
    """Ridge regression of which every left-out score is known once the features are turned to their axes.

    Features are centered and divided by the root of the mean of their variances; a constant stands beside them.

    Args:
        features: (n, d).
        labels: (n,).
        num_classes: Of them.
    """

    def __init__(self, features: NDArray[np.float32], labels: NDArray[np.int32], num_classes: int) -> None:
        self._labels, self._num_classes = labels, num_classes
        rows = _scaled(_mixed(features))
        self._lengths, axes = np.linalg.eigh(rows.T @ rows)
        # A few at a time, in place: of many pictures there is no room for two of these.
        for start in range(0, len(rows), _ROWS):
            rows[start : start + _ROWS] = rows[start : start + _ROWS] @ axes
        self._rows = rows
        self._sums = self._sums_of(np.arange(len(rows)))

    def left_out(
        self,
        penalty: float,
        copies: NDArray[np.int64] | None = None,
        scores: NDArray[np.floating] | None = None,
    ) -> NDArray[np.floating]:
        """Scores (n, classes): of each picture by all others that are no copy of it.

        Args:
            penalty: On the squared weights, a multiple of n.
            copies: Pictures with the same number are left out together (n,).
            scores: What they are written to; None: an array of their own.
        """
        if scores is None:
            scores = np.empty((len(self._rows), self._num_classes))
        held = np.maximum(self._lengths, 0) + penalty * len(self._rows)
        weights = 1 / held
        own = np.einsum("nd,nd,d->n", self._rows, self._rows, weights)[:, None]
        weighted = weights[:, None] * self._sums
        for some in row_blocks(*scores.shape):
            alone = self._rows[some] @ weighted - own[some] * self._targets(some)
            scores[some] = alone / np.maximum(1 - own[some], _LEAST_LEFT)
        for together in _groups(copies):
            rows = self._rows[together]
            if len(rows) > len(held):
                # What the others add up to: never singular, for the penalty is far above its rounding.
                found = np.linalg.solve(np.diag(held) - rows.T @ rows, self._sums - self._sums_of(together))
                for some in row_blocks(len(rows), self._num_classes):
                    scores[together[some]] = rows[some] @ found
                continue
            left, targets = np.eye(len(rows)) - rows @ (weights[:, None] * rows.T), self._targets(together)
            scores[together] = targets + np.linalg.lstsq(left, rows @ weighted - targets, rcond=None)[0]
        return scores

    def squared_error(self, scores: NDArray[np.floating]) -> float:
        """The sum of squared differences of scores (n, classes) to 1 at the label and 0 elsewhere."""
        blocks = row_blocks(*scores.shape)
        return sum(float(np.square(scores[some] - self._targets(some)).sum()) for some in blocks)

    def _targets(self, some: slice | NDArray[np.int64]) -> NDArray[np.float64]:
        """1 at the label, else 0, of some pictures (some, classes)."""
        labels = self._labels[some]
        targets = np.zeros((len(labels), self._num_classes))
        targets[np.arange(len(labels)), labels] = 1
        return targets

    def _sums_of(self, pictures: NDArray[np.int64]) -> NDArray[np.float64]:
        """The features' sum over the pictures of each class (features, classes)."""
        sums = np.zeros((self._rows.shape[1], self._num_classes))
        for some in row_blocks(len(pictures), self._num_classes):
            sums += self._rows[pictures[some]].T @ self._targets(pictures[some])
        return sums


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
