"""Small pictures inside the page: PNG, so that every pixel is shown as it is."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

MOST_DETECTORS = 64


def data_uri(pixels: NDArray[np.uint8]) -> str:
    """Returns a picture as a ``data:image/png`` address.

    Args:
        pixels: uint8 (h, w), (h, w, 1), (h, w, 3), or (h, w, 4) with transparency.
    """
    assert pixels.dtype == np.uint8, f"pixels are {pixels.dtype}, not uint8"
    plain = pixels[..., 0] if pixels.ndim == 3 and pixels.shape[-1] == 1 else pixels
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(plain)).save(buffer, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")


def detector_pictures(weights: NDArray[Any]) -> tuple[list[NDArray[np.uint8]], float]:
    """Draws filters on one common scale, so that strong and weak ones can be told apart.

    Zero is middle gray (128), the greatest absolute weight of all filters is 1 or 255. Filters over three
    channels are drawn in color; over one, in gray; over any other number, as the mean of their channels.

    Args:
        weights: Finite (filters, kh, kw, c).

    Returns:
        One uint8 picture (kh, kw, 1 or 3) for each of the first 64 filters, and the weight that is drawn as 255.
    """
    drawn = np.asarray(weights, dtype=np.float64)[:MOST_DETECTORS]
    if drawn.shape[-1] not in (1, 3):
        drawn = drawn.mean(axis=-1, keepdims=True)
    greatest = float(np.abs(drawn).max(initial=0.0))
    levels = np.rint(128 + 127 * drawn / (greatest or 1.0)).astype(np.uint8)
    return list(levels), greatest
