"""The one description of how a picture becomes a network's input, and the one function that does it."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field

from whyconv.errors import PictureError
from whyconv.images.array_levels import to_levels, why_unclear
from whyconv.images.decode import check_shape, decode, decode_array
from whyconv.images.facts import Box

POLICY_VERSION = 1
_Level = Annotated[int, Field(ge=0, le=255)]


class PicturePolicy(BaseModel):
    """How pictures are prepared; kept in the model file, so that serving does what training did.

    Attributes:
        version: Of these rules; a file with another version is refused rather than misread.
        side: Pixels; the network sees side x side.
        channels: 1 gray, 3 color.
        fit: "letterbox" keeps the aspect ratio and fills the rest; "stretch" does not.
        letterbox_fill: Gray level of the bars, 0-255.
        alpha_background: Red, green, blue, 0-255, seen through transparent pixels.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Literal[1] = 1
    side: Annotated[int, Field(ge=1, le=4096)]
    channels: Literal[1, 3]
    fit: Literal["letterbox", "stretch"] = "letterbox"
    letterbox_fill: _Level = 128
    alpha_background: tuple[_Level, _Level, _Level] = (255, 255, 255)


def prepare(
    content: bytes | np.ndarray, policy: PicturePolicy, *, name: str = "", white: int | None = None
) -> np.ndarray:
    """Decodes one picture and fits it to a network.

    Args:
        content: A whole picture file, or an array as ``decode_array`` reads it.
        policy: The rules.
        name: Put before the reason if the picture cannot be read.
        white: The value that stands for white in an array of other numbers than uint8 and bool; None: told from
            the picture's own values.

    Returns:
        uint8 (side, side, channels), 0-255, C-contiguous.

    Raises:
        PictureError: The picture cannot be read.
    """
    try:
        if isinstance(content, np.ndarray):
            decoded = decode_array(_levels(content, white), alpha_background=policy.alpha_background)
        else:
            decoded = decode(
                content,
                target_side=policy.side,
                covers="longer" if policy.fit == "letterbox" else "shorter",
                to_gray=policy.channels == 1,
                alpha_background=policy.alpha_background,
            )
    except PictureError as error:
        if not name:
            raise
        raise PictureError(f"{name}: {error}") from error
    return fit(decoded.pixels, policy, box=decoded.box)


def full_pixels(content: bytes | np.ndarray, policy: PicturePolicy, *, white: int | None = None) -> np.ndarray:
    """Decodes one picture at its own size: what an exported file that takes any size is given.

    Upright, transparency over the background, 8 bits, gray where the policy has one channel: all that ``prepare`` does
    but for the resize. ``prepare`` may decode a large JPEG at a fraction of its size; here every pixel is read.

    Args:
        content: A whole picture file, or an array as ``decode_array`` reads it.
        policy: The rules.
        white: As for ``prepare``.

    Returns:
        uint8 (h, w, channels), 0-255, C-contiguous.

    Raises:
        PictureError: The picture cannot be read.
    """
    background = policy.alpha_background
    if isinstance(content, np.ndarray):
        pixels = decode_array(_levels(content, white), alpha_background=background).pixels
    else:
        pixels = decode(content, to_gray=policy.channels == 1, alpha_background=background).pixels
    if policy.channels == 1 and pixels.shape[2] != 1:
        pixels = np.asarray(Image.fromarray(pixels).convert("L"))[:, :, None]
    return np.ascontiguousarray(np.broadcast_to(pixels, (*pixels.shape[:2], policy.channels)))


def fit(pixels: np.ndarray, policy: PicturePolicy, *, box: Box | None = None) -> np.ndarray:
    """Resizes pixels to the network's square, small pictures up and large ones down.

    The filter is a triangle as wide as the step (Pillow's BILINEAR with antialiasing), in fixed-point
    arithmetic: the same on every machine. Color becomes gray by ITU-R 601 luma before the resize, gray
    becomes color by repetition after it. A letterboxed picture is centered; an odd row or column of the
    bars goes to the bottom or right.

    Args:
        pixels: uint8 (h, w, 1 or 3), 0-255.
        policy: The rules.
        box: The part to take, as ``Decoded.box`` gives it; None for all.

    Returns:
        uint8 (side, side, channels), 0-255, C-contiguous.

    References:
        ITU-R BT.601-7, section 2.5.1: luma = 0.299 R + 0.587 G + 0.114 B.
    """
    if box is None and pixels.shape == (policy.side, policy.side, policy.channels):
        return np.array(pixels, np.uint8, order="C")
    image = Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels)
    if policy.channels == 1 and image.mode != "L":
        image = image.convert("L")
    left, top, right, bottom = box or (0, 0, *image.size)
    width, height = _fitted_size(right - left, bottom - top, policy)
    if box is not None or image.size != (width, height):
        image = image.resize((width, height), Image.Resampling.BILINEAR, box)
    fitted = np.asarray(image)
    canvas = np.full((policy.side, policy.side, policy.channels), policy.letterbox_fill, np.uint8)
    top, left = (policy.side - height) // 2, (policy.side - width) // 2
    canvas[top : top + height, left : left + width] = fitted if fitted.ndim == 3 else fitted[:, :, None]
    return canvas


def _levels(values: np.ndarray, white: int | None) -> np.ndarray:
    """An array of a picture that stands alone as uint8; as it is where nobody said what is white."""
    if white is not None:
        check_shape(values)
    if unclear := why_unclear(values, white, is_alone=True):
        raise PictureError(unclear)
    return values if white is None else to_levels(values, white)


def _fitted_size(width: float, height: float, policy: PicturePolicy) -> tuple[int, int]:
    if policy.fit == "stretch":
        return policy.side, policy.side
    longer = max(width, height)
    return max(1, round(width * policy.side / longer)), max(1, round(height * policy.side / longer))
