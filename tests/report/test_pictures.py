from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from PIL import Image

from whyconv.report.pictures import data_uri, detector_pictures


def decoded(address: str) -> np.ndarray:
    head, data = address.split(",")
    assert head == "data:image/png;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_every_pixel_comes_back(channels: int) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (9, 7, channels), dtype=np.uint8)
    assert (decoded(data_uri(pixels)).reshape(9, 7, channels) == pixels).all()


def test_detectors_share_one_scale_around_middle_gray() -> None:
    weights = np.zeros((2, 2, 2, 1))
    weights[0, 0, 0], weights[0, 0, 1], weights[1, 1, 1] = 2.0, -2.0, 1.0
    pictures, greatest = detector_pictures(weights)
    assert greatest == 2.0
    assert pictures[0][..., 0].tolist() == [[255, 1], [128, 128]]
    assert pictures[1][..., 0].tolist() == [[128, 128], [128, 192]]


def test_three_channels_are_drawn_in_color_and_others_as_their_mean() -> None:
    assert detector_pictures(np.ones((1, 3, 3, 3)))[0][0].shape == (3, 3, 3)
    two = np.stack([np.full((1, 1, 1), 1.0), np.full((1, 1, 1), 0.0)], axis=-1)
    pictures, greatest = detector_pictures(two)
    assert pictures[0].shape == (1, 1, 1)
    assert greatest == 0.5


def test_filters_of_zeros_are_gray_and_many_are_cut() -> None:
    pictures, greatest = detector_pictures(np.zeros((100, 3, 3, 3)))
    assert greatest == 0.0
    assert len(pictures) == 64
    assert (pictures[0] == 128).all()
