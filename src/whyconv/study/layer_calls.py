"""Which convolutions a picture reaches, at how many places, and which activation stands behind each of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from whyconv.study.steps import evaluating
from whyconv.study.watching import Kind, Step, watching


@dataclass(frozen=True)
class ReachedConvolution:
    """A convolution as one picture met it.

    Attributes:
        name: In the network.
        module: Itself.
        places: Of its output (high, wide).
        activation: Module, or operation such as "gelu", whose answer is the convolution's after its activation; where
            there is none, the last normalization behind the convolution, else itself.
        is_activated: Whether ``activation`` is one.
        num_steps: From the convolution's own answer to that of ``activation``.
        num_calls: Of the convolution.
    """

    name: str
    module: nn.Conv2d
    places: tuple[int, int]
    activation: str
    is_activated: bool
    num_steps: int
    num_calls: int

    @property
    def num_parameters(self) -> int:
        """Weights and biases."""
        return sum(each.numel() for each in self.module.parameters())

    @property
    def num_untied_parameters(self) -> int:
        """Weights and biases with a filter of its own at every place."""
        return self.num_parameters * self.places[0] * self.places[1]


def reached_convolutions(network: nn.Module, x: Tensor) -> list[ReachedConvolution]:
    """Sends a picture through a network, in evaluation mode, and returns its convolutions in the order of their calls.

    An activation is a convolution's own where nothing but normalization lies between, and where nothing else takes
    what the convolution, or that normalization, answers.

    Args:
        network: As it was afterwards.
        x: One picture (1, c, h, w).
    """
    steps: list[Step] = []
    with watching(network, steps.append), evaluating(network), torch.no_grad():
        network(x)
    found: dict[str, ReachedConvolution] = {}
    for index, one in enumerate(steps):
        if isinstance(one.module, nn.Conv2d) and one.given is not None and one.name not in found:
            way = _way(steps, index)
            high, wide = one.given.shape[-2:]
            found[one.name] = ReachedConvolution(
                name=one.name,
                module=one.module,
                places=(high, wide),
                activation=way[-1].name,
                is_activated=way[-1].kind is Kind.ACTIVATION,
                num_steps=len(way) - 1,
                num_calls=sum(other.module is one.module for other in steps),
            )
    return list(found.values())


@contextmanager
def answers_of(network: nn.Module, one: ReachedConvolution, look: Callable[[Tensor], None]) -> Iterator[None]:
    """Hands what is answered behind a convolution's activation to ``look``, which may change it in place."""
    value: Tensor | None = None
    num_left = 0

    def on_step(step: Step) -> None:
        nonlocal value, num_left
        if step.module is one.module:
            value, num_left = step.given, one.num_steps
        elif value is not None and step.takes(value):
            value, num_left = step.given, num_left - 1
        else:
            return
        if value is not None and not num_left:
            look(value)
            value = None

    with watching(network, on_step):
        yield


def _way(steps: Sequence[Step], index: int) -> list[Step]:
    """From a convolution to its activation, else to where the way ends or divides."""
    way = [steps[index]]
    while way[-1].kind is not Kind.ACTIVATION:
        taker = _sole_taker(steps, index)
        if taker is None:
            break
        index = taker
        way.append(steps[index])
    return way


def _sole_taker(steps: Sequence[Step], index: int) -> int | None:
    """The normalization or activation that a step's answer goes to, if it goes nowhere else and keeps its shape."""
    value = steps[index].given
    takers = []
    for later in range(index + 1, len(steps)):
        if value is not None and steps[later].takes(value):
            takers.append(later)
            if steps[later].given is value:
                break  # in place: whoever takes the tensor from now on takes other numbers
    if value is None or len(takers) != 1:
        return None
    step = steps[takers[0]]
    is_kept = step.given is not None and step.taken[0] is value and step.given.shape == value.shape
    return takers[0] if is_kept and step.kind in (Kind.NORMALIZATION, Kind.ACTIVATION) else None
