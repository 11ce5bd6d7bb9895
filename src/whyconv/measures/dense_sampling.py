"""Two ways to thin out a map that was computed at every place: smoothed first, or by the best of its phases."""

from __future__ import annotations

from itertools import product
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from whyconv.nets.layers.blur_pool import binomial_filter

Border = Literal["circular", "reflect"]


def blurred(x: Tensor, strides: tuple[int, int], border: Border) -> Tensor:
    """Smooths a map by binomial weights over 2 s - 1 places, then keeps every s-th place.

    Args:
        x: Computed at every place (n, c, h, w).
        strides: s along each axis.
        border: What lies beyond the map; the last place once more where it is too small to be reflected.

    References:
        Zhang, *Making convolutional networks shift-invariant again* (2019), arXiv 1904.11486.
    """
    for axis, stride in enumerate(strides):
        if stride > 1:
            x = _smoothed(x, 2 + axis, stride, border)
    return x[:, :, :: strides[0], :: strides[1]]


def _smoothed(x: Tensor, axis: int, stride: int, border: Border) -> Tensor:
    far = stride - 1
    weights = binomial_filter(2 * far + 1).to(x.dtype)
    mode = "replicate" if border == "reflect" and far >= x.shape[axis] else border
    pads = (0, 0, far, far) if axis == 2 else (far, far, 0, 0)
    length = x.shape[axis]
    padded = functional.pad(x, pads, mode=mode)
    parts = [weight * padded.narrow(axis, tap, length) for tap, weight in enumerate(weights)]
    return torch.stack(parts).sum(dim=0)


def polyphase(x: Tensor, strides: tuple[int, int]) -> Tensor:
    """Keeps of each picture that phase of every s-th place whose norm over all channels is greatest.

    Args:
        x: Computed at every place (n, c, h, w), sides multiples of the strides.
        strides: s along each axis.

    References:
        Chaman, Dokmanic, *Truly shift-invariant convolutional neural networks* (2021), arXiv 2011.14214.
    """
    phases = torch.stack([x[:, :, i :: strides[0], j :: strides[1]] for i, j in product(*map(range, strides))])
    best = phases.flatten(2).norm(dim=2).argmax(dim=0)
    return phases[best, torch.arange(len(x))]
