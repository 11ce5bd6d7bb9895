"""Which share of a convolution's taps meets the picture and not the zeros around it."""

from __future__ import annotations

import torch

Pair = tuple[int, int]


def share_of_data(size: Pair, kernel: Pair, stride: Pair, around: tuple[Pair, Pair], dilation: Pair) -> float:
    """The mean over all places: connections / (places * taps), in (0, 1], 1 without padding.

    Args:
        size: Height and width of the picture.
        kernel: Taps along each axis.
        stride: Between neighboring places.
        around: Zeros before and after, along each axis.
        dilation: Between neighboring taps.

    References:
        Dumoulin, Visin, *A guide to convolution arithmetic for deep learning* (2016), arXiv 1603.07285, for the
        number of places.
    """
    share = 1.0
    for axis in (0, 1):
        reach = dilation[axis] * (kernel[axis] - 1) + 1
        num_places = (size[axis] + sum(around[axis]) - reach) // stride[axis] + 1
        starts = torch.arange(num_places) * stride[axis] - around[axis][0]
        met = starts[:, None] + torch.arange(kernel[axis]) * dilation[axis]
        share *= float(((met >= 0) & (met < size[axis])).double().mean())
    return share
