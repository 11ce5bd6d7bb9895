"""The resize inside a file is the one of ``prepare``, for every size, rounding aside."""

from __future__ import annotations

import json

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper

from tiny_model import SIDE, expected_probabilities, make_metadata, make_model
from whyconv.errors import DataError, ModelFileError, ParityError, PictureError, UsageError
from whyconv.exporting import any_size
from whyconv.exporting.any_size import resize_alone, take_any_size
from whyconv.exporting.originals import compare_originals
from whyconv.exporting.proof import ProofPictures
from whyconv.images.prepare import PicturePolicy, fit, prepare
from whyconv.recognizer import Recognizer
from whyconv.results import ignore


def session_of(model: onnx.ModelProto) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])


SESSIONS = {
    (side, channels, how): session_of(resize_alone(PicturePolicy(side=side, channels=channels, fit=how)))
    for side, channels, how in [(8, 1, "letterbox"), (31, 3, "letterbox"), (16, 3, "stretch")]
}


@settings(max_examples=60, deadline=None)
@given(
    which=st.sampled_from(sorted(SESSIONS)),
    n=st.integers(1, 3),
    height=st.integers(1, 120),
    width=st.integers(1, 120),
    seed=st.integers(0, 2**31),
)
def test_every_size_becomes_what_prepare_makes_of_it(which, n: int, height: int, width: int, seed: int) -> None:
    side, channels, how = which
    policy = PicturePolicy(side=side, channels=channels, fit=how)
    pixels = np.random.default_rng(seed).integers(0, 256, (n, height, width, channels), np.uint8)
    found = SESSIONS[which].run(None, {"pixels": pixels})[0]
    expected = np.stack([fit(each, policy) for each in pixels])
    assert found.shape == expected.shape
    assert found.dtype == np.uint8
    difference = np.abs(found.astype(int) - expected)
    assert difference.max() <= 2
    assert difference.mean() < 0.25  # ties of halves may all round the other way


def test_prepared_pictures_stay_bit_for_bit() -> None:
    for (side, channels, _), session in SESSIONS.items():
        pixels = np.random.default_rng(0).integers(0, 256, (5, side, side, channels), np.uint8)
        np.testing.assert_array_equal(session.run(None, {"pixels": pixels})[0], pixels)


def test_bars_are_where_prepare_puts_them() -> None:
    policy = PicturePolicy(side=9, channels=1, letterbox_fill=77)
    pixels = np.full((1, 10, 40, 1), 200, np.uint8)
    found = session_of(resize_alone(policy)).run(None, {"pixels": pixels})[0][0, :, :, 0]
    np.testing.assert_array_equal(found, prepare(pixels[0], policy)[:, :, 0])
    assert found[:3].max() == found[5:].min() == 77


def any_size_file(**changes: object) -> bytes:
    model = make_model(make_metadata(takes="any_size", **changes))
    take_any_size(model, PicturePolicy(side=SIDE, channels=3))
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString()


def test_the_recognizer_opens_such_a_file_and_answers_as_before() -> None:
    recognizer, before = Recognizer(any_size_file()), Recognizer(make_model(make_metadata()).SerializeToString())
    pictures = [np.random.default_rng(k).integers(0, 256, (5 + 9 * k, 40, 3), np.uint8) for k in range(4)]
    np.testing.assert_array_equal(recognizer.predict_proba(pictures), before.predict_proba(pictures))
    # Asked with a picture at its own size, the file answers as for the picture that it makes of it.
    policy = recognizer.policy
    resized = session_of(resize_alone(policy)).run(None, {"pixels": pictures[2][None]})[0]
    found = recognizer.run(pictures[2][None]).probabilities
    np.testing.assert_allclose(found, expected_probabilities(resized), atol=1e-6)


def test_a_file_that_says_one_thing_and_takes_another_is_refused() -> None:
    with pytest.raises(ModelFileError, match=r"Expected pixels tensor\(uint8\) \[n, 8, 8, 3\]"):
        model = onnx.load_model_from_string(any_size_file())
        helper.set_model_props(model, {"whyconv": json.dumps(make_metadata())})
        Recognizer(model.SerializeToString())
    with pytest.raises(ModelFileError, match=r"Expected pixels tensor\(uint8\) \[n, h, w, 3\]"):
        Recognizer(make_model(make_metadata(takes="any_size")).SerializeToString())


def test_an_old_operator_set_is_refused_by_name() -> None:
    model = make_model(make_metadata())
    model.opset_import[0].version = 17
    with pytest.raises(UsageError, match=r"needs ONNX operator set 18 or newer.*this recognizer has 17"):
        take_any_size(model, PicturePolicy(side=SIDE, channels=3))


def originals() -> ProofPictures:
    generator = np.random.default_rng(5)
    arrays = [generator.integers(0, 256, (30 + k, 61 - k, 3), np.uint8) for k in range(6)]
    return ProofPictures("test", [lambda array=array: array for array in arrays])


def test_the_difference_from_prepare_is_measured() -> None:
    recognizer = Recognizer(any_size_file())
    ask = lambda pixels: recognizer.run(pixels).probabilities  # noqa: E731
    found = compare_originals(ask, originals(), recognizer.metadata, ignore)
    assert found.n == found.num_same_answer == 6
    assert found.largest_difference < 1e-3
    assert found.largest_levels == found.largest_rounding <= 2
    assert found.mean_levels < 0.05


def test_the_difference_is_measured_where_few_can_be_read() -> None:
    """None of the 500 that are evenly chosen of 999."""

    def broken() -> np.ndarray:
        raise PictureError("cut short")

    contents = [broken] * 999
    chosen = {round(each * 998 / 499) for each in range(500)}
    for place, read in zip((each for each in range(999) if each not in chosen), originals().contents, strict=False):
        contents[place] = read
    recognizer = Recognizer(any_size_file())
    ask = lambda pixels: recognizer.run(pixels).probabilities  # noqa: E731
    assert compare_originals(ask, ProofPictures("pictures", contents), recognizer.metadata, ignore).n == 6
    with pytest.raises(DataError, match="None of the pictures"):
        compare_originals(ask, ProofPictures("pictures", [broken] * 600), recognizer.metadata, ignore)


@pytest.mark.parametrize("wrong", [("antialias", "exclude_outside"), ("exclude_outside",)])
def test_another_resize_is_found_out(wrong: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    right = any_size._Pieces.node

    def node(self, kind: str, inputs: list[str], **attributes: int | str) -> str:
        return right(self, kind, inputs, **{key: value for key, value in attributes.items() if key not in wrong})

    monkeypatch.setattr(any_size._Pieces, "node", node)
    recognizer = Recognizer(any_size_file())
    with pytest.raises(ParityError, match=r"gray levels \(allowed 2\). Nothing was written"):
        compare_originals(lambda pixels: recognizer.run(pixels).probabilities, originals(), recognizer.metadata, ignore)
