"""Whether a network's answers cannot change when the picture moves around its border: shown on its operations.

The network is called once, on two made-up pictures, and every operation is followed by a rule (``moving``). What has no
rule is refused, never taken for right. Pooling that picks its phase, blurring and circular padding are looked at as a
whole, by what their own tests prove.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from whyconv.measures.dispatched import Dispatched
from whyconv.measures.known_layers import known_layers
from whyconv.measures.modules import evaluating, following
from whyconv.measures.moving import Moving
from whyconv.measures.watch import Watch
from whyconv.results import Note

_SEED = 0


@dataclass(frozen=True)
class Conditions:
    """What was found.

    Attributes:
        reasons: Why circular moves may change answers, each with the layer's name; empty: they cannot.
        stride: Pixels from place to place of the coarsest map; 1 where nothing is subsampled.
        num_choices: Phases that are picked on the way.
    """

    reasons: list[Note]
    stride: int
    num_choices: int


def conditions(network: nn.Module, input_shape: Sequence[int]) -> Conditions:
    """Follows one call of a network, in evaluation mode and without gradients.

    Args:
        network: Takes pictures (n, c, h, w); afterwards as it was.
        input_shape: Of one picture, without the batch: (c, h, w).

    Raises:
        UsageError: The network is TorchScript.
    """
    network = getattr(network, "_orig_mod", network)
    kind = next((each.dtype for each in network.parameters() if each.is_floating_point()), torch.float32)
    generator = torch.Generator().manual_seed(_SEED)
    with (
        torch.inference_mode(False),  # see trace
        torch.no_grad(),
        torch.random.fork_rng(devices=[]),
        evaluating(network),
        following(network) as place,
    ):
        pictures = torch.rand((2, *input_shape), generator=generator).to(kind)
        watch = Watch(place, type(network).__name__)
        watch.note(pictures, Moving())
        try:
            with known_layers(network, watch), Dispatched(watch.carry_out), _Called(watch):
                answer = network(pictures)
        except Exception as error:  # noqa: BLE001 - whatever a network fails by is a reason
            text = (str(error).strip() or "no reason given").splitlines()[0]
            watch.refuse("condition_fails", layer="", error=f"{type(error).__name__}: {text}")
        else:
            watch.judge(answer)
    return Conditions(watch.reasons, watch.stride, len(watch.strides))


class _Called(TorchFunctionMode):
    """Sees the calls of torch's functions; circular padding and linear layers are taken from here."""

    def __init__(self, watch: Watch) -> None:
        super().__init__()
        self.watch = watch

    def __torch_function__(
        self,
        func: Callable[..., Tensor],
        types: object,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> object:
        kwargs, watch = kwargs or {}, self.watch
        given = dict(zip(("input", "pad", "mode"), args, strict=False)) | kwargs
        is_circular = func is F.pad and given.get("mode") == "circular"
        if watch.num_paused or not (is_circular or func is F.linear):
            return func(*args, **kwargs)
        watch.num_paused += 1
        try:
            made = func(*args, **kwargs)
        finally:
            watch.num_paused -= 1
        if is_circular:
            watch.pad_circularly(given["input"], given["pad"], made)
        else:
            watch.apply_linear(given["input"], [*args[1:], kwargs.get("weight"), kwargs.get("bias")], made)
        return made
