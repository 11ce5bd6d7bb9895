from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms

from drawn_pictures import encode, photo, png_chunk
from whyconv.errors import PictureError
from whyconv.images.decode import decode
from whyconv.images.modes import lab_to_srgb, scale_floats, scale_integers

_ALL_16 = np.arange(65536, dtype=np.uint16).reshape(256, 256)
_RANDOM = np.random.default_rng(1)


def _over(color: np.ndarray, alpha: np.ndarray, background: tuple[int, ...]) -> np.ndarray:
    share = alpha[..., None] / 255
    return np.rint(color * share + np.array(background) * (1 - share))


@pytest.mark.parametrize("format_name", ["PNG", "TIFF"])
def test_16_bits_are_divided_by_257(format_name):
    decoded = decode(encode(_ALL_16, format_name))
    assert np.array_equal(decoded.pixels[:, :, 0], np.rint(_ALL_16 / 257))
    assert decoded.pixels.shape == (256, 256, 1)
    assert decoded.facts.is_scaled
    assert decoded.facts.is_gray


def test_16_bit_big_endian_and_pgm():
    tiff = encode(Image.frombytes("I;16B", (256, 256), _ALL_16.astype(">u2").tobytes()), "TIFF")
    pgm = b"P5 256 256 65535\n" + _ALL_16.astype(">u2").tobytes()
    for content in (tiff, pgm):
        assert np.array_equal(decode(content).pixels[:, :, 0], np.rint(_ALL_16 / 257))
    dark = b"P5 2 1 65535\n" + np.array([0, 255], ">u2").tobytes()
    assert decode(dark).pixels.ravel().tolist() == [0, 1]


def test_16_bit_color_png_is_within_one():
    values = _RANDOM.integers(0, 65536, (64, 64, 3)).astype(np.uint16)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    head = png_chunk(b"IHDR", struct.pack(">IIBBBBB", 64, 64, 16, 2, 0, 0, 0))
    content = b"\x89PNG\r\n\x1a\n" + head + png_chunk(b"IDAT", zlib.compress(rows)) + png_chunk(b"IEND", b"")
    decoded = decode(content)
    difference = np.rint(values / 257) - decoded.pixels
    assert decoded.facts.is_scaled
    assert (difference.min(), difference.max()) == (-1, 1)


def test_other_depths():
    assert scale_integers(np.array([[0, 2048, 4095]]), bits=12).tolist() == [[0, 128, 255]]
    assert scale_integers(np.array([[0, 7, 255]])).tolist() == [[0, 7, 255]]
    assert scale_integers(np.array([[0, 256, 65535]])).tolist() == [[0, 1, 255]]
    assert scale_integers(np.array([[-100, 20, 100]])).tolist() == [[0, 153, 255]]
    assert scale_integers(np.array([[70000, 70000]])).tolist() == [[0, 0]]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.array([[-1000, 200, 1000]], np.int32), [0, 153, 255]),
        (np.array([[0, 32768, 65535]], np.int32), [0, 128, 255]),
        (np.array([[0, 100, 255]], np.int32), [0, 100, 255]),
        (np.array([[0, 0.25, 1]], np.float32), [0, 64, 255]),
        (np.array([[0, 100.4, 254.6]], np.float32), [0, 100, 255]),
        (np.array([[-40, 0, 60]], np.float32), [0, 102, 255]),
        (np.array([[0, 200, 600]], np.float32), [0, 85, 255]),
        (np.array([[0, 0.5, 1.0000001]], np.float32), [0, 128, 255]),
        (np.array([[-0.04, 0.5, 1.02]], np.float32), [0, 128, 255]),
        (np.array([[-0.04, 0, 0.04]], np.float32), [0, 128, 255]),
    ],
)
def test_32_bit_tiff(values, expected):
    decoded = decode(encode(values, "TIFF"))
    assert decoded.pixels.ravel().tolist() == expected
    assert decoded.facts.is_scaled


@pytest.mark.parametrize("high", [1.06, 1.5, 1.99])
def test_a_float_tiff_between_fractions_and_levels_is_refused(high):
    with pytest.raises(PictureError, match=rf"to {high}, too much for fractions.*too little for levels"):
        decode(encode(np.array([[0.0, high / 2, high]], np.float32), "TIFF"))


