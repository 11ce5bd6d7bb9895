"""The order of doubtful labels, and who counts as of another class, against plain counting."""

import numpy as np
import pytest

from whyconv.training.suspects import agreed, confident_classes, doubts

PROBABILITIES = np.array(
    [[0.9, 0.1, 0.0], [0.8, 0.15, 0.05], [0.1, 0.85, 0.05], [0.2, 0.7, 0.1], [0.45, 0.5, 0.05], [0.3, 0.1, 0.6]]
)
LABELS = np.array([0, 0, 0, 1, 1, 2], np.int32)


def test_the_least_probable_labels_that_another_class_beats_come_first():
    found = doubts(PROBABILITIES, LABELS)
    assert found.own == pytest.approx([0.9, 0.8, 0.1, 0.7, 0.5, 0.6])
    assert found.likely.tolist() == [1, 1, 1, 0, 0, 0]
    assert found.ranked().tolist() == [2]
    assert doubts(PROBABILITIES, np.array([1, 1, 0, 0, 1, 2], np.int32)).ranked().tolist() == [0, 2, 1, 3]


def test_confident_classes_are_those_of_counting_by_hand():
    """Means of their own pictures: 0.6 for class 0, 0.6 for class 1, 0.6 for class 2."""
    assert confident_classes(PROBABILITIES, LABELS).tolist() == [0, 0, 1, 1, -1, 2]
    assert doubts(PROBABILITIES, LABELS).is_sure.tolist() == [False, False, True, False, False, False]


def test_confident_classes_are_those_of_plain_loops():
    random = np.random.default_rng(0)
    labels = random.integers(0, 5, 400).astype(np.int32)
    probabilities = random.dirichlet(np.ones(6) / 2, 400) / 2 + np.eye(6)[labels] / 2
    least = [probabilities[labels == j, j].mean() if (labels == j).any() else np.inf for j in range(6)]
    for row, found in enumerate(confident_classes(probabilities, labels)):
        claims = [j for j in range(6) if probabilities[row, j] >= least[j]]
        assert found == (max(claims, key=lambda j: probabilities[row, j]) if claims else -1)


def test_one_vote_against_is_heard_where_another_takes_the_label_for_granted():
    granted, denied = np.array([[0.6, 0.4]]), np.array([[0.02, 0.98]])
    assert agreed([granted, denied]).argmax() == 1
    assert agreed([granted, denied]).sum() == pytest.approx(1)
    assert agreed([granted]) == pytest.approx(granted)
    assert np.isfinite(agreed([np.array([[1.0, 0.0]]), np.array([[0.0, 1.0]])])).all()
