"""Pillow, held by the collar: one named plugin opens the file, limits are ours, complaints are plain words."""

from __future__ import annotations

import importlib
import io
import re
from collections.abc import Callable

from PIL import Image, ImageFile

from whyconv.errors import PictureError
from whyconv.images.facts import Decoded, PictureFacts, is_gray
from whyconv.images.formats import Header
from whyconv.images.frames import count_gif_frames, count_tiff_pages
from whyconv.images.modes import Background, guessed_white, to_uint8
from whyconv.images.orientation import read_orientation, turn
from whyconv.images.png_key import settle_key
from whyconv.images.png_rows import check_rows_are_there, check_rows_fit
from whyconv.images.reasons import explain, say_format
from whyconv.images.webp import read_webp_size

MAX_PIXELS = 80_000_000

Expect = Callable[[int], None]


def _ignore(num_pixels: int) -> None:
    """Default listener: does nothing."""


# One literal table: format -> module and class that opens it. Nothing else is ever tried on a file.
_PLUGINS = {
    "jpeg": ("PIL.JpegImagePlugin", "JpegImageFile"),
    "png": ("PIL.PngImagePlugin", "PngImageFile"),
    "gif": ("PIL.GifImagePlugin", "GifImageFile"),
    "bmp": ("PIL.BmpImagePlugin", "BmpImageFile"),
    "webp": ("PIL.WebPImagePlugin", "WebPImageFile"),
    "tiff": ("PIL.TiffImagePlugin", "TiffImageFile"),
    "ppm": ("PIL.PpmImagePlugin", "PpmImageFile"),
    "avif": ("PIL.AvifImagePlugin", "AvifImageFile"),
    "heic": ("pillow_heif", "HeifImageFile"),
    "jpeg2000": ("PIL.Jpeg2KImagePlugin", "Jpeg2KImageFile"),
    "qoi": ("PIL.QoiImagePlugin", "QoiImageFile"),
    "psd": ("PIL.PsdImagePlugin", "PsdImageFile"),
    "ico": ("PIL.IcoImagePlugin", "IcoImageFile"),
    "dds": ("PIL.DdsImagePlugin", "DdsImageFile"),
    "sgi": ("PIL.SgiImagePlugin", "SgiImageFile"),
    "pcx": ("PIL.PcxImagePlugin", "PcxImageFile"),
    "tga": ("PIL.TgaImagePlugin", "TgaImageFile"),
}
_IMAGE_WIDTH, _IMAGE_LENGTH = 256, 257
_BITS_PER_SAMPLE = 258
_ORIENTATION = 274
_SAMPLE_FORMAT = 339
_PHOTOMETRIC, _WHITE_IS_ZERO = 262, 0
_RAW_EXIF = "Raw profile type exif"


def read_raster_header(content: bytes, format_name: str, expect: Expect = _ignore) -> Header:
    """Reads the head of a file with Pillow; arguments as for ``read_raster``.

    Raises:
        PictureError: It cannot be opened, or has too many pixels.
    """
    return _describe(_open(content, format_name, expect), content, format_name)


def read_raster(content: bytes, format_name: str, background: Background, expect: Expect = _ignore) -> Decoded:
    """Decodes the first frame of a file with Pillow.

    Args:
        content: The whole file.
        format_name: What ``sniff`` called it.
        background: Seen through transparent pixels.
        expect: Called with the number of pixels that the header claims, before they take memory.

    Raises:
        PictureError: It cannot be opened or decoded, or has too many pixels.
    """
    image = _open(content, format_name, expect)
    header = _describe(image, content, format_name)
    expect(header.width * header.height)
    if format_name == "png":
        check_rows_fit(content)
    try:
        image.load()
        check_size(*image.size, format_name)
        if format_name == "png":
            check_rows_are_there(content, image)
            settle_key(image, content)
        pixels, has_alpha = to_uint8(image, background, bits=header.bits, is_unsigned=_is_unsigned(image))
        white = guessed_white(image, header.bits, is_unsigned=_is_unsigned(image))
        if _is_negative(image):
            pixels = 255 - pixels
        orientation = _orientation(image, format_name)
    except PictureError:
        raise
    except Exception as error:  # A decoder may raise anything on a damaged file.
        raise PictureError(explain(error, format_name)) from error
    pixels = turn(pixels, orientation)
    height, width, channels = pixels.shape
    return Decoded(
        pixels,
        PictureFacts(
            format=format_name,
            mode=header.mode,
            width=width,
            height=height,
            channels=channels,
            is_gray=is_gray(pixels),
            is_turned=max(orientation, header.orientation) > 1,
            is_scaled=header.bits > 8,
            white=white,
            has_alpha=has_alpha,
            num_frames=header.num_frames,
        ),
    )


