"""A decoded picture and what is known about its file."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class PictureFacts:
    """What a picture file is like.

    Attributes:
        format: By content: "jpeg", "png", "gif", ...; "array" for pixels that came as an array.
        mode: Pillow's name of the stored pixel type: "L", "RGB", "P", "I;16", "CMYK", ...
        width: In pixels, upright, at full size.
        height: In pixels, upright, at full size.
        channels: Of the decoded pixels: 1 where the file is gray by its mode, else 3.
        is_gray: One channel, or red, green and blue equal in every decoded pixel.
        is_turned: EXIF orientation turned or mirrored it. (The decoder of HEIC does so itself, untold.)
        is_scaled: Its values had more than 8 bits, or were fractions, and were scaled to 0-255.
        white: What was taken for white where the file does not say: 1, 255 or 65535, or -1 for its greatest value; 0
            where it says.
        has_alpha: Some pixel is transparent and shows the background.
        num_frames: Frames of an animation or pages of a document, of which the first is taken.
    """

    format: str
    mode: str
    width: int
    height: int
    channels: int
    is_gray: bool
    is_turned: bool = False
    is_scaled: bool = False
    white: int = 0
    has_alpha: bool = False
    num_frames: int = 1


@dataclass(frozen=True, slots=True)
class Decoded:
    """Pixels and facts.

    Attributes:
        pixels: Upright pixels, uint8, shape (h, w, 1) or (h, w, 3), 0-255; may be read-only. Smaller than
            ``facts`` says where a JPEG was decoded at a fraction of its size.
        facts: What the file is like.
        box: Left, top, right, bottom of the picture within ``pixels``, in pixels and parts of them: a JPEG
            at 1/8 of 500 x 375 has 63 x 47 pixels, of which 62.5 x 46.875 are picture. None: all of it.
    """

    pixels: np.ndarray
    facts: PictureFacts
    box: Box | None = None


def is_gray(pixels: np.ndarray) -> bool:
    """Tells whether pixels, uint8 (h, w, 1 or 3), show no color at all.

    A sparse sample is looked at first, so that a color photo is told at almost no cost.
    """
    if pixels.shape[2] == 1:
        return True
    sample = pixels[::16, ::16]
    return _channels_agree(sample) and _channels_agree(pixels)


def _channels_agree(pixels: np.ndarray) -> bool:
    first = pixels[:, :, 0]
    return np.array_equal(first, pixels[:, :, 1]) and np.array_equal(first, pixels[:, :, 2])
