"""PictureClassifier keeps scikit-learn's contract, and works inside its tools."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score

from tiny_training import bars
from whyconv import PictureClassifier
from whyconv.errors import DataError, SettingsError

DATA = bars(80)
LABELS = np.array(["lies", "stands"])[DATA.labels]


def small(**settings: object) -> PictureClassifier:
    return PictureClassifier(**{"network": "lesson", "epochs": 8, "flips": "off", "threads": 1, "batch": 8} | settings)


@pytest.fixture(scope="module")
def fitted() -> PictureClassifier:
    return small(epochs=15).fit(DATA.pixels[..., 0], LABELS)


def test_fit_returns_itself_and_learned_names_end_in_an_underscore(fitted: PictureClassifier) -> None:
    assert list(fitted.classes_) == ["lies", "stands"]
    other = small()
    before = other.get_params()
    assert not [name for name in vars(other) if name.endswith("_")]
    assert before == other.get_params()


def test_predictions_are_labels_and_probabilities_sum_to_one(fitted: PictureClassifier) -> None:
    new = bars(40, seed=7)
    probabilities = fitted.predict_proba(new.pixels[..., 0])
    assert probabilities.shape == (40, 2)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)
    answers = fitted.predict(new.pixels[..., 0])
    assert np.array_equal(answers, fitted.classes_[probabilities.argmax(axis=1)])
    assert fitted.score(new.pixels[..., 0], np.array(["lies", "stands"])[new.labels]) > 0.85


def test_clone_and_set_params_go_through_the_constructor() -> None:
    original = small(learning_rate=0.01)
    copy = clone(original).set_params(epochs=2)
    assert copy.get_params() == original.get_params() | {"epochs": 2}
    with pytest.raises(ValueError, match="Invalid parameter 'epoch'"):
        original.set_params(epoch=2)


def test_before_fit_it_says_so() -> None:
    with pytest.raises(NotFittedError):
        small().predict(DATA.pixels)


def test_wrong_input_is_refused_with_its_shape(fitted: PictureClassifier) -> None:
    with pytest.raises(DataError, match=r"X has shape \(80, 64\)"):
        small().fit(DATA.pixels.reshape(80, 64), LABELS)
    with pytest.raises(DataError, match=r"y has shape \(79,\); expected one label for each of 80"):
        small().fit(DATA.pixels, LABELS[1:])
    with pytest.raises(DataError, match=r"pictures of shape \(9, 9\)"):
        fitted.predict(np.zeros((2, 9, 9), np.uint8))
    with pytest.raises(SettingsError, match="balance = 'sometimes'"):
        small(balance="sometimes").fit(DATA.pixels, LABELS)
    with pytest.raises(ValueError, match="Unknown label type"):
        small().fit(DATA.pixels, np.linspace(0, 1, 80))


def test_the_same_seed_gives_the_same_answers(fitted: PictureClassifier) -> None:
    again = clone(fitted).fit(DATA.pixels[..., 0], LABELS)
    assert np.array_equal(again.predict_proba(DATA.pixels[..., 0]), fitted.predict_proba(DATA.pixels[..., 0]))


@pytest.mark.slow
def test_it_works_in_a_grid_search_and_in_cross_validation() -> None:
    search = GridSearchCV(small(), {"epochs": [1, 10]}, cv=2, error_score="raise").fit(DATA.pixels, DATA.labels)
    assert search.best_params_["epochs"] == 10
    assert search.best_estimator_.classes_.tolist() == [0, 1]
    assert cross_val_score(small(epochs=10), DATA.pixels, DATA.labels, cv=2, error_score="raise").mean() > 0.7
