"""Three networks with one hidden layer on rows of numbers, many members of each at once.

A window is some of the inputs; there are ``places`` of them, each with ``units`` hidden units:

    convolution   the units of a window have the same weights at every place
    local         own weights at every place
    dense         as many units, each with a weight for every input

All have the same activation and the same readout, so that they differ in locality and sharing and in nothing else. The
corners of the control square are such networks too, but with ReLU, on pictures that are rings, and trained by Adam;
the theorems ask for windows that do not overlap, for other activations, and for gradient descent.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from whyconv.results.theory import Architecture
from whyconv.training.optimizers import rate_fraction

Activation = Literal["threshold", "square", "relu"]
Readout = Literal["mean", "places"]

_MOMENTUM, _WARMUP_FRACTION = 0.9, 0.05


@dataclass(frozen=True, eq=False)
class Windows:
    """Where the windows lie, and what all three networks have alike.

    Attributes:
        num_inputs: Numbers in a sample.
        inputs: int64 (places, taps): the inputs that each window sees.
        units: Hidden units of every window; dense has ``places * units``.
        activation: "threshold": s(z) = max(z - b, 0) - max(-z - b, 0), with a trained b of each unit; "square": z * z;
            "relu": max(z + b, 0).
        readout: "mean": one weight for the mean of each unit over the places; "places": a weight for every unit.
        start_offset: That b starts with.
    """

    num_inputs: int
    inputs: Tensor
    units: int
    activation: Activation
    readout: Readout
    start_offset: float = 0.0

    @property
    def places(self) -> int:
        """Windows of a sample."""
        return len(self.inputs)

    @property
    def taps(self) -> int:
        """Inputs of a window."""
        return self.inputs.shape[1]


class WindowStack:
    """Networks of one architecture on top of each other, each with weights of its own.

    Args:
        architecture: Of all members.
        windows: Of all members.
        seeds: Of the starting weights, one a member; equal seeds make equal members.
    """

    def __init__(self, architecture: Architecture, windows: Windows, seeds: list[int]) -> None:
        self.architecture = architecture
        self.windows = windows
        drawn = [_draw(architecture, windows, torch.Generator().manual_seed(seed)) for seed in seeds]
        self.weights = {name: torch.stack([one[name] for one in drawn]).requires_grad_() for name in drawn[0]}

    def __call__(self, x: Tensor) -> Tensor:
        """Maps samples (members, n, inputs) to logits (members, n): positive for the label 1."""
        seen = self._activate(self._hidden(x))
        readout = self.weights["readout"]
        if self.windows.readout == "places":
            logits = torch.bmm(seen.flatten(2), readout.flatten(1).unsqueeze(2))
        else:
            logits = torch.bmm(seen.mean(2) * math.sqrt(self.windows.places), readout.flatten(1).unsqueeze(2))
        return logits.squeeze(2) + self.weights["bias"].unsqueeze(1)

    def _activate(self, hidden: Tensor) -> Tensor:
        if self.windows.activation == "square":
            return hidden.square()
        offset = self.weights["offset"].unsqueeze(1)
        if self.windows.activation == "relu":
            return (hidden + offset).relu()
        return (hidden - offset).relu() - (-hidden - offset).relu()

    def _hidden(self, x: Tensor) -> Tensor:
        """Before the activation: (members, n, places, units)."""
        weight, shape = self.weights["hidden"], (*x.shape[:2], self.windows.places, self.windows.units)
        if self.architecture == "dense":
            return torch.bmm(x, weight.mT).view(shape)
        seen = x[..., self.windows.inputs]
        if self.architecture == "convolution":
            return torch.bmm(seen.flatten(1, 2), weight.mT).view(shape)
        return torch.matmul(seen.transpose(1, 2), weight.mT).transpose(1, 2)


def train(stack: WindowStack, rates: Tensor, batches: Iterable[tuple[Tensor, Tensor]], num_steps: int) -> None:
    """Gradient descent with momentum on the logistic loss; rates rise for a twentieth and fall along half a cosine.

    From Gaussian starting weights this treats all orthogonal turns of a dense layer's input alike, as the theorems
    about dense networks ask for.

    Args:
        stack: Its weights are changed.
        rates: Highest learning rate of each member (members,).
        batches: ``num_steps`` pairs of samples (members, n, inputs) and labels (members, n), 1 or -1.
        num_steps: As many as there are batches.
    """
    weights = list(stack.weights.values())
    speeds = [torch.zeros_like(weight) for weight in weights]
    for step, (samples, labels) in enumerate(batches):
        # The sum over members: each member's gradient is that of its own mean.
        loss = functional.softplus(-labels * stack(samples)).mean(1).sum()
        gradients = torch.autograd.grad(loss, weights)
        length = rate_fraction("cosine", step, num_steps, _WARMUP_FRACTION)
        with torch.no_grad():
            for weight, gradient, speed in zip(weights, gradients, speeds, strict=True):
                speed.mul_(_MOMENTUM).add_(gradient)
                weight.sub_((rates * length).view(-1, *[1] * (weight.ndim - 1)) * speed)


def _draw(architecture: Architecture, windows: Windows, generator: torch.Generator) -> dict[str, Tensor]:
    """Weights normal with variance 1 / inputs of a unit, readout with 1 / its inputs; bias 0."""
    places, units, taps = windows.places, windows.units, windows.taps
    shape, fan_in = {
        "convolution": ((units, taps), taps),
        "local": ((places, units, taps), taps),
        "dense": ((places * units, windows.num_inputs), windows.num_inputs),
    }[architecture]
    read = (units,) if windows.readout == "mean" else (places, units)
    weights = {
        "hidden": torch.randn(shape, generator=generator) / math.sqrt(fan_in),
        "readout": torch.randn(read, generator=generator) / math.sqrt(math.prod(read)),
        "bias": torch.zeros(()),
    }
    if windows.activation != "square":
        at_each = 1 if architecture == "convolution" else places
        weights["offset"] = torch.full((at_each, units), windows.start_offset)
    return weights
