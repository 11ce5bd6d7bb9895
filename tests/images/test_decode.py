from __future__ import annotations

import importlib.util
import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageFile

from drawn_pictures import encode, exif_block, photo, png_chunk, png_claiming, tiff
from whyconv.errors import PictureError
from whyconv.images import decode as decode_module
from whyconv.images.decode import MAX_FILE_BYTES, decode, decode_array, read_header

_PIXELS = photo(33, 47)


@pytest.mark.parametrize("format_name", ["PNG", "BMP", "PPM", "TIFF", "QOI", "SGI", "PCX", "TGA", "ICO", "DDS"])
def test_lossless_formats_come_back_bit_for_bit(format_name):
    pixels = photo(32, 32) if format_name == "ICO" else _PIXELS
    options = {"sizes": [(32, 32)]} if format_name == "ICO" else {}
    decoded = decode(encode(pixels, format_name, **options))
    assert np.array_equal(decoded.pixels, pixels)
    assert (decoded.facts.format, decoded.facts.channels) == (format_name.lower(), 3)
    assert (decoded.facts.width, decoded.facts.height) == (pixels.shape[1], pixels.shape[0])


@pytest.mark.parametrize("format_name", ["JPEG", "WEBP", "AVIF", "JPEG2000"])
def test_lossy_formats_come_back_nearly(format_name):
    decoded = decode(encode(_PIXELS, format_name, **({} if format_name == "JPEG2000" else {"quality": 95})))
    assert decoded.pixels.shape == _PIXELS.shape
    assert np.abs(decoded.pixels.astype(int) - _PIXELS).mean() < 6


def test_heic_is_read_with_the_extra():
    pillow_heif = pytest.importorskip("pillow_heif")
    heif = pillow_heif.from_pillow(Image.fromarray(np.rot90(_PIXELS).copy()))
    file = io.BytesIO()
    heif.save(file, quality=95, exif=exif_block(6))  # its own marks of turning are obeyed by its decoder
    decoded = decode(file.getvalue())
    assert decoded.facts.format == "heic"
    assert np.abs(decoded.pixels.astype(int) - _PIXELS).mean() < 5