def _tiff_of(values: np.ndarray, photometric: int, order: str, rows_in_strip: int) -> bytes:
    """An uncompressed gray TIFF of several strips, written by hand after TIFF 6.0, section 2."""
    kind = {"u": 1, "i": 2, "f": 3}[values.dtype.kind]
    height, width = values.shape
    strips = [values[top : top + rows_in_strip].astype(values.dtype.newbyteorder(order)).tobytes()
              for top in range(0, height, rows_in_strip)]  # fmt: skip
    num, data = len(strips), b"".join(strips)
    tables = 8 + len(data)
    starts = 8 + np.cumsum([0, *map(len, strips[:-1])])
    entries = [(256, 4, 1, width), (257, 4, 1, height), (258, 3, 1, 8 * values.itemsize), (259, 3, 1, 1),
               (262, 3, 1, photometric), (273, 4, num, tables), (277, 3, 1, 1), (278, 4, 1, rows_in_strip),
               (279, 4, num, tables + 4 * num), (339, 3, 1, kind)]  # fmt: skip
    body = struct.pack(f"{order}{2 * num}I", *starts, *map(len, strips))
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", tables + len(body))
    fields = b"".join(
        struct.pack(f"{order}HHI", tag, form, count)
        + (struct.pack(f"{order}HH", value, 0) if form == 3 else struct.pack(f"{order}I", value))
        for tag, form, count, value in entries
    )
    return head + data + body + struct.pack(f"{order}H", len(entries)) + fields + bytes(4)


@pytest.mark.parametrize(("dtype", "order", "white"), [("u1", "<", 255), ("u1", ">", 255), ("u2", "<", 65535),
                                                      ("f4", "<", 1), ("f4", ">", 1), ("f4", "<", 255)])  # fmt: skip
@pytest.mark.parametrize("rows_in_strip", [8, 5])
def test_a_tiff_whose_zero_is_white_is_no_negative(dtype, order, white, rows_in_strip):
    levels = np.arange(256, dtype=np.uint8).reshape(16, 16)
    values = (levels * (white / 255)).astype(dtype)
    black, negative = (decode(_tiff_of(values, photometric, order, rows_in_strip)) for photometric in (1, 0))
    assert np.array_equal(black.pixels[:, :, 0], levels)
    assert np.array_equal(negative.pixels[:, :, 0], 255 - levels)


def test_a_compressed_tiff_whose_zero_is_white_is_no_negative():
    content = encode(_ALL_16, "TIFF", compression="tiff_lzw")
    entry = struct.pack("<HHIHH", 262, 3, 1, 1, 0)
    assert content.count(entry) == 1
    negative = content.replace(entry, struct.pack("<HHIHH", 262, 3, 1, 0, 0))
    assert np.array_equal(decode(negative).pixels[:, :, 0], np.rint((65535.0 - _ALL_16) / 257))


def test_large_unsigned_integers_keep_their_order():
    image = Image.fromarray(np.array([[0, 1 << 31, (1 << 32) - 1]], np.uint32).view(np.int32))
    content = encode(image, "TIFF")
    signed, unsigned = (struct.pack("<HHIHH", 339, 3, 1, sign, 0) for sign in (2, 1))
    assert signed in content
    content = content.replace(signed, unsigned)
    assert decode(content).pixels.ravel().tolist() == [0, 128, 255]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_values_that_are_no_numbers_are_refused(bad):
    with pytest.raises(PictureError, match="no numbers"):
        scale_floats(np.array([[0.0, bad, 1.0]]))
    with pytest.raises(PictureError, match="no numbers"):
        decode(encode(np.array([[0.0, bad, 1.0]], np.float32), "TIFF"))


def test_cmyk_follows_the_formula():
    inks = _RANDOM.integers(0, 256, (40, 50, 4)).astype(np.uint8)
    content = encode(Image.frombytes("CMYK", (50, 40), inks.tobytes()), "TIFF")
    expected = (255.0 - inks[..., :3]) * (255.0 - inks[..., 3:]) / 255
    assert np.abs(decode(content).pixels - expected).max() <= 1


@pytest.mark.parametrize("transform", [0, 2])
def test_adobe_jpeg_with_four_inks(transform):
    """Adobe stores inks inverted; with transform 2 the first three of them are YCbCr besides (YCCK)."""
    stored = np.full((32, 32, 4), (200, 120, 140, 230), np.uint8)  # as in the file: 255 is no ink
    image = Image.frombytes("CMYK", (32, 32), (255 - stored).tobytes())
    content = encode(image, "JPEG", quality=100)
    mark = content.find(b"Adobe")
    content = content[: mark + 11] + bytes([transform]) + content[mark + 12 :]
    color = stored[0, 0, :3].astype(float)
    if transform == 2:
        # A decoder turns YCbCr to RGB and takes the complement as ink; inverted again, that is RGB's own complement.
        y, blue, red = color[0], color[1] - 128, color[2] - 128
        color = 255 - np.array([y + 1.402 * red, y - 0.344136 * blue - 0.714136 * red, y + 1.772 * blue])
    decoded = decode(content)
    assert decoded.facts.mode == "CMYK"
    assert np.abs(decoded.pixels[16, 16] - color * 230 / 255).max() <= 3


