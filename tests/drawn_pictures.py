"""Pictures drawn for the tests, and files made of them."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
from PIL import Image


def encode(pixels: np.ndarray | Image.Image, format_name: str, **options: Any) -> bytes:
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    file = io.BytesIO()
    image.save(file, format_name, **options)
    return file.getvalue()


def photo(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Something between a gradient and noise: uint8 (h, w, 3)."""
    random = np.random.default_rng(seed)
    rows, columns = np.mgrid[0:height, 0:width]
    smooth = np.stack(
        [128 + 100 * np.sin(rows / 17), 128 + 90 * np.cos(columns / 23), (rows + 2 * columns) % 256], axis=-1
    )
    return (smooth + random.normal(0, 8, smooth.shape)).clip(0, 255).astype(np.uint8)


def exif_block(orientation: int, order: str = "<") -> bytes:
    mark = b"II*\0" if order == "<" else b"MM\0*"
    entry = struct.pack(f"{order}HHIHH", 274, 3, 1, orientation, 0)
    return b"Exif\0\0" + mark + struct.pack(f"{order}IH", 8, 1) + entry + struct.pack(f"{order}I", 0)


def png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png_claiming(width: int, height: int) -> bytes:
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + png_chunk(b"IHDR", head)
        + png_chunk(b"IDAT", zlib.compress(b"\0"))
        + png_chunk(b"IEND", b"")
    )


def jpeg_claiming(content: bytes, width: int, height: int) -> bytes:
    """The same JPEG with another size in its frame header."""
    frame = next(content.find(marker) for marker in (b"\xff\xc0", b"\xff\xc2") if marker in content)
    return content[: frame + 5] + struct.pack(">HH", height, width) + content[frame + 9 :]


def tiff(pixels: np.ndarray, order: str = "<") -> bytes:
    """An uncompressed TIFF of uint8 (h, w, 3), in strips of 8 rows."""
    height, width, _ = pixels.shape
    num_strips = -(-height // 8)
    strip, end = 8 * width * 3, height * width * 3
    starts = [8 + place for place in range(0, end, strip)]
    lengths = [min(strip, end - place) for place in range(0, end, strip)]
    lists = 8 + end
    entries = (
        *((256, 4, 1, width), (257, 4, 1, height), (258, 3, 3, lists), (259, 3, 1, 1), (262, 3, 1, 2)),
        *((273, 4, num_strips, lists + 6), (277, 3, 1, 3), (278, 4, 1, 8)),
        (279, 4, num_strips, lists + 6 + 4 * num_strips),
    )
    behind = struct.pack(f"{order}3H{2 * num_strips}I", 8, 8, 8, *starts, *lengths)
    directory = struct.pack(f"{order}H", len(entries))
    for tag, kind, count, value in entries:
        is_short = kind == 3 and count == 1
        directory += struct.pack(
            f"{order}HHIHH" if is_short else f"{order}HHII", tag, kind, count, value, *[0] * is_short
        )
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}I", lists + len(behind))
    return head + pixels.tobytes() + behind + directory + bytes(4)
