"""Some draws of one training with some settings: trained together, looked at on the way, and scored."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from whyconv.results import MATCHED_ARMS, ControlName, Readout, SquareProtocol
from whyconv.results.record import Record
from whyconv.study.controls import Control
from whyconv.study.corners import OneHiddenLayer, Sizes, num_parameters
from whyconv.study.draws import Draw, SquarePictures, asked, batches, scored_rows
from whyconv.study.matched import matched_sizes
from whyconv.study.protocol import Training, sizes_of
from whyconv.study.rings import slide
from whyconv.study.stacks import Stack, num_members, train_stack
from whyconv.training.pixel_rows import evenly_chosen

# Of the weights of a stack; its gradient, Adam's two moments and the step take four times as much beside.
_MOST_STACK_BYTES = 64 << 20
_BESIDE_WEIGHTS = 4
_SCORED_AT_ONCE = 64
# Pictures of a draw that are looked at on the way, of those learned from.
_MOST_LEARNED = 200
_LEARNED, _KEPT, _TEST = 1, 2, 3
_GREATEST_LOSS = 1e9


class Settings(NamedTuple):
    """What is tuned: the learning rate, and the weight decay."""

    learning_rate: float
    decay: float


class Job(NamedTuple):
    """Networks that are trained together.

    Attributes:
        training: Which corner, on what.
        settings: Each is tried with every draw.
        draws: Their numbers.
        is_final: Whether the networks are asked about the test pictures, at every checkpoint; else they are only
            asked about the pictures learned from and those kept apart, at the end.
        times: How many times the protocol's steps they take.
    """

    training: Training
    settings: tuple[Settings, ...]
    draws: tuple[int, ...]
    is_final: bool
    times: int = 1


class Member(NamedTuple):
    """One network of a job: its draw and its settings."""

    draw: int
    settings: Settings


class Glance(Record):
    """How one network does after some steps.

    Attributes:
        step: Steps taken.
        train: Accuracy on (some of) the pictures it learns from.
        kept: Accuracy on the pictures of the draw that were kept apart.
        kept_loss: Mean cross-entropy there, in nats.
        test: Accuracy on the test pictures; None where not asked.
    """

    step: int
    train: float
    kept: float
    kept_loss: float
    test: float | None = None


class JobResult(Record):
    """What came out.

    Attributes:
        glances: Of each member, draw by draw, each draw with every setting; the last one is at the end.
        averaged: Test accuracy of each member with answers averaged over shifts; empty where not asked.
    """

    glances: list[list[Glance]]
    averaged: list[float] = Field(default_factory=list)


@dataclass(frozen=True, eq=False)
class Study:
    """Everything that the trainings of a square share.

    Attributes:
        pictures: To train and score on.
        protocol: How.
        controls: By name.
    """

    pictures: SquarePictures
    protocol: SquareProtocol
    controls: dict[ControlName, Control]

    def sizes(self, training: Training) -> Sizes:
        """Of the networks of a training."""
        readout: Readout | None = "places" if training.arm == "places" else None
        sizes = sizes_of(self.protocol, self.pictures.num_classes, readout=readout)
        if training.arm == "normalized":
            return replace(sizes, is_normalized=True)
        matches = [match for match, arm in MATCHED_ARMS.items() if arm == training.arm]
        return matched_sizes(sizes, matches[0]) if matches else sizes

    def run(self, job: Job, tick: Callable[[], None] = lambda: None) -> JobResult:
        """Trains and scores all networks of a job; ``tick`` is called before every step."""
        results = [self._run(job, some, tick) for some in self.groups(job)]
        return JobResult(
            glances=[one for result in results for one in result.glances],
            averaged=[one for result in results for one in result.averaged],
        )

    def num_steps(self, job: Job) -> int:
        """How often ``run`` calls ``tick``."""
        return len(self.groups(job)) * self.protocol.steps * job.times

    def groups(self, job: Job) -> list[list[Member]]:
        """The members of a job, draw by draw, cut so that the weights of a stack fit into memory."""
        members = list(itertools.starmap(Member, itertools.product(job.draws, job.settings)))
        together = max(1, _MOST_STACK_BYTES // self._member_bytes(job.training))
        # Of about the same number each.
        count = -(-len(members) // together)
        together = -(-len(members) // count)
        return [members[start : start + together] for start in range(0, len(members), together)]

    def job_bytes(self, job: Job) -> int:
        """What ``run`` keeps at a time: weights, gradients and moments of one stack."""
        return self._member_bytes(job.training) * (1 + _BESIDE_WEIGHTS) * len(self.groups(job)[0])

    def train(
        self,
        training: Training,
        members: Sequence[Member],
        num_steps: int,
        look: Callable[[int, Stack], None] = lambda step, stack: None,
    ) -> Stack:
        """Trains some members side by side; ``look`` is called before each step with the number of steps taken."""
        numbers = sorted({member.draw for member in members})
        networks = {draw: self.starting_network(training, draw) for draw in numbers}
        stack = Stack.of([networks[member.draw] for member in members])
        draws = [Draw(self.pictures, self.protocol, training, number) for number in numbers]
        which = torch.tensor([numbers.index(member.draw) for member in members])

        def looking() -> Iterator[tuple[Tensor, Tensor]]:
            for step, (shown, labels) in enumerate(batches(self.pictures, training, draws, num_steps)):
                look(step, stack)
                yield self._changed(shown, training)[:, which], labels[which]

        rates, decays = (torch.tensor([one.settings[column] for one in members]) for column in (0, 1))
        train_stack(stack, rates, looking(), num_steps, decays)
        return stack

    def starting_network(self, training: Training, draw: int) -> OneHiddenLayer:
        """The network that a draw starts from, with every setting."""
        return OneHiddenLayer(training.corner, self.sizes(training), self.protocol.seed * 1000 + draw)

    def _run(self, job: Job, members: list[Member], tick: Callable[[], None]) -> JobResult:
        steps = self.protocol.steps * job.times
        scoring = _Scoring(self, job, members)
        stops = set(checkpoints(steps, self.protocol.checkpoints)[:-1]) if job.is_final else set()
        found: list[list[Glance]] = [[] for _ in members]

        def note(step: int, stack: Stack) -> None:
            for history, glance in zip(found, scoring.glances(step, stack), strict=True):
                history.append(glance)

        def look(step: int, stack: Stack) -> None:
            tick()
            if step in stops:
                note(step, stack)

        stack = self.train(job.training, members, steps, look)
        note(steps, stack)
        return JobResult(glances=found, averaged=scoring.averaged(stack))

    def _changed(self, pictures: Tensor, training: Training) -> Tensor:
        return pictures if training.control is None else self.controls[training.control](pictures)

    def _member_bytes(self, training: Training) -> int:
        """Of the weights of one network, in single precision."""
        return 4 * num_parameters(training.corner, self.sizes(training))


def checkpoints(steps: int, count: int) -> list[int]:
    """Numbers of steps after which a training is looked at: scored_rows along their logarithm, up to all of them."""
    return sorted({max(1, round(steps ** (place / count))) for place in range(1, count + 1)})


class _Scoring:
    """The pictures that the members of a stack are asked about, prepared once.

    Args:
        study: Whose pictures and controls.
        job: Of the members.
        members: Of one stack.
    """

    def __init__(self, study: Study, job: Job, members: Sequence[Member]) -> None:
        self._study, self._job = study, job
        pictures, protocol, training = study.pictures, study.protocol, job.training
        numbers = sorted({member.draw for member in members})
        self._which = torch.tensor([numbers.index(member.draw) for member in members])
        draws = [Draw(pictures, protocol, training, number) for number in numbers]
        asked = evenly_chosen(len(draws[0].rows), _MOST_LEARNED)
        self._learned = self._of_draws(draws, [draw.rows[asked] for draw in draws], _LEARNED)
        self._kept = self._of_draws(draws, [draw.kept for draw in draws], _KEPT)

    def glances(self, step: int, stack: Stack) -> list[Glance]:
        """Of each member, after so many steps."""
        kept, loss = self._score(stack, *self._kept)
        train = self._score(stack, *self._learned)[0]
        test = self._score(stack, *self._test)[0] if self._job.is_final else [None] * len(kept)
        return [
            Glance(step=step, train=a, kept=b, kept_loss=c, test=d)
            for a, b, c, d in zip(train, kept, loss, test, strict=True)
        ]

    def averaged(self, stack: Stack) -> list[float]:
        """Test accuracy of each member with probabilities averaged over all shifts of the arm "shifts"."""
        protocol = self._study.protocol
        if not self._job.is_final or self._job.training.arm != "shifts":
            return []
        pictures, labels = self._test
        steps = range(-protocol.shift, protocol.shift + 1)
        which = torch.zeros(num_members(stack), dtype=torch.int64)
        total = torch.zeros(num_members(stack), pictures.shape[1], self._study.pictures.num_classes)
        for shift in itertools.product(steps, steps):
            total += _logits(stack, slide(pictures, np.tile(shift, (*pictures.shape[:2], 1))), which).softmax(-1)
        return ((total.argmax(-1) == labels) & total.isfinite().all(-1)).double().mean(1).tolist()

    @cached_property
    def _test(self) -> tuple[Tensor, Tensor]:
        study, test = self._study, self._study.pictures.test
        rows = scored_rows(test, study.protocol.most_scored)
        shown = asked(study.pictures.numbers(test, rows), self._job.training, study.protocol, _TEST)
        labels = torch.from_numpy(test.labels[rows].astype(np.int64))
        # Of one draw: every member is asked about the same ones.
        return study._changed(shown, self._job.training).unsqueeze(0), labels.unsqueeze(0)

    def _of_draws(self, draws: list[Draw], rows: list[np.ndarray], part: int) -> tuple[Tensor, Tensor]:
        """Pictures (draws, n, c, side, side) and labels (draws, n)."""
        study, training = self._study, self._job.training
        shown = study.pictures.numbers(study.pictures.train, np.stack(rows))
        labels = np.stack([draw.labels(some) for draw, some in zip(draws, rows, strict=True)])
        moved = [
            asked(one, training, study.protocol, part, draw.number) for one, draw in zip(shown, draws, strict=True)
        ]
        return study._changed(torch.stack(moved), training), torch.from_numpy(labels)

    def _score(self, stack: Stack, pictures: Tensor, labels: Tensor) -> tuple[list[float], list[float]]:
        """Accuracy and mean cross-entropy of each member on the pictures of its draw."""
        which = self._which if len(labels) > 1 else torch.zeros(num_members(stack), dtype=torch.int64)
        logits, truth = _logits(stack, pictures, which), labels[which]
        losses = functional.cross_entropy(logits.flatten(0, 1), truth.flatten(), reduction="none").view(truth.shape)
        # A rate that is too high ends in numbers that are none: nothing is right then, and the loss is the greatest.
        right = (logits.argmax(-1) == truth) & logits.isfinite().all(-1)
        worst = _GREATEST_LOSS
        losses = losses.nan_to_num(nan=worst, posinf=worst).clamp(max=worst)
        return right.double().mean(1).tolist(), losses.double().mean(1).tolist()


@torch.no_grad()
def _logits(stack: Stack, pictures: Tensor, which: Tensor) -> Tensor:
    """Of pictures (draws, n, c, side, side), and of which draw each member is asked: (members, n, classes)."""
    # Indexed some at a time: the pictures of a draw are not copied for each of its members.
    some = torch.split(pictures, _SCORED_AT_ONCE, dim=1)
    return torch.cat([stack(shown[which].transpose(0, 1)) for shown in some], dim=1)
