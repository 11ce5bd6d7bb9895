"""PNG files that call one gray or one color transparent: it is a number of the file's own depth, whichever that is."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest

from drawn_pictures import png_chunk
from whyconv.images.decode import decode

_GRAY, _COLOR = 0, 2
_PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
_BACKGROUND = (10, 200, 30)


def written(values: np.ndarray, bits: int, key: tuple[int, ...], *, is_interlaced: bool = False) -> bytes:
    """A PNG of values (h, w, 1 or 3), in which ``key`` is transparent."""
    height, width, channels = values.shape
    rows = []
    for column, row, step, down in _PASSES if is_interlaced else ((0, 0, 1, 1),):
        for line in values[row::down, column::step]:
            if line.size:
                digits = line.reshape(-1, 1) >> np.arange(bits - 1, -1, -1) & 1
                rows.append(b"\0" + np.packbits(digits.astype(np.uint8)).tobytes())
    color = _GRAY if channels == 1 else _COLOR
    head = png_chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, color, 0, 0, is_interlaced))
    clear = png_chunk(b"tRNS", struct.pack(f">{channels}H", *key))
    pixels = png_chunk(b"IDAT", zlib.compress(b"".join(rows)))
    return b"\x89PNG\r\n\x1a\n" + head + clear + pixels + png_chunk(b"IEND", b"")


def seen(values: np.ndarray, bits: int, key: tuple[int, ...]) -> np.ndarray:
    """What is to be seen: (h, w, 3); of colors of 16 bits the high byte."""
    most = (1 << bits) - 1
    is_deep_color = bits == 16 and values.shape[2] == 3
    levels = values >> 8 if is_deep_color else np.rint(values * 255 / most).astype(np.int64)
    shown = np.broadcast_to(levels, (*values.shape[:2], 3)).copy()
    shown[(values == np.array(key) % (most + 1)).all(axis=2)] = _BACKGROUND
    return shown


def matches(values: np.ndarray, bits: int, key: tuple[int, ...], *, is_interlaced: bool = False) -> bool:
    decoded = decode(written(values, bits, key, is_interlaced=is_interlaced), alpha_background=_BACKGROUND)
    expected = seen(values, bits, key)
    is_clear = bool((values == np.array(key) % (1 << bits)).all(axis=2).any())
    found = np.broadcast_to(decoded.pixels, expected.shape)
    return np.array_equal(found, expected) and decoded.facts.has_alpha == is_clear


@pytest.mark.parametrize("is_interlaced", [False, True])
@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_every_gray_of_few_bits_may_be_the_transparent_one(bits, is_interlaced):
    values = np.arange(21 * 17).reshape(17, 21, 1) % (1 << bits)
    for key in range(1 << bits):
        assert matches(values, bits, (key,), is_interlaced=is_interlaced), key


@pytest.mark.parametrize("bits", [2, 4])
def test_a_gray_that_the_picture_has_not_is_not_looked_for_among_levels(bits):
    most = (1 << bits) - 1
    values = np.zeros((3, 5, 1), np.int64)
    values[1, 2], values[2, 4] = most - 1, most
    for key in (*range(1 << bits), 255, 256, 85, 17, 65535):
        assert matches(values, bits, (key,)), key


@pytest.mark.parametrize("key", [0, 1, 255, 256, 37872, 65535])
def test_a_gray_of_16_bits(key):
    values = np.random.default_rng(key).integers(0, 65536, (6, 7, 1))
    values[1, 2] = key
    values[3, 3:5, 0] = (max(0, key - 1), min(65535, key + 1))
    assert matches(values, 16, (key,))


@pytest.mark.parametrize("is_interlaced", [False, True])
@pytest.mark.parametrize(
    ("bits", "key"),
    [(8, (255, 127, 3)), (16, (65535, 32767, 3)), (16, (0, 0, 0)), (16, (65535, 65535, 65535)), (16, (7, 130, 255)),
     (16, (256, 512, 255 << 8)), (16, (258, 772, 1286))],
)  # fmt: skip
def test_a_color_is_compared_by_all_of_its_bits(bits, key, is_interlaced):
    values = np.random.default_rng(bits).integers(0, 1 << bits, (9, 11, 3))
    values[1, 2] = values[8, 10] = key
    for channel in range(3):  # neighbors, which differ in one low bit or in the high bits alone
        values[4, channel], values[5, channel], values[6, channel] = key, key, key
        values[4, channel, channel] ^= 1
        values[5, channel, channel] ^= 1 << (bits - 1)
        values[6, channel] = np.array(key) % 256 << (bits - 8)
    assert matches(values, bits, key, is_interlaced=is_interlaced)


@pytest.mark.parametrize("bits", [8, 16])
def test_a_color_that_no_pixel_has_hides_none(bits):
    values = np.full((4, 5, 3), 200 << (bits - 8))
    assert matches(values, bits, (200, 200, 201))


@pytest.mark.parametrize(("bits", "key"), [(4, (8,)), (16, (65535, 32767, 3))])
def test_the_first_picture_of_an_animation_likewise(bits, key):
    values = np.random.default_rng(bits).integers(0, 1 << bits, (6, 8, len(key)))
    values[2, 3] = key
    content = written(values, bits, key)
    size = struct.pack(">II", 8, 6)
    control = png_chunk(b"acTL", struct.pack(">II", 2, 0))
    first, second = (
        png_chunk(b"fcTL", struct.pack(">I", number) + size + bytes(8) + struct.pack(">HHBB", 1, 10, 0, 0))
        for number in (0, 1)
    )
    start, end = content.index(b"IDAT") - 4, content.index(b"IEND") - 4
    frame = png_chunk(b"fdAT", struct.pack(">I", 2) + content[start + 8 : end - 4])
    animated = content[:start] + control + first + content[start:end] + second + frame + content[end:]
    decoded = decode(animated, alpha_background=_BACKGROUND)
    assert decoded.facts.num_frames == 2
    assert np.array_equal(np.broadcast_to(decoded.pixels, (6, 8, 3)), seen(values, bits, key))
