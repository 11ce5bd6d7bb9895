"""What numbers in arrays mean: which value is white, and the way to uint8 that follows from it."""

from __future__ import annotations

from typing import Literal

import numpy as np

from whyconv.errors import PictureError

White = Literal[1, 255, 65535]

# Fractions reach a ten-millionth beyond 0 and 1 by rounding, and some hundredths where a picture was resized by a
# filter that rings at edges (bicubic, Lanczos). Pictures of levels up to 255 with nothing above this would be black.
OVERSHOOT = 0.05
# From here on the brightest value is taken for a level out of 255, however dark.
_LEAST_LEVEL = 2

UNCLEAR = (
    "too much for fractions, whose white is 1, and too little for levels, whose white is 255: divide by the value of "
    "white, or clip to 0-1 if white is 1"
)

_HELD_ONES = (
    "an array of {dtype} that holds 0 and 1 and nothing else{trained}: give it as bool if 1 is white, as uint8 if the "
    "picture is that dark"
)
_HELD_FRACTIONS = "an array that holds fractions up to 1; this recognizer was trained on 0 to {white}"


def are_fractions(low: float, high: float) -> bool:
    """Whether floats from ``low`` to ``high`` are fractions of 1, which may overshoot by a hair at both ends."""
    return bool(high <= 1 + OVERSHOOT and low >= -OVERSHOOT * high)


def are_unclear(low: float, high: float) -> bool:
    """Whether floats from ``low`` to ``high`` can be neither fractions nor levels up to 255."""
    return bool(1 + OVERSHOOT < high < _LEAST_LEVEL and low >= -OVERSHOOT * high)


def white_of(dtype: np.dtype[np.generic], low: float, high: float) -> White | None:
    """Decides which value stands for white, by type and range of a whole array and not picture by picture.

    bool, and whole numbers that are 0 and 1 and nothing else: 1. Fractions up to 1, or a hair beyond: 1. Whole numbers
    or fractions up to 255: 255. Whole numbers up to 65535: 65535.

    Args:
        dtype: Of the array.
        low: Its least value.
        high: Its greatest value.

    Returns:
        1, 255 or 65535; None where these are no pixel values, or it cannot be told which.
    """
    if dtype == np.bool_:
        return 1
    is_fraction = dtype.kind == "f"
    if is_fraction and are_fractions(low, high):
        return 1
    if dtype.kind in "iu" and low >= 0 and high == 1:
        return 1
    if dtype.kind not in "iuf" or not low >= 0 or (is_fraction and are_unclear(low, high)):
        return None
    if high <= 255:
        return 255
    return 65535 if high <= 65535 and not is_fraction else None


def smaller_white(values: np.ndarray, white: int, known: np.dtype[np.generic]) -> White | None:
    """The white by which numbers were probably meant, where it is not ``white`` but a smaller one.

    Nothing but darkness tells them from pictures by ``white``, so types that picture files have say it by themselves:
    uint8, and uint16 where white is 65535 or was known by it. Whole numbers of the type that is known may be dark,
    though not so dark that they are 0 and 1 alone. All black is black by any white.

    Args:
        values: Numbers, at least one.
        white: That is expected: 1, 255 or 65535.
        known: Type of the array by which it was decided.
    """
    dtype, is_float = values.dtype, values.dtype.kind == "f"
    has_deep_pixels = dtype.itemsize == 2 and (white == 65535 or known.newbyteorder("=") == np.uint16)
    says_itself = dtype.kind == "u" and (dtype.itemsize == 1 or has_deep_pixels)
    low, high = values.min(), values.max()
    is_of_one = are_fractions(low, high) if is_float else high <= 1
    # Numbers below black are no pixel values by any white, but for the hair by which fractions overshoot.
    if white == 1 or says_itself or not values.any() or (low < 0 and not (is_float and is_of_one)):
        return None
    if is_of_one:
        return 1
    return 255 if white > 255 and high <= 255 and dtype != known else None


def to_levels(values: np.ndarray, white: int) -> np.ndarray:
    """Turns numbers from 0 (black) to ``white`` into uint8 of the same shape, 0-255, rounded to nearest.

    bool says by itself what it is, whatever ``white`` is, and so does uint8 that goes beyond 1. Fractions that
    overshoot by a hair are clipped.

    Raises:
        PictureError: Values are out of range or no numbers.
    """
    if values.dtype == np.uint8 and not (white == 1 and values.size and values.max() == 1):
        return values
    if values.dtype == np.bool_:
        return values.astype(np.uint8) * np.uint8(255)
    if values.dtype.kind not in "iuf":
        raise PictureError(f"an array of {values.dtype}; expected integers, fractions or bool")
    beyond = OVERSHOOT if white == 1 and values.dtype.kind == "f" else 0
    if values.size and not (values.min() >= -beyond and values.max() <= white + beyond):
        raise PictureError(
            f"an array with values from {values.min()} to {values.max()}; expected 0 to {white}, as in the training "
            "pictures"
        )
    levels = np.empty(values.shape, np.uint8)
    for row, part in enumerate(values):
        levels[row] = np.rint(np.clip(part, 0, white).astype(np.float64) * (255 / white))
    return levels


def why_unclear(values: np.ndarray, white: int | None, *, is_alone: bool) -> str:
    """Why it cannot be told what numbers mean, as they would be nearly black by the white of the training; else "".

    All black is black by any white.

    Args:
        values: Numbers.
        white: 1, 255 or 65535: that of the training; None where that had no arrays.
        is_alone: They are one picture's, which may be dark: floats that are whole numbers are taken for levels.
    """
    if _hold_fractions(values, white, is_alone=is_alone):
        return _HELD_FRACTIONS.format(white=white)
    if hold_ones(values, white):
        trained = "" if white is None else f", and this recognizer was trained on 0 to {white}"
        return _HELD_ONES.format(dtype=values.dtype, trained=trained)
    return ""


def hold_ones(values: np.ndarray, white: int | None) -> bool:
    """Whether whole numbers are 0 and 1 alone, as of a mask or of fractions that were rounded, and 1 is not white.

    uint8 says by itself what it is; so does uint16, but where white is 255.

    Args:
        values: Numbers.
        white: As for ``why_unclear``.
    """
    kind, size = values.dtype.kind, values.dtype.itemsize
    says_itself = kind == "u" and (size == 1 or (size == 2 and white != 255))
    if white == 1 or kind not in "iu" or says_itself or not values.size:
        return False
    return bool(values.max() == 1 and values.min() >= 0)


def _hold_fractions(values: np.ndarray, white: int | None, *, is_alone: bool) -> bool:
    """Whether floats are fractions of 1 where those of the training went up to a larger ``white``."""
    if white in (None, 1) or values.dtype.kind != "f" or not values.size:
        return False
    if not are_fractions(values.min(), values.max()):
        return False
    return any((row != np.rint(row)).any() for row in values) if is_alone else bool(values.any())