def test_heic_without_the_extra_names_it(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(PictureError, match=r"HEIC .*pip install 'whyconv\[heic\]'"):
        decode(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")


@pytest.mark.parametrize("format_name", ["PNG", "GIF", "WEBP", "TIFF", "BMP", "PPM", "AVIF", "JPEG2000", "QOI", "SGI"])
@pytest.mark.parametrize("fraction", [0.1, 0.5, 0.9])
def test_cut_files_have_a_plain_reason(format_name, fraction):
    content = encode(photo(90, 90), format_name)
    with pytest.raises(PictureError, match=r"^(cut short|damaged|has no pixels|not a picture|a kind of)") as caught:
        decode(content[: int(len(content) * fraction)])
    assert "0x" not in str(caught.value)
    assert "<" not in str(caught.value)


def test_png_cut_short_says_so():
    content = encode(photo(90, 90), "PNG")
    for length in (len(content) // 2, len(content) - 30):
        with pytest.raises(PictureError, match=r"^cut short: the PNG ends before its pixels do"):
            decode(content[:length])


@pytest.mark.parametrize("order", ["<", ">"])
def test_a_tiff_without_strips_for_its_last_rows_is_cut_short(order):
    """Pillow reads it, and what no strip is there for is black."""
    pixels = photo(64, 50)
    content = bytearray(tiff(pixels, order))
    assert np.array_equal(decode(bytes(content)).pixels, pixels)
    height = content.find(struct.pack(f"{order}HHI", 257, 4, 1)) + 8
    content[height : height + 4] = struct.pack(f"{order}I", 6_400)
    with pytest.raises(PictureError, match=r"^cut short: of 50 x 6400 pixels the TIFF holds 50 x 64"):
        decode(bytes(content))


def test_limit_of_bytes():
    with pytest.raises(PictureError, match="the file has 100 MB, and at most 100 are read"):
        decode(bytes(MAX_FILE_BYTES + 1))


def test_limit_of_pixels_before_any_is_decoded(monkeypatch):
    def never(*args):
        raise AssertionError("decoded")

    monkeypatch.setattr(ImageFile.ImageFile, "load", never)
    with pytest.raises(
        PictureError, match="too large: 10000 x 8001 is 80 megapixels, and at most 80 are read from a PNG"
    ):
        decode(png_claiming(10000, 8001))
    # At the limit it is not the size that is refused, but that so few bytes cannot hold it.
    with pytest.raises(PictureError, match=r"^cut short: the PNG ends before its pixels do"):
        decode(png_claiming(10000, 8000))


def test_pillows_own_limit_plays_no_part(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    for format_name in ("PNG", "JPEG", "GIF", "WEBP"):
        assert decode(encode(_PIXELS, format_name)).pixels.shape == _PIXELS.shape


@pytest.mark.parametrize("kind", [b"zTXt", b"iCCP"])
def test_a_note_that_unpacks_to_a_flood_is_refused(kind):
    content = encode(_PIXELS, "PNG")
    flood = png_chunk(kind, b"name\0\0" + zlib.compress(bytes(100_000_000), 9))
    with pytest.raises(PictureError, match=r"^hostile: a note inside this PNG"):
        decode(content[:33] + flood + content[33:])


def test_headers_tell_the_size_without_pixels():
    for format_name in ("JPEG", "PNG", "GIF", "WEBP", "TIFF", "AVIF"):
        header = read_header(encode(_PIXELS, format_name))
        assert (header.format, header.width, header.height) == (format_name.lower(), 47, 33)
        assert header.is_plain_jpeg == (format_name == "JPEG")


def test_gray_is_told_by_pixels_too():
    gray = np.repeat(_PIXELS[:, :, :1], 3, axis=2)
    decoded = decode(encode(gray, "PNG"))
    assert (decoded.facts.channels, decoded.facts.is_gray) == (3, True)
    gray[20, 30, 1] ^= 1
    assert not decode(encode(gray, "PNG")).facts.is_gray
    assert decode(encode(_PIXELS[:, :, 0].copy(), "JPEG")).facts.channels == 1


def test_an_odd_animated_png_warns_nobody():
    content = encode(_PIXELS, "PNG")
    odd = content[:33] + png_chunk(b"acTL", bytes(8)) + content[33:]
    assert np.array_equal(decode(odd).pixels, _PIXELS)


def test_straight_to_gray_is_luma():
    content = encode(_PIXELS, "JPEG", quality=95)
    gray = decode(content, to_gray=True).pixels
    luma = np.rint(decode(content).pixels @ np.array([0.299, 0.587, 0.114]))
    assert gray.shape == (33, 47, 1)
    assert np.abs(gray[:, :, 0] - luma).mean() < 1


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (np.array([[0, 255]], np.uint8), [0, 255]),
        (np.array([[False, True]]), [0, 255]),
        (np.array([[0, 128, 257, 65535]], np.uint16), [0, 0, 1, 255]),
        (np.array([[0, 7, 200]], np.int64), [0, 7, 200]),
        (np.array([[0, 32768, 65535]], np.int32), [0, 128, 255]),
        (np.array([[0, 0.2, 1]], np.float64), [0, 51, 255]),
        (np.array([[0, 1.6, 254.7]], np.float32), [0, 2, 255]),
        (np.array([[0, 0.2, 1]], np.float16), [0, 51, 255]),
    ],
)
def test_arrays_are_scaled_by_their_type(array, expected):
    decoded = decode_array(array)
    assert decoded.pixels.shape == (1, len(expected), 1)
    assert decoded.pixels.ravel().tolist() == expected
    assert decoded.facts.is_scaled == (array.dtype not in (np.uint8, bool))


@pytest.mark.parametrize("shape", [(4, 5), (4, 5, 1), (4, 5, 3), (4, 5, 4)])
def test_shapes_of_arrays(shape):
    array = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    decoded = decode_array(array)
    assert decoded.pixels.shape == (4, 5, 1 if len(shape) == 2 or shape[2] == 1 else 3)
    if shape[-1] == 4:
        share = array[..., 3:] / 255
        assert np.array_equal(decoded.pixels, np.rint(array[..., :3] * share + 255 * (1 - share)))
        assert decoded.facts.has_alpha


@pytest.mark.parametrize(
    ("array", "reason"),
    [
        (np.zeros((3, 32, 32), np.uint8), r"shape \(3, 32, 32\).*channels come first"),
        (np.zeros((2, 2, 2, 3), np.uint8), r"expected \(h, w\)"),
        (np.zeros((0, 5), np.uint8), "no pixels: 5 x 0"),
        (np.array([[-0.5, 1]]), "values from -0.5 to 1.0; expected 0 to 1"),
        (np.array([[0, 256.0]]), "values from 0.0 to 256.0"),
        (np.array([[-1, 5]]), "values from -1 to 5"),
        (np.array([[0, 70000]]), "values from 0 to 70000"),
        (np.array([[np.nan, 1]]), "values from nan"),
        (np.array([["a", "b"]]), "an array of <U1"),
        (np.array([[1j]]), "an array of complex128"),
    ],
)
def test_odd_arrays_are_refused_with_the_way_out(array, reason):
    with pytest.raises(PictureError, match=reason):
        decode_array(array)


def test_all_public_names_exist():
    assert all(hasattr(decode_module, name) for name in decode_module.__all__)
