"""The four corners of the square as modules between the same inputs and outputs, with random weights."""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from whyconv.counting import Axis, Convolution
from whyconv.errors import UsageError
from whyconv.nets.layers import LocallyConnected2d, SharedGlobal2d
from whyconv.results.layer import CornerName

_PAD_MODES = {"zeros": "constant"}  # the others have the same name


def build_corner(layer: Convolution, corner: CornerName) -> nn.Module:
    """Returns a corner as a module from (n, c, *axes) to (n, filters, *output axes).

    Raises:
        UsageError: Local and shared-global layers have at most two axes.
    """
    if corner == "dense":
        return _Dense(layer)
    if corner == "convolution":
        return _Sliding(layer)
    if len(layer.axes) > 2:
        raise UsageError(f"There is no {corner} layer with {len(layer.axes)} axes; expected 1 or 2.")
    return _Local(layer) if corner == "local" else _SharedGlobal(layer)


class _Dense(nn.Linear):
    """Every input with every output."""

    def __init__(self, layer: Convolution) -> None:
        super().__init__(layer.num_inputs, layer.num_outputs, bias=layer.has_bias)
        self.output_shape = layer.output_shape

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.flatten(1)).view(len(x), *self.output_shape)


class _Padded(nn.Module):
    """What slides over a picture that was padded before, as far as the layer cannot do it: unequal on the sides."""

    def __init__(self, layer: Convolution) -> None:
        super().__init__()
        self.is_even = all(axis.padding[0] == axis.padding[1] for axis in layer.axes)
        self.around = [places for axis in reversed(layer.axes) for places in axis.padding]
        self.mode = _PAD_MODES.get(layer.axes[0].mode, layer.axes[0].mode)

    def padded(self, x: Tensor) -> Tensor:
        return x if self.is_even else functional.pad(x, self.around, mode=self.mode)


class _Sliding(_Padded):
    """The convolution itself."""

    def __init__(self, layer: Convolution) -> None:
        super().__init__(layer)
        kind = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}[len(layer.axes)]
        self.convolution = kind(
            layer.in_channels,
            layer.out_channels,
            tuple(axis.kernel for axis in layer.axes),  # type: ignore[arg-type]
            stride=tuple(axis.stride for axis in layer.axes),  # type: ignore[arg-type]
            padding=tuple(axis.padding[0] for axis in layer.axes) if self.is_even else 0,  # type: ignore[arg-type]
            dilation=tuple(axis.dilation for axis in layer.axes),  # type: ignore[arg-type]
            groups=layer.groups,
            bias=layer.has_bias,
            padding_mode=layer.axes[0].mode,
        )

    def forward(self, x: Tensor) -> Tensor:
        return cast(Tensor, self.convolution(self.padded(x)))


class _Local(_Padded):
    """The convolution's reach with weights of its own at each place; one axis is two, the first with one place."""

    def __init__(self, layer: Convolution) -> None:
        super().__init__(layer)
        height, width = axes = _two(layer)
        more = (0, 0) if self.is_even else (sum(height.padding), sum(width.padding))
        self.local = LocallyConnected2d(
            layer.in_channels,
            layer.out_channels,
            (height.kernel, width.kernel),
            (height.length + more[0], width.length + more[1]),
            stride=(height.stride, width.stride),
            padding=(height.padding[0], width.padding[0]) if self.is_even else 0,
            dilation=(height.dilation, width.dilation),
            groups=layer.groups,
            bias=layer.has_bias,
            padding_mode=axes[-1].mode,
        )
        self.output_shape = layer.output_shape

    def forward(self, x: Tensor) -> Tensor:
        x = self.padded(x)
        y = self.local(x if x.ndim == 4 else x.unsqueeze(2))
        return cast(Tensor, y.view(len(x), *self.output_shape))


class _SharedGlobal(nn.Module):
    """A circular kernel as large as the picture, looked at where the convolution has its outputs."""

    def __init__(self, layer: Convolution) -> None:
        super().__init__()
        axes = _two(layer)
        sizes = (axes[0].length, axes[1].length)
        self.everywhere = SharedGlobal2d(layer.in_channels, layer.out_channels, sizes, bias=layer.has_bias)
        self.output_shape = layer.output_shape
        for name, axis in zip(("rows", "columns"), axes, strict=True):
            self.register_buffer(name, _centers(axis))

    def forward(self, x: Tensor) -> Tensor:
        y = self.everywhere(x if x.ndim == 4 else x.unsqueeze(2))
        chosen = y.index_select(2, cast(Tensor, self.rows)).index_select(3, cast(Tensor, self.columns))
        return cast(Tensor, chosen.view(len(x), *self.output_shape))


def _two(layer: Convolution) -> tuple[Axis, Axis]:
    if len(layer.axes) == 2:
        return layer.axes[0], layer.axes[1]
    return Axis(1, 1, mode=layer.axes[0].mode), layer.axes[0]


def _centers(axis: Axis) -> Tensor:
    """The input on which the middle of the kernel lies, for each output; outside, once around."""
    first = (axis.reach - 1) // 2 - axis.padding[0]
    return (torch.arange(axis.output_length) * axis.stride + first) % axis.length
