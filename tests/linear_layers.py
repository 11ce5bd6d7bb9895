"""Layers that multiply and add, of every kind that torch and whyconv have, with pictures that fit."""

from __future__ import annotations

import random

from torch import nn

from whyconv.nets.layers import LocallyConnected2d, SharedGlobal2d

MODES = ("zeros", "reflect", "replicate", "circular")
CONVOLUTIONS = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
TRANSPOSED = {1: nn.ConvTranspose1d, 2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}

# (layer, shape of one picture)
OTHER_LAYERS = [
    (nn.Linear(7, 5), (7,)),
    (nn.Linear(3, 2, bias=False), (3,)),
    (nn.Conv2d(2, 3, (3, 4), padding="same", dilation=(1, 2)), (2, 6, 7)),
    (nn.Conv2d(2, 2, 3, padding="valid"), (2, 5, 5)),
    (nn.Conv1d(1, 1, 4, padding="same", padding_mode="circular"), (1, 5)),
    (nn.AvgPool2d(3, 2, 1), (2, 7, 6)),
    (nn.AvgPool2d(3, 2, 1, count_include_pad=False), (2, 7, 6)),
    (nn.AvgPool2d(3, 2, 1, ceil_mode=True), (1, 6, 8)),
    (nn.AvgPool2d(2, 3, ceil_mode=True, count_include_pad=False), (1, 6, 7)),
    (nn.AvgPool2d((2, 3), divisor_override=5), (2, 6, 6)),
    (nn.AvgPool1d(3, 2, 1), (2, 8)),
    (nn.AvgPool3d(2), (1, 4, 4, 4)),
    (nn.AdaptiveAvgPool2d((2, 1)), (2, 6, 5)),
    (LocallyConnected2d(2, 4, (3, 2), (5, 6), stride=(2, 1), padding=1, groups=2), (2, 5, 6)),
    (LocallyConnected2d(1, 2, 3, 4, padding=2, padding_mode="reflect"), (1, 4, 4)),
    (LocallyConnected2d(1, 2, 3, 4, padding=3, padding_mode="circular", bias=False), (1, 4, 4)),
    (SharedGlobal2d(2, 3, (4, 5)), (2, 4, 5)),
]


def drawn_convolution(seed: int) -> tuple[nn.Module, tuple[int, ...]]:
    draw = random.Random(seed)
    rank = draw.choice([1, 2, 2, 3])
    lengths = [draw.randint(2, {1: 12, 2: 7, 3: 4}[rank]) for _ in range(rank)]
    groups = draw.choice([1, 1, 2, 3])
    channels = (groups * draw.randint(1, 2), groups * draw.randint(1, 2))
    mode = draw.choice(MODES)
    most = {"reflect": min(lengths) - 1, "circular": min(lengths)}.get(mode, 3)
    padding = [draw.randint(0, min(3, most)) for _ in range(rank)]
    kernels, dilations = [], []
    for length, pad in zip(lengths, padding, strict=True):
        kernel, dilation = draw.randint(1, 4), draw.randint(1, 3)
        fits = dilation * (kernel - 1) + 1 <= length + 2 * pad
        kernels.append(kernel if fits else 1)
        dilations.append(dilation)
    strides = [draw.randint(1, 3) for _ in range(rank)]
    if draw.random() < 0.3:
        output_padding = [draw.randint(0, max(s, d) - 1) for s, d in zip(strides, dilations, strict=True)]
        sizes = zip(lengths, strides, padding, dilations, kernels, output_padding, strict=True)
        if all((n - 1) * s - 2 * p + d * (k - 1) + o + 1 >= 1 for n, s, p, d, k, o in sizes):
            layer = TRANSPOSED[rank](
                *channels, kernels, strides, padding, output_padding, groups=groups, dilation=dilations
            )
            return layer, (channels[0], *lengths)
    layer = CONVOLUTIONS[rank](
        *channels, kernels, strides, padding, dilations, groups, bias=draw.random() < 0.5, padding_mode=mode
    )
    return layer, (channels[0], *lengths)


def small_network() -> nn.Module:
    """Two convolutions, a mean and a dense layer for pictures of 1 x 8 x 8."""
    return nn.Sequential(
        nn.Conv2d(1, 2, 3, padding=1), nn.Conv2d(2, 2, 3, 2), nn.AvgPool2d(3), nn.Flatten(), nn.Linear(2, 3)
    )
