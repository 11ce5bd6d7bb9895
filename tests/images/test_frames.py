from __future__ import annotations

import warnings

import numpy as np
import pytest
from PIL import Image

from drawn_pictures import encode
from whyconv.images.decode import decode
from whyconv.images.frames import count_gif_frames, count_tiff_pages

_LEVELS = (40, 120, 200, 250)
_FRAMES = [Image.fromarray(np.full((10, 12, 3), level, np.uint8)) for level in _LEVELS]


@pytest.mark.parametrize("format_name", ["GIF", "PNG", "WEBP", "TIFF", "AVIF"])
def test_first_frame_is_taken_and_all_are_counted(format_name):
    decoded = decode(encode(_FRAMES[0], format_name, save_all=True, append_images=_FRAMES[1:]))
    assert decoded.facts.num_frames == 4
    assert np.abs(decoded.pixels.astype(int) - 40).max() <= 2
    assert decode(encode(_FRAMES[1], format_name)).facts.num_frames == 1


def test_counts_agree_with_pillow(shared_data):
    counted = 0
    for path in sorted(shared_data("zoo").iterdir()):
        if path.suffix not in (".gif", ".tif", ".tiff"):
            continue
        try:
            with warnings.catch_warnings(action="ignore"), Image.open(path) as image:
                expected = getattr(image, "n_frames", 1)
        except (OSError, TypeError, ValueError, Image.DecompressionBombError):
            continue
        content = path.read_bytes()
        assert (count_gif_frames if path.suffix == ".gif" else count_tiff_pages)(content) == expected, path.name
        counted += 1
    assert counted > 90


def test_a_chain_that_bites_its_tail_ends():
    content = bytearray(encode(_FRAMES[0], "TIFF"))
    start = int.from_bytes(content[4:8], "little")
    link = start + 2 + 12 * int.from_bytes(content[start : start + 2], "little")
    content[link : link + 4] = start.to_bytes(4, "little")
    assert count_tiff_pages(bytes(content)) == 1


@pytest.mark.parametrize("length", [6, 13, 14, 20, 100])
def test_cut_files_are_counted_without_a_crash(length):
    gif = encode(_FRAMES[0], "GIF", save_all=True, append_images=_FRAMES[1:])
    assert count_gif_frames(gif[:length]) >= 1
    assert count_tiff_pages(encode(_FRAMES[0], "TIFF")[:length]) == 1
