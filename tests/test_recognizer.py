"""Answers are those computed by hand, whatever the batch, the form of the picture or the company it keeps."""

from __future__ import annotations

import io
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from PIL import Image

from tiny_model import CLASSES, SIDE, expected_probabilities, make_metadata, make_model, write_model
from whyconv.errors import ModelFileError, PictureError, UsageError
from whyconv.evidence import explain
from whyconv.recognizer import Recognizer, open_recognizer

RANDOM = np.random.default_rng(7)


@pytest.fixture(scope="module")
def recognizer(tmp_path_factory: pytest.TempPathFactory) -> Recognizer:
    return open_recognizer(write_model(tmp_path_factory.mktemp("run") / "model.onnx"), num_threads=2)


@pytest.fixture
def pixels() -> np.ndarray:
    return RANDOM.integers(0, 256, (70, SIDE, SIDE, 3), np.uint8)


@pytest.fixture
def files(pixels: np.ndarray, tmp_path: Path) -> list[Path]:
    paths = [tmp_path / f"{index:02}.png" for index in range(len(pixels))]
    for path, picture in zip(paths, pixels, strict=True):
        Image.fromarray(picture).save(path)
    return paths


def test_probabilities_are_those_computed_by_hand(recognizer: Recognizer, pixels: np.ndarray) -> None:
    answered = recognizer.predict_proba(pixels)
    assert answered.dtype == np.float32
    np.testing.assert_allclose(answered, expected_probabilities(pixels), atol=1e-6)


def test_features_are_the_means(recognizer: Recognizer, pixels: np.ndarray) -> None:
    np.testing.assert_allclose(recognizer.run(pixels).features, pixels.mean(axis=(1, 2)) / 255, atol=1e-6)


def test_paths_bytes_and_arrays_agree(recognizer: Recognizer, pixels: np.ndarray, files: list[Path]) -> None:
    expected = recognizer.predict_proba(pixels)
    np.testing.assert_array_equal(recognizer.predict_proba(files), expected)
    contents = [path.read_bytes() for path in files]
    for kind in (bytes, bytearray, memoryview):
        np.testing.assert_array_equal(recognizer.predict_proba([kind(content) for content in contents]), expected)
    np.testing.assert_array_equal(recognizer.predict_proba(list(pixels)), expected)
    np.testing.assert_array_equal(recognizer.predict_proba(files[0].parent), expected)


def test_one_picture_gives_one_prediction(recognizer: Recognizer, pixels: np.ndarray, files: list[Path]) -> None:
    expected = expected_probabilities(pixels[:1])[0]
    content = files[0].read_bytes()
    for one in (files[0], str(files[0]), content, bytearray(content), memoryview(content), pixels[0]):
        prediction = recognizer.predict(one)
        assert [label.label for label in prediction.labels] == [CLASSES[k] for k in np.argsort(-expected)]
        assert [label.probability for label in prediction.labels] == pytest.approx(sorted(expected)[::-1], abs=1e-6)
    assert recognizer.predict(files[0], top=1).labels == recognizer.predict(files[0]).labels[:1]


def test_gray_and_colored_arrays_are_told_apart_by_their_shape(recognizer: Recognizer) -> None:
    assert recognizer.predict_proba(np.zeros((8, 9), np.uint8)).shape == (1, 3)
    assert recognizer.predict_proba(np.zeros((8, 9, 4), np.uint8)).shape == (1, 3)
    assert recognizer.predict_proba(np.zeros((5, 8, 9), np.uint8)).shape == (5, 3)
    assert recognizer.predict_proba(np.zeros((5, 8, 9, 1), np.uint8)).shape == (5, 3)
    assert recognizer.predict_proba([]).shape == (0, 3)


@pytest.mark.parametrize("batch_size", [1, 7, 32, 200])
def test_a_stream_keeps_order_and_names_whatever_the_batch(
    recognizer: Recognizer, pixels: np.ndarray, files: list[Path], batch_size: int
) -> None:
    items = ((path.name, lambda path=path: path.read_bytes()) for path in files)
    predictions = list(recognizer.stream(items, batch_size=batch_size))
    assert [one.name for one in predictions] == [path.name for path in files]
    best = expected_probabilities(pixels).argmax(axis=1)
    assert [one.labels[0].label for one in predictions] == [CLASSES[k] for k in best]


