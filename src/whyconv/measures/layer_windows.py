"""A linear layer of torch as a window that slides: which taps meet which inputs, and with which weights."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from whyconv.counting import Axis, Convolution
from whyconv.errors import UsageError
from whyconv.nets.layers import LocallyConnected2d, SharedGlobal2d

# Free weights: one for each tap and pair of channels; the same for each place; or none, as in a mean.
Sharing = Literal["shared", "local", "fixed"]


@dataclass(frozen=True)
class LayerWindows:
    """A layer that multiplies and adds.

    Attributes:
        convolution: Axes and channels; of a linear layer no axes.
        sharing: Who has weights of its own.
        weights: In float64, as the layer holds them: (out, in / groups, taps...), transposed
            (in, out / groups, taps...), local (places..., out, in / groups, taps...); empty for a mean.
        bias: What is added to each output (out, places...) in float64; where places share it, a view.
        factors: Of a mean: what each output's inputs are multiplied with (places...).
        takes_any_size: Whether the layer slides over pictures of other sizes too.
    """

    convolution: Convolution
    sharing: Sharing
    weights: NDArray[np.float64]
    bias: NDArray[np.float64]
    factors: NDArray[np.float64] | None = None
    takes_any_size: bool = False

    @staticmethod
    def without_weights(convolution: Convolution) -> LayerWindows:
        """Returns windows to plan with."""
        return LayerWindows(convolution, "shared", np.zeros(0), np.zeros(0), takes_any_size=True)


def read_layer(layer: nn.Module, input_shape: Sequence[int]) -> LayerWindows:
    """Returns a layer's windows over one picture.

    Args:
        layer: A convolution or transposed convolution of 1, 2 or 3 axes, a linear layer, a mean over windows, a
            locally connected or a shared-global layer.
        input_shape: Channels, then the spatial axes; (features,) for a linear layer.

    Raises:
        UsageError: The layer is of another kind, or does not take such a picture.
    """
    for kinds, read in _READERS:
        if isinstance(layer, kinds):
            shape = tuple(input_shape)
            num_axes = _num_axes(layer)
            if len(shape) != num_axes + 1:
                axes = (
                    f"channels and {num_axes} spatial {'axis' if num_axes == 1 else 'axes'}"
                    if num_axes
                    else "(features,)"
                )
                raise UsageError(f"{type(layer).__name__} takes {axes}; got the input shape {shape}.")
            return read(layer, shape)
    known = (
        "Conv1d-3d, ConvTranspose1d-3d, Linear, AvgPool1d-3d, AdaptiveAvgPool1d-3d, LocallyConnected2d, SharedGlobal2d"
    )
    raise UsageError(f"A {type(layer).__name__} is not one matrix, or not one that is known here. Expected: {known}.")


def is_readable(layer: nn.Module) -> bool:
    """Returns whether a layer is of a kind that can be read."""
    return any(isinstance(layer, kinds) for kinds, _ in _READERS)


def _num_axes(layer: nn.Module) -> int:
    return 0 if isinstance(layer, nn.Linear) else int(type(layer).__name__.removesuffix("d")[-1])


def _convolution(layer: Any, shape: tuple[int, ...]) -> LayerWindows:  # noqa: ANN401
    _require_channels(layer, shape, layer.in_channels)
    axes = tuple(
        Axis(length, *window, mode=layer.padding_mode)
        for length, window in zip(shape[1:], _windows(layer, shape), strict=True)
    )
    return _made(layer, axes, (layer.in_channels, layer.out_channels, layer.groups))


def _windows(layer: Any, shape: tuple[int, ...]) -> list[tuple[int, int, tuple[int, int], int]]:  # noqa: ANN401
    """Kernel, stride, padding before and after, and dilation along each axis."""
    found = []
    for axis in range(len(shape) - 1):
        kernel, stride, dilation = layer.kernel_size[axis], layer.stride[axis], layer.dilation[axis]
        total = dilation * (kernel - 1)
        if isinstance(layer.padding, str):
            padding = (total // 2, total - total // 2) if layer.padding == "same" else (0, 0)
        else:
            padding = (layer.padding[axis],) * 2
        found.append((kernel, stride, padding, dilation))
    return found


def _transposed(layer: Any, shape: tuple[int, ...]) -> LayerWindows:  # noqa: ANN401
    _require_channels(layer, shape, layer.in_channels)
    axes = []
    for axis, length in enumerate(shape[1:]):
        kernel, stride, dilation = layer.kernel_size[axis], layer.stride[axis], layer.dilation[axis]
        pad = layer.padding[axis]
        output = (length - 1) * stride - 2 * pad + dilation * (kernel - 1) + layer.output_padding[axis] + 1
        axes.append(Axis(output, kernel, stride, (pad, pad), dilation, num_outputs=length))
    return _made(layer, tuple(axes), (layer.in_channels, layer.out_channels, layer.groups), is_transposed=True)


def _linear(layer: Any, shape: tuple[int, ...]) -> LayerWindows:  # noqa: ANN401
    _require_channels(layer, shape, layer.in_features)
    return _made(layer, (), (layer.in_features, layer.out_features, 1))


def _locally_connected(layer: Any, shape: tuple[int, ...]) -> LayerWindows:  # noqa: ANN401
    _require_shape(layer, shape, (layer.in_channels, *layer.input_size))
    axes = tuple(
        Axis(length, *window, mode=layer.padding_mode)
        for length, window in zip(shape[1:], _windows(layer, shape), strict=True)
    )
    return _made(layer, axes, (layer.in_channels, layer.out_channels, layer.groups), sharing="local")


def _shared_global(layer: Any, shape: tuple[int, ...]) -> LayerWindows:  # noqa: ANN401
    _require_shape(layer, shape, (layer.in_channels, *layer.input_size))
    axes = tuple(
        Axis(length, length, 1, ((length - 1) // 2, length // 2), mode="circular") for length in layer.input_size
    )
    return _made(layer, axes, (layer.in_channels, layer.out_channels, layer.groups))


def _made(
    layer: Any,  # noqa: ANN401
    axes: tuple[Axis, ...],
    channels: tuple[int, int, int],
    *,
    sharing: Sharing = "shared",
    is_transposed: bool = False,
) -> LayerWindows:
    return with_weights(Convolution(axes, *channels, layer.bias is not None, is_transposed), layer, sharing)


def with_weights(convolution: Convolution, layer: Any, sharing: Sharing = "shared") -> LayerWindows:  # noqa: ANN401
    """Returns the windows of a convolution with the weights and biases that a module holds."""
    values = np.zeros(1) if layer.bias is None else _numbers(layer.bias)
    by_channel = np.moveaxis(values, -1, 0) if values.ndim > 1 else values.reshape(-1, *[1] * len(convolution.axes))
    bias = np.broadcast_to(by_channel, convolution.output_shape)
    slides = bool(convolution.axes) and not isinstance(layer, LocallyConnected2d | SharedGlobal2d)
    return LayerWindows(convolution, sharing, _numbers(layer.weight), bias, takes_any_size=slides)


def _mean(layer: Any, shape: tuple[int, ...]) -> LayerWindows:  # noqa: ANN401
    axes, sizes = [], []
    for axis, length in enumerate(shape[1:]):
        kernel, stride, pad = (_of(getattr(layer, name), axis) for name in ("kernel_size", "stride", "padding"))
        usual = Axis(length, kernel, stride, (pad, pad))
        outputs = _rounded_up(usual) if layer.ceil_mode else usual.output_length
        axes.append(Axis(length, kernel, stride, (pad, pad), num_outputs=outputs))
        start = np.arange(outputs) * stride - pad
        end = np.minimum(start + kernel, length + pad)
        if not layer.count_include_pad:
            start, end = np.maximum(start, 0), np.minimum(end, length)
        sizes.append(end - start)
    divisor = getattr(layer, "divisor_override", None)
    factors = np.reciprocal(_product(sizes).astype(float)) if divisor is None else np.full(_shape(axes), 1 / divisor)
    return replace(_means(tuple(axes), shape[0], factors), takes_any_size=True)


def _adaptive_mean(layer: Any, shape: tuple[int, ...]) -> LayerWindows:  # noqa: ANN401
    axes = []
    for axis, length in enumerate(shape[1:]):
        outputs = _of(layer.output_size, axis) or length
        if length % outputs:
            raise UsageError(
                f"{type(layer).__name__} makes {outputs} outputs of {length} inputs with windows of unequal size; "
                "this is written as a matrix only where the outputs divide the inputs."
            )
        axes.append(Axis(length, length // outputs, length // outputs))
    factor = 1 / math.prod(axis.kernel for axis in axes)
    return _means(tuple(axes), shape[0], np.full(_shape(axes), factor))


def _means(axes: tuple[Axis, ...], channels: int, factors: NDArray[np.float64]) -> LayerWindows:
    convolution = Convolution(axes, channels, channels, channels, has_bias=False)
    bias = np.broadcast_to(np.zeros(1), convolution.output_shape)
    return LayerWindows(convolution, "fixed", np.zeros(0), bias, factors)


def _rounded_up(axis: Axis) -> int:
    """Outputs in ceil_mode: the last window may hang over, but begins within the input or the padding before it."""
    outputs = -(-(axis.length + sum(axis.padding) - axis.reach) // axis.stride) + 1
    return outputs - 1 if (outputs - 1) * axis.stride >= axis.length + axis.padding[0] else outputs


def _shape(axes: Sequence[Axis]) -> tuple[int, ...]:
    return tuple(axis.output_length for axis in axes)


def _product(sizes: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
    """The outer product over the axes."""
    product = np.ones((), dtype=np.int64)
    for size in sizes:
        product = np.multiply.outer(product, size)
    return product


def _of(value: int | Sequence[int], axis: int) -> int:
    return value if isinstance(value, int) or value is None else value[axis]


def _numbers(values: Tensor) -> NDArray[np.float64]:
    return np.asarray(values.detach().double().cpu().numpy())


def _require_channels(layer: nn.Module, shape: tuple[int, ...], expected: int) -> None:
    if shape[0] != expected:
        what = "features" if isinstance(layer, nn.Linear) else "channels"
        raise UsageError(f"{type(layer).__name__} takes {expected} {what}; got {shape[0]}, of the input shape {shape}.")


def _require_shape(layer: nn.Module, shape: tuple[int, ...], expected: tuple[int, ...]) -> None:
    if shape != expected:
        raise UsageError(f"This {type(layer).__name__} takes pictures of shape {expected}; got {shape}.")


_READERS: tuple[tuple[Any, Callable[[Any, tuple[int, ...]], LayerWindows]], ...] = (
    ((nn.Conv1d, nn.Conv2d, nn.Conv3d), _convolution),
    ((nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d), _transposed),
    (nn.Linear, _linear),
    (LocallyConnected2d, _locally_connected),
    (SharedGlobal2d, _shared_global),
    ((nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d), _mean),
    ((nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d), _adaptive_mean),
)
