"""PictureClassifier keeps scikit-learn's contract, and works inside its tools."""

from __future__ import annotations

import copy
import os
import pickle
import signal
import sys
import threading
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.utils import estimator_checks

from tiny_training import bars
from whyconv import PictureClassifier
from whyconv.errors import ArrayError, DataError, SettingsError
from whyconv.images.array_levels import white_of
from whyconv.recognizer import open_recognizer

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


def test_two_at_once_become_what_they_become_one_after_the_other() -> None:
    def fit(seed: int) -> bytes:
        return small(epochs=1, random_state=seed).fit(DATA.pixels, LABELS).recognizer_.content

    alone, streams, filters = [fit(0), fit(1)], (sys.stdout, sys.stderr), warnings.filters[:]
    habits = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled(), torch.get_rng_state().tolist()
    with ThreadPoolExecutor(2) as pool:
        together = list(pool.map(fit, [0, 1]))
    assert alone[0] != alone[1]
    assert together == alone
    assert (sys.stdout, sys.stderr) == streams
    assert warnings.filters == filters
    after = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled(), torch.get_rng_state().tolist()
    assert after == habits


def test_it_works_in_a_grid_search() -> None:
    search = GridSearchCV(small(), {"epochs": [1, 10]}, cv=2, error_score="raise").fit(DATA.pixels, DATA.labels)
    assert search.best_params_["epochs"] == 10
    assert search.best_estimator_.classes_.tolist() == [0, 1]


@pytest.mark.slow
def test_it_works_in_cross_validation() -> None:
    assert cross_val_score(small(epochs=10), DATA.pixels, DATA.labels, cv=2, error_score="raise").mean() > 0.7


# The checks of scikit-learn that look at the constructor and the settings. The others fit tables (n, features) of
# random numbers, some with 2 columns or 1 sample, for which there is no picture: what they look at is tested here.
CONTRACT = (
    "check_no_attributes_set_in_init",
    "check_parameters_default_constructible",
    "check_get_params_invariance",
    "check_set_params",
    "check_estimator_cloneable",
    "check_estimator_repr",
    "check_estimator_tags_renamed",
    "check_valid_tag_types",
    "check_mixin_order",
    "check_do_not_raise_errors_in_init_or_set_params",
    "check_estimators_unfitted",
    "check_fit1d",
)


@pytest.mark.parametrize("name", CONTRACT)
def test_scikit_learns_own_checks(name: str) -> None:
    getattr(estimator_checks, name)("PictureClassifier", PictureClassifier())


def test_fit_changes_no_setting_and_needs_every_picture(fitted: PictureClassifier) -> None:
    assert fitted.get_params() == small(epochs=15).get_params()
    assert {name for name in vars(fitted) if name not in fitted.get_params()} == {
        *("classes_", "image_shape_", "image_dtype_", "white_", "run_", "recognizer_"),
    }
    parts = fitted.recognizer_.metadata.parts
    assert parts["test"] == 0
    assert parts["train"] + parts["validation"] == len(DATA.pixels)


@pytest.mark.parametrize("labels", [np.array([9, 1]), np.array(["wolf", "ant"]), np.array([True, False])])
def test_what_is_told_of_the_training_names_the_labels_that_were_given(labels: np.ndarray) -> None:
    given = labels[DATA.labels]
    found = small(epochs=1, learning_rate=1e-6).fit(DATA.pixels, given).run_.validation
    assert found.class_names == [str(label) for label in sorted(labels.tolist())]
    assert found.largest_class in found.class_names
    assert found.surest_wrong
    for wrong in found.surest_wrong:
        truth = str(given[int(wrong.name.removeprefix("x[").removesuffix("]"))])
        assert wrong.truth == truth
        assert {wrong.truth, wrong.answer} == set(found.class_names)
    assert {name for pair in found.most_confused for name in (pair.truth, pair.answer)} <= set(found.class_names)


