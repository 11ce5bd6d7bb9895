"""Small files that claim giant pictures: refused by their head, in every format, before memory is taken for pixels."""

from __future__ import annotations

import io
import re
import struct
import sys
import time
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from drawn_pictures import jpeg_claiming, png_chunk, png_claiming
from fuzzed_decoding import Watch
from valid_pictures import valid_pictures
from whyconv.errors import PictureError
from whyconv.images.decode import decode

SIDE = 16_000
MOST_BYTES = 16_000_000


def _at(content: bytes, *places: tuple[int, str], side: int = SIDE) -> bytes:
    changed = bytearray(content)
    for place, code in places:
        struct.pack_into(code, changed, place, side)
    return bytes(changed)


def _behind(mark: bytes, *places: tuple[int, str]) -> Callable[[bytes], bytes]:
    """Puts the size at ``places`` behind each ``mark``."""

    def claim(content: bytes) -> bytes:
        for start in [match.start() for match in re.finditer(re.escape(mark), content)]:
            content = _at(content, *((start + place, code) for place, code in places))
        return content

    return claim


def _tiff(content: bytes) -> bytes:
    for tag in (256, 257):
        place = next(
            content.find(struct.pack("<HHI", tag, kind, 1))
            for kind in (4, 3)
            if struct.pack("<HHI", tag, kind, 1) in content
        )
        content = content[: place + 2] + struct.pack("<HII", 4, 1, SIDE) + content[place + 12 :]
    return content


def _icon(content: bytes) -> bytes:
    """16 x 16 by its own head; the PNG inside claims a giant."""
    picture = png_claiming(SIDE, SIDE)
    return struct.pack("<HHHBBBBHHII", 0, 1, 1, 16, 16, 0, 0, 1, 32, len(picture), 22) + picture


def _animated_png(content: bytes) -> bytes:
    giant = png_claiming(SIDE, SIDE)
    return giant[:33] + png_chunk(b"acTL", struct.pack(">II", 2, 0)) + giant[33:]


# Name in ``valid_pictures`` -> how to make the claim.
CLAIMS: dict[str, Callable[[bytes], bytes]] = {
    "jpeg 4:2:0": lambda content: jpeg_claiming(content, SIDE, SIDE),
    "jpeg progressive": lambda content: jpeg_claiming(content, SIDE, SIDE),
    "jpeg four inks": lambda content: jpeg_claiming(content, SIDE, SIDE),
    "png RGB": lambda content: png_claiming(SIDE, SIDE),
    "png animated": _animated_png,
    "gif": lambda content: _at(content, (6, "<H"), (8, "<H")),
    "gif animated": _behind(b",\0\0\0\0", (5, "<H"), (7, "<H")),
    "bmp RGB": lambda content: _at(content, (18, "<i"), (22, "<i")),
    "webp lossy": _behind(b"\x9d\x01\x2a", (3, "<H"), (5, "<H")),
    "webp alpha": lambda content: _at(content, (24, "<I"), (27, "<H")),
    "tiff raw": _tiff,
    "tiff tiff_lzw": _tiff,
    "tiff group4": _tiff,
    "ppm color": lambda content: b"P6\n%d %d\n255\n" % (SIDE, SIDE),
    "ppm text": lambda content: b"P3\n%d %d\n255\n1 2 3\n" % (SIDE, SIDE),
    "avif": _behind(b"ispe", (8, ">I"), (12, ">I")),
    "heic": _behind(b"ispe", (8, ">I"), (12, ">I")),
    "jpeg2000 bare": _behind(b"\xff\x51", (6, ">I"), (10, ">I"), (22, ">I"), (26, ">I")),
    "jpeg2000": _behind(b"ihdr", (4, ">I"), (8, ">I")),
    "qoi": lambda content: _at(content, (4, ">I"), (8, ">I")),
    "psd": lambda content: _at(content, (14, ">I"), (18, ">I")),
    "dds": lambda content: _at(content, (12, "<I"), (16, "<I")),
    "sgi": lambda content: _at(content, (6, ">H"), (8, ">H")),
    "pcx": lambda content: _at(content, (8, "<H"), (10, "<H")),
    "tga": lambda content: _at(content, (12, "<H"), (14, "<H")),
    "ico png": _icon,
}


@pytest.fixture(scope="module")
def watch() -> Watch:
    for content in valid_pictures().values():  # what is loaded once
        decode(content)
    return Watch()


@pytest.mark.skipif(sys.platform != "linux", reason="measures memory by /proc")
@pytest.mark.parametrize("name", CLAIMS)
def test_a_giant_is_refused_by_its_head(name: str, watch: Watch) -> None:
    content = CLAIMS[name](valid_pictures()[name])
    assert len(content) < 5_000
    watch.begin()
    began = time.perf_counter()
    with pytest.raises(PictureError) as caught:
        decode(content)
    seconds = time.perf_counter() - began
    # The reader of HEIC has its own eyes: it compares the claim with what is coded, and says no more than that.
    assert str(caught.value).startswith("damaged: the HEIC" if name == "heic" else "too large: ")
    assert watch.growth() < MOST_BYTES
    assert seconds < 2


def test_every_format_is_among_them() -> None:
    assert {name.split()[0] for name in CLAIMS} == {name.split()[0] for name in valid_pictures()}


def test_the_same_claim_is_read_where_it_is_true() -> None:
    """The largest that is read: an honest picture of one color just below the limit, small as a file."""
    file = io.BytesIO()
    Image.fromarray(np.full((8_000, 9_999), 7, np.uint8)).save(file, "PNG", compress_level=9)
    assert len(file.getvalue()) < 100_000
    assert decode(file.getvalue()).pixels.shape == (8_000, 9_999, 1)
