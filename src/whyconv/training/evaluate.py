"""Answers and truths in, scores out: accuracy, per class, confusion, calibration. NumPy only."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from whyconv.results import SURE, Calibration, ClassScore, Confusion, Estimate, Evaluation, Unreadable, WrongAnswer
from whyconv.training.intervals import mean_of_shares, share
from whyconv.training.reliability import debiased_error

_MOST_CONFUSED = 10
_SUREST_WRONG = 12
# A table of more classes has more cells than a summary may hold: of those it is made of so many.
_MOST_TABLED, _TABLED_OF_MANY = 300, 100
# Of more classes, so many have a score of their own.
MOST_SCORED = 10_000
_TINY = 1e-12


def score(  # noqa: PLR0913
    probabilities: NDArray[np.float32],
    labels: NDArray[np.int32],
    *,
    classes: Sequence[str],
    names: Sequence[str],
    part: str,
    calibration: Calibration | None = None,
    left_out: Sequence[Unreadable] = (),
    groups: NDArray[np.int64] | None = None,
) -> Evaluation:
    """Scores the answers on one part of the pictures.

    Args:
        probabilities: In [0, 1], shape (n, classes), rows sum to 1.
        labels: The truth, indices into ``classes``, shape (n,).
        classes: Names of the columns.
        names: Of the pictures, for the list of wrong answers.
        part: "validation", "test", or where the pictures come from.
        calibration: As fitted; carried along.
        left_out: Pictures that could not be scored, with the reason.
        groups: Pictures with equal numbers (n,) are not independent, such as copies: intervals count them together.
            None: all are independent.
    """
    answers = probabilities.argmax(axis=1)
    right = answers == labels

    def found(rows: NDArray[np.bool_]) -> Estimate | None:
        return share(right[rows], None if groups is None else groups[rows]) if rows.any() else None

    counts = np.bincount(labels, minlength=len(classes))
    confused = _most_confused(labels, answers, classes)
    told = _worth_telling(labels, right, [pair.truth for pair in confused], classes)
    tabled = sorted(told if len(classes) <= _MOST_TABLED else told[:_TABLED_OF_MANY])
    scores = [
        ClassScore(
            name=classes[index], n=int(counts[index]), recall=found(labels == index), precision=found(answers == index)
        )
        for index in sorted(told[:MOST_SCORED])
    ]
    own = probabilities[np.arange(len(labels)), labels]
    return Evaluation(
        part=part,
        n=len(labels),
        num_groups=None if groups is None else len(np.unique(groups)),
        accuracy=share(right, groups),
        balanced_accuracy=mean_of_shares(right, labels, groups),
        largest_class=classes[int(counts.argmax())],
        largest_class_fraction=float(counts.max() / counts.sum()),
        loss=float(-np.log(np.maximum(own, _TINY)).mean()),
        classes=scores,
        num_classes=len(classes),
        confusion=_table(labels, answers, tabled, len(classes)).tolist(),
        tabled=[classes[index] for index in tabled] if len(tabled) < len(classes) else [],
        most_confused=confused,
        num_sure_and_wrong=int(((answers != labels) & (probabilities.max(axis=1) >= SURE)).sum()),
        surest_wrong=_surest_wrong(probabilities, labels, classes, names),
        calibration=calibration,
        left_out=list(left_out),
        debiased=debiased_error(probabilities, labels, groups),
    )


def confusion_matrix(truth: NDArray[np.int32], answers: NDArray[np.int64], num_classes: int) -> NDArray[np.int64]:
    """Counts (classes, classes): row is the truth, column the answer."""
    flat = np.bincount(truth.astype(np.int64) * num_classes + answers, minlength=num_classes**2)
    return flat.reshape(num_classes, num_classes)


def fit_temperature(logits: NDArray[np.float32], labels: NDArray[np.int32]) -> float:
    """The temperature in [0.05, 20] by which logits are divided to make the mean cross-entropy least.

    As n pictures cannot show that an answer is never wrong, the truth counts (n + 1) / (n + 2), and the other classes
    share the rest: where all answers are right, the least is still inside.

    Args:
        logits: Shape (n, classes), of pictures the network was not trained on, n >= 1.
        labels: Shape (n,).

    References:
        Guo and others (2017), section 4.2. Platt, *Probabilistic outputs for support vector machines* (1999),
        section 2.2, for the targets.
    """
    from scipy.optimize import minimize_scalar

    count, num_classes = logits.shape
    targets = np.full(logits.shape, 1 / (count + 2) / (num_classes - 1))
    targets[np.arange(count), labels] = (count + 1) / (count + 2)

    def cost(log_temperature: float) -> float:
        probabilities = softmax(logits / np.exp(log_temperature))
        return float(-(targets * np.log(np.maximum(probabilities, _TINY))).sum(axis=1).mean())

    found = minimize_scalar(cost, bounds=(np.log(0.05), np.log(20)), method="bounded", options={"xatol": 1e-4})
    return float(np.exp(found.x))


def softmax(logits: NDArray[np.floating]) -> NDArray[np.float64]:
    """Probabilities (n, classes) in [0, 1] from logits (n, classes)."""
    shifted = np.exp(logits.astype(np.float64) - logits.max(axis=1, keepdims=True))
    return np.asarray(shifted / shifted.sum(axis=1, keepdims=True))


def _most_confused(labels: NDArray[np.int32], answers: NDArray[np.int64], classes: Sequence[str]) -> list[Confusion]:
    wrong = labels != answers
    cells, counts = np.unique(labels[wrong].astype(np.int64) * len(classes) + answers[wrong], return_counts=True)
    order = np.argsort(-counts, kind="stable")[:_MOST_CONFUSED]
    return [
        Confusion(truth=classes[cell // len(classes)], answer=classes[cell % len(classes)], count=count)
        for cell, count in zip(cells[order].tolist(), counts[order].tolist(), strict=True)
    ]


def _worth_telling(
    labels: NDArray[np.int32], right: NDArray[np.bool_], confused: Sequence[str], classes: Sequence[str]
) -> list[int]:
    """All classes: those confused most, then others, the smallest fraction found first, without pictures last."""
    counts, found = (np.bincount(rows, minlength=len(classes)) for rows in (labels, labels[right]))
    recall = np.where(counts > 0, found / np.maximum(counts, 1), 2.0)
    recall[np.isin(classes, confused)] = -1
    return [int(index) for index in np.argsort(recall, kind="stable")]


def _table(
    labels: NDArray[np.int32], answers: NDArray[np.int64], tabled: Sequence[int], num_classes: int
) -> NDArray[np.int64]:
    """Counts (tabled, tabled) of the pictures whose truth and answer are both among these classes."""
    places = np.full(num_classes, -1, np.int32)
    places[tabled] = np.arange(len(tabled))
    rows, columns = places[labels], places[answers].astype(np.int64)
    both = (rows >= 0) & (columns >= 0)
    return confusion_matrix(rows[both], columns[both], len(tabled))


def _surest_wrong(
    probabilities: NDArray[np.float32], labels: NDArray[np.int32], classes: Sequence[str], names: Sequence[str]
) -> list[WrongAnswer]:
    answers = probabilities.argmax(axis=1)
    wrong = np.flatnonzero(answers != labels)
    surest = wrong[np.argsort(-probabilities[wrong, answers[wrong]], kind="stable")][:_SUREST_WRONG]
    return [
        WrongAnswer(
            name=names[index],
            truth=classes[labels[index]],
            answer=classes[answers[index]],
            probability=float(probabilities[index, answers[index]]),
        )
        for index in surest
    ]
