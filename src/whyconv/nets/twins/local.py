"""The same network without sharing: every convolution with weights of its own at every place."""

from __future__ import annotations

from typing import Any

from torch import nn

from whyconv.nets.layers import LocallyConnected2d
from whyconv.nets.twins.normalization import Normalization, per_unit
from whyconv.nets.twins.reached import Met
from whyconv.nets.twins.replacing import MAX_BYTES, Recipe, replaced


def local_twin(
    network: nn.Module,
    input_shape: tuple[int, ...],
    *,
    only: str | None = None,
    normalization: Normalization = "channel",
    max_bytes: float = MAX_BYTES,
) -> nn.Module:
    """The network with every convolution replaced by a locally connected layer that starts with the same weights.

    The twin gives the same answers to rounding, as long as nobody trains it; all else is kept as it is. A convolution
    that is used several times, or under several names, becomes one layer that is, and so do tied weights. A
    convolution that a pass in evaluation never reaches stays a convolution. The network itself is not changed.

    Args:
        network: With any number of ``torch.nn.Conv2d``; itself one if need be.
        input_shape: Of one picture, (c, h, w). The twin takes pictures of this size only.
        only: Name of the one convolution that is replaced; None for all of them.
        normalization: "channel": batch normalization stays as it is, so that only the sharing of the convolutions'
            weights is taken away; "unit": it too shares nothing over the places, see ``UnitBatchNorm2d``.
        max_bytes: The twin's new layers may take as much. Not asked on torch's device "meta".

    Returns:
        A network of its own, with nothing shared, in the mode (training or evaluation) of the original.

    Raises:
        UsageError: A layer has no local twin, no convolution is reached, or the weights would take more than
            ``max_bytes``. All is named at once, and nothing was allocated for the twin's weights. Or ``only`` names no
            convolution that a pass in evaluation reaches, or one whose weights are those of another one too.

    References:
        The equality of answers, and that the convolution's gradient is the sum of the twin's over all places, follow
        from the chain rule; tests hold both in double precision.
    """
    local = Recipe((nn.Conv2d,), _unfilled, _fill, lambda met: met.output_shape[-2:])
    return replaced(network, input_shape, "local", (local, *per_unit(normalization)), max_bytes, only)


def _unfilled(met: Met) -> LocallyConnected2d:
    return LocallyConnected2d(input_size=met.input_shape[-2:], device="meta", **arguments(met.layer))


def arguments(convolution: nn.Conv2d) -> dict[str, Any]:
    """What a convolution was made with."""
    return {
        "in_channels": convolution.in_channels,
        "out_channels": convolution.out_channels,
        "kernel_size": convolution.kernel_size,
        "stride": convolution.stride,
        "padding": convolution.padding,
        "dilation": convolution.dilation,
        "groups": convolution.groups,
        "bias": convolution.bias is not None,
        "padding_mode": convolution.padding_mode,
        "dtype": convolution.weight.dtype,
    }


def _fill(layer: LocallyConnected2d, convolution: nn.Conv2d) -> None:
    """Copies the kernel to every place."""
    layer.weight.copy_(convolution.weight)
    if layer.bias is not None and convolution.bias is not None:
        layer.bias.copy_(convolution.bias)
