"""The same network without locality: every convolution with a kernel as large as the picture, still shared."""

from __future__ import annotations

from torch import nn

from whyconv.nets.layers import SteppedGlobal2d
from whyconv.nets.layers.locally_connected import borders
from whyconv.nets.twins.local import arguments
from whyconv.nets.twins.reached import Met
from whyconv.nets.twins.replacing import MAX_BYTES, Recipe, replaced


def shared_global_twin(network: nn.Module, input_shape: tuple[int, ...], *, max_bytes: float = MAX_BYTES) -> nn.Module:
    """The network with every convolution replaced by one whose kernel is as large as the padded picture.

    The kernels start as the convolutions', zero outside of the window, so the twin gives the same answers to rounding,
    as long as nobody trains it. Then every output sees every pixel of its map, and all places still share one kernel.
    Stride, padding, groups and the number of outputs are the convolution's; see ``SteppedGlobal2d``. All else is kept
    as it is: batch normalization per channel, layers used several times or under several names, ties.

    Args:
        network: With any number of ``torch.nn.Conv2d``; itself one if need be. It is not changed.
        input_shape: Of one picture, (c, h, w). The twin takes pictures of this size only.
        max_bytes: The new layers may take as much. Not asked on torch's device "meta".

    Returns:
        A network of its own, in the mode (training or evaluation) of the original.

    Raises:
        UsageError: A layer has no such twin, no convolution is reached, or the weights would take more than
            ``max_bytes``. All is named at once, and nothing was allocated for the twin's weights.
    """
    shared_global = Recipe((nn.Conv2d,), _unfilled, _fill, _places)
    return replaced(network, input_shape, "shared-global", (shared_global,), max_bytes)


def _unfilled(met: Met) -> SteppedGlobal2d:
    return SteppedGlobal2d(input_size=met.input_shape[-2:], device="meta", **arguments(met.layer))


def _fill(twin: SteppedGlobal2d, convolution: nn.Conv2d) -> None:
    twin.hold(convolution.weight)
    if twin.everywhere.bias is not None and convolution.bias is not None:
        twin.everywhere.bias.copy_(convolution.bias)


def _places(met: Met) -> object:
    """Equal kernels: of one size, with the window at one place. Strides may differ."""
    layer = met.layer
    around = borders(layer.padding, layer.kernel_size, layer.dilation)
    is_ring = layer.padding_mode == "circular"
    height, width = met.input_shape[-2:]
    ring = (height, width) if is_ring else (height + around[0] + around[1], width + around[2] + around[3])
    return ring, layer.dilation, layer.groups
