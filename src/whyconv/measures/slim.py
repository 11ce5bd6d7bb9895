"""A layer made small enough to be proved: fewer channels, a smaller picture, the same window and the same borders.

Channels of a group are connected alike, and places off the borders too: what holds for some holds for all.
"""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from whyconv.counting import Axis, Convolution
from whyconv.errors import UsageError
from whyconv.measures.layer_windows import LayerWindows, is_readable, read_layer, with_weights
from whyconv.measures.matrix import MOST_BYTES, building_bytes
from whyconv.texts import size

_FEW_CHANNELS = 2


def affordable(windows: LayerWindows, most_multiply_adds: int) -> Convolution:
    """Returns the layer, or what of it the proofs can be made for: first fewer channels, then a smaller picture.

    A shorter axis keeps its rest when divided by the stride, so that both borders are met as before.

    Raises:
        UsageError: The least of it takes too much already, or the layer cannot be made smaller.
    """
    tried = windows.convolution
    while not _is_affordable(tried, most_multiply_adds):
        smaller = _fewer_channels(tried, _FEW_CHANNELS) if windows.sharing != "local" else tried
        smaller = _shortened(tried) if smaller == tried and windows.takes_any_size else smaller
        smaller = _fewer_channels(tried, 1) if smaller == tried and windows.sharing != "local" else smaller
        if smaller == tried:
            raise UsageError(_refusal(windows.convolution, tried, most_multiply_adds))
        tried = smaller
    return tried


def slimmed(layer: nn.Module, windows: LayerWindows, tried: Convolution) -> tuple[nn.Module, LayerWindows]:
    """Returns a copy of the layer in double precision with the first channels only, and its windows.

    Args:
        layer: Not changed.
        windows: Of it.
        tried: The same convolution, or a smaller one.
    """
    # Also where the layer itself does not learn: how it would is what is proved.
    slim = copy.deepcopy(layer).double().eval().requires_grad_()
    if tried == windows.convolution:
        return slim, windows
    if windows.sharing == "fixed":
        return slim, read_layer(slim, tried.input_shape)
    holder = _holder(slim)
    first, second = tried.out_channels, tried.in_channels // tried.groups
    if tried.is_transposed:
        first, second = tried.in_channels, tried.out_channels // tried.groups
    with torch.no_grad():
        holder.weight = nn.Parameter(holder.weight[:first, :second].clone())
        if holder.bias is not None:
            holder.bias = nn.Parameter(holder.bias[: tried.out_channels].clone())
    holder.in_channels, holder.out_channels, holder.groups = tried.in_channels, tried.out_channels, tried.groups
    if isinstance(holder, nn.Linear):
        holder.in_features, holder.out_features = tried.in_channels, tried.out_channels
    return slim, read_layer(slim, tried.input_shape) if is_readable(slim) else with_weights(tried, holder)


def _holder(layer: nn.Module) -> Any:  # noqa: ANN401
    """The module that holds the weights: the layer, or the one inside that pads before."""
    return next(each for each in layer.modules() if isinstance(getattr(each, "weight", None), nn.Parameter))


def cost(convolution: Convolution) -> int:
    """Returns the multiply-adds of all proofs: the Jacobian row by row, and the dense layer forth and back."""
    return convolution.num_outputs * convolution.multiply_adds + 6 * convolution.dense_weights


def _is_affordable(convolution: Convolution, most_multiply_adds: int) -> bool:
    return cost(convolution) <= most_multiply_adds and building_bytes(convolution) <= MOST_BYTES


def _fewer_channels(convolution: Convolution, least: int) -> Convolution:
    """Half of the input or output channels of one group, whichever are more."""
    group_in, group_out = (count // convolution.groups for count in (convolution.in_channels, convolution.out_channels))
    if convolution.groups == 1:
        if group_in >= group_out:
            group_in = max(min(group_in, least), group_in // 2)
        else:
            group_out = max(min(group_out, least), group_out // 2)
    return replace(convolution, in_channels=group_in, out_channels=group_out, groups=1)


def _shortened(convolution: Convolution) -> Convolution:
    """About half of the picture along every axis that is long enough to have a middle."""
    short = _shorter_output if convolution.is_transposed else _shorter
    return replace(convolution, axes=tuple(short(axis) for axis in convolution.axes))


def _shorter(axis: Axis) -> Axis:
    least = axis.reach + 2 * max(axis.padding) + 2 * axis.stride
    length = max(least, axis.length // 2)
    length += (axis.length - length) % axis.stride
    return replace(axis, length=length, num_outputs=0) if length < axis.length else axis


def _shorter_output(axis: Axis) -> Axis:
    """Of a transposed layer, whose axis goes from the output to the input."""
    least = axis.reach // axis.stride + 3
    places = max(least, axis.output_length // 2)
    fewer = axis.output_length - places
    if fewer <= 0:
        return axis
    return replace(axis, length=axis.length - fewer * axis.stride, num_outputs=places)


def _refusal(convolution: Convolution, tried: Convolution, most_multiply_adds: int) -> str:
    every = f"{cost(convolution):,} multiply-adds and {size(building_bytes(convolution))}"
    least = f"; the least of it {cost(tried):,} and {size(building_bytes(tried))}" if tried != convolution else ""
    return (
        f"To prove it, this layer would take {every}{least}. The limit is {most_multiply_adds:,} and "
        f"{size(MOST_BYTES)}; nothing was allocated. Take a smaller picture or kernel, or raise most_multiply_adds."
    )
