"""What a training step computes of a batch: pictures at their side, varied, asked about, and J of the answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from whyconv.settings import Plan
from whyconv.training.augment import Variation, placed, variation_of, vary
from whyconv.training.cost import cost
from whyconv.training.divergence import Divergence
from whyconv.training.logits import normalizing
from whyconv.training.precision import Forward
from whyconv.training.visits import Visited

# Waits for a step: its J, and how many of its pictures were answered rightly.
Result = Callable[[], tuple[float, int]]


class Batch(NamedTuple):
    """What a step sees.

    Attributes:
        pixels: uint8 (n, side, side, channels), as kept.
        labels: int64 (n,).
        variation: Of each picture.
    """

    pixels: Tensor
    labels: Tensor
    variation: Variation

    def on(self, device: torch.device) -> Batch:
        """The same, on another device."""
        return Batch(self.pixels.to(device), self.labels.to(device), placed(self.variation, device))


class Answered(NamedTuple):
    """What came of it.

    Attributes:
        loss: J, the mean over pictures and members of a committee; a tensor that knows its gradient.
        num_right: Pictures that the mean of the members answers rightly, int64 of no axes.
        num_members: 1 for a single network.
    """

    loss: Tensor
    num_right: Tensor
    num_members: int


class StepRecipe:
    """What a step computes by a plan, on one device.

    Args:
        plan: Of the training.
        num_steps: Of its schedule.
        device: Where the batches lie.
    """

    def __init__(self, plan: Plan, num_steps: int, device: torch.device) -> None:
        self._plan, self._num_steps, self.device = plan, num_steps, device
        self._normalize = normalizing(plan.network, device)
        self.class_offsets = torch.tensor(plan.training.class_offsets, dtype=torch.float32, device=device)

    def side(self, step: int, full_side: int) -> int:
        """The side that the plan has for this share of the steps."""
        sides = self._plan.training.sides or [full_side]
        return sides[step * len(sides) // self._num_steps]

    def variation(self, draws: NDArray[np.float32], side: int) -> Variation:
        """Of pictures of ``side`` pixels, on the processor."""
        return variation_of(draws, self._plan.augment, side)

    def answers(self, ask: Forward, batch: Batch, side: int) -> Answered:
        """Asks about a batch, whose pictures are brought to ``side`` pixels."""
        seen = vary(at_side(batch.pixels, side), batch.variation, self._plan.augment)
        labels = batch.labels
        # Of each member of a committee; one for a single network.
        logits = ask(self._normalize(seen)).view(len(labels), -1, len(self.class_offsets))
        num_members = logits.shape[1]
        own_labels = labels[:, None].expand(-1, num_members).flatten()
        loss = cost(logits.flatten(0, 1), own_labels, self.class_offsets, self._plan.training.label_smoothing)
        num_right = (logits.detach().mean(dim=1).argmax(dim=1) == labels).sum()
        return Answered(loss, num_right, num_members)


class Learner(NamedTuple):
    """What steps are taken with; all of it lies on the recipe's device.

    Attributes:
        network: Moved by the optimizer.
        averaged: The moving mean of its weights.
        ask: Asks the network; of several processes it gathers their gradients.
        optimizer: Of the network's parameters.
        recipe: What a step computes.
        visited: The training pictures.
        plan: Of the training.
        divergence: Decides what becomes of a J that is no number.
    """

    network: nn.Module
    averaged: nn.Module
    ask: Forward
    optimizer: torch.optim.Optimizer
    recipe: StepRecipe
    visited: Visited
    plan: Plan
    divergence: Divergence


def at_side(pixels: Tensor, side: int) -> Tensor:
    """Pictures (n, h, w, c) as float32 (n, c, side, side), at another side still whole gray levels.

    torch shrinks bytes seven times as fast as fractions, but not on a card.
    """
    planes = pixels.permute(0, 3, 1, 2)
    if side == planes.shape[-1]:
        return planes.float()
    if planes.is_cuda:
        return functional.interpolate(planes.float(), size=(side, side), mode="bilinear", antialias=True).round_()
    return functional.interpolate(planes, size=(side, side), mode="bilinear", antialias=True).float()
