"""The whole square on the digits: what it says about them, and that it is done in time."""

from __future__ import annotations

import time

import numpy as np
import pytest

from whyconv.demo import load_digits
from whyconv.results import Square
from whyconv.study import SquarePictures, make_protocol, measure_square
from whyconv.study.protocol import ADDITIONS, BASE
from whyconv.training.pictures import channel_statistics
from whyconv.training.pixel_rows import LabelledPixels

pytestmark = pytest.mark.slow


def digits() -> SquarePictures:
    pixels, labels, is_test = load_digits()
    learned = np.random.default_rng(0).permutation(np.flatnonzero(~is_test))
    train, test = (
        LabelledPixels(pixels[rows, :, :, None], labels[rows]) for rows in (learned, np.flatnonzero(is_test))
    )
    return SquarePictures(train, test, test, 10, *channel_statistics(train.pixels))


@pytest.fixture(scope="module")
def measured() -> tuple[Square, float]:
    pictures = digits()
    protocol = make_protocol(
        ADDITIONS["controls"](BASE), side=8, channels=1, num_train=len(pictures.train), num_classes=10, seed=0
    )
    began = time.process_time()
    return measure_square(pictures, protocol), time.process_time() - began


def test_two_cores_need_less_than_three_minutes(measured: tuple[Square, float]) -> None:
    assert measured[1] < 2 * 180  # of processor time, which is all that the trainings take


def test_unmoved_corners_are_unmoved(measured: tuple[Square, float]) -> None:
    for check in measured[0].checks:
        assert check.is_unmoved == (check.difference < 1e-9)


def test_what_the_digits_say(measured: tuple[Square, float]) -> None:
    square = measured[0]
    # Digits are centered: who forgets the place loses. Moved, who shares wins, and by sharing, not by locality.
    assert square.split("still").gain.high < 0 < square.split("moved").sharing_first.low
    assert square.split("moved").sharing_second.low > 0.1
    assert square.split("moved").locality_first.high < 0.05
    taken = {(one.corner, one.place, one.control): one.points for one in square.losses}
    for corner in ("shared_global", "convolution"):
        assert taken[corner, "moved", "signs"].high < -0.2
        assert taken[corner, "moved", "permuted"].high < -0.2
    small, large = square.protocol.sizes[0], square.protocol.sizes[-1]
    for corner in ("dense", "local", "shared_global", "convolution"):
        assert square.score(corner, "still", large).accuracy.value > square.score(corner, "still", small).accuracy.value
