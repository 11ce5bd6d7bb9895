from __future__ import annotations

import io
import zipfile

import numpy as np
import pytest

from drawn_pictures import encode, photo
from whyconv.errors import PictureError
from whyconv.images.formats import sniff

_PIXELS = photo(16, 24)


def _zip() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a.jpg", b"x")
    return file.getvalue()


@pytest.mark.parametrize(
    ("written_as", "name"),
    [
        ("JPEG", "jpeg"),
        ("PNG", "png"),
        ("GIF", "gif"),
        ("BMP", "bmp"),
        ("TIFF", "tiff"),
        ("WEBP", "webp"),
        ("PPM", "ppm"),
        ("AVIF", "avif"),
        ("JPEG2000", "jpeg2000"),
        ("QOI", "qoi"),
        ("ICO", "ico"),
        ("DDS", "dds"),
        ("SGI", "sgi"),
        ("PCX", "pcx"),
        ("TGA", "tga"),
    ],
)
def test_names_what_pillow_wrote(written_as, name):
    assert sniff(encode(_PIXELS, written_as)) == name


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty file"),
        (b"<!DOCTYPE html><html><body>404</body></html>", "an HTML page, not a picture"),
        (b"\n <HTML>\n<head>", "an HTML page"),
        (b'<?xml version="1.0"?>\n<svg xmlns="x"/>', "an SVG drawing"),
        (b'<?xml version="1.0"?>\n<annotation/>', "an XML file"),
        (b"%PDF-1.7\n%\xe2\xe3", "a PDF"),
        (_zip(), "a zip archive"),
        (b"\x1f\x8b\x08\0\0\0\0\0", "an archive"),
        (b"\0\0\0\x20ftypisom\0\0\x02\0isomiso2", "a video"),
        (b"RIFF\x24\0\0\0WAVEfmt ", "a sound file"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:1\nsize 5\n", "a Git LFS pointer"),
        (b"\0\x05\x16\x07\0\x02\0\0Mac OS X", "a macOS side file"),
        (bytes(4096), "only zero bytes"),
        (b'{"image": "a.jpg", "label": 3}', "a JSON file"),
        ("고양이와 개\n".encode(), "a text file, not a picture"),
        (b"file_name,label\na.jpg,cat\n", "a text file, not a picture"),
        (b"\xde\xad\xbe\xef\0\x01", "not a picture in a known format .*de ad be ef"),
    ],
)
def test_says_what_it_is_instead(content, reason):
    with pytest.raises(PictureError, match=f"^{reason}"):
        sniff(content)


def test_heic_and_avif_are_told_apart_where_the_brand_is_general():
    assert sniff(b"\0\0\0\x1cftypmif1\0\0\0\0mif1avifmiaf") == "avif"
    assert sniff(b"\0\0\0\x1cftypmif1\0\0\0\0mif1heicmiaf") == "heic"
    assert sniff(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic") == "heic"


def test_a_name_never_matters():
    assert sniff(encode(np.zeros((4, 4), np.uint8), "PNG")) == "png"