def test_a_bad_file_is_a_row_with_its_reason(recognizer: Recognizer, files: list[Path], tmp_path: Path) -> None:
    (tmp_path / "cut.jpg").write_bytes(b"\xff\xd8\xff")
    (tmp_path / "empty.png").touch()
    bad = [tmp_path / "cut.jpg", tmp_path / "empty.png", tmp_path / "none.png", tmp_path]
    predictions = recognizer.predict([files[0], *bad, files[1]])
    assert [one.error is None for one in predictions] == [True, False, False, False, False, True]
    assert all(one.labels == [] for one in predictions[1:-1])
    assert "missing" in predictions[3].error
    assert "folder" in predictions[4].error
    assert all(str(tmp_path) not in one.error for one in predictions[1:-1])


def test_only_bad_files(recognizer: Recognizer, tmp_path: Path) -> None:
    assert [one.error is None for one in recognizer.predict([tmp_path / "a", tmp_path / "b"])] == [False, False]


def test_where_a_row_cannot_be_left_out_the_file_is_named(recognizer: Recognizer, tmp_path: Path) -> None:
    with pytest.raises(PictureError, match=r"none\.png: "):
        recognizer.predict(tmp_path / "none.png")
    with pytest.raises(PictureError, match=r"none\.png: "):
        recognizer.predict_proba([tmp_path / "none.png"])


@pytest.mark.parametrize("nonsense", [3, [3], None, np.zeros(5), np.zeros((2, 2, 2, 2, 2)), {"a.png": b""}, {}])
def test_what_is_no_picture_is_refused(recognizer: Recognizer, nonsense: object) -> None:
    with pytest.raises(UsageError, match="Expected"):
        recognizer.predict(nonsense)


def test_an_open_file_is_not_taken_for_many_pictures(recognizer: Recognizer, files: list[Path]) -> None:
    with files[0].open("rb") as file:
        for given in (file, [file], io.BytesIO(files[0].read_bytes())):
            with pytest.raises(UsageError, match=r"Expected .*of an open file: file\.read\(\)"):
                recognizer.predict(given)


@pytest.mark.parametrize("wrong", [{"top": 0}, {"batch_size": 0}])
def test_numbers_below_one_are_refused(recognizer: Recognizer, wrong: dict[str, int]) -> None:
    with pytest.raises(UsageError, match="from 1"):
        list(recognizer.stream([], **wrong))


@pytest.mark.parametrize("name", ["top", "batch_size"])
@pytest.mark.parametrize("wrong", [1.5, 2.0, "2", True, np.True_, np.float64(2), float("nan")])
def test_what_is_no_whole_number_is_refused(recognizer: Recognizer, pixels: np.ndarray, name: str, wrong: Any) -> None:
    with pytest.raises(UsageError, match="Expected whole numbers from 1"):
        list(recognizer.stream([("a", lambda: pixels[0])], **{name: wrong}))
    if name == "top":
        with pytest.raises(UsageError, match="Expected whole numbers from 1"):
            recognizer.predict(pixels, top=wrong)


@pytest.mark.parametrize("kind", [int, np.uint8, np.int64])
def test_whole_numbers_of_numpy_are_taken(recognizer: Recognizer, pixels: np.ndarray, kind: Any) -> None:
    expected = recognizer.predict(pixels, top=2)
    assert recognizer.predict(pixels, top=kind(2)) == expected
    items = [(f"[{index}]", lambda one=one: one) for index, one in enumerate(pixels)]
    assert list(recognizer.stream(items, batch_size=kind(2), top=kind(2))) == expected


def test_pictures_by_name_are_refused_in_words(recognizer: Recognizer, pixels: np.ndarray) -> None:
    with pytest.raises(UsageError, match=r"dict is a mapping.*values\(\)"):
        recognizer.predict({"a": pixels[0]})


def test_no_more_pictures_are_in_memory_than_two_batches_ask_for(recognizer: Recognizer, pixels: np.ndarray) -> None:
    alive = most = 0
    lock = threading.Lock()

    def items() -> Iterator[tuple[str, object]]:
        nonlocal alive, most
        for index in range(2000):
            with lock:
                alive += 1
                most = max(most, alive)
            yield str(index), lambda: pixels[0]

    for _ in recognizer.stream(items(), batch_size=10):
        with lock:
            alive -= 1
    assert 10 <= most <= 10 + 2 * 10 + 2


def test_a_stream_left_early_leaves_no_thread(recognizer: Recognizer, pixels: np.ndarray) -> None:
    stream = recognizer.stream((str(index), lambda: pixels[0]) for index in range(1000))
    next(stream)
    stream.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("whyconv-pictures")]


