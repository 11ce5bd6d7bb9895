"""Low-pass, then subsample: fine patterns are blurred away before the places between are left out."""

from __future__ import annotations

import math
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional

from whyconv.errors import UsageError

BorderMode = Literal["circular", "reflect", "zeros"]
_TAPS = (2, 3, 5)


def binomial_filter(taps: int) -> Tensor:
    """Returns the weights (taps,) of a binomial low-pass, float64, of sum 1: C(taps - 1, i) / 2^(taps - 1)."""
    return torch.tensor([math.comb(taps - 1, place) for place in range(taps)], dtype=torch.float64) / 2 ** (taps - 1)


def index_drift(side: int, taps: int, stride: int) -> float:
    """How far the middle of ``BlurPool2d``'s outputs lies from the middle of the map, in its pixels; 0 is best.

    Output i is centered on pixel i stride + (1/2 where ``taps`` is even, else 0). A map of even side asks for an even
    filter at stride 2, one of odd side for an odd filter; else all of it slides by half a pixel with every pooling.
    """
    outputs = -(-side // stride)
    return (outputs - 1) * stride / 2 + (0.5 if taps % 2 == 0 else 0.0) - (side - 1) / 2


class BlurPool2d(nn.Module):
    """Each channel filtered by a binomial filter along both axes, then every ``stride``-th place of it.

    Pooling moves with the picture for shifts by whole strides only; what the filter takes away is what other shifts
    would change. It has nothing to learn.

    Args:
        taps: Of the filter, along each axis: 2, 3 or 5. ``index_drift`` says which suits a side.
        stride: From place to place of the output; 1 blurs only.
        padding_mode: What lies outside of the map: "circular", "reflect" or "zeros".

    Raises:
        UsageError: A word or number is none of these.

    References:
        Zhang, *Making convolutional networks shift-invariant again* (2019), arXiv 1904.11486, section 3.2.
    """

    kernel: Tensor

    def __init__(self, taps: int = 3, stride: int = 2, padding_mode: BorderMode = "circular") -> None:
        super().__init__()
        if taps not in _TAPS or stride < 1 or padding_mode not in get_args(BorderMode):
            raise UsageError(
                f"BlurPool2d(taps={taps}, stride={stride}, padding_mode='{padding_mode}') cannot be. Expected 2, 3 or "
                f"5 taps, a stride of at least 1, and {', '.join(get_args(BorderMode)[:-1])} or zeros."
            )
        self.taps, self.stride, self.padding_mode = taps, stride, padding_mode
        weights = binomial_filter(taps)
        # Follows from the settings: it is no part of what is saved.
        self.register_buffer("kernel", torch.outer(weights, weights).float(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Maps (n, c, h, w) to (n, c, ceil(h / stride), ceil(w / stride)).

        Raises:
            UsageError: The map is too small to be padded so.
        """
        before, after = (self.taps - 1) // 2, self.taps // 2
        least = after + (self.padding_mode == "reflect")
        if min(x.shape[2:]) < least:
            raise UsageError(
                f"A map of {x.shape[2]} x {x.shape[3]} places cannot be padded by {after} ({self.padding_mode}). "
                f"Expected at least {least}; take a filter of fewer than {self.taps} taps."
            )
        mode = "constant" if self.padding_mode == "zeros" else self.padding_mode
        padded = functional.pad(x, (before, after, before, after), mode=mode)
        channels = x.shape[1]
        # In numbers of 16 bits one channel at a time takes ten times as long.
        numbers = torch.promote_types(x.dtype, torch.float32)
        weights = self.kernel.to(numbers).expand(channels, 1, self.taps, self.taps)
        return functional.conv2d(padded.to(numbers), weights, stride=self.stride, groups=channels).to(x.dtype)

    def extra_repr(self) -> str:
        """What stands in the brackets when it is printed."""
        return f"taps={self.taps}, stride={self.stride}, padding_mode={self.padding_mode!r}"


class MaxBlurPool2d(nn.Module):
    """The largest of 2x2 at every place, then ``BlurPool2d``: max pooling that does not take every other place at once.

    Args:
        taps: Of the blur.
        stride: Of the blur.
        padding_mode: Of the blur. At the right and lower border the largest is taken of what is there.

    Raises:
        UsageError: As of ``BlurPool2d``.

    References:
        Zhang, *Making convolutional networks shift-invariant again* (2019), arXiv 1904.11486, section 3.2.
    """

    def __init__(self, taps: int = 3, stride: int = 2, padding_mode: BorderMode = "reflect") -> None:
        super().__init__()
        self.blur = BlurPool2d(taps, stride, padding_mode)

    def forward(self, x: Tensor) -> Tensor:
        """Maps (n, c, h, w) to (n, c, ceil(h / stride), ceil(w / stride)).

        Raises:
            UsageError: The map is too small to be padded so.
        """
        return self.blur(largest_around(x))


def largest_around(x: Tensor) -> Tensor:
    """At every place of (n, c, h, w) the maximum of it, the one right of it, the one below and the one between."""
    return functional.max_pool2d(x, 2, stride=1, padding=1)[:, :, 1:, 1:]
