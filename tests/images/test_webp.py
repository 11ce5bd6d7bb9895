from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from drawn_pictures import encode, photo
from whyconv.errors import PictureError
from whyconv.images.decode import decode
from whyconv.images.webp import read_webp_size

_KINDS = {"VP8 ": {"quality": 50}, "VP8L": {"lossless": True}, "VP8X": {"exif": b"Exif\0\0II*\0"}}


@pytest.mark.parametrize("kind", _KINDS)
@pytest.mark.parametrize("size", [(1, 1), (37, 211), (300, 5)])
def test_sizes_of_all_kinds(kind, size):
    content = encode(photo(*size), "WEBP", **_KINDS[kind])
    assert content[12:16] == kind.encode()
    assert read_webp_size(content) == size[::-1]
    assert read_webp_size(content[:25]) == (0, 0)


def test_a_giant_is_refused_by_its_size():
    content = bytearray(encode(photo(20, 20), "WEBP", exif=b"Exif\0\0II*\0"))
    content[24:30] = (9_999).to_bytes(3, "little") + (8_000).to_bytes(3, "little")
    with pytest.raises(
        PictureError, match="too large: 10000 x 8001 is 80 megapixels, and at most 80 are read from a WebP"
    ):
        decode(bytes(content))


def test_a_large_one_is_given_the_memory_it_needs():
    content = encode(Image.new("RGB", (7000, 6000), (10, 200, 30)), "WEBP", method=0, quality=1)
    pixels = decode(content).pixels
    assert pixels.shape == (6000, 7000, 3)
    assert np.abs(pixels[::500, ::500].astype(int) - (10, 200, 30)).max() <= 8
