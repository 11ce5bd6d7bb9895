"""The size of a WebP, told without opening it: its decoder takes the memory for all pixels at once."""

from __future__ import annotations


def read_webp_size(content: bytes) -> tuple[int, int]:
    """Returns width and height in pixels, as the first chunk claims them; (0, 0) where it is cut or unknown.

    References:
        RFC 9649, sections 2.5 to 2.7 (lossy, lossless, extended); RFC 6386, section 9.1 (lossy frame header).
    """
    kind, body = content[12:16], content[20:30]
    if len(body) < 10:
        return 0, 0
    if kind == b"VP8X":
        return 1 + int.from_bytes(body[4:7], "little"), 1 + int.from_bytes(body[7:10], "little")
    if kind == b"VP8L":
        bits = int.from_bytes(body[1:5], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if kind == b"VP8 ":
        return int.from_bytes(body[6:8], "little") & 0x3FFF, int.from_bytes(body[8:10], "little") & 0x3FFF
    return 0, 0