def test_lab_agrees_with_littlecms():
    levels = np.mgrid[10:256:15, 90:170:5, 90:170:5].reshape(3, -1).T.astype(np.uint8)[:, None, :]
    image = Image.merge("LAB", [Image.fromarray(np.ascontiguousarray(levels[..., band])) for band in range(3)])
    lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
    transform = ImageCms.buildTransform(lab, srgb, "LAB", "RGB", flags=ImageCms.Flags.NOOPTIMIZE)
    expected = np.asarray(ImageCms.applyTransform(image, transform)).astype(int)
    inside = ((expected > 0) & (expected < 255)).all(axis=-1)
    assert inside.sum() > 1000
    assert np.abs(lab_to_srgb(levels).astype(int) - expected)[inside].max() <= 1
    assert np.array_equal(decode(encode(image, "TIFF")).pixels, lab_to_srgb(levels))


@pytest.mark.parametrize("format_name", ["PNG", "TIFF", "WEBP"])
def test_alpha_shows_the_background_and_no_hidden_color(format_name):
    rgba = _RANDOM.integers(0, 256, (30, 30, 4)).astype(np.uint8)
    rgba[:5, :, 3], rgba[5:10, :, 3] = 0, 255
    options = {"lossless": True, "exact": True} if format_name == "WEBP" else {}
    decoded = decode(encode(rgba, format_name, **options), alpha_background=(10, 200, 90))
    assert np.array_equal(decoded.pixels, _over(rgba[..., :3], rgba[..., 3], (10, 200, 90)))
    assert (decoded.pixels[:5] == (10, 200, 90)).all()
    assert decoded.facts.has_alpha


def test_an_alpha_channel_without_transparency_is_none():
    rgba = np.dstack([photo(8, 9), np.full((8, 9), 255, np.uint8)])
    decoded = decode(encode(rgba, "PNG"))
    assert np.array_equal(decoded.pixels, rgba[..., :3])
    assert not decoded.facts.has_alpha


def test_gray_with_alpha():
    gray, alpha = _RANDOM.integers(0, 256, (2, 20, 20)).astype(np.uint8)
    content = encode(Image.merge("LA", [Image.fromarray(gray), Image.fromarray(alpha)]), "PNG")
    over_white = decode(content)
    assert over_white.facts.channels == 1
    assert np.array_equal(over_white.pixels, _over(gray[..., None], alpha, (255,)))
    over_red = decode(content, alpha_background=(255, 0, 0))
    assert np.array_equal(over_red.pixels, _over(gray[..., None].repeat(3, axis=2), alpha, (255, 0, 0)))


def test_one_transparent_value():
    gray = np.arange(256, dtype=np.uint8).reshape(16, 16)
    content = encode(gray, "PNG", transparency=7)
    assert decode(content, alpha_background=(99, 99, 99)).pixels[0, 7, 0] == 99
    rgb = photo(8, 8)
    content = encode(rgb, "PNG", transparency=tuple(int(level) for level in rgb[3, 4]))
    assert decode(content).pixels[3, 4].tolist() == [255, 255, 255]
    content = encode(_ALL_16, "PNG", transparency=1000)
    decoded = decode(content)
    assert decoded.pixels[3, 1000 - 3 * 256, 0] == 255
    assert decoded.facts.has_alpha


@pytest.mark.parametrize("format_name", ["PNG", "GIF"])
def test_palette_with_and_without_transparency(format_name):
    image = Image.fromarray(np.array([[0, 1], [2, 1]], np.uint8))
    image.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    assert decode(encode(image, format_name)).pixels.tolist() == [
        [[255, 0, 0], [0, 255, 0]],
        [[0, 0, 255], [0, 255, 0]],
    ]
    clear = decode(encode(image, format_name, transparency=1), alpha_background=(1, 2, 3))
    assert clear.pixels.tolist() == [[[255, 0, 0], [1, 2, 3]], [[0, 0, 255], [1, 2, 3]]]
    assert clear.facts.has_alpha


def test_palette_with_degrees_of_transparency():
    image = Image.fromarray(np.array([[0, 1, 2]], np.uint8))
    image.putpalette([200, 0, 0, 0, 200, 0, 0, 0, 200])
    decoded = decode(encode(image, "PNG", transparency=bytes([255, 128, 0])))
    expected = _over(np.array([[[200, 0, 0], [0, 200, 0], [0, 0, 200]]]), np.array([[255, 128, 0]]), (255, 255, 255))
    assert np.array_equal(decoded.pixels, expected)


@pytest.mark.parametrize("format_name", ["PNG", "TIFF", "BMP", "PPM", "GIF"])
def test_one_bit(format_name):
    bits = _RANDOM.integers(0, 2, (9, 13)).astype(bool)
    decoded = decode(encode(Image.fromarray(bits), format_name))
    assert np.array_equal(decoded.pixels[:, :, 0], bits * 255)
    assert decoded.facts.is_gray
    assert not decoded.facts.is_scaled