def check_size(width: int, height: int, format_name: str, limit: int = MAX_PIXELS) -> None:
    """Refuses a picture without pixels, or with more than ``limit``.

    Raises:
        PictureError: With both numbers.
    """
    if width <= 0 or height <= 0:
        raise PictureError(f"has no pixels: {width} x {height}")
    if width * height > limit:
        raise PictureError(_too_large(f"{width} x {height} is {width * height / 1e6:,.0f}", format_name, limit))


def _too_large(claim: str, format_name: str, limit: int) -> str:
    most = f"at most {limit / 1e6:,.0f} are read from a {say_format(format_name)}"
    return f"too large: {claim} megapixels, and {most}. Make it smaller first"


def _open(content: bytes, format_name: str, expect: Expect) -> ImageFile.ImageFile:
    if format_name == "webp" and all(size := read_webp_size(content)):
        check_size(*size, format_name)
        expect(size[0] * size[1])
    module, name = _PLUGINS[format_name]
    try:
        image: ImageFile.ImageFile = getattr(importlib.import_module(module), name)(io.BytesIO(content))
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        num_pixels = int(re.findall(r"\d+", str(error))[0])
        raise PictureError(_too_large(f"{num_pixels / 1e6:,.0f}", format_name, MAX_PIXELS)) from error
    except Exception as error:  # A plugin may raise anything on a damaged file.
        raise PictureError(explain(error, format_name)) from error
    check_size(*image.size, format_name)
    if format_name == "tiff":
        _check_covered(image)
    return image


def _check_covered(image: ImageFile.ImageFile) -> None:
    """Refuses a TIFF without a strip or tile for its right or lower edge: what is not there would be black."""
    boxes = [tile.extents for tile in image.tile if tile.extents]
    right, bottom = (max((box[side] for box in boxes), default=0) for side in (2, 3))
    tags = getattr(image, "tag_v2", {})  # Its size is that of the upright picture, its strips lie as stored.
    width, height = tags.get(_IMAGE_WIDTH, 0), tags.get(_IMAGE_LENGTH, 0)
    if right < width or bottom < height:
        raise PictureError(f"cut short: of {width} x {height} pixels the TIFF holds {right} x {bottom}")


def _describe(image: ImageFile.ImageFile, content: bytes, format_name: str) -> Header:
    orientation = _tiff_orientation(image) if format_name == "tiff" else 1
    width, height = image.size if orientation < 5 else image.size[::-1]
    return Header(
        format=format_name,
        width=width,
        height=height,
        mode=image.mode,
        bits=_num_bits(image, content, format_name),
        orientation=orientation,
        num_frames=_num_frames(image, content, format_name),
    )


def _num_bits(image: ImageFile.ImageFile, content: bytes, format_name: str) -> int:
    if format_name == "tiff":
        bits = getattr(image, "tag_v2", {}).get(_BITS_PER_SAMPLE, (1,))
        return int(max(bits)) if isinstance(bits, tuple) else int(bits)
    if format_name == "png":
        return content[24]
    if format_name == "ppm":
        maximum = image.tile[0].args[-1] if image.tile and isinstance(image.tile[0].args, tuple) else 255
        is_deep = image.mode == "I" or (isinstance(maximum, int) and maximum > 255)
        return 32 if image.mode == "F" else 16 if is_deep else 8
    return 8


def _is_unsigned(image: ImageFile.ImageFile) -> bool:
    formats = getattr(image, "tag_v2", {}).get(_SAMPLE_FORMAT, (1,))
    return hasattr(image, "tag_v2") and formats == (1,)


def _is_negative(image: ImageFile.ImageFile) -> bool:
    """Whether 0 is white in a TIFF and Pillow did not turn it: that it does in up to 8 bits only."""
    is_deep = image.mode.startswith("I;16") or image.mode in ("I", "F")
    return is_deep and getattr(image, "tag_v2", {}).get(_PHOTOMETRIC) == _WHITE_IS_ZERO


def _num_frames(image: ImageFile.ImageFile, content: bytes, format_name: str) -> int:
    if format_name == "gif":
        return count_gif_frames(content)
    if format_name == "tiff":
        return count_tiff_pages(content)
    if format_name in ("png", "webp", "avif"):
        return max(1, int(getattr(image, "n_frames", 1)))
    return 1


def _tiff_orientation(image: ImageFile.ImageFile) -> int:
    value = getattr(image, "tag_v2", {}).get(_ORIENTATION, 1)
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _orientation(image: ImageFile.ImageFile, format_name: str) -> int:
    """Returns how the loaded pixels still have to be turned; Pillow itself turns TIFF."""
    if format_name == "tiff":
        return 1
    exif, xmp = image.info.get("exif", b""), image.info.get("xmp", b"")
    raw = image.info.get(_RAW_EXIF)
    if not exif and isinstance(raw, str):
        exif = bytes.fromhex(re.sub(r"[^0-9a-fA-F]", "", "".join(raw.split("\n")[3:])))
    return read_orientation(exif if isinstance(exif, bytes) else b"", xmp if isinstance(xmp, bytes) else b"")
