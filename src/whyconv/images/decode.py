"""From a file's bytes, or an array, to upright uint8 pixels: the one way for training, prediction and serving."""

from __future__ import annotations

import importlib.util

import numpy as np

from whyconv.errors import PictureError
from whyconv.images.array_levels import are_fractions
from whyconv.images.facts import Decoded, PictureFacts, is_gray
from whyconv.images.formats import Header, sniff
from whyconv.images.isolation import DECODE_SECONDS, decode_apart, read_header_apart
from whyconv.images.jpeg import (
    Covers,
    check_length,
    check_passes,
    choose_factor,
    decode_jpeg,
    read_jpeg_header,
    without_metadata,
)
from whyconv.images.modes import Background, blend, scale_floats, scale_integers
from whyconv.images.orientation import turn, turn_box
from whyconv.images.raster import MAX_PIXELS, check_size, read_raster, read_raster_header

__all__ = [
    "DECODE_SECONDS",
    "MAX_FILE_BYTES",
    "MAX_JPEG_PIXELS",
    "MAX_PIXELS",
    "WHITE",
    "Decoded",
    "Header",
    "PictureFacts",
    "decode",
    "decode_array",
    "read_header",
]

MAX_FILE_BYTES = 100_000_000
MAX_JPEG_PIXELS = 180_000_000
_ANIMATION_CHUNK = b"acTL"  # Animated PNG: read apart, for Pillow warns on the parent's stderr of odd ones.

WHITE: Background = (255, 255, 255)


def read_header(content: bytes) -> Header:
    """Reads format, size and orientation of a file, and decodes no pixel.

    Raises:
        PictureError: It is no picture, is damaged at its head, or is over the limits of bytes or pixels.
    """
    format_name = _admit(content)
    if format_name == "jpeg":
        return _read_jpeg_header(content)
    if format_name == "png" and _ANIMATION_CHUNK not in content:
        return read_raster_header(content, format_name)
    return read_header_apart(content, format_name)


def decode(
    content: bytes,
    *,
    target_side: int | None = None,
    covers: Covers = "longer",
    to_gray: bool = False,
    alpha_background: Background = WHITE,
) -> Decoded:
    """Decodes a picture file. Its content decides the format; EXIF orientation is obeyed.

    Args:
        content: The whole file.
        target_side: The picture will be resized to this many pixels. A plain JPEG is then decoded at 1/2,
            1/4 or 1/8, as long as the side that ``covers`` names stays at least twice this. None: full size.
        covers: "longer" where the longer side becomes ``target_side`` (letterbox), "shorter" where both do.
        to_gray: Only brightness is wanted: a plain JPEG is decoded straight to it. Others are not changed.
        alpha_background: Red, green, blue, 0-255, seen through transparent pixels.

    Returns:
        Pixels and facts. Of an animation, the first frame; of a document, the first page.

    Raises:
        PictureError: The file cannot be read; the text is the reason.
    """
    format_name = _admit(content)
    if format_name == "png" and _ANIMATION_CHUNK not in content:
        return read_raster(content, format_name, alpha_background)
    if format_name != "jpeg":
        return decode_apart(content, format_name, alpha_background)
    header = _read_jpeg_header(content)
    if not header.is_plain_jpeg:
        return _decode_odd_jpeg(content, header, alpha_background)
    check_length(content, header)
    factor = choose_factor(header.width, header.height, target_side, covers)
    pixels = decode_jpeg(content, header, factor, is_gray=to_gray or header.mode == "L")
    return _finish_jpeg(pixels, header, factor)


