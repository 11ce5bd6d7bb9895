"""Looks against a loop over blocks, and Haar's sum of squares."""

from __future__ import annotations

import math

import numpy as np
import pytest

from whyconv.novelty.looks import ROUNDING_VARIANCE, looks, num_scales, planes


def by_hand(picture: np.ndarray) -> list[float]:
    """The look of one gray picture, block by block."""
    x, found = picture.astype(float) / 255, []
    found.append(float(x.mean()))
    while len(x) > 1:
        half = len(x) // 2
        blocks = [[x[2 * i : 2 * i + 2, 2 * j : 2 * j + 2] for j in range(half)] for i in range(half)]
        variances = [float(block.var()) for row in blocks for block in row]
        mean = sum(variances) / len(variances) + ROUNDING_VARIANCE
        square = sum(v * v for v in variances) / len(variances) + ROUNDING_VARIANCE**2
        found += [math.log(mean), math.log(square / mean**2)]
        x = np.array([[block.mean() for block in row] for row in blocks])
    return found


@pytest.mark.parametrize("side", [8, 9, 13])
def test_gray_looks_are_those_of_a_loop_over_blocks(side: int) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (3, side, side, 1), np.uint8)
    assert looks(pixels) == pytest.approx(np.array([by_hand(picture[..., 0]) for picture in pixels]), abs=1e-9)
    assert looks(pixels).shape == (3, 1 + 2 * num_scales(side))


def test_the_variances_of_all_scales_sum_to_that_of_the_picture() -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (5, 16, 16, 1), np.uint8)
    contrasts = np.exp(looks(pixels)[:, 1::2]) - ROUNDING_VARIANCE
    assert contrasts.sum(axis=1) == pytest.approx((pixels / 255).var(axis=(1, 2, 3)))


def test_a_gray_picture_has_no_opponent_colors() -> None:
    gray = np.random.default_rng(2).integers(0, 256, (2, 8, 8, 1), np.uint8)
    found = looks(np.repeat(gray, 3, axis=3)).reshape(2, -1, 3)
    assert found[:, :, 0] == pytest.approx(looks(gray), abs=1e-6)
    assert found[:, 0, 1:] == pytest.approx(0, abs=1e-12)
    assert found[:, 1::2, 1:] == pytest.approx(math.log(ROUNDING_VARIANCE), abs=1e-6)
    assert planes(3).sum(axis=1) == pytest.approx([1, 0, 0])
