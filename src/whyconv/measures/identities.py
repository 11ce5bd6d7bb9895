"""The identities that bind a network to its twins, measured on the whole network with its own weights.

    network(x)  =  local twin (x)  =  dense twin (x)  =  shared-global twin (x)
    dJ/dw of a convolution  =  sum over places of the local twin's          (sharing sums)
    dJ/dw of the local twin  =  the dense twin's, where the matrix has entries  (locality masks)
    dJ/dw of a convolution  =  the shared-global twin's, within the window      (locality masks)

J is half the squared distance to random targets; all is in double precision. ``verify`` proves the same, and more, on
one layer at a time; here branches, ties and layers used again are in play.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from whyconv.errors import UsageError
from whyconv.measures.modules import evaluating
from whyconv.nets.layers import DenseMap2d, LocallyConnected2d, SteppedGlobal2d
from whyconv.nets.twins import dense_twin, local_twin, shared_global_twin
from whyconv.nets.twins.replacing import own_copy
from whyconv.results.identities import Identities, LayerIdentities

MOST_BYTES = 1_000_000_000


@torch.inference_mode(False)
def identities(
    network: nn.Module,
    input_shape: tuple[int, ...],
    *,
    num_pictures: int = 2,
    seed: int = 0,
    max_bytes: float = MOST_BYTES,
) -> Identities:
    """Builds a network's twins and compares their answers and gradients with its own.

    Args:
        network: With real weights; it is not changed. Weights that are not learned are compared too.
        input_shape: Of one picture, (c, h, w).
        num_pictures: That all are given, drawn from the normal distribution.
        seed: Of the pictures and targets.
        max_bytes: The new layers of one twin may take as much, in double precision, and their gradients again. Where
            the dense twin would take more, it is left out and the record says so.

    Returns:
        Differences, each relative to the largest value; all are 0 but for rounding.

    Raises:
        UsageError: The network has no local twin or no shared-global one, or its answer is not one array.

    References:
        The chain rule; see ``whyconv.nets.twins``.
    """
    original = own_copy(network, (nn.Conv2d,), "This network has no twins:").double().requires_grad_()
    twins = {
        "local": local_twin(original, input_shape, max_bytes=max_bytes),
        "shared_global": shared_global_twin(original, input_shape, max_bytes=max_bytes),
    }
    not_tried = ""
    try:
        twins["dense"] = dense_twin(original, input_shape, max_bytes=max_bytes)
    except UsageError as error:
        not_tried = str(error)
    drawn = torch.Generator().manual_seed(seed)
    x = torch.randn(num_pictures, *input_shape, generator=drawn, dtype=torch.float64)
    answers = _answer(original, x)
    targets = torch.randn(answers.shape, generator=drawn, dtype=torch.float64)
    _learn(original, x, targets)
    apart = {name: relative_difference(_learn(twin, x, targets), answers) for name, twin in twins.items()}
    return Identities(
        local=apart["local"],
        dense=apart.get("dense"),
        shared_global=apart["shared_global"],
        layers=_gradients(original, twins),
        not_tried=not_tried,
        num_pictures=num_pictures,
        seed=seed,
    )


def relative_difference(one: Tensor, other: Tensor) -> float:
    """The largest difference of two arrays, relative to the largest value of both."""
    largest = max(float(each.abs().max()) for each in (one, other))
    return float((one - other).abs().max()) / (largest or 1.0)


def _answer(network: nn.Module, x: Tensor) -> Tensor:
    with evaluating(network), torch.no_grad():
        answers = network(x)
    if not isinstance(answers, Tensor):
        raise UsageError(f"The network answers with a {type(answers).__name__}; expected one array.")
    return answers


def _learn(network: nn.Module, x: Tensor, targets: Tensor) -> Tensor:
    """Leaves dJ/dw in a network's parameters, and returns its answers."""
    network.zero_grad()
    with evaluating(network), torch.enable_grad():
        answers = network(x)
        ((answers - targets) ** 2).sum().div(2).backward()
    return torch.as_tensor(answers).detach()


