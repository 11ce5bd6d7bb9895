"""Scores of pictures left out: by the formula as by leaving each out and fitting anew."""

import tracemalloc

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.linear_model import Ridge

from whyconv.training import left_out
from whyconv.training.left_out import PENALTIES, Regression, probabilities_left_out


def made(n=60, d=7, classes=3, seed=0):
    random = np.random.default_rng(seed)
    labels = random.integers(0, classes, n).astype(np.int32)
    return (random.normal(0, 1, (n, d)) * 3 + labels[:, None] + 5).astype(np.float32), labels


def fitted_anew(features, labels, classes, penalty, copies):
    """Scikit-learn's ridge regression, once for every picture, on all that are no copy of it."""
    scaled = features - features.mean(axis=0)
    scaled = np.append(scaled / np.sqrt(np.square(scaled).mean()), np.ones((len(features), 1)), axis=1)
    scores = np.zeros((len(labels), classes))
    for row in range(len(labels)):
        others = copies != copies[row]
        ridge = Ridge(alpha=penalty * len(labels), fit_intercept=False, solver="cholesky")
        scores[row] = ridge.fit(scaled[others], np.eye(classes)[labels[others]]).predict(scaled[row : row + 1])[0]
    return scores


@pytest.mark.parametrize("penalty", PENALTIES)
def test_every_picture_left_out_is_as_if_it_had_not_been_there(penalty):
    features, labels = made()
    found = Regression(features, labels, 3).left_out(penalty)
    assert found == pytest.approx(fitted_anew(features, labels, 3, penalty, np.arange(len(labels))), abs=1e-5)


def test_copies_are_left_out_together():
    features, labels = made()
    copies = np.arange(len(labels))
    copies[[3, 17, 40]], copies[[5, 6]] = 3, 5
    features[[17, 40]], features[6] = features[3], features[5]
    found = Regression(features, labels, 3).left_out(0.01, copies)
    assert found == pytest.approx(fitted_anew(features, labels, 3, 0.01, copies), abs=1e-5)
    # It matters: alone, each would be told by its copies.
    assert np.abs(found - Regression(features, labels, 3).left_out(0.01))[[3, 5]].max() > 0.01


@pytest.mark.parametrize("penalty", PENALTIES)
@pytest.mark.parametrize("deviation", [0, 1])
def test_more_copies_than_features_are_left_out_together(penalty, deviation):
    features, labels = made()
    copies = np.arange(len(labels))
    copies[:25], copies[30:38], copies[40:49] = 0, 30, 40
    for number in (0, 30, 40):
        own = copies == number
        features[own] = deviation * features[own] + (1 - deviation) * features[number]
    found = Regression(features, labels, 3).left_out(penalty, copies)
    assert found == pytest.approx(fitted_anew(features, labels, 3, penalty, copies), abs=1e-5)


@pytest.mark.parametrize("n", [5, 40])
def test_where_all_are_copies_no_picture_tells_anything(n):
    features, labels = made(n)
    alike = np.repeat(features[:1], n, axis=0)
    for each in (features, alike):
        for penalty in PENALTIES:
            found = Regression(each, labels, 3).left_out(penalty, np.zeros(n, np.int64))
            assert found == pytest.approx(np.zeros((n, 3)), abs=1e-6)


def test_memory_does_not_grow_with_the_square_of_the_copies():
    num_copies = 3_000
    features, labels = made(num_copies + 50, 4)
    regression = Regression(features, labels, 3)
    tracemalloc.start()
    try:
        regression.left_out(0.01, np.maximum(np.arange(len(labels)) - num_copies, 0))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < num_copies**2


def test_a_label_never_speaks_for_itself():
    """Another label on one picture changes what is said about the others, never what is said about it."""
    features, labels = made()
    other = labels.copy()
    other[8] = (labels[8] + 1) % 3
    scores = [Regression(features, each, 3).left_out(0.001) for each in (labels, other)]
    assert scores[0][8] == pytest.approx(scores[1][8], abs=1e-9)
    assert np.abs(scores[0] - scores[1]).max() > 1e-3


def test_probabilities_of_digits_left_out_are_mostly_right_and_hold():
    digits = load_digits()
    labels = digits.target.astype(np.int32)
    found = probabilities_left_out(digits.data.astype(np.float32), labels, 10)
    assert found.sum(axis=1) == pytest.approx(1)
    accuracy = (found.argmax(axis=1) == labels).mean()
    assert accuracy > 0.9
    assert found.max(axis=1).mean() == pytest.approx(accuracy, abs=0.03)


def test_many_features_are_mixed_and_tell_as_much(monkeypatch):
    monkeypatch.setattr(left_out, "_MOST_FEATURES", 64)
    features, labels = made(200, 8, seed=1)
    wide = np.tile(features, 50)
    narrow, found = (probabilities_left_out(each, labels, 3) for each in (features, wide))
    assert (narrow.argmax(axis=1) == found.argmax(axis=1)).mean() > 0.95


def test_pictures_that_are_all_alike_tell_nothing():
    labels = np.array([0, 0, 1], np.int32)
    found = probabilities_left_out(np.ones((3, 4), np.float32), labels, 2)
    assert np.isfinite(found).all()
