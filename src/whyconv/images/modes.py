"""From every pixel type to uint8 gray or RGB: scaled, not clipped; transparency over a background.

| stored as | rule |
|---|---|
| 1 bit | 0 and 255 |
| unsigned integers of a known number of bits | v * 255 / (2^bits - 1), rounded: v / 257 for 16 bits |
| 32-bit integers | as they are if all lie in 0-255; v / 257 if all lie in 0-65535; else least..greatest to 0..255 |
| fractions (float) | v * 255 if in 0-1 or a hair beyond (clipped); as they are if in 0-255; else least..greatest |
| the same | refused where there is NaN, or the greatest lies between 1.05 and 2 |
| 16-bit color | the high byte, as Pillow reads it (within 1 of v / 257) |
| TIFF whose 0 is white | as above, then 255 - v |
| CMYK | (255 - ink) * (255 - black) / 255 |
| CIELAB | D50, to sRGB |
| palette | its colors |
| one transparent gray or color (PNG) | the background, where all bits of the file are those of that one |
| alpha | color * alpha + background * (1 - alpha), in stored values |

Color profiles are not applied.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image

from whyconv.errors import PictureError
from whyconv.images.array_levels import UNCLEAR, are_fractions, are_unclear

Background = tuple[int, int, int]
# In place of a value for white: least..greatest becomes 0..255.
_SPREAD_OUT = -1

_ROWS_AT_ONCE = 64
_GRAY_MODES = ("1", "L", "LA", "La")

# CIELAB (D50) -> XYZ -> linear sRGB, with the Bradford adaptation from D50 to D65 folded in.
_LAB_SIGN = np.array([0, 128, 128], np.uint8)  # Pillow hands a* and b* out as signed bytes.
_WHITE_D50 = np.array([0.96422, 1.0, 0.82521])
_XYZ_D50_TO_SRGB = np.array(
    [[3.1338561, -1.6168667, -0.4906146], [-0.9787684, 1.9161415, 0.0334540], [0.0719453, -0.2289914, 1.4052427]]
)


def to_uint8(
    image: Image.Image, background: Background, *, bits: int = 8, is_unsigned: bool = False
) -> tuple[np.ndarray, bool]:
    """Returns the pixels of a loaded picture, and whether any of them was transparent.

    Args:
        image: With its pixels loaded, and ``info`` as its file gave it.
        background: Red, green, blue, 0-255, seen through transparent pixels.
        bits: Bits of one channel as stored; matters for gray values of more than 8 bits only.
        is_unsigned: 32-bit integers are stored without a sign.

    Returns:
        uint8 (h, w, 1) where the pixel type is gray (and so is a background that shows), else (h, w, 3).

    Raises:
        PictureError: Values are not numbers.
    """
    if image.mode.startswith("I;16"):
        return _from_deep_gray(image, background, bits if 8 < bits <= 16 else 16)
    if image.mode == "I":
        values = np.asarray(image)
        return scale_integers(values.view(np.uint32) if is_unsigned else values, bits=bits)[:, :, None], False
    if image.mode == "F":
        return scale_floats(np.asarray(image))[:, :, None], False
    if image.mode == "LAB":
        return lab_to_srgb(np.asarray(image) ^ _LAB_SIGN), False
    if image.has_transparency_data:
        return _lay_over(image, background)
    return _pixels(_as(image, "L" if image.mode in _GRAY_MODES else "RGB")), False


def scale_integers(values: np.ndarray, *, bits: int = 32) -> np.ndarray:
    """Scales integers to uint8.

    Args:
        values: Any integer type, (h, w) or (h, w, c).
        bits: As stored. Up to 16: white is 2^bits - 1. More: white is told from the values, see the table.
    """
    low, high = int(values.min()), int(values.max())
    white = _white_of_integers(low, high, bits)
    if white == _SPREAD_OUT:
        return _stretch(values, low, high)
    return _in_blocks(values, lambda block: (block.astype(np.uint32) * 255 + white // 2) // white)


def scale_floats(values: np.ndarray) -> np.ndarray:
    """Scales fractions, (h, w) or (h, w, c), to uint8, by the table above.

    Raises:
        PictureError: Some value is NaN or infinite, or it cannot be told what is white.
    """
    low, high = float(values.min()), float(values.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        raise PictureError("holds values that are no numbers (NaN or infinite)")
    if are_unclear(low, high):
        raise PictureError(f"holds values from {values.min()!s} to {values.max()!s}, {UNCLEAR}")
    white = _white_of_floats(low, high)
    if white == _SPREAD_OUT:
        return _stretch(values, low, high)
    return _in_blocks(values, lambda block: np.rint(block.astype(np.float64).clip(0, white) * (255 / white)))


def guessed_white(image: Image.Image, bits: int, *, is_unsigned: bool = False) -> int:
    """Returns what ``to_uint8`` takes for white by the values alone, of floats and of integers of more than 16 bits.

    Returns:
        1, 255 or 65535; -1 where least..greatest is spread out; 0 where the file says what is white.
    """
    if image.mode not in ("I", "F") or (image.mode == "I" and bits <= 16):
        return 0
    values = np.asarray(image)
    if image.mode == "F":
        return _white_of_floats(float(values.min()), float(values.max()))
    values = values.view(np.uint32) if is_unsigned else values
    return _white_of_integers(int(values.min()), int(values.max()), bits)


def _white_of_floats(low: float, high: float) -> int:
    if are_fractions(low, high):
        return 1
    return _SPREAD_OUT if low < 0 or high > 255 else 255


def _white_of_integers(low: int, high: int, bits: int) -> int:
    if low < 0 or high > 0xFFFF:
        return _SPREAD_OUT
    if bits > 16:
        bits = 8 if high <= 0xFF else 16
    return (1 << bits) - 1


def lab_to_srgb(lab: np.ndarray) -> np.ndarray:
    """Converts CIELAB to sRGB.

    Args:
        lab: uint8 (h, w, 3): L* as 0-255 for 0-100, a* and b* with 128 for 0.

    Returns:
        uint8 (h, w, 3). Colors outside sRGB take the nearest value of each channel.

    References:
        CIE 15:2004, section 8.2.1; IEC 61966-2-1 (sRGB); the matrix: B. Lindbloom, "RGB/XYZ Matrices".
    """
    return _in_blocks(lab, _lab_rows_to_srgb)


def blend(color: np.ndarray, alpha: np.ndarray, background: Background) -> np.ndarray:
    """Lays pixels over a background: uint8 (h, w, 1 or 3) and uint8 alpha (h, w); rounded to nearest.

    Gray over a gray background stays gray; else the result is (h, w, 3).
    """
    image = Image.fromarray(color[:, :, 0] if color.shape[2] == 1 else color)
    return _paste_over(image, Image.fromarray(alpha), background)


def _from_deep_gray(image: Image.Image, background: Background, bits: int) -> tuple[np.ndarray, bool]:
    values = np.asarray(image)
    gray = scale_integers(values, bits=bits)[:, :, None]
    clear = image.info.get("transparency")
    if not isinstance(clear, int) or not (values == clear).any():
        return gray, False
    return blend(gray, np.where(values == clear, 0, 255).astype(np.uint8), background), True


def _lay_over(image: Image.Image, background: Background) -> tuple[np.ndarray, bool]:
    is_gray = image.mode in _GRAY_MODES
    image = _as(image, "LA" if is_gray else "RGBA")
    alpha = image.getchannel("A")
    color = image.convert("L" if is_gray else "RGB")
    if alpha.getextrema() == (255, 255):
        return _pixels(color), False
    return _paste_over(color, alpha, background), True


def _paste_over(color: Image.Image, alpha: Image.Image, background: Background) -> np.ndarray:
    is_neutral = len(set(background)) == 1
    color = _as(color, "L" if color.mode == "L" and is_neutral else "RGB")
    base = Image.new(color.mode, color.size, background[0] if color.mode == "L" else background)
    base.paste(color, mask=alpha)
    return _pixels(base)


def _as(image: Image.Image, mode: str) -> Image.Image:
    return image if image.mode == mode else image.convert(mode)


def _pixels(image: Image.Image) -> np.ndarray:
    pixels = np.asarray(image)
    return pixels[:, :, None] if pixels.ndim == 2 else pixels


def _stretch(values: np.ndarray, low: float, high: float) -> np.ndarray:
    if high == low:
        return np.zeros(values.shape, np.uint8)
    return _in_blocks(values, lambda block: np.rint((block.astype(np.float64) - low) * (255 / (high - low))))


def _in_blocks(values: np.ndarray, convert: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Converts to uint8 a few rows at a time, so that a large picture needs no large fractions."""
    result = np.empty(values.shape, np.uint8)
    for row in range(0, len(values), _ROWS_AT_ONCE):
        rows = slice(row, row + _ROWS_AT_ONCE)
        result[rows] = convert(values[rows])
    return result


def _lab_rows_to_srgb(lab: np.ndarray) -> np.ndarray:
    """Converts uint8 L*a*b* to whole sRGB levels as fractions, 0-255."""
    y = (lab[..., 0] * (100 / 255) + 16) / 116
    f = np.stack([y + (lab[..., 1] - 128.0) / 500, y, y - (lab[..., 2] - 128.0) / 200], axis=-1)
    xyz = np.where(f > 6 / 29, f**3, 3 * (6 / 29) ** 2 * (f - 4 / 29)) * _WHITE_D50
    linear = (xyz @ _XYZ_D50_TO_SRGB.T).clip(0, 1)
    encoded = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    levels: np.ndarray = np.rint(encoded * 255)
    return levels
