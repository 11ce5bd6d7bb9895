"""Pictures as people have them, in unusual files, each with what a person sees when it is opened rightly.

All show the same scene, whose corners have different colors: a picture that is turned, mirrored, clipped or inverted is
far from it everywhere.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

HEIGHT, WIDTH = 48, 80
_BACKGROUND = 255
_ORIENTATION = 0x0112  # of EXIF
# EXIF's numbers, and what undoes each: from the upright picture to the one that is stored.
_STORED = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


class Oddity(NamedTuple):
    """One file, and the truth about it.

    Attributes:
        name: With an ending.
        content: The file.
        upright: What a person sees, uint8 (48, 80, 3).
    """

    name: str
    content: bytes
    upright: NDArray[np.uint8]


def oddities() -> Iterator[Oddity]:
    """Every file, made anew."""
    color, gray = scene(), scene().mean(axis=2).round().astype(np.uint8)
    yield Oddity("plain.png", _saved(Image.fromarray(color), "PNG"), color)
    for number, stored in _STORED.items():
        image = Image.fromarray(color)
        image = image if stored is None else image.transpose(stored)
        exif = Image.Exif()
        exif[_ORIENTATION] = number
        content = _saved(image, "JPEG", quality=95, subsampling=0, exif=exif)
        yield Oddity(f"orientation {number}.jpg", content, color)
    yield Oddity("gray of 16 bits.png", png_of_16_bits(gray[:, :, None]), _three(gray))
    yield Oddity("color of 16 bits.png", png_of_16_bits(color), color)
    yield Oddity("gray of 16 bits.tif", _saved(Image.fromarray(_16_bits(gray)), "TIFF"), _three(gray))
    yield Oddity("gray fractions.tif", _saved(Image.fromarray((gray / 255).astype(np.float32)), "TIFF"), _three(gray))
    yield Oddity("gray.png", _saved(Image.fromarray(gray), "PNG"), _three(gray))
    alpha, seen = _transparent(color)
    yield Oddity("transparent.png", _saved(Image.fromarray(np.dstack([color, alpha])), "PNG"), seen)
    palette = Image.fromarray(color).quantize(200)
    yield Oddity("palette.png", _saved(palette, "PNG"), np.asarray(palette.convert("RGB")))
    cmyk = np.dstack([255 - color, np.zeros_like(gray)])
    yield Oddity("cmyk.jpg", _saved(Image.fromarray(cmyk, "CMYK"), "JPEG", quality=95, subsampling=0), color)


def scene() -> NDArray[np.uint8]:
    """A slope of a color each to the right and down, and a bright bar that says where up is."""
    down, right = np.mgrid[0:HEIGHT, 0:WIDTH]
    planes = [40 + 170 * right / WIDTH, 30 + 180 * down / HEIGHT, 200 - 150 * (down + right) / (HEIGHT + WIDTH)]
    pixels = np.dstack(planes)
    pixels[4:14, 8:40] = (235, 225, 60)
    return pixels.round().astype(np.uint8)


def png_of_16_bits(levels: NDArray[np.uint8]) -> bytes:
    """A PNG of one or three channels, 257 times ``levels`` (h, w, c): Pillow writes no color of 16 bits.

    References:
        W3C, *Portable Network Graphics Specification*, sections 5 and 11.2.2.
    """
    height, width, channels = levels.shape
    rows = _16_bits(levels).astype(">u2").reshape(height, -1)
    lines = b"".join(b"\0" + row.tobytes() for row in rows)
    head = struct.pack(">IIBBBBB", width, height, 16, 0 if channels == 1 else 2, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(lines)), (b"IEND", b""))
    framed = [
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(framed)


def _16_bits(levels: NDArray[np.uint8]) -> NDArray[np.uint16]:
    return levels.astype(np.uint16) * 257


def _three(gray: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.repeat(gray[:, :, None], 3, axis=2)


def _transparent(color: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """A mask that leaves out the lower right half, and what is seen before white."""
    down, right = np.mgrid[0:HEIGHT, 0:WIDTH]
    is_seen = down / HEIGHT + right / WIDTH < 1
    alpha = np.where(is_seen, 255, 0).astype(np.uint8)
    return alpha, np.where(is_seen[:, :, None], color, _BACKGROUND).astype(np.uint8)


def _saved(image: Image.Image, kind: str, **words: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **words)  # type: ignore[arg-type]
    return file.getvalue()
