"""Look hashes against imagehash, close pairs against a plain double loop."""

import numpy as np
import pytest
from PIL import Image

from scenes import scene
from whyconv.images.hashing import close_pairs, look_hashes

imagehash = pytest.importorskip("imagehash")


def thumbnails(count):
    small = [scene(seed).convert("L").resize((32, 32), Image.Resampling.BOX) for seed in range(count)]
    return np.stack([np.asarray(image) for image in small])


def test_hashes_are_those_of_imagehash():
    pictures = thumbnails(40)
    expected = [int(str(imagehash.phash(Image.fromarray(picture))), 16) for picture in pictures]
    assert look_hashes(pictures).tolist() == expected


def test_no_pictures_have_no_hashes():
    assert look_hashes(np.zeros((0, 32, 32), np.uint8)).shape == (0,)


@pytest.mark.parametrize("enough", [1, 4, 1000])
@pytest.mark.parametrize("max_distance", [0, 8, 24])
def test_close_pairs_are_those_of_a_double_loop(max_distance, enough):
    random = np.random.default_rng(0)
    left = random.integers(0, 2**63, 30, dtype=np.uint64)
    right = np.concatenate([left ^ np.uint64(0b1011), random.integers(0, 2**63, 41, dtype=np.uint64)])
    expected = {
        (i, j)
        for i, one in enumerate(left.tolist())
        for j, other in enumerate(right.tolist())
        if (one ^ other).bit_count() <= max_distance
    }
    parts = list(close_pairs(left, right, max_distance, block=7, enough=enough))
    assert all(len(part[0]) >= enough for part in parts[:-1])
    found = [pair for part in parts for pair in zip(*part, strict=True)]
    assert {(int(i), int(j)) for i, j in found} == expected
    assert len(found) == len(expected)
    assert expected or max_distance == 0