def decode_array(array: np.ndarray, *, alpha_background: Background = WHITE) -> Decoded:
    """Reads an array as a picture.

    bool becomes 0 and 255; uint8 stays; uint16 is divided by 257; other integers are taken as 8 bits if all
    lie in 0-255, else as 16 bits; fractions as 0-1 if none is above 1 by more than a hair, which is clipped, else as
    0-255.

    Args:
        array: (h, w), (h, w, 1) gray, (h, w, 3) RGB or (h, w, 4) RGBA.
        alpha_background: Red, green, blue, 0-255, seen through transparent pixels.

    Raises:
        PictureError: The shape is no picture's, or values are out of these ranges.
    """
    array = np.asarray(array)
    pixels = _as_uint8(check_shape(array))
    has_alpha = pixels.shape[2] == 4 and bool((pixels[:, :, 3] < 255).any())
    if pixels.shape[2] == 4:
        pixels = blend(np.ascontiguousarray(pixels[:, :, :3]), np.ascontiguousarray(pixels[:, :, 3]), alpha_background)
    height, width, channels = pixels.shape
    facts = PictureFacts(
        format="array",
        mode=str(array.dtype),
        width=width,
        height=height,
        channels=channels,
        is_gray=is_gray(pixels),
        is_scaled=array.dtype not in (np.dtype(np.uint8), np.dtype(bool)),
        has_alpha=has_alpha,
    )
    return Decoded(np.ascontiguousarray(pixels), facts)


def check_shape(array: np.ndarray) -> np.ndarray:
    """Returns an array with its channels as the third axis; raises PictureError where the shape is no picture's."""
    shape = array.shape
    if array.ndim == 2:
        array = array[:, :, None]
    if array.ndim != 3 or array.shape[2] not in (1, 3, 4):
        hint = ""
        if array.ndim == 3 and shape[0] in (1, 3, 4):
            hint = ". Its channels come first: turn it with array.transpose(1, 2, 0)"
        raise PictureError(f"an array of shape {shape}; expected (h, w), (h, w, 1), (h, w, 3) or (h, w, 4){hint}")
    check_size(array.shape[1], array.shape[0], "array")
    return array


def _admit(content: bytes) -> str:
    if len(content) > MAX_FILE_BYTES:
        raise PictureError(
            f"too large: the file has {len(content) / 1e6:,.0f} MB, and at most {MAX_FILE_BYTES / 1e6:,.0f} are read"
        )
    format_name = sniff(content)
    if format_name == "heic" and importlib.util.find_spec("pillow_heif") is None:
        raise PictureError("a HEIC picture: to read these, install the reader with:  pip install 'whyconv[heic]'")
    return format_name


def _read_jpeg_header(content: bytes) -> Header:
    header = read_jpeg_header(content)
    check_size(header.width, header.height, "jpeg", MAX_JPEG_PIXELS if header.is_plain_jpeg else MAX_PIXELS)
    check_passes(content, header)
    return header


def _decode_odd_jpeg(content: bytes, header: Header, background: Background) -> Decoded:
    odd = decode_apart(without_metadata(content), "jpeg", background)
    return _finish_jpeg(odd.pixels, header)


def _finish_jpeg(pixels: np.ndarray, header: Header, factor: int = 1) -> Decoded:
    pixels = turn(pixels, header.orientation)
    box = turn_box(header.width / factor, header.height / factor, pixels, header.orientation)
    is_sideways = header.orientation >= 5
    facts = PictureFacts(
        format="jpeg",
        mode=header.mode,
        width=header.height if is_sideways else header.width,
        height=header.width if is_sideways else header.height,
        channels=pixels.shape[2],
        is_gray=is_gray(pixels),
        is_turned=header.orientation != 1,
    )
    return Decoded(pixels, facts, None if factor == 1 else box)


def _as_uint8(values: np.ndarray) -> np.ndarray:
    kind = values.dtype.kind
    if values.dtype == np.uint8:
        return values
    if kind == "b":
        return values.astype(np.uint8) * np.uint8(255)
    if kind not in "uif":
        raise PictureError(f"an array of {values.dtype}; expected integers, fractions or bool")
    low, high = values.min(), values.max()
    limit = 255 if kind == "f" else 65535
    if not (low >= 0 and high <= limit) and not (kind == "f" and are_fractions(low, high)):
        raise PictureError(
            f"an array with values from {low} to {high}; expected 0 to 1, 0 to 255, or 0 to 65535 as integers. "
            "Scale it to one of these first"
        )
    if kind == "f":
        return scale_floats(values)
    return scale_integers(values, bits=8 * values.dtype.itemsize if kind == "u" else 32)
