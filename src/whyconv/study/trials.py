"""One corner trained in one way: several draws, every learning rate, the rate that validation chooses, the test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from whyconv.results import ControlName, SquareProtocol
from whyconv.study.controls import Control
from whyconv.study.corners import OneHiddenLayer, Sizes, num_parameters
from whyconv.study.protocol import Training
from whyconv.study.rings import move, random_shifts
from whyconv.study.sizes import nested_order
from whyconv.study.stacks import Stack, train_stack
from whyconv.training.loop import LabelledPixels

# Of the weights of a stack; its gradient, Adam's two moments and the step take four times as much beside.
_MOST_STACK_BYTES = 64 << 20
_BESIDE_WEIGHTS = 4
_SCORED_AT_ONCE = 64
# What random numbers are for: no two streams are alike.
_ORDER, _MOVES, _TEST_MOVES = 1, 2, 3


@dataclass(frozen=True, eq=False)
class SquarePictures:
    """The pictures of a study, each part with its labels, and how pixels become numbers.

    Attributes:
        train: Training part: what draws are taken from.
        validation: Chooses the learning rates.
        test: What accuracies are over.
        num_classes: Of the labels.
        mean: Of each channel, in gray levels: taken off every pixel.
        std: Of each channel, in gray levels: pixels are divided by it.
    """

    train: LabelledPixels
    validation: LabelledPixels
    test: LabelledPixels
    num_classes: int
    mean: list[float]
    std: list[float]

    def numbers(self, part: LabelledPixels, rows: NDArray[np.int64]) -> Tensor:
        """Pictures of a part as float32 (*rows.shape, c, side, side), around 0."""
        levels = torch.from_numpy(np.ascontiguousarray(part.pixels[rows.reshape(-1)])).float()
        scaled = ((levels - torch.tensor(self.mean)) / torch.tensor(self.std)).permute(0, 3, 1, 2)
        return scaled.reshape(*rows.shape, *scaled.shape[1:])


@dataclass(frozen=True)
class Trial:
    """How one training went: test accuracy of every draw, and the learning rate that validation chose."""

    by_draw: list[float]
    learning_rate: float
    is_rate_at_edge: bool


@dataclass(frozen=True, eq=False)
class Study:
    """Everything that the trainings of a square share.

    Attributes:
        pictures: To train and score on.
        protocol: How.
        sizes: Of the networks.
        controls: By name.
    """

    pictures: SquarePictures
    protocol: SquareProtocol
    sizes: Sizes
    controls: dict[ControlName, Control]

    def run(self, training: Training, tick: Callable[[], None] = lambda: None) -> Trial:
        """Trains all draws with all learning rates, chooses the rate on validation, and scores its networks.

        Args:
            training: Which corner, on which pictures.
            tick: Called before every step.
        """
        rates = self.protocol.learning_rates
        stacks = [self.train(training, draws, tick) for draws in self.draw_groups(training)]
        scores = torch.cat([self._score(stack, self.pictures.validation, training) for stack in stacks])
        # (draws, rates): the accuracy, and between equals the loss.
        accuracy, loss = (scores[:, column].view(-1, len(rates)).mean(0).tolist() for column in (0, 1))
        best = max(range(len(rates)), key=lambda rate: (accuracy[rate], -loss[rate]))
        chosen = [stack.members(list(range(best, num_members(stack), len(rates)))) for stack in stacks]
        tested = torch.cat([self._score(stack, self.pictures.test, training) for stack in chosen])
        is_at_edge = len(rates) > 1 and best in (0, len(rates) - 1)
        return Trial(tested[:, 0].tolist(), rates[best], is_at_edge)

    def num_steps(self, training: Training) -> int:
        """How often ``run`` calls ``tick``."""
        return len(self.draw_groups(training)) * self.protocol.steps

    def draw_groups(self, training: Training) -> list[range]:
        """Draws cut so that the weights of a stack fit into memory."""
        together = max(1, min(self.protocol.num_draws, _MOST_STACK_BYTES // self._draw_bytes(training)))
        return [
            range(first, min(first + together, self.protocol.num_draws))
            for first in range(0, self.protocol.num_draws, together)
        ]

    def training_bytes(self, training: Training) -> int:
        """What ``run`` keeps: all weights until the rate is chosen, and beside one stack its gradients and moments."""
        together = len(self.draw_groups(training)[0])
        return self._draw_bytes(training) * (self.protocol.num_draws + _BESIDE_WEIGHTS * together)

    def starting_stack(self, training: Training, draws: range) -> Stack:
        """Members draw by draw, each draw with every learning rate from the same starting weights."""
        networks = [OneHiddenLayer(training.corner, self.sizes, self.protocol.seed * 1000 + draw) for draw in draws]
        return Stack.of([network for network in networks for _ in self.protocol.learning_rates])

    def batches(self, training: Training, draws: range, num_steps: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Pictures (n, members, c, side, side) and labels (members, n) of each step; the same for every corner."""
        train = self.pictures.train
        chosen = [nested_order(train.labels, self._seed(draw))[: training.n_train] for draw in draws]
        batch = min(self.protocol.batch, training.n_train)
        orders = [endless_batches(training.n_train, batch, self._random(_ORDER, draw)) for draw in draws]
        moves = [self._random(_MOVES, draw) for draw in draws]
        for _ in range(num_steps):
            rows = np.stack([one[next(order)] for one, order in zip(chosen, orders, strict=True)])
            shifts = np.stack([random_shifts(random, (batch,), self.sizes.side) for random in moves])
            shown = self._changed(self.pictures.numbers(train, rows), shifts, training)
            labels = torch.from_numpy(train.labels[rows].astype(np.int64))
            repeats = len(self.protocol.learning_rates)
            yield (
                shown.repeat_interleave(repeats, 0).transpose(0, 1),
                labels.repeat_interleave(repeats, 0),
            )

    def train(self, training: Training, draws: range, tick: Callable[[], None] = lambda: None) -> Stack:
        """Trains some draws with every learning rate; members as in ``starting_stack``."""
        stack = self.starting_stack(training, draws)
        rates = torch.tensor(self.protocol.learning_rates * len(draws))
        steps = self.protocol.steps

        def ticking() -> Iterator[tuple[Tensor, Tensor]]:
            for batch in self.batches(training, draws, steps):
                tick()
                yield batch

        train_stack(stack, rates, ticking(), steps)
        return stack

    def _score(self, stack: Stack, part: LabelledPixels, training: Training) -> Tensor:
        """Accuracy and mean cross-entropy of every member, (members, 2), on the evenly chosen pictures of a part."""
        rows = scored_rows(part, self.protocol.most_scored)
        shifts = random_shifts(self._random(_TEST_MOVES, len(part)), (len(rows),), self.sizes.side)
        members = num_members(stack)
        total = torch.zeros(members, 2)
        for start in range(0, len(rows), _SCORED_AT_ONCE):
            some = slice(start, start + _SCORED_AT_ONCE)
            shown = self._changed(self.pictures.numbers(part, rows[some]), shifts[some], training)
            labels = torch.from_numpy(part.labels[rows[some]].astype(np.int64)).expand(members, -1)
            with torch.no_grad():
                logits = stack(shown.unsqueeze(1).expand(-1, members, -1, -1, -1))
                total[:, 0] += (logits.argmax(-1) == labels).sum(1)
                losses = functional.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="none")
                total[:, 1] += losses.view(members, -1).sum(1)
        return total / len(rows)

    def _changed(self, pictures: Tensor, shifts: NDArray[np.int64], training: Training) -> Tensor:
        """Moved, where the training says so, and then controlled."""
        shown = move(pictures, shifts) if training.place == "moved" else pictures
        return shown if training.control is None else self.controls[training.control](shown)

    def _draw_bytes(self, training: Training) -> int:
        """Of the weights of one draw with every learning rate, in single precision."""
        return 4 * num_parameters(training.corner, self.sizes) * len(self.protocol.learning_rates)

    def _random(self, purpose: int, number: int) -> np.random.Generator:
        return np.random.Generator(np.random.Philox(np.random.SeedSequence([self.protocol.seed, purpose, number])))

    def _seed(self, draw: int) -> int:
        return self.protocol.seed * 1000 + draw


def num_members(stack: Stack) -> int:
    """How many networks lie on top of each other."""
    return len(stack.weights["readout.bias"])


def scored_rows(part: LabelledPixels, most: int) -> NDArray[np.int64]:
    """All pictures of a part, or ``most`` of them, evenly chosen."""
    step = max(1, -(-len(part) // most))
    return np.arange(0, len(part), step)


def endless_batches(n: int, batch: int, random: np.random.Generator) -> Iterator[NDArray[np.int64]]:
    """Numbers 0 .. n - 1 in random order, again and again, each time in another, in pieces of ``batch`` <= n."""
    waiting = np.empty(0, np.int64)
    while True:
        if len(waiting) < batch:
            waiting = np.concatenate([waiting, random.permutation(n)])
        yield waiting[:batch]
        waiting = waiting[batch:]
