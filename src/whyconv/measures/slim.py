"""A layer with fewer of its channels: those of a group are connected alike, so what holds for some holds for all."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from whyconv.counting import Convolution
from whyconv.errors import UsageError
from whyconv.measures.layer_windows import LayerWindows, with_weights
from whyconv.measures.matrix import MOST_BYTES, building_bytes
from whyconv.texts import size


def affordable(windows: LayerWindows, most_multiply_adds: int) -> Convolution:
    """Returns the layer, or the same one with as many channels of one group as the proofs can be made for.

    Raises:
        UsageError: One channel takes too much already, or the layer cannot be taken apart.
    """
    convolution = windows.convolution
    group_in, group_out = (count // convolution.groups for count in (convolution.in_channels, convolution.out_channels))
    tried = convolution
    while not _is_affordable(tried, most_multiply_adds):
        if windows.sharing == "local" or (group_in, group_out) == (1, 1) == (tried.in_channels, tried.out_channels):
            raise UsageError(_refusal(convolution, tried, most_multiply_adds))
        if tried is not convolution:
            larger_in = group_in >= group_out
            group_in, group_out = (-(-group_in // 2), group_out) if larger_in else (group_in, -(-group_out // 2))
        tried = replace(convolution, in_channels=group_in, out_channels=group_out, groups=1)
    return tried


def slimmed(layer: nn.Module, windows: LayerWindows, tried: Convolution) -> tuple[nn.Module, LayerWindows]:
    """Returns a copy of the layer in double precision with the first channels only, and its windows.

    Args:
        layer: Not changed.
        windows: Of it.
        tried: The same convolution with as many channels, or fewer.
    """
    slim = copy.deepcopy(layer).double().eval()
    if tried == windows.convolution:
        return slim, windows
    if windows.sharing == "fixed":
        return slim, replace(windows, convolution=tried, bias=windows.bias[: tried.out_channels])
    holder = _holder(slim)
    first, second = tried.out_channels, tried.in_channels
    if tried.is_transposed:
        first, second = second, first
    with torch.no_grad():
        holder.weight = nn.Parameter(holder.weight[:first, :second].clone())
        if holder.bias is not None:
            holder.bias = nn.Parameter(holder.bias[: tried.out_channels].clone())
    holder.in_channels, holder.out_channels, holder.groups = tried.in_channels, tried.out_channels, 1
    return slim, with_weights(tried, holder)


def _holder(layer: nn.Module) -> Any:  # noqa: ANN401
    """The module that holds the weights: the layer, or the one inside that pads before."""
    return next(each for each in layer.modules() if isinstance(getattr(each, "weight", None), nn.Parameter))


def cost(convolution: Convolution) -> int:
    """Returns the multiply-adds of all proofs: the Jacobian row by row, and the dense layer forth and back."""
    return 2 * convolution.num_outputs * convolution.multiply_adds + 6 * convolution.dense_weights


def _is_affordable(convolution: Convolution, most_multiply_adds: int) -> bool:
    return cost(convolution) <= most_multiply_adds and building_bytes(convolution) <= MOST_BYTES


def _refusal(convolution: Convolution, tried: Convolution, most_multiply_adds: int) -> str:
    every = f"{cost(convolution):,} multiply-adds and {size(building_bytes(convolution))}"
    least = f"; with one channel, {cost(tried):,} and {size(building_bytes(tried))}" if tried != convolution else ""
    return (
        f"To prove it, this layer would take {every}{least}. The limit is {most_multiply_adds:,} and "
        f"{size(MOST_BYTES)}; nothing was allocated. Take a smaller picture, or raise most_multiply_adds."
    )