def test_a_graph_that_does_not_fit_its_metadata_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=r"Expected pixels tensor\(uint8\) \[n, 16, 16, 3\]"):
        open_recognizer(write_model(tmp_path / "m.onnx", policy={"side": 16, "channels": 3}))
    two_classes = open_recognizer(write_model(tmp_path / "n.onnx", classes=["a", "b"]))
    with pytest.raises(ModelFileError, match="no probability for each class"):
        two_classes.predict_proba(np.zeros((1, 8, 8, 3), np.uint8))


def test_a_graph_that_onnxruntime_refuses_is_a_model_file_error(tmp_path: Path, capfd) -> None:
    model = make_model(make_metadata())
    model.graph.node[0].op_type = "NoSuchThing"
    onnx.save(model, tmp_path / "m.onnx")
    with pytest.raises(ModelFileError, match=r"m\.onnx cannot be run.*NoSuchThing"):
        open_recognizer(tmp_path / "m.onnx")
    assert capfd.readouterr().err == ""


def test_the_runtime_says_nothing_on_its_own(tmp_path: Path, capfd) -> None:
    model = make_model(make_metadata())
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.zeros(3, np.float32), "unused"))
    onnx.save(model, tmp_path / "m.onnx")
    open_recognizer(tmp_path / "m.onnx")
    assert capfd.readouterr() == ("", "")


def test_a_prediction_prints_as_one_line(recognizer: Recognizer) -> None:
    red = np.full((8, 8, 3), (255, 0, 0), np.uint8)
    assert str(recognizer.predict(red)) == "[0]   red 1.00   green 0.00   blue 0.00"
    assert str(recognizer.predict([b""])[0]).startswith("[0]   error: ")


def test_its_repr_says_what_it_knows(recognizer: Recognizer) -> None:
    assert "3 classes (red, green, blue), 8 x 8 pixels" in repr(recognizer)


def test_no_torch_is_loaded() -> None:
    code = "import sys, whyconv.recognizer; sys.exit('torch' in sys.modules or 'onnx' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.fixture(scope="module")
def of_levels(tmp_path_factory: pytest.TempPathFactory) -> Recognizer:
    """Trained on arrays whose white is 255."""
    return open_recognizer(write_model(tmp_path_factory.mktemp("levels") / "model.onnx", array_white=255))


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64])
def test_fractions_are_not_answered_as_nearly_black_levels(
    of_levels: Recognizer, pixels: np.ndarray, kind: type[np.floating]
) -> None:
    fractions = (pixels / 255).astype(kind)
    told = "fractions up to 1; this recognizer was trained on 0 to 255"
    for given in (fractions, list(fractions), fractions[0], fractions[:1]):
        with pytest.raises(PictureError, match=told):
            of_levels.predict_proba(given)
    with pytest.raises(PictureError, match=told):
        explain(of_levels, fractions[0])
    # Black and white alone: among others of one array it is plain what they are.
    bits = np.round(fractions)
    assert [told in str(one.error) for one in of_levels.predict([fractions[0], pixels[0]])] == [True, False]
    assert all(told in str(one.error) for one in of_levels.predict(bits))


def test_dark_pictures_of_levels_are_answered(of_levels: Recognizer, pixels: np.ndarray) -> None:
    shown = pixels[:4].copy()
    shown[0] = 0
    shown[1] = RANDOM.integers(0, 2, shown[1].shape)
    expected = of_levels.predict_proba(shown)
    levels = shown.astype(np.float32)
    np.testing.assert_array_equal(of_levels.predict_proba(levels), expected)
    for index in (0, 1):
        np.testing.assert_array_equal(of_levels.predict_proba(levels[index])[0], expected[index])
        np.testing.assert_array_equal(of_levels.predict_proba(levels[[index]])[0], expected[index])
        assert explain(of_levels, levels[index]).answer_probability == pytest.approx(expected[index].max(), abs=1e-6)
    # Resized by a filter that gives fractions of a level: the others of the array say what it is.
    levels[2] = 0.3
    shown[2] = 0
    np.testing.assert_array_equal(of_levels.predict_proba(levels)[2], of_levels.predict_proba(shown)[2])
    np.testing.assert_array_equal(of_levels.predict_proba(np.zeros_like(levels)), expected[[0] * 4])


WHOLE = [np.int8, np.int16, np.int32, np.int64, np.uint32, np.uint64]


