"""Whether a network answers with its twins what it answers without: both see one random picture.

A black picture shows the way of a picture through the layers, and not what else a network does with them: one that adds
the sum of a layer's weights to its answer has no twin, as the twin's weights are others.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from whyconv.errors import UsageError
from whyconv.nets.twins.reached import answer_to

Exchange = dict[nn.Module, nn.Module]

# Graphics cards multiply with 10 bits of the 23 where torch lets them.
_EPSILON_ON_CARDS = 2.0**-10


def exchanged(network: nn.Module, made: Exchange) -> nn.Module:
    """The network itself, with other modules in the place of some of its own; the other one if it is one of them."""
    if network in made:
        return made[network]
    for parent in list(network.modules()):
        for name, child in parent._modules.items():
            if child is not None and child in made:
                parent._modules[name] = made[child]
    return network


def exchanged_and_compared(
    network: nn.Module, made: Exchange, names: dict[nn.Module, str], input_shape: tuple[int, ...]
) -> tuple[nn.Module, list[str]]:
    """Puts twins in their places and compares the answers to a random picture, in evaluation mode.

    Torch's random numbers stay where they were; a network that draws some in evaluation is given the same ones each
    time. One that answers otherwise each time all the same is not compared.

    Args:
        network: Changed in place.
        made: The twin of each layer.
        names: Of the layers.
        input_shape: Of one picture, (c, h, w).

    Returns:
        The network, and a line for each layer whose twin changes the answers.

    Raises:
        UsageError: The network fails on such a picture.
    """
    witness = _Witness(network, input_shape)
    network = exchanged(network, made)
    complaint = witness.complaint(network)
    if not complaint:
        return network, []
    back = {twin: layer for layer, twin in made.items()}
    network = exchanged(network, back)
    wrong = []
    is_steady = not witness.complaint(network)
    for layer, twin in made.items() if is_steady else ():
        network = exchanged(network, {layer: twin})
        if said := witness.complaint(network):
            wrong.append(f"{names[layer] or 'the layer itself'}: with its twin {said}")
        network = exchanged(network, {twin: layer})
    if is_steady and not wrong:
        wrong = [f"with all twins together {complaint}"]
    return exchanged(network, made), wrong


class _Witness:
    """One random picture, and what a network answers to it."""

    def __init__(self, network: nn.Module, input_shape: tuple[int, ...]) -> None:
        sample = next(network.parameters(), torch.empty(0))
        picture = torch.rand((1, *input_shape), generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        self.picture = picture.to(device=sample.device, dtype=sample.dtype)
        self.expected = self._ask(network)

    def complaint(self, network: nn.Module) -> str:
        """What is wrong with a network that is to answer the same; "" where nothing is."""
        try:
            found = self._ask(network)
        except UsageError as error:
            cause = error.__cause__
            return f"the network fails ({type(cause).__name__}: {cause}); does it look at the layer's weights?"
        apart = _apart(found, self.expected)
        if not apart:
            return ""
        return f"the answers change by {apart:.2g} of the largest; does the network read the layer's weights?"

    def _ask(self, network: nn.Module) -> list[Tensor]:
        devices = [self.picture.device] if self.picture.is_cuda else []
        with torch.random.fork_rng(devices=devices):
            # torch.manual_seed would move the numbers of other devices too, which are not put back.
            torch.default_generator.manual_seed(0)
            if devices:
                torch.cuda.manual_seed(0)
            answer: Any = answer_to(network, self.picture)
        return [each for each in tree_leaves(answer) if isinstance(each, Tensor)]


def _apart(found: list[Tensor], expected: list[Tensor]) -> float:
    """The largest difference as a part of the largest answer; 0 where all are equal but for rounding."""
    if [each.shape for each in found] != [each.shape for each in expected]:
        return math.inf
    return max((_distance(*pair) for pair in zip(found, expected, strict=True)), default=0.0)


def _distance(found: Tensor, expected: Tensor) -> float:
    kind = torch.complex128 if expected.is_complex() else torch.float64
    ours, truth = (each.detach().cpu().to(kind) for each in (found, expected))
    is_same = (ours == truth) | (ours.isnan() & truth.isnan())
    sizes = truth[truth.isfinite()].abs()
    largest = float(sizes.max()) if sizes.numel() else 0.0
    apart = float(torch.where(is_same, 0.0, (ours - truth).abs()).max()) if is_same.numel() else 0.0
    epsilon = _epsilon(expected)
    # Rounding grows on its way through the layers: half of the digits are left to it.
    if apart <= math.sqrt(epsilon) * largest + epsilon:
        return 0.0
    return apart / largest if largest and math.isfinite(apart) else math.inf


def _epsilon(answer: Tensor) -> float:
    if not (answer.is_floating_point() or answer.is_complex()):
        return 0.0
    epsilon = torch.finfo(answer.dtype).eps
    return max(epsilon, _EPSILON_ON_CARDS) if answer.is_cuda and answer.dtype != torch.float64 else epsilon
