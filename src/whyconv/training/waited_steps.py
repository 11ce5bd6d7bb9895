"""Training steps that are each waited for: on a processor; where single ones may be left out; of several processes."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from whyconv.training.averaging import move_mean
from whyconv.training.distributed import Group
from whyconv.training.step import Batch, Learner, Result


class WaitedSteps:
    """Takes steps one after the other.

    Args:
        learner: Of this process.
        group: The processes that train together.
    """

    num_ahead = 0

    def __init__(self, learner: Learner, group: Group) -> None:
        self._learner, self._group = learner, group
        self._rows: list[int] = []  # of the step before

    def take(self, rows: NDArray[np.int64], draws: NDArray[np.float32], step: int, epoch: int) -> Result:
        """Takes a step on the pictures ``rows``; both counted from 0. Of one that is left out J is no number.

        Raises:
            DivergedError: J or a weight is no number, and the plan has it that this ends the training.
        """
        learner = self._learner
        part, seen = self._group.part(len(rows)), rows.tolist()
        batch, side = self._batch(rows[part], draws[part], step)
        learner.network.train()
        buffers = learner.divergence.buffers_of(learner.network)
        loss, right, num_members = learner.recipe.answers(learner.ask, batch, side)
        share = len(batch.labels) / len(rows)
        over_all = self._begin_over_all(loss.item() * share, int(right))
        learner.optimizer.zero_grad(set_to_none=True)
        # The sum of the members' costs: the gradient of each is as if it were alone. Of several processes the
        # gradient is the mean.
        torch.autograd.backward(loss * (num_members * share * self._group.size))
        value, num_right = over_all()
        what: Literal["cost", "gradient"] | None = None if math.isfinite(value) else "cost"
        if what is None and not learner.divergence.may_step(learner.network):
            what, value = "gradient", math.nan
        if what is not None:
            return self._leave_out(what, value, seen, buffers, step, epoch)
        learner.optimizer.step()
        self._rows = seen
        move_mean(learner.averaged, learner.network, learner.plan.training.average, step + 1)
        return lambda: (value, num_right)

    def close(self) -> None:
        """Nothing is to be given back."""

    def _batch(self, rows: NDArray[np.int64], draws: NDArray[np.float32], step: int) -> tuple[Batch, int]:
        """What this process sees in a step, and the side that it sees it at."""
        pixels, labels = self._learner.visited.seen(rows)
        side = self._learner.recipe.side(step, pixels.shape[1])
        batch = Batch(
            torch.from_numpy(pixels),
            torch.from_numpy(labels.astype(np.int64)),
            self._learner.recipe.variation(draws, side),
        )
        return batch.on(self._learner.recipe.device), side

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
        weights = (*self._learner.network.parameters(), *self._learner.averaged.parameters())
        self._learner.divergence.require_numbers(weights, step, epoch + 1, self._rows)
        self._learner.divergence.leave_out(what, value, step + 1, epoch + 1, rows)
        for tensor, before in zip(self._learner.network.buffers(), buffers, strict=True):
            tensor.copy_(before)
        return lambda: (math.nan, 0)
