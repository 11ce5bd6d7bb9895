"""Pictures moved by some pixels, and what comes in where they have moved away."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import product
from numbers import Integral

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from whyconv.errors import UsageError
from whyconv.results.translation import ShiftKind

Shift = tuple[float, float]
_MOST_PIXELS = 8
# Of the side: farther than a quarter of it, little of the picture is left.
_MOST_FRACTION = 4
_PARTS = 4


def usual_reach(high: int, wide: int) -> int:
    """How far pictures are moved where nothing is asked for: 8 pixels, at most a quarter of the shorter side."""
    return min(_MOST_PIXELS, min(high, wide) // _MOST_FRACTION)


def require_reach(reach: object) -> None:
    """Refuses what is no whole number of pixels; None is left to who asks.

    Raises:
        UsageError: It is none.
    """
    if reach is not None and (isinstance(reach, bool) or not isinstance(reach, Integral)):
        raise UsageError(f"reach = {reach!r}: expected a whole number of pixels.")


def require_tensor(pictures: object) -> None:
    """Refuses pictures that are no tensor.

    Raises:
        UsageError: They are none.
    """
    if not isinstance(pictures, Tensor):
        kind = f"{type(pictures).__module__}.{type(pictures).__qualname__}"
        raise UsageError(f"Pictures are {kind}; expected a tensor (n, c, h, w), as torch.from_numpy makes of an array.")


def require_labels(labels: Sequence[int] | NDArray[np.int64], num_pictures: int) -> None:
    """Refuses labels that are not one for each picture.

    Raises:
        UsageError: They are not.
    """
    shape = np.shape(labels)
    if len(shape) != 1:
        raise UsageError(f"Labels have shape {shape}; expected one for each picture (n,).")
    if len(labels) != num_pictures:
        raise UsageError(f"There are {num_pictures} pictures and {len(labels)} labels; expected as many.")


def all_shifts(kind: ShiftKind, reach: int) -> list[Shift]:
    """Every shift (down, right) of up to ``reach`` pixels each way but (0, 0): (2 reach + 1)^2 - 1 of them.

    For "fractional": multiples of a quarter of a pixel, up to one pixel each way: 80.
    """
    if kind == "fractional":
        steps = [step / _PARTS for step in range(-_PARTS, _PARTS + 1)]
    else:
        steps = [float(step) for step in range(-reach, reach + 1)]
    return [(down, right) for down, right in product(steps, steps) if (down, right) != (0.0, 0.0)]


def window_side(kind: ShiftKind, size: tuple[int, int], reach: int) -> tuple[int, int]:
    """What the network looks at, of pictures of a size: for "crop" less by ``reach`` on every side.

    Raises:
        UsageError: Nothing would be left.
    """
    high, wide = size
    if kind in ("circular", "fractional") and min(size) < 2:
        raise UsageError(
            f"Pictures of {high} x {wide} pixels: '{kind}' moves around a ring; expected sides of at least 2."
        )
    if kind == "crop":
        high, wide = high - 2 * reach, wide - 2 * reach
    if min(high, wide) < 1 or reach < 1 or (kind == "circular" and reach >= min(high, wide)):
        raise UsageError(
            f"Pictures of {size[0]} x {size[1]} pixels cannot be moved by up to {reach} pixels ({kind}). Expected at "
            "least 1, and for 'crop' pictures larger than what the network looks at: real pixels must be there."
        )
    return high, wide


def mover(pictures: Tensor, kind: ShiftKind, reach: int) -> Callable[[Shift], Tensor]:
    """Returns a function from a shift to the moved pictures.

    A shift of (1, 0) moves what is seen down by a pixel: a new row comes in at the top. (0, 0) gives the unmoved
    pictures, for "crop" the middle window.

    Args:
        pictures: (n, c, h, w); for "crop" with ``reach`` pixels on every side of the window.
        kind: What comes in.
        reach: Farthest shift, in whole pixels.

    References:
        Any text on Fourier series, for "fractional": a shift by d turns the phase of frequency f by -2 pi f d. At the
        highest frequency of an even side only the cosine is real, and that is what is left of it.
    """
    high, wide = pictures.shape[2:]
    if kind == "circular":
        return lambda shift: torch.roll(pictures, (int(shift[0]), int(shift[1])), dims=(2, 3))
    if kind == "fractional":
        spectrum = torch.fft.rfft2(pictures.double())
        return lambda shift: _turned(spectrum, shift, (high, wide)).to(pictures.dtype)
    if kind == "crop":
        padded, (high, wide) = pictures, window_side(kind, (high, wide), reach)
    else:
        mode = "constant" if kind == "zero" else "replicate"
        padded = functional.pad(pictures, (reach, reach, reach, reach), mode=mode)

    def move(shift: Shift) -> Tensor:
        top, left = reach - int(shift[0]), reach - int(shift[1])
        return padded[:, :, top : top + high, left : left + wide]

    return move


def _turned(spectrum: Tensor, shift: Shift, size: tuple[int, int]) -> Tensor:
    down = _phase(torch.fft.fftfreq(size[0], dtype=torch.float64), shift[0])
    right = _phase(torch.fft.rfftfreq(size[1], dtype=torch.float64), shift[1])
    moved: Tensor = torch.fft.irfft2(spectrum * down[:, None] * right, s=size)
    return moved


def _phase(frequencies: Tensor, distance: float) -> Tensor:
    turns = -2 * math.pi * frequencies * distance
    phase = torch.complex(torch.cos(turns), torch.sin(turns))
    only_cosine = torch.complex(torch.cos(turns), torch.zeros_like(turns))
    return torch.where(frequencies.abs() == 0.5, only_cosine, phase)
