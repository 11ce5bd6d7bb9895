"""The same network without locality and without sharing: every layer over pictures as the dense layer it is a part of.

Three networks can be called the dense one, and they differ by orders of magnitude. With the convolution's *units* it is
the twin: the same function to begin with, and many times the weights. With as many *parameters*, or as many
*multiply-adds*, there is room for a handful of units a layer, far fewer than any map has; weights cannot be copied
there, and what stands beside the convolution is an ordinary multilayer perceptron.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from whyconv.errors import UsageError, nearest
from whyconv.nets.layers import DenseMap2d, LocallyConnected2d, SharedGlobal2d
from whyconv.nets.layers.locally_connected import as_pair, borders
from whyconv.nets.layers.share import share_of_data
from whyconv.nets.twins.matched import matched_perceptron
from whyconv.nets.twins.normalization import Normalization, per_unit
from whyconv.nets.twins.reached import Met
from whyconv.nets.twins.replacing import MAX_BYTES, Recipe, replaced

Match = Literal["units", "parameters", "multiply_adds"]

_LINEAR = (nn.Conv2d, nn.ConvTranspose2d, LocallyConnected2d, SharedGlobal2d)
_GEOMETRY = ("stride", "padding", "dilation", "groups", "padding_mode", "output_padding")
_COLUMNS_AT_A_TIME = 256


def dense_twin(
    network: nn.Module,
    input_shape: tuple[int, ...],
    *,
    match: Match = "units",
    normalization: Normalization = "channel",
    max_bytes: float = MAX_BYTES,
) -> nn.Module:
    """The network with every convolution replaced by the dense layer with its units, or a perceptron of its size.

    With ``match="units"`` the dense layers start with the unrolled matrices as weights, most of them 0, so the twin
    gives the same answers to rounding as long as nobody trains it. A layer that is used several times, or under
    several names, becomes one dense layer that is, and so do tied weights where they make the same matrix. Transposed,
    locally connected and shared-global layers are replaced too. All else is kept as it is.

    With ``match="parameters"`` or ``"multiply_adds"`` it is a fresh ``MatchedPerceptron``: as many hidden layers as
    the longest path through the network has convolutions, all of one width, chosen so that the count comes as close
    to the network's as a whole number of units can.

    Args:
        network: With any number of such layers; itself one if need be. It is not changed.
        input_shape: Of one picture, (c, h, w). The twin takes pictures of this size only.
        match: What the twin has as much of as the network.
        normalization: Of the twin with as many units. "channel": batch normalization stays as it is; "unit": it too
            shares nothing over the places, see ``UnitBatchNorm2d``.
        max_bytes: The new layers may take as much. Not asked of networks on torch's device "meta".

    Returns:
        A network of its own, in the mode (training or evaluation) of the original. Each dense layer is a
        ``DenseMap2d``: flatten, ``Linear``, unflatten.

    Raises:
        UsageError: A layer has no dense twin, no such layer is reached, the weights would take more than ``max_bytes``
            (with the largest layer named), or a word is unknown. All is named at once, and nothing was allocated for
            the twin's weights.

    References:
        d'Ascoli and others, *Finding the needle in the haystack with convolutions* (2019), arXiv 1906.06766, start
        dense layers from a trained convolution in this way.
    """
    known = get_args(Match)
    if match not in known:
        raise UsageError(f"match = {match!r}: expected one of {', '.join(known)}.{nearest(match, known)}")
    norms = per_unit(normalization)
    if match == "units":
        dense = Recipe(_LINEAR, _unfilled, _fill, _places)
        return replaced(network, input_shape, "dense", (dense, *norms), max_bytes)
    if norms:
        raise UsageError(f"normalization = {normalization!r} with match = {match!r}: a perceptron has none to change.")
    return matched_perceptron(network, input_shape, match, max_bytes)


def _unfilled(met: Met) -> DenseMap2d:
    return DenseMap2d(
        met.input_shape,
        met.output_shape,
        bias=met.layer.bias is not None,
        fan_in=_fan_in(met),
        device="meta",
        dtype=met.layer.weight.dtype,
    )


def _fan_in(met: Met) -> float:
    """All inputs of an output; more where the convolution meets zeros at the border, and so varies less."""
    layer, (channels, height, width) = met.layer, met.input_shape
    inputs = float(channels * height * width)
    slides = isinstance(layer, nn.Conv2d | LocallyConnected2d)
    if not slides or layer.padding_mode != "zeros":
        return inputs
    kernel, stride, dilation = as_pair(layer.kernel_size), as_pair(layer.stride), as_pair(layer.dilation)
    padding = layer.padding if isinstance(layer.padding, str) else as_pair(layer.padding)
    top, bottom, left, right = borders(padding, kernel, dilation)
    return inputs / share_of_data((height, width), kernel, stride, ((top, bottom), (left, right)), dilation)


def _places(met: Met) -> object:
    """Equal matrices: equal weights, and equal in all that says where they stand."""
    geometry = tuple(getattr(met.layer, name, None) for name in _GEOMETRY)
    return type(met.layer), met.input_shape, met.output_shape, geometry


def _fill(dense: DenseMap2d, layer: Any) -> None:  # noqa: ANN401
    """Column by column: what the layer answers to one bright pixel."""
    black = torch.zeros((1, *dense.input_shape), dtype=layer.weight.dtype, device=layer.weight.device)
    linear: Any = dense[1]
    for columns, answers in _columns(layer, dense.input_shape, black):
        linear.weight[:, columns] = answers.flatten(1).T
    if linear.bias is not None:
        linear.bias.copy_(layer(black).flatten())


def _columns(layer: nn.Module, input_shape: tuple[int, ...], black: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """What the layer without its bias answers to one bright pixel at a time: the columns of its matrix."""
    unbiased = copy.copy(layer)
    unbiased._parameters = {**layer._parameters, "bias": None}
    for start in range(0, black.numel(), _COLUMNS_AT_A_TIME):
        columns = slice(start, min(start + _COLUMNS_AT_A_TIME, black.numel()))
        pixels = torch.zeros(columns.stop - start, black.numel(), dtype=black.dtype, device=black.device)
        pixels.diagonal(start).fill_(1)
        yield columns, unbiased(pixels.view(-1, *input_shape))
