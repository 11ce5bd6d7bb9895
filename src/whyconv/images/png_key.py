"""The one gray or color that a PNG calls transparent, by the numbers of its file: Pillow compares scaled ones."""

from __future__ import annotations

import io
from collections.abc import Iterable

from PIL import Image, ImageChops, PngImagePlugin

# Of numbers that lie high byte first, this takes the low byte: it is made for those that lie the other way round.
_LOW_BYTES = "RGB;16L"


def settle_key(image: Image.Image, content: bytes) -> None:
    """Makes what is transparent in a decoded PNG what its file says.

    Of grays of 2 and 4 bits Pillow makes 0-255, but not of the transparent one; of colors of 16 bits it keeps the high
    bytes, and compares them with the low bytes of the transparent one.

    Args:
        image: With its pixels loaded; given another key, or a channel of alpha in its place.
        content: The whole file.

    References:
        Portable Network Graphics (PNG) Specification, third edition (W3C), section 11.3.1.1.
    """
    bits, key = content[24], image.info.get("transparency")
    if image.mode == "L" and bits in (2, 4) and isinstance(key, int):
        most = (1 << bits) - 1
        image.info["transparency"] = (key & most) * 255 // most
    elif image.mode == "RGB" and bits == 16 and isinstance(key, tuple):
        alpha = _unlike(image, (value >> 8 for value in key))
        if alpha.getextrema()[0] == 0:
            alpha = ImageChops.lighter(alpha, _unlike(_low_bytes(content), (value & 255 for value in key)))
        image.putalpha(alpha)
        del image.info["transparency"]


def _unlike(image: Image.Image, color: Iterable[int]) -> Image.Image:
    """0 where a picture has a color, else 255."""
    found = Image.new("L", image.size)
    for channel, level in zip(image.split(), color, strict=True):
        found = ImageChops.lighter(found, channel.point([255 * (each != level) for each in range(256)]))
    return found


def _low_bytes(content: bytes) -> Image.Image:
    """The low bytes of colors of 16 bits, of which Pillow keeps the high ones."""
    image = PngImagePlugin.PngImageFile(io.BytesIO(content))
    image.tile = [tile._replace(args=_LOW_BYTES) for tile in image.tile]
    image.load()
    return image
