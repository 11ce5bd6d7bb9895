"""A network with layers replaced by their twins: all mistakes first, then room, weights, ties, and the answers."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from whyconv.errors import UsageError
from whyconv.nets.twins.parity import exchanged, exchanged_and_compared
from whyconv.nets.twins.reached import Kinds, Met, changed_layers, send_through

MAX_BYTES = 4 * 10**9


@dataclass(frozen=True)
class Recipe:
    """How layers of some kinds become their twins.

    Attributes:
        kinds: Of the layers.
        unfilled: Makes the twin on torch's device "meta", so that nothing is allocated.
        fill: Copies the weights and biases: (twin, layer).
        places: What has to be equal in layers whose weights are one tensor, so that their twins' can be.
    """

    kinds: Kinds
    unfilled: Callable[[Met], nn.Module]
    fill: Callable[[Any, Any], None]
    places: Callable[[Met], object]


def replaced(
    network: nn.Module,
    input_shape: tuple[int, ...],
    twin: str,
    recipes: Sequence[Recipe],
    max_bytes: float,
    only: str | None = None,
) -> nn.Module:
    """A copy of a network in which all layers that a picture reaches are replaced as the recipes say.

    Args:
        network: Not changed.
        input_shape: Of one picture, (c, h, w).
        twin: How the whole is called, for messages.
        recipes: The first is of the layers of which at least one has to be there.
        max_bytes: The new layers may take as much; not asked on torch's device "meta".
        only: Name of the one layer that is replaced; None for all of them.

    Raises:
        UsageError: Something cannot be replaced, or takes too much; all is named at once, and nothing was allocated. Or
            the network with its twins answers something else, or fails: it looks at its layers' weights.
    """
    kinds = tuple(kind for recipe in recipes for kind in recipe.kinds)
    copied = own_copy(network, kinds, f"This network has no {twin} twin:")
    reached = send_through(copied, input_shape, kinds, twin)
    if only is not None:
        reached = reached.restricted_to(only, copied)
    ways = {met.layer: _recipe(met, recipes) for met in reached.layers}
    made = {met.layer: ways[met.layer].unfilled(met) for met in reached.layers}
    mistakes = [
        *reached.mistakes,
        *_torn_ties(reached.layers, ways, made),
        *_too_large(reached.layers, made, max_bytes),
    ]
    if not mistakes and not any(isinstance(met.layer, recipes[0].kinds) for met in reached.layers):
        known = " or ".join(kind.__name__ for kind in recipes[0].kinds)
        mistakes = [f"A picture of shape {tuple(input_shape)} reaches no {known} in this {type(network).__name__}."]
    if mistakes:
        raise UsageError("\n  ".join([f"This network has no {twin} twin:", *mistakes]))
    for layer, new in made.items():
        _fill(new, layer, ways[layer].fill)
    _tie(made)
    if any(_device(met.layer).type == "meta" for met in reached.layers):
        return exchanged(copied, made)
    network, wrong = exchanged_and_compared(copied, made, {met.layer: met.name for met in reached.layers}, input_shape)
    if wrong:
        raise UsageError("\n  ".join([f"This network has no {twin} twin:", *wrong]))
    return network


def own_copy(network: nn.Module, kinds: Kinds, complaint: str) -> nn.Module:
    """A copy that shares nothing with the network.

    Raises:
        UsageError: There is none, with the layers of some kinds that are to blame.
    """
    try:
        return copy.deepcopy(network)
    except Exception as error:
        reasons = changed_layers(network, kinds) or [f"it cannot be copied: {type(error).__name__}: {error}"]
        raise UsageError("\n  ".join([complaint, *reasons])) from error


def holder(layer: nn.Module) -> Any:  # noqa: ANN401
    """The part of a layer that has its weights; the layer itself where there are none."""
    return next((part for part in layer.modules() if part._parameters.get("weight") is not None), layer)


def _recipe(met: Met, recipes: Sequence[Recipe]) -> Recipe:
    return next(recipe for recipe in recipes if isinstance(met.layer, recipe.kinds))


def _torn_ties(layers: Sequence[Met], ways: dict[nn.Module, Recipe], made: dict[nn.Module, nn.Module]) -> list[str]:
    """Layers whose weights or biases are one tensor, and whose twins' cannot be."""
    first: dict[int, tuple[Met, object]] = {}
    wrong = []
    for met in layers:
        keys = {"weights": ways[met.layer].places(met), "biases": getattr(holder(made[met.layer]).bias, "shape", None)}
        tensors = {"weights": met.layer.weight, "biases": met.layer.bias}
        for what, tensor in tensors.items():
            other, key = first.setdefault(id(tensor), (met, keys[what]))
            if tensor is not None and key != keys[what]:
                wrong.append(f"{met.name}: its {what} are those of {other.name}, {_apart(met, other)}")
    return wrong


def _apart(met: Met, other: Met) -> str:
    here, there = (f"{each.output_shape[-2]} x {each.output_shape[-1]}" for each in (met, other))
    if here != there:
        return f"at {here} places and not {there}"
    return "and it reads other places of its picture, or a picture of another size"


def _too_large(layers: Sequence[Met], made: dict[nn.Module, nn.Module], max_bytes: float) -> list[str]:
    """Counts what is to be allocated; tied weights as often as they are named, which is safe."""
    taken = {met.name: _num_bytes(made[met.layer]) for met in layers if _device(met.layer).type != "meta"}
    if sum(taken.values()) <= max_bytes:
        return []
    largest = max(taken, key=lambda name: taken[name])
    where = largest or "the layer itself"
    num_parameters = sum(each.numel() for layer in made.values() for each in layer.parameters())
    return [
        f"It would take {sum(taken.values()):,} bytes for {num_parameters:,} weights and biases, "
        f"{taken[largest]:,} of them in {where}; at most {max_bytes:,.0f} are allowed. Take smaller pictures, or "
        "allow more with max_bytes."
    ]


def _num_bytes(layer: nn.Module) -> int:
    return sum(each.numel() * each.element_size() for each in (*layer.parameters(), *layer.buffers()))


def _device(layer: nn.Module) -> torch.device:
    return next((each.device for each in (*layer.parameters(), *layer.buffers())), torch.device("cpu"))


def _fill(new: nn.Module, layer: Any, fill: Callable[[Any, Any], None]) -> None:  # noqa: ANN401
    """Allocates the twin's weights, and copies the layer's into them."""
    device = _device(layer)
    new.to_empty(device=device)
    if device.type != "meta":
        with torch.no_grad():
            fill(new, layer)
    for name in ("weight", "bias"):
        mine, theirs = getattr(holder(new), name), getattr(layer, name)
        if mine is not None:
            mine.requires_grad_(theirs.requires_grad)
    new.train(layer.training)


def _tie(made: dict[nn.Module, nn.Module]) -> None:
    """What was one tensor in several layers is one tensor in their twins."""
    first: dict[int, nn.Parameter] = {}
    for layer, new in made.items():
        part = holder(new)
        for name in ("weight", "bias"):
            if getattr(part, name) is not None:
                setattr(part, name, first.setdefault(id(getattr(layer, name)), getattr(part, name)))
