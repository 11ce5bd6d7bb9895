from __future__ import annotations

import json
import re
from collections.abc import Callable

import numpy as np
import pydantic
import pytest

from drawn_pictures import encode, photo
from whyconv.errors import PictureError
from whyconv.images.decode import decode
from whyconv.images.prepare import PicturePolicy, fit, full_pixels, prepare


def _triangle(values: np.ndarray, length: int) -> np.ndarray:
    """Resizes axis 0 by the textbook: a triangle centered on each output, one step wide to either side."""
    step = len(values) / length
    reach = max(step, 1)
    centers = (np.arange(length) + 0.5) * step
    weights = np.maximum(0, 1 - np.abs(np.arange(len(values)) + 0.5 - centers[:, None]) / reach)
    weights /= weights.sum(axis=1, keepdims=True)
    return np.tensordot(weights, values, axes=1)


def _resize(pixels: np.ndarray, width: int, height: int) -> np.ndarray:
    across = _triangle(pixels.swapaxes(0, 1).astype(float), width).swapaxes(0, 1)
    return _triangle(across, height)


@pytest.mark.parametrize("size", [(90, 61), (61, 90), (40, 40), (7, 5), (300, 11)])
@pytest.mark.parametrize("side", [16, 33, 64])
def test_letterbox_is_the_textbook_resize_centered_between_bars(size, side):
    pixels = photo(*size)
    fitted = fit(pixels, PicturePolicy(side=side, channels=3, letterbox_fill=77))
    height, width = (max(1, round(length * side / max(size))) for length in size)
    top, left = (side - height) // 2, (side - width) // 2
    expected = np.full((side, side, 3), 77.0)
    expected[top : top + height, left : left + width] = _resize(pixels, width, height)
    assert np.abs(fitted - expected).max() <= 1
    assert fitted.shape == (side, side, 3)
    assert fitted.dtype == np.uint8
    assert fitted.flags.c_contiguous


def test_stretch_fills_the_square():
    pixels = photo(50, 90)
    fitted = fit(pixels, PicturePolicy(side=32, channels=3, fit="stretch"))
    assert np.abs(fitted - _resize(pixels, 32, 32)).max() <= 1


def test_a_picture_of_the_right_size_is_left_alone():
    pixels = photo(24, 24)
    assert np.array_equal(fit(pixels, PicturePolicy(side=24, channels=3)), pixels)


@pytest.mark.parametrize("channels", [1, 3])
def test_what_is_prepared_is_nobody_elses(channels: int) -> None:
    pixels = np.zeros((6, 6, channels), np.uint8)
    fitted = fit(pixels, PicturePolicy(side=6, channels=channels))
    fitted += 1
    assert not pixels.any()


def test_color_to_gray_is_luma_and_gray_to_color_is_repetition():
    pixels = photo(24, 24)
    gray = fit(pixels, PicturePolicy(side=24, channels=1))
    assert np.abs(gray[:, :, 0] - pixels @ np.array([0.299, 0.587, 0.114])).max() <= 0.51
    color = fit(gray, PicturePolicy(side=24, channels=3))
    assert np.array_equal(color, gray.repeat(3, axis=2))


def test_a_part_of_the_pixels():
    pixels = photo(48, 48)
    policy = PicturePolicy(side=16, channels=3)
    part, cut = (fit(pixels, policy, box=(4, 8, 36, 32)), fit(pixels[8:32, 4:36].copy(), policy))
    assert np.array_equal(part[3:13, 1:-1], cut[3:13, 1:-1])  # the filter may look over the edge of the part
    assert np.abs(part.astype(int) - cut).max() < 20


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("format_name", ["JPEG", "PNG", "WEBP"])
def test_prepare_is_decode_and_fit(channels, format_name):
    content = encode(photo(60, 45), format_name)
    policy = PicturePolicy(side=40, channels=channels)
    expected = fit(decode(content, to_gray=channels == 1).pixels, policy)
    assert np.array_equal(prepare(content, policy), expected)
    assert prepare(content, policy).shape == (40, 40, channels)


def test_arrays_and_files_are_prepared_alike():
    pixels = photo(70, 50)
    for policy in (PicturePolicy(side=32, channels=3), PicturePolicy(side=32, channels=1, fit="stretch")):
        expected = prepare(encode(pixels, "PNG"), policy)
        assert np.array_equal(prepare(pixels, policy), expected)
        assert np.array_equal(prepare(pixels / 255, policy), expected)
        assert np.array_equal(prepare(pixels.astype(np.uint16) * 257, policy), expected)


def test_the_background_is_the_policys():
    clear = np.zeros((8, 8, 4), np.uint8)
    policy = PicturePolicy(side=8, channels=3, alpha_background=(10, 20, 30))
    assert (prepare(encode(clear, "PNG"), policy) == (10, 20, 30)).all()
    assert (prepare(clear, policy) == (10, 20, 30)).all()


def test_the_reason_carries_the_name_that_was_given():
    policy = PicturePolicy(side=8, channels=3)
    with pytest.raises(PictureError, match=r"^cat/1\.jpg: empty file$"):
        prepare(b"", policy, name="cat/1.jpg")
    with pytest.raises(PictureError, match=r"^empty file$"):
        prepare(b"", policy)


@pytest.mark.parametrize("white", [None, 1, 255, 65535])
@pytest.mark.parametrize("make", [prepare, full_pixels])
@pytest.mark.parametrize("shape", [(), (5,), (2, 2, 2), (2, 2, 2, 2)])
@pytest.mark.parametrize("value", [0.5, 5.0, 300, 70_000])
def test_an_array_of_no_pictures_shape_is_refused_by_its_shape(
    white: int | None, make: Callable[..., np.ndarray], shape: tuple[int, ...], value: float
) -> None:
    with pytest.raises(PictureError, match=rf"^an array of shape {re.escape(str(shape))}; expected \(h, w\)"):
        make(np.full(shape, value), PicturePolicy(side=8, channels=3), white=white)


def test_a_policy_survives_json_and_refuses_what_it_does_not_know():
    policy = PicturePolicy(side=64, channels=1, fit="stretch", alpha_background=(0, 1, 2))
    assert PicturePolicy(**json.loads(json.dumps(policy.model_dump()))) == policy
    for wrong in ({"side": 0}, {"channels": 2}, {"fit": "crop"}, {"letterbox_fill": 256}, {"version": 2}, {"crop": 1}):
        with pytest.raises(pydantic.ValidationError):
            PicturePolicy(**({"side": 64, "channels": 3} | wrong))
