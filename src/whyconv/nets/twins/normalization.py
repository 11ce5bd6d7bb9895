"""Batch normalization is sharing too: a mean and a deviation for all places of a map. Here each unit has its own."""

from __future__ import annotations

from typing import Literal, get_args

from torch import nn

from whyconv.errors import UsageError, nearest
from whyconv.nets.layers import UnitBatchNorm2d
from whyconv.nets.twins.reached import Met
from whyconv.nets.twins.replacing import Recipe

Normalization = Literal["channel", "unit"]


def per_unit(normalization: Normalization) -> tuple[Recipe, ...]:
    """How ``BatchNorm2d`` is replaced: not at all for "channel".

    Raises:
        UsageError: The word is unknown.
    """
    known = get_args(Normalization)
    if normalization not in known:
        raise UsageError(
            f"normalization = {normalization!r}: expected one of {', '.join(known)}.{nearest(normalization, known)}"
        )
    if normalization == "channel":
        return ()
    return (Recipe((nn.BatchNorm2d,), _unfilled, _fill, lambda met: met.output_shape),)


def _unfilled(met: Met) -> UnitBatchNorm2d:
    norm = met.layer
    return UnitBatchNorm2d(
        norm.num_features,
        met.input_shape[-2:],
        eps=norm.eps,
        momentum=norm.momentum,
        affine=norm.affine,
        device="meta",
        dtype=norm.running_mean.dtype,
    )


def _fill(unit: UnitBatchNorm2d, norm: nn.BatchNorm2d) -> None:
    """Copies every channel's numbers to all its units."""
    pairs = [
        (unit.weight, norm.weight),
        (unit.bias, norm.bias),
        (unit.running_mean, norm.running_mean),
        (unit.running_var, norm.running_var),
    ]
    for mine, theirs in pairs:
        if mine is not None and theirs is not None:
            mine.view(norm.num_features, -1).copy_(theirs[:, None])
    if unit.num_batches_tracked is not None and norm.num_batches_tracked is not None:
        unit.num_batches_tracked.copy_(norm.num_batches_tracked)