@pytest.mark.parametrize("labels", [np.array([7, 3]), np.array(["dog", "cat"]), np.array([True, False])])
def test_its_recognizer_answers_with_the_labels_that_were_given(labels: np.ndarray, tmp_path: Path) -> None:
    fitted = small(epochs=15).fit(DATA.pixels, labels[DATA.labels])
    saved = tmp_path / "model.onnx"
    saved.write_bytes(fitted.recognizer_.content)
    expected = [str(label) for label in fitted.predict(DATA.pixels)]
    for recognizer in (fitted.recognizer_, open_recognizer(saved, num_threads=1)):
        assert recognizer.classes == tuple(str(label) for label in sorted(labels.tolist()))
        assert [one.labels[0].label for one in recognizer.predict(DATA.pixels)] == expected
        assert np.array_equal(recognizer.predict_proba(DATA.pixels), fitted.predict_proba(DATA.pixels))


@pytest.mark.parametrize("names", [("a" * 1001, "b"), ("\ud800", "b")])
def test_labels_that_cannot_be_names_are_answered_all_the_same(names: tuple[str, str]) -> None:
    labels = np.array(names)
    fitted = small(epochs=1).fit(DATA.pixels, labels[DATA.labels])
    assert fitted.recognizer_.classes == ("0", "1")
    assert set(fitted.predict(DATA.pixels)) <= set(names)


def test_too_few_labels_are_told_by_their_names_and_as_arrays_have_them() -> None:
    cases = [
        (DATA.pixels[:6], np.full(6, "wolf"), r"^There is one class in y, 'wolf', with 6 pictures"),
        (DATA.pixels[:2], np.array(["wolf", "ant"]), r"^Each of the 2 classes in y has a single picture"),
    ]
    for pictures, labels, words in cases:
        with pytest.raises(ValueError, match=words) as told:
            small().fit(pictures, labels)
        assert not [word for word in ("folder", "--", "file") if word in str(told.value)]


def test_nothing_points_to_a_folder_and_a_copy_answers_alike(fitted: PictureClassifier) -> None:
    expected = fitted.predict_proba(DATA.pixels[..., 0])
    assert fitted.run_.run == ""
    assert "/" not in repr(fitted.recognizer_).partition(":")[0]
    for other in (pickle.loads(pickle.dumps(fitted)), copy.deepcopy(fitted)):
        assert np.array_equal(other.predict_proba(DATA.pixels[..., 0]), expected)
        assert list(other.classes_) == list(fitted.classes_)


@pytest.mark.parametrize(("kind", "white"), [("uint16", 255), ("uint16", 65535), ("float32", 1)])
def test_predict_reads_values_by_the_rule_of_fit(fitted: PictureClassifier, kind: str, white: int) -> None:
    """The same pictures in other numbers train the same network and get the same answers, one by one too."""
    values = (DATA.pixels[..., 0].astype(np.float64) * (white / 255)).astype(kind)
    other = small(epochs=15).fit(values, LABELS)
    assert other.white_ == white
    expected = fitted.predict_proba(DATA.pixels[..., 0])
    assert np.array_equal(other.predict_proba(values), expected)
    # The darkest picture alone would look like another range.
    dark = np.minimum(values[:1], white / 255).astype(kind)
    assert np.array_equal(other.predict_proba(dark), fitted.predict_proba(np.minimum(DATA.pixels[:1, ..., 0], 1)))
    with pytest.raises(ValueError, match=f"expected 0 to {white}"):
        other.predict(values.astype(np.float64) * 1.5 + white)


def test_wrong_input_is_a_value_error_too(fitted: PictureClassifier) -> None:
    for wrong in (DATA.pixels.reshape(80, 64), DATA.pixels[:0], DATA.pixels.astype(str), DATA.pixels - 300.0):
        with pytest.raises(ValueError, match=r"^X "):
            small().fit(wrong, LABELS)
    with pytest.raises(ValueError, match="one class"):
        small().fit(DATA.pixels, np.zeros(80))
    with pytest.raises(ValueError, match="balance = 'sometimes'"):
        small(balance="sometimes").fit(DATA.pixels, LABELS)
    with pytest.raises(ValueError, match=r"holds fractions up to 1; this classifier was fitted on 0 to 255"):
        fitted.predict(DATA.pixels[..., 0] / 255)
    with pytest.raises(DataError, match=r"^X is empty, of shape \(0, 8, 8\); expected at least one picture"):
        fitted.predict(DATA.pixels[:0, ..., 0])
    with pytest.raises(ValueError, match=r"from -200\.0 to 0\.5; expected 0 to 255"):
        fitted.predict(np.linspace(-200, 0.5, 64).reshape(1, 8, 8))