@pytest.mark.parametrize("kind", WHOLE)
def test_whole_numbers_of_0_and_1_alone_are_not_answered_as_nearly_black(
    recognizer: Recognizer, of_levels: Recognizer, pixels: np.ndarray, kind: type[np.integer]
) -> None:
    bits = (pixels[:3] > 127).astype(kind)
    for asked, trained in ((recognizer, ""), (of_levels, ".*trained on 0 to 255")):
        told = f"array of {bits.dtype} that holds 0 and 1 and nothing else{trained}: give it as bool"
        for given in (bits, list(bits), bits[0], bits[:1], bits[..., :1]):
            with pytest.raises(PictureError, match=told):
                asked.predict_proba(given)
        with pytest.raises(PictureError, match=told):
            explain(asked, bits[0])
        # What the message says to do.
        np.testing.assert_allclose(asked.predict_proba(bits == 1), expected_probabilities(255 * (bits == 1)), atol=1e-6)
        np.testing.assert_allclose(asked.predict_proba(bits.astype("u1")), expected_probabilities(bits), atol=1e-6)


@pytest.mark.parametrize("kind", [*WHOLE[1:], np.uint16])
def test_dark_pictures_of_whole_numbers_are_answered_where_others_say_what_they_are(
    recognizer: Recognizer, of_levels: Recognizer, pixels: np.ndarray, kind: type[np.integer]
) -> None:
    shown = pixels[:4].copy()
    shown[0], shown[1] = 0, RANDOM.integers(0, 2, shown[1].shape)
    for asked in (of_levels,) if kind == np.uint16 else (recognizer, of_levels):
        np.testing.assert_allclose(asked.predict_proba(shown.astype(kind)), expected_probabilities(shown), atol=1e-6)
        black = np.zeros_like(shown, kind)
        np.testing.assert_allclose(asked.predict_proba(black), expected_probabilities(0 * shown), atol=1e-6)
        np.testing.assert_allclose(asked.predict_proba(black[0]), expected_probabilities(0 * shown[:1]), atol=1e-6)


def many(kind: type[np.generic], white: int) -> tuple[np.ndarray, np.ndarray]:
    """Pictures of one array, of which two are so dark that alone they would have another white; and their levels."""
    shown = RANDOM.integers(0, white + 1, (4, SIDE, SIDE, 3)).astype(np.float64)
    shown[1] = RANDOM.integers(0, 256 if white > 255 else 2, shown[1].shape)
    shown[2] = RANDOM.integers(0, 2, shown[2].shape)
    if np.dtype(kind).kind == "f":
        shown[1] = RANDOM.integers(0, 11, shown[1].shape) / 10
        shown[2] *= 1.5
    shown[0, 0, 0] = white
    given = shown.astype(kind)
    return given, np.rint(given.astype(np.float64) * (255 / white)).astype(np.uint8)


@pytest.mark.parametrize(
    ("kind", "white"),
    [
        *((kind, 255) for kind in (np.float16, np.float32, np.float64, np.int32)),
        *((kind, 65535) for kind in (np.uint16, np.int32, np.int64)),
    ],
)
def test_a_dark_picture_among_others_has_the_white_of_all_of_them(recognizer: Recognizer, kind, white: int) -> None:
    given, levels = many(kind, white)
    expected = expected_probabilities(levels)
    np.testing.assert_allclose(recognizer.predict_proba(given), expected, atol=1e-6)
    np.testing.assert_allclose(recognizer.predict_proba(given[..., :1]), recognizer.predict_proba(levels[..., :1]))


@pytest.mark.parametrize("odd", [np.nan, np.inf, -3.0])
def test_a_picture_without_numbers_leaves_the_others_as_they_are(recognizer: Recognizer, odd: float) -> None:
    given, levels = many(np.float32, 255)
    given[3, 0, 0, 0] = odd
    found = recognizer.predict(given)
    assert found[0] == recognizer.predict(levels)[0]
    assert found[3].error


def test_an_array_of_two_channels_is_no_guess(recognizer: Recognizer) -> None:
    with pytest.raises(UsageError, match="one gray picture of 8 x 9 with alpha, or 8 of 9 x 2"):
        recognizer.predict(np.zeros((8, 9, 2), np.uint8))


@pytest.mark.parametrize("num_threads", [-1, 0, 1.5, True, "2"])
def test_threads_that_are_none_are_refused_when_it_is_opened(recognizer: Recognizer, num_threads: Any) -> None:
    said = f"num_threads is {num_threads!r}. Expected a whole number from 1"
    with pytest.raises(UsageError, match=said):
        open_recognizer(recognizer.where, num_threads=num_threads)
    with pytest.raises(UsageError, match=said):
        recognizer.with_threads(num_threads)
