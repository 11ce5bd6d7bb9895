"""Scores against scikit-learn, and calibration against its optimum found by brute force."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn import metrics

from whyconv.training.calibration import calibration_error
from whyconv.training.evaluate import fit_temperature, score, softmax

CLASSES = ["a", "b", "c", "d"]


def answers(n: int = 400, scale: float = 2.0) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 3, n).astype(np.int32)
    logits = generator.normal(size=(n, 4))
    logits[np.arange(n), labels] += 1.5
    return (logits * scale).astype(np.float32), labels


def test_scores_equal_scikit_learns() -> None:
    logits, labels = answers()
    probabilities = softmax(logits).astype(np.float32)
    found = score(probabilities, labels, classes=CLASSES, names=[str(i) for i in range(400)], part="test")
    guess = probabilities.argmax(1)
    assert found.accuracy.value == pytest.approx(metrics.accuracy_score(labels, guess))
    recalls = metrics.recall_score(labels, guess, labels=[0, 1, 2], average=None)
    assert found.balanced_accuracy.value == pytest.approx(recalls.mean())
    assert [each.recall.value for each in found.classes[:3]] == pytest.approx(list(recalls))
    assert found.classes[3].recall is None
    assert found.classes[3].n == 0
    assert found.confusion == metrics.confusion_matrix(labels, guess, labels=range(4)).tolist()
    assert found.loss == pytest.approx(metrics.log_loss(labels, probabilities, labels=range(4)), rel=1e-5)
    assert found.largest_class_fraction == pytest.approx(np.bincount(labels).max() / 400)
    counts = [each.count for each in found.most_confused]
    assert counts == sorted(counts, reverse=True)
    assert sum(counts) <= int((guess != labels).sum())
    assert found.num_wrong == int((guess != labels).sum())
    assert found.num_sure_and_wrong == int(((guess != labels) & (probabilities.max(1) >= 0.9)).sum()) > 0
    sure = [each.probability for each in found.surest_wrong]
    assert len(sure) == 12
    assert sure == sorted(sure, reverse=True)
    assert sure[0] == pytest.approx(probabilities[guess != labels].max())


def test_temperature_is_the_one_of_least_cross_entropy() -> None:
    logits, labels = answers(scale=4.0)
    grid = np.exp(np.linspace(np.log(0.05), np.log(20), 4001))
    # The truth counts 401/402, each of the three other classes a third of the rest.
    true_and_others = [
        (
            metrics.log_loss(labels, p, labels=range(4)),
            sum(metrics.log_loss((labels + k) % 4, p, labels=range(4)) for k in (1, 2, 3)),
        )
        for p in (softmax(logits / t) for t in grid[::20])
    ]
    costs = [401 / 402 * true + others / 3 / 402 for true, others in true_and_others]
    assert fit_temperature(logits, labels) == pytest.approx(grid[::20][int(np.argmin(costs))], rel=0.01)
    assert fit_temperature(logits, labels) > 1.5


def test_where_all_is_right_the_answers_are_as_sure_as_their_number_allows() -> None:
    # Logits 1, 0, 0, 0: the truth is to have 5/6 with four pictures, so e^(1/T) / (e^(1/T) + 3) = 5/6, T = 1 / ln 15.
    logits = np.eye(4, dtype=np.float32)
    labels = np.arange(4, dtype=np.int32)
    assert fit_temperature(logits, labels) == pytest.approx(1 / np.log(15), rel=1e-3)
    timid = np.tile(logits * 2, (50, 1))
    sure = softmax(timid / fit_temperature(timid, np.tile(labels, 50))).max(axis=1)
    assert sure == pytest.approx(201 / 202, abs=1e-4)


def test_calibration_error_by_hand() -> None:
    # Two bins: 0.6 sure, half right (gap 0.1, 4 pictures); 0.9 sure, all right (gap 0.1, 2 pictures).
    sure = np.array([0.6, 0.6, 0.6, 0.6, 0.9, 0.9])
    probabilities = np.stack([sure, 1 - sure], axis=1).astype(np.float32)
    labels = np.array([0, 0, 1, 1, 0, 0], np.int32)
    assert calibration_error(probabilities, labels).value == pytest.approx(0.1, abs=1e-6)


def test_the_interval_of_the_calibration_error_is_that_of_a_mean_where_there_is_one_bin() -> None:
    # All answers 0.8 sure and 60 % right: the error is 0.8 less the share right, whose spread is the binomial's.
    n = 1000
    probabilities = np.tile(np.array([0.8, 0.2], np.float32), (n, 1))
    labels = (np.arange(n) % 5 >= 3).astype(np.int32)
    found, half = calibration_error(probabilities, labels), 1.96 * (0.6 * 0.4 / n) ** 0.5
    assert found.value == pytest.approx(0.2, abs=1e-6)
    assert (found.low, found.high) == pytest.approx((0.2 - half, 0.2 + half), abs=0.006)
    assert found.n == n
    assert calibration_error(probabilities, labels) == found


@pytest.mark.parametrize("n", [1, 2, 3, 10])
def test_the_interval_of_the_calibration_error_stays_between_0_and_1(n: int) -> None:
    probabilities = np.tile(np.array([0.99, 0.01], np.float32), (n, 1))
    found = calibration_error(probabilities, np.ones(n, np.int32))
    assert 0 <= found.low <= found.value <= found.high <= 1


def test_the_interval_holds_the_calibration_error_where_resampling_only_raises_it() -> None:
    probabilities = np.tile(np.array([0.75, 0.25], np.float32), (400, 1))
    labels = (np.arange(400) % 4 == 3).astype(np.int32)
    found = calibration_error(probabilities, labels)
    assert found.low == pytest.approx(0, abs=1e-6)
    assert found.value == pytest.approx(0, abs=1e-6)
    assert 0.02 < found.high < 0.08


@pytest.mark.parametrize("num_classes", [4, 301])
def test_scores_under_other_names_are_those_that_had_these_names_from_the_start(num_classes: int) -> None:
    generator = np.random.default_rng(1)
    probabilities = generator.dirichlet(np.ones(num_classes), 400).astype(np.float32)
    labels = generator.integers(0, num_classes, 400).astype(np.int32)
    numbers = [f"{index:03}" for index in range(num_classes)]
    words = [f"{num_classes - index} of them" for index in range(num_classes)]
    before, expected = (
        score(probabilities, labels, classes=classes, names=numbers * 100, part="validation")
        for classes in (numbers, words)
    )
    assert bool(expected.tabled) == (num_classes > 300)
    assert before.with_names(dict(zip(numbers, words, strict=True))) == expected
