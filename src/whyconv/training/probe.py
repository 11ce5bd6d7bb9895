"""A short trial training, thrown away: may pictures be mirrored, and how long does a step take?"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtrc
from torch import nn

from whyconv.results import Notify, Progress
from whyconv.settings import Plan, steps_per_epoch
from whyconv.training.device import CPU, lying_on, place_of
from whyconv.training.logits import network_logits
from whyconv.training.loop import train_network
from whyconv.training.pixel_rows import LabelledPixels

_SIGNIFICANCE = 0.05
_LOSS_FRACTION = 0.02
_FEW_PICTURES, _FEW_FRACTION = 2, 0.07
_CLASS_PICTURES, _CLASS_LOSS = 5, 3
_MOST_ASKED, _MOST_TIMED = 2000, 64


@dataclass(frozen=True, eq=False)
class MirrorTrial:
    """Answers of a network that never saw a mirrored picture, on the validation part and on its mirror image.

    Attributes:
        truth: Classes of at most 2,000 validation pictures (n,).
        answers: To the pictures as they are (n,).
        mirrored: To their mirror images (n,).
        seconds_per_step: Measured: the median, which a moment's disturbance does not move.
        seconds_per_picture: Of a picture without gradients: measured on validation; without one, a third of what it
            takes in a step. On the processor, also where a card trains.
    """

    truth: NDArray[np.int64]
    answers: NDArray[np.int64]
    mirrored: NDArray[np.int64]
    seconds_per_step: float
    seconds_per_picture: float

    @property
    def num_right(self) -> int:
        """Right as they are."""
        return int((self.answers == self.truth).sum())

    @property
    def num_right_mirrored(self) -> int:
        """Right when mirrored."""
        return int((self.mirrored == self.truth).sum())

    @property
    def verdict(self) -> Literal["flips", "unlearned", "lost", "class_lost"]:
        """Whether mirroring keeps the label, as far as validation can tell. Without evidence for it: no.

        "unlearned": too little was learned to tell. More must be right than guessing the largest class gets, and
        significantly more (exact binomial test, one-sided, 5 %) than answers of the same frequencies would get
        that know nothing of the pictures.

        "lost": mirroring costs more right answers, less those it wins, than 2 % of the pictures. Where that is
        under two pictures, two may be lost, but not over 7 % of the pictures: none of 14, one of 15, two of 29.

        "class_lost": a class of at least 5 pictures loses three right answers and more than half of what it had,
        as a left arrow among many other signs does.

        References:
            Cohen, *A coefficient of agreement for nominal scales* (1960), for the agreement that chance gives.
        """
        if not self._has_learned():
            return "unlearned"
        n, loss = len(self.truth), self.num_right - self.num_right_mirrored
        if loss > max(_LOSS_FRACTION * n, min(_FEW_PICTURES, _FEW_FRACTION * n)):
            return "lost"
        return "flips" if self.lost_class is None else "class_lost"

    @property
    def lost_class(self) -> int | None:
        """The class of which mirroring takes the most right answers, if they are too many; else None."""
        sizes, right, mirrored = (
            np.bincount(rows, minlength=int(self.truth.max(initial=0)) + 1)
            for rows in (
                self.truth,
                self.truth[self.answers == self.truth],
                self.truth[self.mirrored == self.truth],
            )
        )
        loss = right - mirrored
        too_many = (sizes >= _CLASS_PICTURES) & (loss >= _CLASS_LOSS) & (2 * loss > right)
        return int(np.where(too_many, loss, -1).argmax()) if too_many.any() else None

    def right_of(self, label: int) -> tuple[int, int]:
        """Right answers among the pictures of one class: as they are, and mirrored."""
        own = self.truth == label
        return int((self.answers[own] == label).sum()), int((self.mirrored[own] == label).sum())

    def _has_learned(self) -> bool:
        n = len(self.truth)
        width = int(max(self.truth.max(initial=0), self.answers.max(initial=0))) + 1
        truths, answers = (np.bincount(rows, minlength=width) for rows in (self.truth, self.answers))
        if self.num_right <= truths.max():
            return False
        by_chance = float((truths / n * (answers / n)).sum())
        return float(bdtrc(self.num_right - 1, n, by_chance)) < _SIGNIFICANCE


def _timed_on_processor(network: nn.Module, pixels: NDArray[np.uint8], plan: Plan) -> tuple[float, int]:
    """Seconds for how many pictures: where a card trains, the exported file is asked by the processor all the same."""
    network_logits(network, pixels[:1], plan.network)
    began = time.perf_counter()
    network_logits(network, pixels, plan.network)
    return time.perf_counter() - began, len(pixels)


def try_mirror(
    network: nn.Module,
    train: LabelledPixels,
    validation: LabelledPixels,
    plan: Plan,
    *,
    deadline: float,
    notify: Notify,
) -> MirrorTrial:
    """Trains ``network`` by ``plan`` (which must not flip), then asks it about mirrored validation pictures.

    Args:
        network: Changed in place.
        train: The training part.
        validation: The validation part; may be empty.
        plan: Of the trial.
        deadline: When the trial ends, on the clock of ``time.perf_counter``.
        notify: Told of the steps.
    """
    recipe = plan.training
    total = recipe.steps or recipe.epochs * steps_per_epoch(len(train), recipe.batch)
    ends: list[float] = []

    def note_step() -> int:
        ends.append(time.perf_counter())
        notify(Progress(stage="trial", done=len(ends), total=total))
        return 0

    none = LabelledPixels(validation.pixels[:0], validation.labels[:0])
    train_network(network, train, none, plan, stop_requested=note_step, deadline=deadline)
    notify(Progress(stage="trial", done=total, total=total))
    asked = validation.pixels[:_MOST_ASKED]
    began = time.perf_counter()
    with lying_on(place_of(plan), network):
        answers, mirrored = (
            network_logits(network, pixels, plan.network).argmax(axis=1) for pixels in (asked, asked[:, :, ::-1].copy())
        )
    seconds, num_asked = time.perf_counter() - began, 2 * len(asked)
    if place_of(plan) != CPU:
        seconds, num_asked = _timed_on_processor(network, train.pixels[:_MOST_TIMED], plan)
    seconds_per_step = float(np.median(np.diff(ends)))
    # Forward and both backwards cost about the same.
    a_third = seconds_per_step / recipe.batch / 3
    return MirrorTrial(
        truth=validation.labels[:_MOST_ASKED].astype(np.int64),
        answers=answers,
        mirrored=mirrored,
        seconds_per_step=seconds_per_step,
        seconds_per_picture=seconds / num_asked if num_asked else a_third,
    )
