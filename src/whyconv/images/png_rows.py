"""Whether all rows of a PNG are there: Pillow reads one whose pixels end early, and leaves the rest black."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

import numpy as np
from PIL import Image

from whyconv.errors import PictureError

_CUT_SHORT = "cut short: the PNG ends before its pixels do"
_MOST_UNPACKED = 1032  # bytes from one: deflate writes 258 equal ones in 2 bits at best
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
# Of Adam7: first column and row of each pass, and the steps to the next ones.
_PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
_AT_ONCE = 1 << 20


def check_rows_fit(content: bytes) -> None:
    """Refuses a PNG that is too short for the size it claims, before any memory is taken for it.

    Raises:
        PictureError: Not even the best compression puts so many rows into so few bytes.
    """
    if _num_row_bytes(content) > _MOST_UNPACKED * len(content):
        raise PictureError(_CUT_SHORT)


def check_rows_are_there(content: bytes, image: Image.Image) -> None:
    """Refuses a decoded PNG whose last rows were not in the file.

    They are black then: only where one of the last two rows is, the unpacked bytes are counted. (Where passes are
    interlaced the last one fills every second row.)

    Raises:
        PictureError: Rows are missing.
    """
    box = (0, max(0, image.height - 2), *image.size)
    last = np.asarray(image.resize((image.width, box[3] - box[1]), Image.Resampling.NEAREST, box))
    if len(last) == 2 and all(row.any() for row in last):
        return
    needed = _num_row_bytes(content)
    if _num_unpacked(content, needed) < needed:
        raise PictureError(_CUT_SHORT)


def _num_row_bytes(content: bytes) -> int:
    """All rows of all passes, each with the byte that names its filter.

    References:
        Portable Network Graphics (PNG) Specification, third edition (W3C), sections 7.2, 8.1, 9.2.
    """
    head = next((body for kind, body in _chunks(content) if kind == b"IHDR"), b"")
    if len(head) < 13:
        return 0
    width, height, bits, color, _, _, is_interlaced = struct.unpack(">IIBBBBB", head[:13])
    total = 0
    for column, row, step, down in _PASSES if is_interlaced else ((0, 0, 1, 1),):
        num_columns, num_rows = -(-(width - column) // step), -(-(height - row) // down)
        if num_columns > 0 and num_rows > 0:
            total += num_rows * (1 + -(-num_columns * bits * _CHANNELS.get(color, 0) // 8))
    return total


def _num_unpacked(content: bytes, enough: int) -> int:
    """How many bytes the chunks of pixels unpack to; no further than to ``enough``."""
    unpacker, total = zlib.decompressobj(), 0
    try:
        for body in _pixel_chunks(content):
            waiting = body
            while waiting and total < enough:
                total += len(unpacker.decompress(waiting, _AT_ONCE))
                waiting = unpacker.unconsumed_tail
        return total
    except zlib.error:
        return total


def _pixel_chunks(content: bytes) -> Iterator[bytes]:
    """Yields the bodies of the first chunks of pixels that stand together, as Pillow reads them."""
    has_begun = False
    for kind, body in _chunks(content):
        if kind == b"IDAT":
            has_begun = True
            yield body
        elif has_begun:
            return


def _chunks(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    place = 8
    while place + 8 <= len(content):
        (length,) = struct.unpack_from(">I", content, place)
        yield content[place + 4 : place + 8], content[place + 8 : place + 8 + length]
        place += 12 + length
