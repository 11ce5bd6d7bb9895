"""How many frames a file has, told without decoding them."""

from __future__ import annotations

import struct

_MOST_FRAMES = 100_000


def count_gif_frames(content: bytes) -> int:
    """Counts the pictures of a GIF by walking over its blocks; at least 1."""
    position, count = 13 + _palette_bytes(content[10:11]), 0
    while position < len(content) and count < _MOST_FRAMES:
        kind = content[position]
        if kind == 0x21:
            position = _skip_blocks(content, position + 2)
        elif kind == 0x2C:
            count += 1
            position = _skip_blocks(content, position + 11 + _palette_bytes(content[position + 9 : position + 10]))
        elif kind == 0x3B:
            break
        else:  # Stray bytes between blocks are passed over, as decoders do.
            position += 1
    return max(1, count)


def count_tiff_pages(content: bytes) -> int:
    """Counts the chained directories of a TIFF; at least 1. BigTIFF counts as one page."""
    order = "<" if content[:2] == b"II" else ">"
    if 43 in content[2:4] or len(content) < 8:
        return 1
    seen: set[int] = set()
    (start,) = struct.unpack_from(f"{order}I", content, 4)
    while start and start not in seen and start + 2 <= len(content) and len(seen) < _MOST_FRAMES:
        seen.add(start)
        (num_tags,) = struct.unpack_from(f"{order}H", content, start)
        link = start + 2 + 12 * num_tags
        if link + 4 > len(content):
            break
        (start,) = struct.unpack_from(f"{order}I", content, link)
    return max(1, len(seen))


def _palette_bytes(packed: bytes) -> int:
    if not packed or not packed[0] & 0x80:
        return 0
    return 3 << ((packed[0] & 7) + 1)


def _skip_blocks(content: bytes, position: int) -> int:
    while position < len(content) and content[position]:
        position += content[position] + 1
    return position + 1