def test_one_value_that_is_no_number_is_told_with_its_picture(fitted: PictureClassifier) -> None:
    pictures = DATA.pixels[..., 0].astype(float)
    pictures[[5, 7], 0, 0] = np.nan
    words = r"^X holds NaN in 2 of 80 pictures, first in X\[5\]; expected a number for every pixel\.$"
    for refuse in (lambda: small().fit(pictures, LABELS), lambda: fitted.predict(pictures)):
        with pytest.raises(ArrayError, match=words):
            refuse()


@pytest.mark.parametrize(
    ("place", "odd", "words"),
    [
        (78, None, r"^y\[78\] is None, so that picture has no label\. Leave it out, or give it a label\.$"),
        (78, float("nan"), r"^y\[78\] is nan, so that picture has no label"),
        (78, 4, r"^y\[78\] is 4 \(int\) among labels of type str; expected labels of one kind, which can be sorted\.$"),
    ],
)
def test_a_label_that_is_none_or_of_another_kind_is_told_with_its_place(place: int, odd: object, words: str) -> None:
    labels = LABELS.astype(object)
    labels[place] = odd
    with pytest.raises(ArrayError, match=words):
        small().fit(DATA.pixels, labels)


def test_a_label_that_is_no_number_among_numbers_is_told_too() -> None:
    labels = DATA.labels.astype(float)
    labels[3] = np.nan
    with pytest.raises(ArrayError, match=r"^y\[3\] is nan, so that picture has no label"):
        small().fit(DATA.pixels, labels)


@pytest.mark.parametrize(
    ("kind", "white", "change", "words"),
    [
        ("uint8", 255, lambda x: x > 127, r"holds False and True; .* 0 to 255 \(uint8\)\. Multiply by 255"),
        ("uint8", 255, lambda x: (x > 127).astype(int), r"\(int64\) holds nothing above 1; .*give them as uint8"),
        ("uint8", 255, lambda x: (x > 127).astype("u2"), r"\(uint16\) holds nothing above 1; .*give them as uint8"),
        ("int64", 255, lambda x: (x > 127).astype(int), r"\(int64\) holds nothing above 1; .*give them as uint8"),
        ("float32", 255, lambda x: (x > 127).astype(int), r"\(int64\) holds nothing above 1; .*give them as uint8"),
        ("uint16", 65535, lambda x: x > 127, r"holds False and True; .* 0 to 65535 \(uint16\)\. Multiply by 65535"),
        ("uint16", 65535, lambda x: (x > 127).astype(int), r"\(int64\) holds nothing above 1; .*give them as uint16"),
        ("uint16", 65535, lambda x: x.astype(float), r"\(float64\) holds nothing above 255; .*Multiply by 257"),
        ("uint16", 65535, lambda x: x / 200, r"\(float64\) holds nothing above 255; .*Multiply by 257"),
        ("uint16", 65535, lambda x: x.astype(int), r"\(int64\) holds nothing above 255; .*give them as uint16"),
        ("uint16", 65535, lambda x: x / 255, r"holds fractions up to 1; .*Multiply by 65535"),
    ],
)
def test_values_that_fit_would_read_by_another_white_are_refused(
    fitted: PictureClassifier, kind: str, white: int, change: Callable[[np.ndarray], np.ndarray], words: str
) -> None:
    other = copy.deepcopy(fitted)
    other.white_, other.image_dtype_ = white, np.dtype(kind)
    values = change(DATA.pixels[..., 0])
    with pytest.raises(ValueError, match=words):
        other.predict(values)
    assert other.predict(np.zeros_like(values)).shape == (80,)  # black is black by any rule


