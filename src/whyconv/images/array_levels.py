"""What numbers in arrays mean: which value is white, and the way to uint8 that follows from it."""

from __future__ import annotations

from typing import Literal

import numpy as np

from whyconv.errors import PictureError

White = Literal[1, 255, 65535]


def white_of(dtype: np.dtype[np.generic], low: float, high: float) -> White | None:
    """Decides which value stands for white, by type and range of a whole array and not picture by picture.

    bool: 1. uint8: 255. Fractions up to 1: 1. Whole numbers or fractions up to 255: 255. Whole numbers up to
    65535: 65535.

    Args:
        dtype: Of the array.
        low: Its least value.
        high: Its greatest value.

    Returns:
        1, 255 or 65535; None where these are no pixel values.
    """
    if dtype in (np.dtype(np.bool_), np.dtype(np.uint8)):
        return 1 if dtype == np.bool_ else 255
    if dtype.kind not in "iuf" or not low >= 0:
        return None
    is_fraction = dtype.kind == "f"
    if is_fraction and high <= 1:
        return 1
    if high <= 255:
        return 255
    return 65535 if high <= 65535 and not is_fraction else None


def to_levels(values: np.ndarray, white: int) -> np.ndarray:
    """Turns numbers from 0 (black) to ``white`` into uint8 of the same shape, 0-255, rounded to nearest.

    uint8 and bool say by themselves what they are, whatever ``white`` is.

    Raises:
        PictureError: Values are out of range or no numbers.
    """
    if values.dtype == np.uint8:
        return values
    if values.dtype == np.bool_:
        return values.astype(np.uint8) * np.uint8(255)
    if values.dtype.kind not in "iuf":
        raise PictureError(f"an array of {values.dtype}; expected integers, fractions or bool")
    if values.size and not (values.min() >= 0 and values.max() <= white):
        raise PictureError(
            f"an array with values from {values.min()} to {values.max()}; expected 0 to {white}, as in the training "
            "pictures"
        )
    levels = np.empty(values.shape, np.uint8)
    for row, part in enumerate(values):
        levels[row] = np.rint(part * (255 / white))
    return levels
