"""Training steps on a graphics card: recorded once, played again, and never waited for.

A step is some hundred small pieces of work, which a card does faster than a processor can ask for them. So each is
recorded, as a CUDA graph, and then asked for as one. The pictures lie on the card, as bytes, where they fit; what the
steps have come to is read a little later, while others are computed.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from whyconv.training.augment import Variation
from whyconv.training.averaging import move_mean_on_card, share_kept
from whyconv.training.pixel_rows import Pixels
from whyconv.training.recording import card_stream, may_be_recorded, recorded
from whyconv.training.step import Batch, Learner, Result
from whyconv.training.visits import AtHand, Visited

# Of the memory that is free on the card: what the pictures may take.
_MEMORY_FRACTION = 0.5
_COPIED = 4096


@dataclass(eq=False)
class _Recorded:
    """Steps on batches of one size, at one side.

    Attributes:
        inputs: What every step is given, in one place: rows of the pictures on the card, or the pictures.
        batch: Made of that.
        graph: None while no step was recorded.
    """

    inputs: list[Tensor]
    batch: Callable[[], Batch]
    graph: torch.cuda.CUDAGraph | None = None
    is_warm: bool = False


class CardSteps:
    """Takes steps one after the other, as the training loop does on a processor.

    Args:
        learner: On the card; its divergence must end the training where J is no number.
    """

    # Steps that may be asked for before what they have come to is looked at.
    num_ahead = 2

    def __init__(self, learner: Learner) -> None:
        self._learner, self._share = learner, learner.plan.training.average
        self._device = device = learner.recipe.device
        self._moved = torch.ones((), device=device) if self._share else None
        # J, right answers, and a number that is none where a weight is none.
        self._result = torch.zeros(3, dtype=torch.float64, device=device)
        self._recorded: dict[tuple[int, int], _Recorded] = {}
        self._records = may_be_recorded(learner.plan.network.name)
        self._pool = torch.cuda.graph_pool_handle()
        self._stream = card_stream(device)
        self._resident = _resident(learner.visited, device)

    def take(self, rows: NDArray[np.int64], draws: NDArray[np.float32], step: int, epoch: int) -> Result:
        """Begins a step on the pictures ``rows``; both counted from 0.

        Returns:
            What waits for the step. It raises DivergedError where J is no number, or a weight after the step; up to two
            more steps were taken then.
        """
        self._stream.wait_stream(torch.cuda.current_stream(self._device))
        with torch.cuda.stream(self._stream):
            if self._moved is not None:
                self._moved.fill_(1 - share_kept(self._share, step + 1))
            self._play(*self._filled(rows, draws, step))
            found = self._begin_reading()
        torch.cuda.current_stream(self._device).wait_stream(self._stream)

        def wait() -> tuple[float, int]:
            value, num_right, length = found()
            if not math.isfinite(value):
                self._learner.divergence.leave_out("cost", value, step + 1, epoch + 1, rows.tolist())
            if not math.isfinite(length):
                self._learner.divergence.require_numbers(
                    self._learner.network.parameters(), step + 1, epoch + 1, rows.tolist()
                )
            return value, num_right

        return wait

    def close(self) -> None:
        """Gives back what was recorded, after the last step."""
        torch.cuda.synchronize(self._device)
        self._recorded.clear()

    def _filled(self, rows: NDArray[np.int64], draws: NDArray[np.float32], step: int) -> tuple[_Recorded, int]:
        if self._resident is not None:
            full_side, given = self._resident[0].shape[1], [torch.from_numpy(rows)]
        else:
            pixels, labels = self._learner.visited.seen(rows)
            full_side, given = pixels.shape[1], [torch.from_numpy(pixels), torch.from_numpy(labels.astype(np.int64))]
        side = self._learner.recipe.side(step, full_side)
        variation = self._learner.recipe.variation(draws, side)
        given += [each for each in variation if each is not None]
        key = len(rows), side
        if key not in self._recorded:
            inputs = [each.to(self._device) for each in given]
            rest = iter(inputs[len(given) - sum(each is not None for each in variation) :])
            there = Variation(*(None if each is None else next(rest) for each in variation))
            self._recorded[key] = _Recorded(inputs, lambda: self._batch(inputs, there))
            return self._recorded[key], side
        for place, each in zip(self._recorded[key].inputs, given, strict=True):
            place.copy_(each.pin_memory(), non_blocking=True)
        return self._recorded[key], side

    def _batch(self, inputs: list[Tensor], variation: Variation) -> Batch:
        if self._resident is None:
            return Batch(inputs[0], inputs[1], variation)
        pixels, labels = self._resident
        return Batch(pixels[inputs[0]], labels[inputs[0]], variation)

    def _play(self, each: _Recorded, side: int) -> None:
        """The first step is computed as it is asked for, which chooses the kernels and makes the optimizer's state."""
        if each.graph is None and each.is_warm and self._records:
            each.graph = recorded(lambda: self._compute(each, side), self._stream, self._pool)
        if each.graph is not None:
            each.graph.replay()
        else:
            self._compute(each, side)
            each.is_warm = True

    def _compute(self, each: _Recorded, side: int) -> None:
        learner = self._learner
        learner.network.train()
        learner.optimizer.zero_grad(set_to_none=True)
        loss, num_right, num_members = learner.recipe.answers(learner.ask, each.batch(), side)
        torch.autograd.backward(loss * num_members)
        learner.optimizer.step()
        move_mean_on_card(learner.averaged, learner.network, self._moved)
        lengths = torch._foreach_norm([weight.detach() for weight in learner.network.parameters()])
        for place, found in enumerate((loss.detach(), num_right, torch.stack(lengths).sum())):
            self._result[place].copy_(found)

    def _begin_reading(self) -> Callable[[], tuple[float, int, float]]:
        there = torch.empty(3, dtype=torch.float64, pin_memory=True)
        there.copy_(self._result, non_blocking=True)
        read = torch.cuda.Event()  # type: ignore[no-untyped-call]
        read.record()

        def wait() -> tuple[float, int, float]:
            read.synchronize()
            return float(there[0]), int(there[1]), float(there[2])

        return wait


def _resident(visited: Visited, device: torch.device) -> tuple[Tensor, Tensor] | None:
    """Pixels and labels on the card; None where they do not fit, or are not at hand."""
    if not isinstance(visited, AtHand):
        return None
    pixels, labels = visited.data.pixels, visited.data.labels
    free, _ = torch.cuda.mem_get_info(device)
    if np.prod(pixels.shape, dtype=np.int64) > _MEMORY_FRACTION * free:
        return None
    return _copied(pixels, device), torch.from_numpy(labels.astype(np.int64)).to(device)


def _copied(pixels: Pixels, device: torch.device) -> Tensor:
    """Some at a time: they may lie in a file."""
    there = torch.empty(pixels.shape, dtype=torch.uint8, device=device)
    for start in range(0, len(pixels), _COPIED):
        there[start : start + _COPIED] = torch.from_numpy(np.ascontiguousarray(pixels[start : start + _COPIED]))
    return there