@pytest.mark.parametrize(
    ("kind", "white", "given", "most"),
    [
        ("uint8", 255, "uint8", 1),
        ("uint8", 255, "int64", 2),
        ("uint16", 255, "uint16", 1),
        ("uint16", 65535, "uint16", 1),
        ("uint16", 65535, ">u2", 200),
        ("uint16", 65535, "int64", 300),
        ("int32", 65535, "uint16", 1),
        ("int32", 65535, "int32", 200),
        ("uint16", 65535, "float64", 300),
    ],
)
def test_dark_pictures_are_taken_where_their_type_says_what_is_white(
    fitted: PictureClassifier, kind: str, white: int, given: str, most: int
) -> None:
    other = copy.deepcopy(fitted)
    other.white_, other.image_dtype_ = white, np.dtype(kind)
    values = np.minimum(DATA.pixels[..., 0].astype(int) * 3, most).astype(given)
    levels = np.rint(values.astype(float) * 255 / white).astype(np.uint8)
    assert np.array_equal(other.predict_proba(values), fitted.predict_proba(levels))


def test_fractions_are_no_pictures_for_one_that_was_fitted_on_floats_up_to_255() -> None:
    other = small(epochs=1).fit(DATA.pixels[..., 0].astype(np.float32), LABELS)
    assert other.white_ == 255
    with pytest.raises(ValueError, match=r"holds fractions up to 1; this classifier was fitted on 0 to 255"):
        other.predict(DATA.pixels[..., 0] / 255)


def test_fractions_that_overshoot_by_a_hair_are_fractions(fitted: PictureClassifier) -> None:
    pictures = (DATA.pixels[..., 0] / 255).astype(np.float32)
    other = copy.deepcopy(fitted)
    other.white_ = white_of(pictures.dtype, 0, 1.02)
    assert other.white_ == 1
    expected = other.predict_proba(pictures)
    pictures[DATA.pixels[..., 0] == 255] = 1.02
    assert np.array_equal(other.predict_proba(pictures), expected)
    with pytest.raises(ValueError, match="too much for fractions, whose white is 1, and too little for levels"):
        small().fit(pictures * 1.3, LABELS)


def test_a_fit_that_fails_leaves_what_was_fitted_before(fitted: PictureClassifier) -> None:
    again = copy.deepcopy(fitted)
    expected = again.predict(DATA.pixels[..., 0])
    with pytest.raises(ValueError, match="one class"):
        again.fit(DATA.pixels[..., 0], np.full(80, "wolf"))
    assert np.array_equal(again.predict(DATA.pixels[..., 0]), expected)
    never = small()
    with pytest.raises(ValueError, match="one class"):
        never.fit(DATA.pixels, np.zeros(80))
    with pytest.raises(NotFittedError):
        never.predict(DATA.pixels)


def test_pictures_of_several_shapes_and_foreign_seeds_are_told() -> None:
    with pytest.raises(ValueError, match="pictures of several shapes"):
        small().fit([np.zeros((8, 8)), np.zeros((9, 9))], [0, 1])
    with pytest.raises(SettingsError, match=r"random_state is Generator.*expected a whole number"):
        small(random_state=np.random.default_rng(0)).fit(DATA.pixels, LABELS)
    for seed in (-1, 2**63):
        with pytest.raises(SettingsError, match=rf"^random_state is {seed}; expected a whole number from 0 to 2\*\*63"):
            small(random_state=seed).fit(DATA.pixels, LABELS)


@pytest.mark.parametrize(("number", "expected"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit)])
def test_a_signal_ends_a_search_and_is_no_score(number: int, expected: type[BaseException]) -> None:
    timer = threading.Timer(1.0, lambda: os.kill(os.getpid(), number))
    timer.start()
    try:
        with pytest.raises(expected):
            GridSearchCV(small(), {"epochs": [20_000, 1]}, cv=2).fit(DATA.pixels, DATA.labels)
    finally:
        timer.cancel()


def test_seeds_and_sizes_of_numpy_are_taken() -> None:
    numpy = small(random_state=np.int64(0), epochs=np.int64(1)).fit(DATA.pixels[:20], LABELS[:20])
    plain = small(random_state=None, epochs=1).fit(DATA.pixels[:20], LABELS[:20])
    assert np.array_equal(numpy.predict_proba(DATA.pixels), plain.predict_proba(DATA.pixels))
    drawn = small(random_state=np.random.RandomState(0), epochs=1).fit(DATA.pixels[:20], LABELS[:20])
    assert not np.array_equal(drawn.predict_proba(DATA.pixels), plain.predict_proba(DATA.pixels))
