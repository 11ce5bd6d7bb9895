"""One layer as the dense layer that it is a part of: its matrix, unrolled."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from whyconv.errors import UsageError
from whyconv.nets.layers import LocallyConnected2d, SharedGlobal2d

MAX_BYTES = 4 * 10**9

_LINEAR = (nn.Conv2d, nn.ConvTranspose2d, LocallyConnected2d, SharedGlobal2d)
_COLUMNS_AT_A_TIME = 256


def dense_twin(layer: nn.Module, input_shape: tuple[int, ...], *, max_bytes: float = MAX_BYTES) -> nn.Sequential:
    """The dense layer that computes what ``layer`` computes: the unrolled matrix as weights, most of them 0.

    Args:
        layer: A ``Conv2d``, ``ConvTranspose2d``, ``LocallyConnected2d`` or ``SharedGlobal2d``.
        input_shape: Of one picture, (c, h, w).
        max_bytes: The weights may take as much.

    Returns:
        Flatten, ``Linear``, unflatten: maps (n, c, h, w) to what ``layer`` maps it to, to rounding.

    Raises:
        UsageError: Another kind of layer, or the weights would take more than ``max_bytes``.
    """
    if not isinstance(layer, _LINEAR):
        known = ", ".join(kind.__name__ for kind in _LINEAR)
        raise UsageError(f"A {type(layer).__name__} cannot be written as one matrix here. Expected one of: {known}.")
    with torch.no_grad():
        black = torch.zeros((1, *input_shape), dtype=layer.weight.dtype, device=layer.weight.device)
        constant = layer(black)[0]
        num_bytes = black.numel() * constant.numel() * black.element_size()
        if num_bytes > max_bytes:
            raise UsageError(
                f"The dense twin would take {num_bytes:,} bytes for {black.numel():,} x {constant.numel():,} weights; "
                f"at most {max_bytes:,.0f} are allowed. Allow more with max_bytes, or take a smaller picture."
            )
        dense = nn.Linear(black.numel(), constant.numel(), device="meta", dtype=black.dtype)
        dense.to_empty(device=black.device)
        dense.bias.copy_(constant.flatten())
        for columns, answers in _columns(layer, input_shape, black):
            dense.weight[:, columns] = answers.flatten(1).T
    return nn.Sequential(nn.Flatten(), dense, nn.Unflatten(1, constant.shape))


def _columns(layer: nn.Module, input_shape: tuple[int, ...], black: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """What the layer without its bias answers to one bright pixel at a time: the columns of its matrix."""
    unbiased = copy.copy(layer)
    unbiased._parameters = {**layer._parameters, "bias": None}
    for start in range(0, black.numel(), _COLUMNS_AT_A_TIME):
        columns = slice(start, min(start + _COLUMNS_AT_A_TIME, black.numel()))
        pixels = torch.zeros(columns.stop - start, black.numel(), dtype=black.dtype, device=black.device)
        pixels.diagonal(start).fill_(1)
        yield columns, unbiased(pixels.view(-1, *input_shape))
