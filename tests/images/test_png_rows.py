"""PNG files whose pixels end before the picture does, though every chunk and the compression end properly."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest

from drawn_pictures import encode, png_chunk
from whyconv.errors import PictureError
from whyconv.images.decode import decode

# color type of the format -> channels; palettes have colors for all indices.
_KINDS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


def written(values: np.ndarray, color: int, bits: int = 8, *, is_interlaced: bool = False, missing: int = 0) -> bytes:
    """A PNG of values (h, w, c), whose last ``missing`` rows are not written."""
    height, width, _ = values.shape
    rows = []
    for column, row, step, down in _PASSES if is_interlaced else ((0, 0, 1, 1),):
        for line in values[row::down, column::step]:
            if line.size:
                packed = np.unpackbits(line.astype(np.uint8).reshape(-1, 1), axis=1)[:, 8 - bits :].reshape(-1)
                rows.append(b"\0" + np.packbits(packed).tobytes())
    head = struct.pack(">IIBBBBB", width, height, bits, color, 0, 0, is_interlaced)
    palette = png_chunk(b"PLTE", np.random.default_rng(0).bytes(3 << bits)) if color == 3 else b""
    pixels = png_chunk(b"IDAT", zlib.compress(b"".join(rows[: len(rows) - missing])))
    return b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", head) + palette + pixels + png_chunk(b"IEND", b"")


def drawn(height: int, width: int, channels: int, bits: int = 8) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 1 << bits, (height, width, channels))


@pytest.mark.parametrize("is_interlaced", [False, True])
@pytest.mark.parametrize("color", _KINDS)
@pytest.mark.parametrize("height", [1, 2, 3, 9])
def test_rows_that_are_not_there_are_missed(color, height, is_interlaced):
    values = drawn(height, 11, _KINDS[color])
    whole = written(values, color, is_interlaced=is_interlaced)
    assert decode(whole).pixels.shape[:2] == (height, 11)
    for missing in range(1, height):
        with pytest.raises(PictureError, match=r"^cut short: the PNG ends before its pixels do"):
            decode(written(values, color, is_interlaced=is_interlaced, missing=missing))


@pytest.mark.parametrize("bits", [1, 2, 4])
@pytest.mark.parametrize("is_interlaced", [False, True])
def test_rows_of_packed_pixels_are_counted_right(bits, is_interlaced):
    for width in (1, 3, 5, 8, 13, 17):
        values = drawn(7, width, 1, bits)
        values[-2:] = 0
        assert decode(written(values, 0, bits, is_interlaced=is_interlaced)).pixels.shape == (7, width, 1)
        with pytest.raises(PictureError, match="cut short"):
            decode(written(values, 0, bits, is_interlaced=is_interlaced, missing=1))


def test_honest_rows_of_black_stay_readable():
    for pixels in (np.zeros((40, 30), np.uint8), np.zeros((40, 30, 4), np.uint8), np.zeros((1, 1, 3), np.uint8)):
        assert decode(encode(pixels, "PNG")).pixels.shape[:2] == pixels.shape[:2]
    large = np.zeros((6000, 5000), np.uint8)
    assert not decode(encode(large, "PNG", compress_level=9)).pixels.any()


def test_the_last_row_of_two_and_of_many_chunks():
    values = drawn(20, 30, 3)
    content = written(values, 2)
    start, length = content.find(b"IDAT") + 4, len(content) - content.find(b"IDAT") - 4 - 4 - 12
    pieces = [content[start + place : start + min(place + 7, length)] for place in range(0, length, 7)]
    many = content[: start - 8] + b"".join(png_chunk(b"IDAT", piece) for piece in pieces) + png_chunk(b"IEND", b"")
    assert np.array_equal(decode(many).pixels, values)
