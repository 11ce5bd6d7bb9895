"""EXIF orientation: read from the file's metadata, applied to pixels."""

from __future__ import annotations

import re
import struct

import numpy as np

from whyconv.images.facts import Box

_TAG = 0x0112
_XMP_ORIENTATION = re.compile(rb"tiff:Orientation\s*(?:=\s*[\"']|>)\s*([1-8])")


def read_orientation(exif: bytes, xmp: bytes = b"") -> int:
    """Returns the orientation, 1 to 8, of an EXIF block; 1 where it is missing or makes no sense.

    Args:
        exif: A TIFF structure, with or without the leading "Exif" and two zero bytes.
        xmp: XML metadata, asked only where EXIF says nothing, as other readers do.

    References:
        Exif 2.32 (CIPA DC-008-2019), section 4.6.4, tag 274.
    """
    value = _read_tag(exif.removeprefix(b"Exif\0\0"))
    if value is None and (match := _XMP_ORIENTATION.search(xmp)):
        value = int(match[1])
    return value if value is not None and 1 <= value <= 8 else 1


def _read_tag(tiff: bytes) -> int | None:
    order = {b"II": "<", b"MM": ">"}.get(tiff[:2])
    if order is None or len(tiff) < 10:
        return None
    (start,) = struct.unpack_from(f"{order}I", tiff, 4)
    if start + 2 > len(tiff):
        return None
    (num_tags,) = struct.unpack_from(f"{order}H", tiff, start)
    for entry in range(start + 2, min(start + 2 + 12 * num_tags, len(tiff) - 11), 12):
        tag, kind, count = struct.unpack_from(f"{order}HHI", tiff, entry)
        if tag == _TAG and count == 1 and kind in (3, 4):
            return int(struct.unpack_from(f"{order}{'H' if kind == 3 else 'I'}", tiff, entry + 8)[0])
    return None


def turn(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Returns stored pixels (h, w, c) upright: a C-contiguous array, the same one for orientation 1.

    Orientation says where row 0 and column 0 of the stored picture lie in the upright one: 1 top left,
    2 top right, 3 bottom right, 4 bottom left, 5 left top, 6 right top, 7 right bottom, 8 left bottom.
    """
    if orientation >= 5:
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)


def turn_box(width: float, height: float, pixels: np.ndarray, orientation: int) -> Box:
    """Returns where a picture lies in turned pixels, if it was stored at the top left of them.

    Args:
        width: Of the picture as stored, in pixels; may be a fraction.
        height: Likewise.
        pixels: Already turned, (h, w, c).
        orientation: How they were turned.
    """
    if orientation >= 5:
        width, height = height, width
    left = pixels.shape[1] - width if orientation in (2, 3, 6, 7) else 0.0
    top = pixels.shape[0] - height if orientation in (3, 4, 7, 8) else 0.0
    return left, top, left + width, top + height
