"""How near a training step comes to what its convolutions alone take at their best."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from statistics import fmean, median

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from whyconv.settings import Plan
from whyconv.training.augment import epoch_batches, epoch_order
from whyconv.training.device import CPU, lying_on, place_of
from whyconv.training.logits import normalize
from whyconv.training.optimizers import build_optimizer
from whyconv.training.pixel_rows import LabelledPixels
from whyconv.training.precision import computing_in
from whyconv.training.recording import may_be_recorded, seconds_on_card
from whyconv.training.start import start_network
from whyconv.training.torch_habits import torch_habits

_TURNS = 7


@dataclass(frozen=True)
class StepProfile:
    """Seconds on this machine, now.

    Attributes:
        step_seconds: Median of a step on one batch that lies ready: forward, cost, backward, optimizer.
        convolution_seconds: Sum over its convolutions of the best time of each, alone, in the same precision: forward,
            and backward to what needs a gradient.
    """

    step_seconds: float
    convolution_seconds: float

    @property
    def convolution_fraction(self) -> float:
        """Of the step that is convolutions at their best; 1 would be the limit."""
        return self.convolution_seconds / self.step_seconds


@dataclass(frozen=True)
class _Call:
    """One convolution as the network calls it; equal ones are timed once."""

    input_shape: tuple[int, ...]
    weight_shape: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    groups: int
    dtype: torch.dtype
    needs_input_gradient: bool
    needs_weight_gradient: bool


def profile_plan(plan: Plan, train: LabelledPixels) -> StepProfile:
    """The mean profile over the sides that the plan trains at, on its first batch and a network of its own."""
    rows = np.sort(epoch_batches(epoch_order(plan.seed, 1, len(train)), plan.training.batch)[0])
    pixels = torch.from_numpy(train.pixels[rows].transpose(0, 3, 1, 2)).float()
    labels = torch.from_numpy(train.labels[rows].astype(np.int64))
    profiles = []
    place = place_of(plan)
    with torch_habits(plan.threads):
        for side in plan.training.sides or [plan.network.side]:
            x = normalize(functional.interpolate(pixels, size=(side, side)), plan.network)
            network = start_network(plan, pixels=train.pixels)
            with lying_on(place, network):
                profiles.append(profile_step(network, plan, x.to(place), labels.to(place)))
    return StepProfile(
        step_seconds=fmean(each.step_seconds for each in profiles),
        convolution_seconds=fmean(each.convolution_seconds for each in profiles),
    )


def profile_step(network: nn.Module, plan: Plan, x: Tensor, labels: Tensor) -> StepProfile:
    """Times steps by the plan's recipe, and then each of the convolutions in them alone.

    Args:
        network: A copy that may be spoiled: its weights change.
        plan: Says optimizer, precision and label smoothing.
        x: A normalized batch (n, c, side, side), where the network lies.
        labels: Shape (n,).
    """
    recipe = plan.training
    optimizer = build_optimizer(
        recipe.optimizer,
        network.train(),
        learning_rate=recipe.learning_rate,
        momentum=recipe.momentum,
        weight_decay=recipe.weight_decay,
        other_learning_rate=recipe.other_learning_rate,
        rounds=recipe.precision == "bfloat16",
    )
    with computing_in(recipe.precision, network) as ask:

        def step() -> None:
            logits = ask(x).view(len(labels), -1, len(recipe.class_offsets))
            own = labels.repeat_interleave(logits.shape[1])
            optimizer.zero_grad(set_to_none=True)
            torch.autograd.backward(
                functional.cross_entropy(logits.flatten(0, 1), own, label_smoothing=recipe.label_smoothing)
            )
            optimizer.step()

        with _noting_calls(network) as calls:
            step()
        seconds = median(_times(step, x.device, records=may_be_recorded(plan.network.name)))
    return StepProfile(seconds, sum(count * _best(call, x.device) for call, count in Counter(calls).items()))


@contextmanager
def _noting_calls(network: nn.Module) -> Iterator[list[_Call]]:
    calls: list[_Call] = []

    def note(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        assert isinstance(module, nn.Conv2d)
        calls.append(
            _Call(
                tuple(inputs[0].shape),
                tuple(module.weight.shape),
                tuple(module.stride),
                tuple(map(int, module.padding)),
                tuple(module.dilation),
                module.groups,
                module.weight.dtype,
                inputs[0].requires_grad,
                module.weight.requires_grad,
            )
        )

    handles = [each.register_forward_hook(note) for each in network.modules() if isinstance(each, nn.Conv2d)]
    try:
        yield calls
    finally:
        for handle in handles:
            handle.remove()


def _best(call: _Call, device: torch.device) -> float:
    """Least seconds of one convolution forward and of the gradients that are needed."""
    layout = torch.channels_last
    x = torch.randn(call.input_shape).to(device, call.dtype).contiguous(memory_format=layout)
    weight = torch.randn(call.weight_shape).to(device, call.dtype).contiguous(memory_format=layout)
    sizes = (call.stride, call.padding, call.dilation, False, (0, 0), call.groups)
    mask = (call.needs_input_gradient, call.needs_weight_gradient, False)

    def forward() -> Tensor:
        return torch.ops.aten.convolution(x, weight, None, *sizes)

    upstream = torch.randn_like(forward())
    best = min(_times(forward, device))
    if any(mask):
        backward = partial(torch.ops.aten.convolution_backward, upstream, x, weight, None, *sizes, mask)
        best += min(_times(backward, device))
    return best


def _times(run: Callable[[], object], device: torch.device, *, records: bool = True) -> list[float]:
    if device != CPU:
        return [seconds_on_card(run, records=records) for _ in range(_TURNS)]
    run()
    times = []
    for _ in range(_TURNS):
        began = time.perf_counter()
        run()
        times.append(time.perf_counter() - began)
    return times