def _gradients(original: nn.Module, twins: dict[str, nn.Module]) -> list[LayerIdentities]:
    found = []
    for name, convolution in original.named_modules():
        twin = _part(twins["local"], name)
        if isinstance(convolution, nn.Conv2d) and isinstance(twin, LocallyConnected2d):
            found.append(_of_layer(name, convolution, {kind: _part(each, name) for kind, each in twins.items()}))
    return found


def _part(network: nn.Module, name: str) -> nn.Module | None:
    """The module of this name, None inside of layers that were replaced."""
    return dict(network.named_modules(remove_duplicate=False)).get(name)


def _of_layer(name: str, convolution: nn.Conv2d, twins: dict[str, nn.Module | None]) -> LayerIdentities:
    local, dense, everywhere = twins["local"], twins.get("dense"), twins["shared_global"]
    assert isinstance(local, LocallyConnected2d)
    assert isinstance(everywhere, SteppedGlobal2d)
    own, by_place = _gradient(convolution.weight), _gradient(local.weight)
    rows, columns = everywhere.window
    seen = pixels_seen(convolution, local.input_size)
    within = _gradient(everywhere.everywhere.weight)[:, :, rows][:, :, :, columns]
    masked = None
    if isinstance(dense, DenseMap2d):
        linear: Any = dense[1]
        masked = relative_difference(_entries(_gradient(linear.weight), seen, convolution), by_place)
    num_idle = int((seen < 0).sum()) * convolution.weight.shape[:2].numel()
    return LayerIdentities(
        name=name or "the layer itself",
        summed_gradient=relative_difference(by_place.sum((0, 1)), own),
        dense_gradient=masked,
        window_gradient=relative_difference(within, own),
        num_local_weights=local.weight.numel(),
        num_idle_weights=num_idle,
    )


def pixels_seen(convolution: nn.Conv2d, size: tuple[int, int]) -> Tensor:
    """Which pixel each tap meets at each place: numbers row by row, -1 for the zeros around (places_h, places_w, taps).

    Args:
        convolution: Its kernel, stride, padding and dilation count.
        size: Height and width of the picture.
    """
    height, width = size
    numbers = torch.arange(height * width, dtype=torch.float64).view(1, 1, height, width)
    # torch's own list of places before and after each axis, the last axis first.
    around = list(convolution._reversed_padding_repeated_twice)
    is_zeros = convolution.padding_mode == "zeros"
    padded = (
        functional.pad(numbers, around, value=-1)
        if is_zeros
        else functional.pad(numbers, around, mode=convolution.padding_mode)
    )
    kernel, stride, dilation = convolution.kernel_size, convolution.stride, convolution.dilation
    places = [(padded.shape[2 + axis] - dilation[axis] * (kernel[axis] - 1) - 1) // stride[axis] + 1 for axis in (0, 1)]
    taps = functional.unfold(padded, kernel, dilation=dilation, stride=stride)
    return taps[0].T.reshape(*places, -1).long()


def _entries(gradient: Tensor, seen: Tensor, convolution: nn.Conv2d) -> Tensor:
    """The entries of a dense gradient (outputs, inputs) that are the local twin's taps, in its shape; 0 where idle."""
    high, wide, num_taps = seen.shape
    out_channels, group_in, *kernel = convolution.weight.shape
    num_pixels = gradient.shape[1] // convolution.in_channels
    maps = gradient.view(out_channels, high * wide, convolution.in_channels, num_pixels)
    index = seen.view(1, high * wide, 1, num_taps)
    found = maps.gather(3, index.clamp(min=0).expand(*maps.shape[:3], num_taps)).masked_fill(index < 0, 0)
    groups = convolution.groups
    by_group = found.reshape(groups, -1, high * wide, groups, group_in, num_taps)
    own = torch.stack([by_group[group, :, :, group] for group in range(groups)]).flatten(0, 1)
    return own.permute(1, 0, 2, 3).reshape(high, wide, out_channels, group_in, *kernel)


def _gradient(weight: Tensor) -> Tensor:
    return torch.zeros_like(weight) if weight.grad is None else weight.grad
