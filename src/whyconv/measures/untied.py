"""A layer's local twin: the same taps at the same places, each with a weight of its own."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from whyconv.counting import Convolution
from whyconv.measures.corners import build_corner
from whyconv.measures.layer_windows import LayerWindows
from whyconv.measures.matrix import Taps
from whyconv.nets.layers import LocallyConnected2d


def untie(windows: LayerWindows, taps: Taps) -> LocalTwin:
    """Returns the local twin with the layer's kernel at every place, in double precision.

    One and two axes are whyconv's own locally connected layer; three, and transposed layers, a plain sum over taps.

    Args:
        windows: A layer whose weights are shared.
        taps: Where they lie.
    """
    convolution = windows.convolution
    is_plain = 1 <= len(convolution.axes) <= 2 and not convolution.is_transposed
    return _Local(windows, taps) if is_plain else _Sum(windows, taps)


def kernels(convolution: Convolution, weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns a layer's weights, or their gradients, as (out, in / groups, taps), transposed layers alike."""
    groups, group_in = convolution.groups, convolution.in_channels // convolution.groups
    if not convolution.is_transposed:
        return weights.reshape(convolution.out_channels, group_in, -1)
    by_group = weights.reshape(groups, group_in, convolution.out_channels // groups, -1)
    return by_group.transpose(0, 2, 1, 3).reshape(convolution.out_channels, group_in, -1)


class LocalTwin(nn.Module):
    """Maps (n, c, places...) to (n, out, places...)."""

    def gradients(self) -> NDArray[np.float64]:
        """Returns dJ/dw of the taps that meet data (out, in / groups, t)."""
        raise NotImplementedError

    def summed(self) -> NDArray[np.float64]:
        """Returns dJ/dw summed over places (out, in / groups, taps)."""
        raise NotImplementedError

    def idle(self) -> float:
        """Returns the largest |dJ/dw| of a tap that only meets padding: it has to be 0."""
        raise NotImplementedError


class _Local(LocalTwin):
    def __init__(self, windows: LayerWindows, taps: Taps) -> None:
        super().__init__()
        convolution = windows.convolution
        self.twin = build_corner(convolution, "local").double()
        self.taps = taps
        (self.local,) = (each for each in self.twin.modules() if isinstance(each, LocallyConnected2d))
        with torch.no_grad():
            kernel = torch.from_numpy(kernels(convolution, windows.weights))
            self.local.weight.copy_(kernel.view(self.local.weight.shape[2:]))
            if self.local.bias is not None:
                places = torch.from_numpy(windows.bias.copy()).movedim(0, -1)
                self.local.bias.copy_(places.reshape(self.local.bias.shape))

    def forward(self, x: Tensor) -> Tensor:
        return torch.as_tensor(self.twin(x))

    def _by_place(self) -> NDArray[np.float64]:
        """Gradients as (places, out, in / groups, taps)."""
        assert self.local.weight.grad is not None
        return np.asarray(self.local.weight.grad.flatten(4).flatten(0, 1).numpy())

    def gradients(self) -> NDArray[np.float64]:
        met = self._by_place()[self.taps.outputs, :, :, self.taps.numbers]
        return np.moveaxis(met, 0, -1)

    def summed(self) -> NDArray[np.float64]:
        return np.asarray(self._by_place().sum(axis=0))

    def idle(self) -> float:
        left = np.abs(self._by_place())
        left[self.taps.outputs, :, :, self.taps.numbers] = 0
        return float(left.max())


class _Sum(LocalTwin):
    def __init__(self, windows: LayerWindows, taps: Taps) -> None:
        super().__init__()
        convolution = windows.convolution
        self.convolution, self.numbers = convolution, taps.numbers
        self.inputs, self.outputs = torch.from_numpy(taps.inputs), torch.from_numpy(taps.outputs)
        weights = kernels(convolution, windows.weights)[:, :, taps.numbers]
        self.weight = nn.Parameter(torch.from_numpy(weights))
        self.bias = torch.from_numpy(windows.bias.copy())

    def forward(self, x: Tensor) -> Tensor:
        convolution = self.convolution
        by_group = x.reshape(len(x), convolution.groups, -1, math.prod(convolution.input_shape[1:]))
        group_out = convolution.out_channels // convolution.groups
        weight = self.weight.view(convolution.groups, group_out, *self.weight.shape[1:])
        products = torch.einsum("ngit,goit->ngot", by_group[..., self.inputs], weight).flatten(1, 2)
        y = products.new_zeros(len(x), convolution.out_channels, math.prod(convolution.output_shape[1:]))
        return y.index_add(2, self.outputs, products).view(-1, *convolution.output_shape) + self.bias

    def gradients(self) -> NDArray[np.float64]:
        assert self.weight.grad is not None
        return np.asarray(self.weight.grad.numpy())

    def summed(self) -> NDArray[np.float64]:
        taps = math.prod(axis.kernel for axis in self.convolution.axes)
        met = self.gradients()
        summed = np.zeros((*met.shape[:2], taps))
        for tap in range(taps):
            summed[:, :, tap] = met[:, :, self.numbers == tap].sum(axis=2)
        return summed

    def idle(self) -> float:
        return 0.0  # it has no such taps
