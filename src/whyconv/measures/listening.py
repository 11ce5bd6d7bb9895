"""A network called once more, and each of its values seen at the moment it is made."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch._ops import OpOverload

from whyconv.errors import UsageError
from whyconv.measures.dispatched import Dispatched
from whyconv.measures.memory import tensors
from whyconv.measures.modules import evaluating
from whyconv.measures.recorder import Made

Hear = Callable[[str, Tensor], None]


def listen(network: nn.Module, x: Tensor, made: Mapping[str, Made], hear: Hear) -> Tensor:
    """Calls a network on pictures and hands out its values.

    Args:
        network: As it was traced; asked in evaluation mode and without gradients.
        x: (n, c, h, w), n as one likes.
        made: Which values, and where they come from, as ``trace_made`` tells.
        hear: Is called with a value's name and the array, before anything else reads it. What it writes into the array
            is what the network goes on with.

    Returns:
        The network's answer.

    Raises:
        UsageError: The network does not carry out the same operations as when it was traced.
    """
    # As it was recorded: torch's fast path does a whole attention layer in one operation.
    was_fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    listening = _Listening(made, hear)
    try:
        with evaluating(network), torch.no_grad(), Dispatched(listening.carry_out):
            answer = network(x)
    finally:
        torch.backends.mha.set_fastpath_enabled(was_fast)
    if listening.awaited:
        raise _changed(network)
    if not isinstance(answer, Tensor):
        raise UsageError(
            f"{type(network).__name__} answers with {type(answer).__name__}; expected one array of logits."
        )
    return answer


class _Listening:
    """Counts every operation that torch carries out, as the recorder does."""

    def __init__(self, made: Mapping[str, Made], hear: Hear) -> None:
        self.hear = hear
        self.num_seen = 0
        self.awaited: dict[int, list[tuple[str, Made]]] = {}
        for name, one in made.items():
            self.awaited.setdefault(one.number, []).append((name, one))

    def carry_out(self, func: OpOverload, args: tuple[object, ...], kwargs: dict[str, object]) -> object:
        """Carries out one operation, and hands on what is waited for."""
        self.num_seen += 1
        answer = func(*args, **kwargs)
        for name, one in self.awaited.pop(self.num_seen, ()):
            if func._schema.name.partition("::")[2] != one.operation:
                raise UsageError(
                    f"Operation {self.num_seen} is {func._schema.name}, and was {one.operation} when the network was "
                    "traced: what it does depends on the numbers in the pictures, and cannot be followed."
                )
            self.hear(name, list(tensors(answer))[one.position])
        return answer


def _changed(network: nn.Module) -> UsageError:
    return UsageError(
        f"{type(network).__name__} carries out fewer operations than when it was traced: what it does depends on the "
        "numbers in the pictures, and cannot be followed."
    )
