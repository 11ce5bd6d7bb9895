"""The same network without sharing: every convolution with weights of its own at every place."""

from __future__ import annotations

import copy

import torch
from torch import nn

from whyconv.errors import UsageError
from whyconv.nets.layers import LocallyConnected2d
from whyconv.nets.twins.reached import Reached, send_through

MAX_BYTES = 4 * 10**9


def local_twin(
    network: nn.Module, input_shape: tuple[int, ...], *, only: str | None = None, max_bytes: float = MAX_BYTES
) -> nn.Module:
    """The network with every convolution replaced by a locally connected layer that starts with the same weights.

    The twin gives the same answers to rounding, as long as nobody trains it; all else is kept as it is. A convolution
    that is used several times, or under several names, becomes one layer that is, and so do tied weights. Batch
    normalization stays per channel, so that only the sharing of the convolutions' weights is taken away; and a
    convolution that a pass in evaluation never reaches stays a convolution. The network itself is not changed.

    Args:
        network: With any number of ``torch.nn.Conv2d``; itself one if need be.
        input_shape: Of one picture, (c, h, w). The twin takes pictures of this size only.
        only: Name of the one convolution that is replaced; None for all of them.
        max_bytes: The twin's locally connected layers may take as much. Not asked on torch's device "meta".

    Returns:
        A network of its own, with nothing shared, in the mode (training or evaluation) of the original.

    Raises:
        UsageError: A layer has no local twin, or the weights would take more than ``max_bytes``. All such layers are
            named at once, and nothing was allocated for the twin's weights. Or ``only`` names no convolution that a
            pass in evaluation reaches, or one whose weights are those of another one too.

    References:
        The equality of answers, and that the convolution's gradient is the sum of the twin's over all places, follow
        from the chain rule; tests hold both in double precision.
    """
    twin = copy.deepcopy(network)
    reached = send_through(twin, input_shape)
    if only is not None:
        reached = reached.restricted_to(only, twin)
    made = {each: _unfilled(each, reached.sizes[each]) for _, each in reached.named}
    if mistakes := reached.mistakes + _torn_ties(reached, made):
        raise UsageError("\n  ".join(["This network has no local twin:", *mistakes]))
    _require_room(reached, made, max_bytes)
    for convolution, layer in made.items():
        _fill(layer, convolution)
    _tie(made)
    return _with_replaced(twin, made)


def _torn_ties(reached: Reached, made: dict[nn.Conv2d, LocallyConnected2d]) -> list[str]:
    """Convolutions whose weights are one tensor, and whose places are not the same."""
    first: dict[int, tuple[str, LocallyConnected2d]] = {}
    wrong = []
    for name, convolution in reached.named:
        layer = made[convolution]
        other_name, other = first.setdefault(id(convolution.weight), (name, layer))
        if layer.weight.shape != other.weight.shape:
            here, there = (f"{high} x {wide}" for high, wide in (layer.output_size, other.output_size))
            wrong.append(f"{name}: its weights are those of {other_name}, at {here} places and not {there}")
    return wrong


def _unfilled(convolution: nn.Conv2d, size: tuple[int, int]) -> LocallyConnected2d:
    """The layer in the place of a convolution, nothing allocated yet."""
    return LocallyConnected2d(
        convolution.in_channels,
        convolution.out_channels,
        _pair(convolution.kernel_size),
        size,
        stride=_pair(convolution.stride),
        padding=convolution.padding if isinstance(convolution.padding, str) else _pair(convolution.padding),
        dilation=_pair(convolution.dilation),
        groups=convolution.groups,
        bias=convolution.bias is not None,
        padding_mode=convolution.padding_mode,
        device="meta",
        dtype=convolution.weight.dtype,
    )


def _pair(sizes: tuple[int, ...]) -> tuple[int, int]:
    return sizes[0], sizes[1]


def _require_room(reached: Reached, made: dict[nn.Conv2d, LocallyConnected2d], max_bytes: float) -> None:
    """Counts what is to be allocated; tied weights as often as they are named, which is safe."""
    taken = {name: _num_bytes(made[each]) for name, each in reached.named if not each.weight.is_meta}
    if sum(taken.values()) <= max_bytes:
        return
    largest = max(taken, key=lambda name: taken[name])
    num_parameters = sum(each.numel() for layer in made.values() for each in layer.parameters())
    raise UsageError(
        f"The local twin would take {sum(taken.values()):,} bytes for {num_parameters:,} weights and biases, "
        f"{taken[largest]:,} of them in '{largest}'; at most {max_bytes:,.0f} are allowed. Take smaller pictures, or "
        "allow more with max_bytes."
    )


def _num_bytes(layer: nn.Module) -> int:
    return sum(each.numel() * each.element_size() for each in layer.parameters())


def _fill(layer: LocallyConnected2d, convolution: nn.Conv2d) -> None:
    """Allocates the layer's weights, and copies the kernel to every place."""
    layer.to_empty(device=convolution.weight.device)
    with torch.no_grad():
        layer.weight.copy_(convolution.weight)
        if layer.bias is not None and convolution.bias is not None:
            layer.bias.copy_(convolution.bias)
            layer.bias.requires_grad_(convolution.bias.requires_grad)
    layer.weight.requires_grad_(convolution.weight.requires_grad)
    layer.train(convolution.training)


def _tie(made: dict[nn.Conv2d, LocallyConnected2d]) -> None:
    """What was one tensor in several convolutions is one tensor in their twins."""
    first: dict[int, nn.Parameter] = {}
    for convolution, layer in made.items():
        layer.weight = first.setdefault(id(convolution.weight), layer.weight)
        if layer.bias is not None:
            layer.bias = first.setdefault(id(convolution.bias), layer.bias)


def _with_replaced(network: nn.Module, made: dict[nn.Conv2d, LocallyConnected2d]) -> nn.Module:
    if isinstance(network, nn.Conv2d) and network in made:
        return made[network]
    for parent in list(network.modules()):
        for name, child in parent._modules.items():
            if isinstance(child, nn.Conv2d) and child in made:
                parent._modules[name] = made[child]
    return network
