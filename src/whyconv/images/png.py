"""Pixels as a PNG file in memory."""

from __future__ import annotations

import base64
import io

import numpy as np
from PIL import Image


def as_png(pixels: np.ndarray) -> bytes:
    """Returns a picture as the content of a PNG file, every pixel as it is.

    Args:
        pixels: uint8 (h, w), (h, w, 1) or (h, w, 3), 0-255.
    """
    plain = pixels[..., 0] if pixels.ndim == 3 and pixels.shape[-1] == 1 else pixels
    content = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(plain)).save(content, "PNG")
    return content.getvalue()


def as_png_text(pixels: np.ndarray) -> str:
    """Returns a picture as a PNG file in base64, for JSON; ``pixels`` as ``as_png`` takes them."""
    return base64.b64encode(as_png(pixels)).decode("ascii")
