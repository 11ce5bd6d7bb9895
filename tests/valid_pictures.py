"""Small valid files of every format that is read, in the variants that its decoder has code for."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from itertools import chain

import numpy as np
from PIL import Image

from drawn_pictures import encode, exif_block, photo, png_chunk

_HEIGHT, _WIDTH = 20, 24


def valid_pictures() -> dict[str, bytes]:
    """Name -> file; the name begins with the format as ``sniff`` calls it."""
    makers = (_jpegs, _pngs, _gifs, _bmps, _webps, _tiffs, _ppms, _modern, _raws, _icons, _psds)
    return dict(chain.from_iterable(maker() for maker in makers))


def _color() -> Image.Image:
    return Image.fromarray(photo(_HEIGHT, _WIDTH))


def _alpha() -> Image.Image:
    image = _color().convert("RGBA")
    image.putalpha(Image.fromarray(photo(_HEIGHT, _WIDTH, 1)[:, :, 0].copy()))
    return image


def _few_colors() -> Image.Image:
    return _color().quantize(13)


def _frames() -> list[Image.Image]:
    return [Image.fromarray(photo(_HEIGHT, _WIDTH, seed)) for seed in (1, 2)]


def _jpegs() -> Iterator[tuple[str, bytes]]:
    yield "jpeg 4:2:0", encode(_color(), "JPEG", subsampling=2)
    yield "jpeg 4:4:4 turned", encode(_color(), "JPEG", subsampling=0, exif=exif_block(6))
    yield "jpeg gray", encode(_color().convert("L"), "JPEG")
    yield "jpeg progressive", encode(_color(), "JPEG", progressive=True)
    yield "jpeg restarts", encode(_color(), "JPEG", restart_marker_blocks=1)
    yield "jpeg four inks", encode(_color().convert("CMYK"), "JPEG")
    yield "jpeg stored as RGB", encode(_color(), "JPEG", keep_rgb=True)


def _pngs() -> Iterator[tuple[str, bytes]]:
    for mode in ("RGB", "L", "LA", "1", "I;16"):
        yield f"png {mode}", encode(_color().convert("L" if mode == "I;16" else mode).convert(mode), "PNG")
    yield "png RGBA", encode(_alpha(), "PNG")
    yield "png palette", encode(_few_colors(), "PNG", transparency=bytes(range(13)), bits=4)
    content = encode(_color(), "PNG", exif=exif_block(3))
    yield "png notes", content[:33] + png_chunk(b"tEXt", b"Title\0a picture") + content[33:]
    yield "png animated", encode(_color(), "PNG", save_all=True, append_images=_frames())


def _gifs() -> Iterator[tuple[str, bytes]]:
    yield "gif", encode(_few_colors(), "GIF", interlace=False)
    yield "gif interlaced", encode(_few_colors(), "GIF", interlace=True, transparency=3)
    yield "gif animated", encode(_color(), "GIF", save_all=True, append_images=_frames(), disposal=2)


def _bmps() -> Iterator[tuple[str, bytes]]:
    for mode in ("RGB", "L", "1"):
        yield f"bmp {mode}", encode(_color().convert(mode), "BMP")
    yield "bmp RGBA", encode(_alpha(), "BMP")
    # Eight pixels of one color, a jump, an absolute run, ends of lines and of the picture.
    runs = bytes.fromhex("08010000 00020201 05020000 00040102030400 00 0001".replace(" ", ""))
    head = struct.pack("<IiiHHIIiiII", 40, 8, 4, 1, 8, 1, len(runs), 0, 0, 256, 0)
    palette = b"".join(bytes((level, 255 - level, level // 2, 0)) for level in range(256))
    start = 14 + len(head) + len(palette)
    yield "bmp runs", b"BM" + struct.pack("<IHHI", start + len(runs), 0, 0, start) + head + palette + runs


def _webps() -> Iterator[tuple[str, bytes]]:
    yield "webp lossy", encode(_color(), "WEBP", quality=60)
    yield "webp lossless", encode(_color(), "WEBP", lossless=True)
    yield "webp alpha", encode(_alpha(), "WEBP", quality=60, exif=exif_block(8))
    yield "webp animated", encode(_color(), "WEBP", save_all=True, append_images=_frames())


def _tiffs() -> Iterator[tuple[str, bytes]]:
    for compression in ("raw", "tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg"):
        yield f"tiff {compression}", encode(_color(), "TIFF", compression=compression)
    for compression in ("group3", "group4"):
        yield f"tiff {compression}", encode(_color().convert("1"), "TIFF", compression=compression)
    levels = np.asarray(_color().convert("L"))
    yield "tiff 16 bits", encode(Image.fromarray(levels.astype(np.uint16) * 257), "TIFF")
    yield "tiff fractions", encode(Image.fromarray(levels.astype(np.float32) / 255), "TIFF")
    yield "tiff four inks", encode(_color().convert("CMYK"), "TIFF")
    yield "tiff palette", encode(_few_colors(), "TIFF")
    yield "tiff pages", encode(_color(), "TIFF", save_all=True, append_images=_frames(), big_tiff=False)
    yield "tiff big", encode(_color(), "TIFF", big_tiff=True)


def _ppms() -> Iterator[tuple[str, bytes]]:
    yield "ppm color", encode(_color(), "PPM")
    yield "ppm gray", encode(_color().convert("L"), "PPM")
    yield "ppm bits", encode(_color().convert("1"), "PPM")
    yield "ppm 16 bits", b"P5\n3 2\n65535\n" + np.arange(6, dtype=">u2").tobytes() * 1
    yield "ppm text", b"P3\n# a remark\n3 2\n255\n" + " ".join(map(str, range(18))).encode()
    yield "ppm fractions", encode(Image.fromarray(np.asarray(_color().convert("L")).astype(np.float32)), "PPM")


def _modern() -> Iterator[tuple[str, bytes]]:
    yield "avif", encode(_color(), "AVIF", quality=60, speed=10)
    yield "avif alpha", encode(_alpha(), "AVIF", quality=60, speed=10)
    yield "jpeg2000", encode(_color(), "JPEG2000")
    yield "jpeg2000 tiles", encode(_alpha(), "JPEG2000", tile_size=(16, 16), irreversible=True)
    yield "jpeg2000 bare", encode(_color(), "JPEG2000", no_jp2=True)
    try:
        import pillow_heif
    except ModuleNotFoundError:
        return
    file = io.BytesIO()
    pillow_heif.from_pillow(_color()).save(file, quality=60)
    yield "heic", file.getvalue()


def _raws() -> Iterator[tuple[str, bytes]]:
    yield "qoi", encode(_color(), "QOI")
    yield "qoi alpha", encode(_alpha(), "QOI")
    yield "dds", encode(_color(), "DDS")
    yield "dds blocks", encode(_alpha(), "DDS", pixel_format="DXT5")
    yield "sgi", encode(_color(), "SGI")
    yield "sgi gray", encode(_color().convert("L"), "SGI")
    yield "pcx", encode(_color(), "PCX")
    yield "pcx palette", encode(_few_colors(), "PCX")
    yield "tga", encode(_color(), "TGA", compression=None)
    yield "tga runs", encode(_alpha(), "TGA", compression="tga_rle")


def _icons() -> Iterator[tuple[str, bytes]]:
    for kind in ("png", "bmp"):
        yield f"ico {kind}", encode(_alpha(), "ICO", sizes=[(16, 16), (20, 20)], bitmap_format=kind)


def _psds() -> Iterator[tuple[str, bytes]]:
    planes = photo(_HEIGHT, _WIDTH).transpose(2, 0, 1)
    head = b"8BPS\0\x01" + bytes(6) + struct.pack(">HIIHH", 3, _HEIGHT, _WIDTH, 8, 3) + bytes(12)
    yield "psd", head + b"\0\0" + planes.tobytes()
    rows = [bytes((_WIDTH - 1,)) + row.tobytes() for row in planes.reshape(-1, _WIDTH)]
    lengths = struct.pack(f">{len(rows)}H", *map(len, rows))
    yield "psd runs", head + b"\0\x01" + lengths + b"".join(rows)
