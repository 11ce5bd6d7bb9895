"""Decoding apart: in a process of its own."""

from __future__ import annotations

from whyconv.images.facts import Decoded
from whyconv.images.formats import Header
from whyconv.images.modes import Background
from whyconv.images.raster import read_raster, read_raster_header

DECODE_SECONDS = 5.0


def decode_apart(
    content: bytes, format_name: str, background: Background, *, seconds: float = DECODE_SECONDS
) -> Decoded:
    """Decodes the first frame of a file."""
    return read_raster(content, format_name, background)


def read_header_apart(content: bytes, format_name: str, *, seconds: float = DECODE_SECONDS) -> Header:
    """Reads the head of a file."""
    return read_raster_header(content, format_name)
