from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageOps

from drawn_pictures import encode, exif_block, photo
from whyconv.images.decode import decode, read_header
from whyconv.images.orientation import read_orientation, turn, turn_box
from whyconv.images.prepare import PicturePolicy, prepare

# Where the stored pixel (row r, column c) belongs in the upright picture of h rows and w columns, from the
# sides that EXIF names for row 0 and column 0 of the stored picture.
_PLACES = {
    1: lambda r, c, h, w: (r, c),
    2: lambda r, c, h, w: (r, w - 1 - c),
    3: lambda r, c, h, w: (h - 1 - r, w - 1 - c),
    4: lambda r, c, h, w: (h - 1 - r, c),
    5: lambda r, c, h, w: (c, r),
    6: lambda r, c, h, w: (c, w - 1 - r),
    7: lambda r, c, h, w: (h - 1 - c, w - 1 - r),
    8: lambda r, c, h, w: (h - 1 - c, r),
}
# Flat squares of 16 pixels survive JPEG, and no turn of them looks like another.
_SQUARES = np.array([[20, 60, 100], [140, 180, 220]], np.uint8)
_UPRIGHT = np.repeat(np.repeat(_SQUARES, 16, axis=0), 16, axis=1)[:, :, None].repeat(3, axis=2)


def _store(upright: np.ndarray, orientation: int) -> np.ndarray:
    height, width, _ = upright.shape
    rows, columns = (height, width) if orientation < 5 else (width, height)
    stored = np.empty((rows, columns, 3), np.uint8)
    for r in range(rows):
        for c in range(columns):
            stored[r, c] = upright[_PLACES[orientation](r, c, height, width)]
    return stored


@pytest.mark.parametrize("orientation", range(1, 9))
def test_turn_puts_every_pixel_where_exif_says(orientation):
    turned = turn(_store(_UPRIGHT, orientation), orientation)
    assert np.array_equal(turned, _UPRIGHT)
    assert turned.flags.c_contiguous


@pytest.mark.parametrize("format_name", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_format_is_read_upright(format_name, orientation):
    options = {"JPEG": {"quality": 95}, "WEBP": {"lossless": True}, "AVIF": {"quality": 95}}.get(format_name, {})
    stored = _store(_UPRIGHT, orientation)
    if format_name == "TIFF":
        content = encode(stored, "TIFF", tiffinfo={274: orientation})
    else:
        content = encode(stored, format_name, exif=exif_block(orientation), **options)
    decoded = decode(content)
    assert decoded.pixels.shape == _UPRIGHT.shape
    assert np.abs(decoded.pixels.astype(int) - _UPRIGHT).max() <= (2 if options.get("quality") else 0)
    assert (decoded.facts.width, decoded.facts.height) == (48, 32)
    assert decoded.facts.is_turned == (orientation != 1)
    if format_name in ("JPEG", "TIFF"):
        header = read_header(content)
        assert (header.orientation, header.width, header.height) == (orientation, stored.shape[1], stored.shape[0])


@pytest.mark.parametrize("order", ["<", ">"])
def test_both_byte_orders(order):
    assert read_orientation(exif_block(6, order)) == 6


@pytest.mark.parametrize("exif", [b"", b"Exif\0\0", b"Exif\0\0II*\0\xff\xff\xff\xff\0\0", exif_block(9), exif_block(0)])
def test_nonsense_is_upright(exif):
    assert read_orientation(exif) == 1


@pytest.mark.parametrize("length", range(len(exif_block(6))))
def test_a_cut_block_never_crashes(length):
    assert read_orientation(exif_block(6)[:length]) in (1, 6)


def test_xmp_is_asked_only_where_exif_is_silent():
    xmp = b'<x:xmpmeta tiff:Orientation="3"/>'
    assert read_orientation(b"", xmp) == 3
    assert read_orientation(exif_block(6), xmp) == 6


def test_turned_photos_stand_like_the_others_of_their_series(shared_data):
    """Of four ways to turn each, the upright one is nearest to some photo that was stored upright."""
    policy = PicturePolicy(side=50, channels=1)
    others = np.stack(
        [prepare(path.read_bytes(), policy) for path in sorted(shared_data("sign_digits").rglob("*.JPG"))]
    )
    turned = sorted(shared_data("sign_digits_rotated").rglob("*.JPG"))
    assert len(turned) == 3
    for path in turned:
        decoded = decode(path.read_bytes())
        assert decoded.facts.is_turned
        with Image.open(path) as image:
            assert np.array_equal(decoded.pixels, np.asarray(ImageOps.exif_transpose(image)))
        small = prepare(path.read_bytes(), policy)
        distances = [np.abs(others - np.rot90(small, turn).astype(int)).mean(axis=(1, 2, 3)).min() for turn in range(4)]
        assert np.argmin(distances) == 0


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_box_is_where_the_picture_went(orientation):
    stored = np.zeros((8, 10, 1), np.uint8)
    stored[:6, :9] = 1
    turned = turn(stored, orientation)
    rows, columns = np.nonzero(turned[:, :, 0])
    expected = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
    assert turn_box(9, 6, turned, orientation) == expected


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("fit", ["letterbox", "stretch"])
def test_a_fraction_of_a_turned_picture_is_not_shifted(orientation, fit):
    """45 x 37 pixels at 1/4 or less leave a ragged edge, which lies elsewhere after turning."""
    upright = np.kron(photo(23, 29)[:, :, 0], np.ones((13, 13), np.uint8))
    stored = _store(upright[:, :, None].repeat(3, axis=2), orientation)
    policy = PicturePolicy(side=16, channels=1, fit=fit)
    small = prepare(encode(stored, "JPEG", quality=95, exif=exif_block(orientation)), policy)
    assert np.abs(small.astype(int) - prepare(upright, policy)).max() <= 4
