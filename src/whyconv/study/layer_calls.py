"""Which convolutions a picture reaches, at how many places, and which activation stands behind each of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from whyconv.study.steps import evaluating

# What may lie between a convolution and its activation and leaves every place where it is.
_BETWEEN = (nn.modules.batchnorm._NormBase, nn.GroupNorm, nn.LayerNorm, nn.Identity, nn.Dropout, nn.Dropout2d)


@dataclass(frozen=True)
class ReachedConvolution:
    """A convolution as one picture met it.

    Attributes:
        name: In the network.
        module: Itself.
        places: Of its output (high, wide).
        activation: Module whose answer is the convolution's after its activation; itself where there is none.
        call: Which call of that module it was, from 1: activations may be used at several places.
        is_activated: Whether ``activation`` is one.
        num_calls: Of the convolution.
        num_activation_calls: Of ``activation``.
    """

    name: str
    module: nn.Conv2d
    places: tuple[int, int]
    activation: str
    call: int
    is_activated: bool
    num_calls: int
    num_activation_calls: int

    @property
    def num_parameters(self) -> int:
        """Weights and biases."""
        return sum(each.numel() for each in self.module.parameters())

    @property
    def num_untied_parameters(self) -> int:
        """Weights and biases with a filter of its own at every place."""
        return self.num_parameters * self.places[0] * self.places[1]


@dataclass
class _Call:
    """One call of a module without children: what came in and what went out, kept so that no two are taken for one."""

    name: str
    module: nn.Module
    call: int
    came: Tensor
    went: Tensor


def reached_convolutions(network: nn.Module, x: Tensor) -> list[ReachedConvolution]:
    """Sends a picture through a network, in evaluation mode, and returns its convolutions in the order of their calls.

    An activation is found where it is a module, and where nothing but normalization lies between.

    Args:
        network: As it was afterwards.
        x: One picture (1, c, h, w).
    """
    calls: list[_Call] = []
    with _noting(network, calls), evaluating(network), torch.no_grad():
        network(x)
    found: dict[str, ReachedConvolution] = {}
    for index, one in enumerate(calls):
        if isinstance(one.module, nn.Conv2d) and one.name not in found:
            last = _behind(calls, index)
            high, wide = one.went.shape[-2:]
            found[one.name] = ReachedConvolution(
                name=one.name,
                module=one.module,
                places=(high, wide),
                activation=last.name,
                call=last.call,
                is_activated=_is_activation(last.module),
                num_calls=sum(other.module is one.module for other in calls),
                num_activation_calls=sum(other.module is last.module for other in calls),
            )
    return list(found.values())


@contextmanager
def _noting(network: nn.Module, calls: list[_Call]) -> Iterator[None]:
    handles = []
    try:
        for name, module in network.named_modules():
            # A convolution whose weights are computed has children, and is one all the same.
            if isinstance(module, nn.Conv2d) or not list(module.children()):

                def note(module: nn.Module, inputs: tuple[Any, ...], output: Any, name: str = name) -> None:  # noqa: ANN401
                    if inputs and isinstance(inputs[0], Tensor) and isinstance(output, Tensor):
                        number = 1 + sum(one.module is module for one in calls)
                        calls.append(_Call(name, module, number, inputs[0], output))

                handles.append(module.register_forward_hook(note))
        yield
    finally:
        for handle in handles:
            handle.remove()


def _behind(calls: list[_Call], index: int) -> _Call:
    """The activation that takes the call's answer, else the call itself."""
    one = calls[index]
    went = one.went
    for later in calls[index + 1 :]:
        if later.came is not went:
            continue
        if _is_activation(later.module):
            return later
        if not isinstance(later.module, _BETWEEN):
            break
        went = later.went
    return one


def _is_activation(module: nn.Module) -> bool:
    return type(module).__module__ == nn.ReLU.__module__ and not isinstance(module, nn.MultiheadAttention)
