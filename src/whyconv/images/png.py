"""Pixels as a PNG file, so that every one of them is shown as it is."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image


def write_png(pixels: NDArray[np.uint8]) -> bytes:
    """Returns a PNG file.

    Args:
        pixels: uint8 (h, w, 1) or (h, w, 3), 0-255.
    """
    plain = pixels[..., 0] if pixels.shape[-1] == 1 else pixels
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(plain)).save(buffer, "PNG")
    return buffer.getvalue()
