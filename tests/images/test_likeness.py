"""Laying one picture over another: a known motion is found, and different pictures stay different."""

import numpy as np
import pytest
from PIL import Image

from scenes import scene
from whyconv.images.likeness import detail_of, lay_over

SIDE = 64


def seen(image, box=None):
    """The part of a picture inside ``box`` (fractions), squeezed to 64 x 64, float32 (1, 64, 64, 3)."""
    left, top, right, bottom = box or (0, 0, 1, 1)
    pixels = (left * image.width, top * image.height, right * image.width, bottom * image.height)
    small = image.resize((SIDE, SIDE), Image.Resampling.BOX, box=pixels)
    return np.asarray(small, np.float32)[None]


def test_the_same_picture_fits_without_motion():
    picture = seen(scene(1, 256, 256))
    found = lay_over(picture, picture)
    assert found.error[0] < 0.01
    assert found.motion[0] == pytest.approx([0, 1, 0, 1], abs=1e-3)
    assert found.overlap[0] == pytest.approx(1)


@pytest.mark.parametrize("box", [(0.02, 0.0, 1.0, 0.97), (0.05, 0.03, 0.99, 0.99), (0.0, 0.04, 0.93, 1.0)])
def test_a_crop_is_laid_where_it_was_cut(box):
    image = scene(2, 512, 512)
    left, top, right, bottom = box
    found = lay_over(seen(image), seen(image, box), num_steps=12)
    # A point u in [-1, 1] of the crop lies at stretch * u + shift of the whole.
    expected = [left + right - 1, right - left, top + bottom - 1, bottom - top]
    assert found.motion[0] == pytest.approx(expected, abs=0.01)
    assert found.error[0] < 0.15


@pytest.mark.parametrize(("gain", "offset"), [(0.6, 30), (1.0, -20), (1.2, -25)])
def test_brightness_and_contrast_do_not_count(gain, offset):
    picture = 60 + seen(scene(3, 256, 256)) * 0.5
    found = lay_over(picture, gain * picture + offset)
    assert found.gain[0] == pytest.approx(gain, abs=0.02)
    assert found.error[0] < 0.03


def test_what_is_clipped_to_white_is_excused_and_what_is_added_is_not():
    picture = seen(scene(4, 256, 256))
    brighter = np.clip(picture * 1.3 + 10, 0, 255)
    assert (brighter == 255).mean() > 0.05
    assert lay_over(picture, brighter).error[0] < 0.1
    stained = brighter.copy()
    stained[0, 20:30, 20:30] = 0
    assert lay_over(picture, stained).worst[0] > 1


def test_different_pictures_remain_different():
    pairs = [(seen(scene(seed, 256, 256)), seen(scene(seed + 100, 256, 256))) for seed in range(20)]
    found = lay_over(np.concatenate([one for one, _ in pairs]), np.concatenate([other for _, other in pairs]))
    assert found.error.min() > 0.6


def test_one_object_more_shows_in_the_worst_tile():
    picture = seen(scene(5, 256, 256))
    other = picture.copy()
    other[0, 8:20, 40:52] = 255 - other[0, 8:20, 40:52]
    found = lay_over(picture, other)
    assert found.worst[0] > 2 * found.error[0]
    assert found.worst[0] > 0.8


def test_flat_pictures_divide_nothing_by_zero():
    flat = np.full((2, SIDE, SIDE, 3), 100, np.float32)
    found = lay_over(flat, flat + 50)
    assert np.isfinite(found.error).all()


def test_shading_is_no_detail():
    y, x = np.mgrid[-1:1:64j, -1:1:64j]
    shading = (100 + 40 * x - 30 * y + 20 * x * y - 10 * y * y).astype(np.float32)
    checks = shading + 5 * np.where((np.indices((64, 64)).sum(0) // 4) % 2, 1, -1)
    planes = np.stack([shading, checks])[:, None].astype(np.float32)
    assert detail_of(planes) == pytest.approx([0, 5], abs=0.1)
