"""Which format a file has, told from its first bytes; its name is never looked at."""

from __future__ import annotations

import re
from dataclasses import dataclass

from whyconv.errors import PictureError

_START_BYTES = 512

# First bytes of every format that is read. JPEG and PNG lead: they are nearly all files.
_SIGNATURES: tuple[tuple[str, re.Pattern[bytes]], ...] = (
    ("jpeg", re.compile(rb"\xff\xd8\xff")),
    ("png", re.compile(rb"\x89PNG\r\n\x1a\n")),
    ("gif", re.compile(rb"GIF8[79]a")),
    ("bmp", re.compile(rb"BM.{8}", re.DOTALL)),
    ("webp", re.compile(rb"RIFF.{4}WEBP", re.DOTALL)),
    ("tiff", re.compile(rb"II\*\0|MM\0\*|II\+\0|MM\0\+|II\0\*|MM\*\0")),
    ("ppm", re.compile(rb"P[1-6fF]\s")),
    ("avif", re.compile(rb".{4}ftyp(?:avif|avis)|.{4}ftyp(?:mif1|msf1).{4}(?:.{4}){0,10}?avi[fs]", re.DOTALL)),
    ("heic", re.compile(rb".{4}ftyp(?:hei[cxms]|hev[cxms]|mif1|msf1)", re.DOTALL)),
    ("jpeg2000", re.compile(rb"\xff\x4f\xff\x51|\0\0\0\x0cjP  \r\n\x87\n")),
    ("qoi", re.compile(rb"qoif")),
    ("psd", re.compile(rb"8BPS\0\x01")),
    ("ico", re.compile(rb"\0\0\x01\0[^\0]\0")),
    ("dds", re.compile(rb"DDS ")),
    ("sgi", re.compile(rb"\x01\xda[\0\x01][\x01\x02]")),
    ("pcx", re.compile(rb"\x0a[\0\x02\x03\x05][\0\x01][\x01\x02\x04\x08]")),
)
_TGA_END = b"TRUEVISION-XFILE.\0"

# What people put among their pictures by mistake, in the words they would use.
_OTHERS: tuple[tuple[re.Pattern[bytes], str], ...] = (
    (re.compile(rb"version https://git-lfs"), "a Git LFS pointer, not the picture itself: run 'git lfs pull'"),
    (
        re.compile(rb"\s*(?:<!--.*?-->\s*)*<(?:!doctype html|html|head|body)", re.I | re.S),
        "an HTML page, not a picture",
    ),
    (re.compile(rb"\s*(?:<\?xml.*?)?<(?:!doctype )?svg", re.I | re.S), "an SVG drawing: export it as PNG first"),
    (re.compile(rb"\s*<\?xml", re.I), "an XML file, not a picture"),
    (re.compile(rb"%PDF-"), "a PDF, not a picture: export its pages as PNG first"),
    (re.compile(rb"%!PS|\xc5\xd0\xd3\xc6"), "a PostScript file: export it as PNG first"),
    (re.compile(rb"PK\x03\x04|PK\x05\x06"), "a zip archive, not a picture: unpack it first"),
    (re.compile(rb"Rar!\x1a|7z\xbc\xaf|\x1f\x8b|BZh|\xfd7zXZ"), "an archive, not a picture: unpack it first"),
    (re.compile(rb".{4}ftyp|\x1a\x45\xdf\xa3|RIFF.{4}AVI |\0\0\x01[\xb3\xba]", re.S), "a video, not a picture"),
    (re.compile(rb"RIFF.{4}WAVE|ID3|OggS|fLaC", re.S), "a sound file, not a picture"),
    (re.compile(rb"\0\x05\x16\x07"), "a macOS side file that belongs to another file, not a picture"),
    (re.compile(rb"\xd0\xcf\x11\xe0"), "an Office document or thumbnail store, not a picture"),
    (re.compile(rb"\x89HDF"), "an HDF5 file, not a picture"),
    (re.compile(rb"\x93NUMPY"), "a NumPy array, not a picture file"),
    (re.compile(rb"MZ|\x7fELF"), "a program, not a picture"),
    (re.compile(rb"\0+$"), "only zero bytes: the copy or download of it went wrong"),
    (re.compile(rb"\s*[{\[]\s*[\"{\[\d]"), "a JSON file, not a picture"),
)


@dataclass(frozen=True, slots=True)
class Header:
    """What the head of a file says, before any pixel is decoded.

    Attributes:
        format: By content: "jpeg", "png", "gif", ...
        width: In pixels, as stored (before turning upright).
        height: In pixels, as stored.
        mode: Pillow's name of the pixel type: "L", "RGB", "P", "I;16", "CMYK", ...
        bits: Bits of one channel.
        orientation: EXIF orientation, 1 to 8; 1 where none is told.
        num_frames: Frames of an animation or pages; 1 for a plain picture.
        is_plain_jpeg: A JPEG with 8 bits, Huffman coded, gray or YCbCr.
    """

    format: str
    width: int
    height: int
    mode: str
    bits: int = 8
    orientation: int = 1
    num_frames: int = 1
    is_plain_jpeg: bool = False


def sniff(content: bytes) -> str:
    """Returns the format of a file by its content.

    Raises:
        PictureError: It is empty or no picture; the text says what it is instead.
    """
    if not content:
        raise PictureError("empty file")
    for name, signature in _SIGNATURES:
        if signature.match(content):
            return name
    if content.endswith(_TGA_END):
        return "tga"
    raise PictureError(_say_what_it_is(content))


def _say_what_it_is(content: bytes) -> str:
    start = content[:_START_BYTES]
    for pattern, words in _OTHERS:
        if pattern.match(start):
            return words
    if _is_text(start):
        return "a text file, not a picture"
    return f"not a picture in a known format (it starts with the bytes {start[:4].hex(' ')})"


def _is_text(start: bytes) -> bool:
    if any(byte < 32 and byte not in b"\t\n\r\f\x1b" for byte in start):
        return False
    return "�" not in start.decode("utf-8", errors="replace")[:-3]
