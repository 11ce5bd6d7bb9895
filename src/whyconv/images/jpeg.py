"""JPEG: the header without a decoder, and decoding at a fraction of the size.

Two decoders are used, simplejpeg for plain files and Pillow for the rest; both hold libjpeg-turbo. The
fraction is chosen here, for both, so that which of them decodes makes no difference to the pixels.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import simplejpeg
from PIL.JpegImagePlugin import JpegImageFile

from whyconv.errors import PictureError
from whyconv.images.formats import Header
from whyconv.images.orientation import read_orientation

Covers = Literal["longer", "shorter"]

_CUT_SHORT = "cut short: the JPEG ends before its pixels do"
_NO_LENGTH = frozenset({0x01, *range(0xD0, 0xD8)})
_FRAME_MARKERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_PLAIN_FRAMES = frozenset({0xC0, 0xC1, 0xC2})
_NOTES = frozenset({*range(0xE0, 0xF0), 0xFE})
_KEPT_NOTES = frozenset({0xE0, 0xEE})  # JFIF and Adobe: they tell the color space.
_XMP_NAME = b"http://ns.adobe.com/xap/1.0/\0"
_MODES = {1: "L", 3: "RGB", 4: "CMYK"}
_KEPT_SIDE = 8
_SCAN = b"\xff\xda"
_SHORTEST_SCAN = 10  # bytes of its head alone
_MAX_PIXEL_PASSES = 4_000_000_000
_MOST_PIXELS_PER_BYTE = 512  # at best one bit for the mean of each block of 64


@dataclass
class _Marks:
    """Segments that matter, collected up to the first scan."""

    frame: bytes = b""
    frame_marker: int = 0
    exif: bytes = b""
    xmp: bytes = b""
    adobe_transform: int | None = None
    is_jfif: bool = False
    has_scan: bool = False


def read_jpeg_header(content: bytes) -> Header:
    """Reads size, components and orientation of a JPEG.

    Raises:
        PictureError: It ends before its pixels begin, or holds no picture.
    """
    marks = _walk(content)
    if len(marks.frame) < 6 or not marks.has_scan:
        raise PictureError(_CUT_SHORT)
    bits, height, width, num_components = struct.unpack_from(">BHHB", marks.frame)
    return Header(
        format="jpeg",
        width=width,
        height=height,
        mode=_MODES.get(num_components, f"{num_components} components"),
        bits=bits,
        orientation=read_orientation(marks.exif, marks.xmp),
        is_plain_jpeg=bits == 8
        and marks.frame_marker in _PLAIN_FRAMES
        and (num_components == 1 or (num_components == 3 and not _is_stored_as_rgb(marks))),
    )


def check_passes(content: bytes, header: Header) -> None:
    """Refuses a JPEG that makes its decoder go over a large picture again and again.

    Raises:
        PictureError: Passes times pixels are more than any honest progressive JPEG has.
    """
    if header.width * header.height * (len(content) // _SHORTEST_SCAN) <= _MAX_PIXEL_PASSES:
        return  # Not even if all of the file were scans.
    num_passes = content.count(_SCAN)
    if num_passes * header.width * header.height > _MAX_PIXEL_PASSES:
        raise PictureError(
            f"hostile: {num_passes} passes over {header.width * header.height / 1e6:,.0f} megapixels; "
            "an honest JPEG has about 10"
        )


def check_length(content: bytes, header: Header) -> None:
    """Refuses a plain JPEG that is too short for the size it claims, before any memory is taken for it.

    Raises:
        PictureError: Not even one bit for each block can be there.
    """
    if header.width * header.height > _MOST_PIXELS_PER_BYTE * len(content):
        raise PictureError(_CUT_SHORT)


def choose_factor(width: int, height: int, target_side: int | None, covers: Covers) -> int:
    """Returns the fraction 1/2, 1/4 or 1/8 (as 2, 4, 8; 1 for full size) at which to decode a JPEG.

    The smallest picture is taken whose longer (or shorter) side is still at least twice ``target_side``:
    the resize that follows then halves at least, and hides how the decoder scaled. A side under 8 pixels
    is never made.
    """
    if target_side is None:
        return 1
    side = max(width, height) if covers == "longer" else min(width, height)
    for factor in (8, 4, 2):
        if side >= 2 * target_side * factor and min(width, height) >= _KEPT_SIDE * factor:
            return factor
    return 1


def decode_jpeg(content: bytes, header: Header, factor: int, *, is_gray: bool) -> np.ndarray:
    """Decodes a plain JPEG to uint8 (h, w, 1) luma or (h, w, 3), as stored, at 1/factor of its size.

    Raises:
        PictureError: The file is cut short or damaged.
    """
    height, width = -(-header.height // factor), -(-header.width // factor)
    try:
        pixels: np.ndarray = simplejpeg.decode_jpeg(
            content, colorspace="gray" if is_gray else "rgb", min_height=height, min_width=width
        )
        if pixels.shape[:2] == (height, width):
            return pixels
    except ValueError as error:
        # It is stricter than Pillow about damage that can be read past, and knows fewer samplings; but
        # missing pixels, which Pillow would show as gray, are refused.
        if "premature end" in str(error).lower():
            raise PictureError(_CUT_SHORT) from error
    return decode_plain_with_pillow(content, header, factor, is_gray=is_gray)


def decode_plain_with_pillow(content: bytes, header: Header, factor: int, *, is_gray: bool) -> np.ndarray:
    """Does the same as ``decode_jpeg`` with the other decoder, and gives the same pixels."""
    mode = "L" if is_gray else "RGB"
    try:
        image = JpegImageFile(io.BytesIO(without_metadata(content)))
        image.draft(mode, (header.width // factor, header.height // factor))
        image.load()
    except Exception as error:  # It may raise anything on a damaged file.
        raise PictureError(_CUT_SHORT if "truncated" in str(error) else "damaged: the JPEG breaks off") from error
    pixels = np.asarray(image if image.mode == mode else image.convert(mode))
    return pixels[:, :, None] if pixels.ndim == 2 else pixels


def without_metadata(content: bytes) -> bytes:
    """Returns a JPEG without its notes (EXIF, ICC profile, comments, previews): they can trip a reader."""
    kept = [content[:2]]
    for marker, start, end in _segments(content):
        if marker == 0xDA:
            kept.append(content[start - 4 :])
            break
        if marker in _KEPT_NOTES or marker not in _NOTES:
            kept.append(b"\xff" + bytes([marker]) + content[start - 2 : end])
    return b"".join(kept)


def _walk(content: bytes) -> _Marks:
    marks = _Marks()
    for marker, start, end in _segments(content):
        if marker == 0xDA:
            marks.has_scan = True
            break
        body = content[start:end]
        if marker in _FRAME_MARKERS and not marks.frame:
            marks.frame, marks.frame_marker = body, marker
        elif marker == 0xE0 and body.startswith(b"JFIF"):
            marks.is_jfif = True
        elif marker == 0xE1 and body.startswith(b"Exif\0") and not marks.exif:
            marks.exif = body
        elif marker == 0xE1 and body.startswith(_XMP_NAME):
            marks.xmp = body
        elif marker == 0xEE and body.startswith(b"Adobe") and len(body) >= 12:
            marks.adobe_transform = body[11]
    return marks


def _segments(content: bytes) -> Iterator[tuple[int, int, int]]:
    """Yields (marker, start of body, end of body) up to and including the first scan."""
    position = 2
    while (position := content.find(b"\xff", position)) >= 0 and position + 1 < len(content):
        marker = content[position + 1]
        if marker == 0xFF:
            position += 1
            continue
        if marker == 0 or marker in _NO_LENGTH:
            position += 2
            continue
        if marker == 0xD9 or position + 4 > len(content):
            return
        length = max(2, int.from_bytes(content[position + 2 : position + 4], "big"))
        end = position + 2 + length
        yield marker, position + 4, end
        position = end


def _is_stored_as_rgb(marks: _Marks) -> bool:
    """Follows libjpeg's own guess of the color space of three components."""
    if marks.is_jfif:
        return False
    if marks.adobe_transform is not None:
        return marks.adobe_transform == 0
    return marks.frame[6::3][:3] == b"RGB"
