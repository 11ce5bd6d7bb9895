"""Training steps that are each waited for: on a processor; where single ones may be left out; of several processes."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from whyconv.settings import Plan
from whyconv.training.averaging import move_mean
from whyconv.training.distributed import Group
from whyconv.training.divergence import Divergence
from whyconv.training.precision import Forward
from whyconv.training.step import Batch, Result, StepRecipe
from whyconv.training.visits import Visited


class WaitedSteps:
    """Takes steps one after the other.

    Args:
        network: Moved by the optimizer.
        averaged: The moving mean of its weights.
        ask: Asks the network; of several processes it gathers their gradients.
        optimizer: Of the network's parameters.
        recipe: What a step computes.
        visited: The training pictures.
        plan: Of the training.
        divergence: Decides what becomes of a J that is no number.
        group: The processes that train together.
    """

    num_ahead = 0

    def __init__(  # noqa: PLR0913, PLR0917
        self,
        network: nn.Module,
        averaged: nn.Module,
        ask: Forward,
        optimizer: torch.optim.Optimizer,
        recipe: StepRecipe,
        visited: Visited,
        plan: Plan,
        divergence: Divergence,
        group: Group,
    ) -> None:
        self._network, self._averaged, self._ask, self._optimizer = network, averaged, ask, optimizer
        self._recipe, self._visited, self._share = recipe, visited, plan.training.average
        self._divergence, self._group = divergence, group
        self._rows: list[int] = []  # of the step before

    def take(self, rows: NDArray[np.int64], draws: NDArray[np.float32], step: int, epoch: int) -> Result:
        """Takes a step on the pictures ``rows``; both counted from 0. Of one that is left out J is no number.

        Raises:
            DivergedError: J or a weight is no number, and the plan has it that this ends the training.
        """
        part, seen = self._group.part(len(rows)), rows.tolist()
        batch, side = self._batch(rows[part], draws[part], step)
        self._network.train()
        buffers = self._divergence.buffers_of(self._network)
        loss, right, num_members = self._recipe.answers(self._ask, batch, side)
        share = len(batch.labels) / len(rows)
        over_all = self._begin_over_all(loss.item() * share, int(right))
        self._optimizer.zero_grad(set_to_none=True)
        # The sum of the members' costs: the gradient of each is as if it were alone. Of several processes the
        # gradient is the mean.
        torch.autograd.backward(loss * (num_members * share * self._group.size))
        value, num_right = over_all()
        what: Literal["cost", "gradient"] | None = None if math.isfinite(value) else "cost"
        if what is None and not self._divergence.may_step(self._network):
            what, value = "gradient", math.nan
        if what is not None:
            return self._leave_out(what, value, seen, buffers, step, epoch)
        self._optimizer.step()
        self._rows = seen
        move_mean(self._averaged, self._network, self._share, step + 1)
        return lambda: (value, num_right)

    def close(self) -> None:
        """Nothing is to be given back."""

    def _batch(self, rows: NDArray[np.int64], draws: NDArray[np.float32], step: int) -> tuple[Batch, int]:
        """What this process sees in a step, and the side that it sees it at."""
        pixels, labels = self._visited.seen(rows)
        side = self._recipe.side(step, pixels.shape[1])
        batch = Batch(
            torch.from_numpy(pixels),
            torch.from_numpy(labels.astype(np.int64)),
            self._recipe.variation(draws, side),
        )
        return batch.on(self._recipe.device), side

    def _begin_over_all(self, share_of_cost: float, num_right: int) -> Callable[[], tuple[float, int]]:
        """J of the batch, and how many of its pictures are answered rightly, from what each process has of it.

        Processes need not wait for each other here: gradients are computed meanwhile, in vain where J is no number.
        """
        found = self._group.begin_total(torch.tensor([share_of_cost, num_right], dtype=torch.float64))

        def wait() -> tuple[float, int]:
            value, num_right = found().tolist()
            return value, int(num_right)

        return wait

    def _leave_out(
        self,
        what: Literal["cost", "gradient"],
        value: float,
        rows: list[int],
        buffers: list[Tensor],
        step: int,
        epoch: int,
    ) -> Result:
        """Goes on to the next step as if this one had not been begun, where the plan has it so."""
        # Spoiled by the step before: without this one it would be no better.
        weights = (*self._network.parameters(), *self._averaged.parameters())
        self._divergence.require_numbers(weights, step, epoch + 1, self._rows)
        self._divergence.leave_out(what, value, step + 1, epoch + 1, rows)
        for tensor, before in zip(self._network.buffers(), buffers, strict=True):
            tensor.copy_(before)
        return lambda: (math.nan, 0)
