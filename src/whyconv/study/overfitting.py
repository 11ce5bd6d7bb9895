"""How far training and test accuracy part, at the same training accuracy; and how soon random labels are fitted.

A network that has not learned yet has no gap: gaps are compared where all corners have the same training accuracy.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from whyconv.results import CORNERS, LEARNED, Corner, Estimate, GapDifference, Memorized, Place, TrainTestGap
from whyconv.study.split import accuracy_of, difference
from whyconv.study.trials import Glance
from whyconv.training.intervals import mean

# Of each corner, its draws, each with its glances; entry d of each was trained on the same pictures.
Histories = Mapping[Corner, Sequence[Sequence[Glance]]]


def gaps(histories: Histories, place: Place, n_train: int) -> list[TrainTestGap]:
    """The gap of each corner where it first has the training accuracy that all reach, draw by draw.

    Args:
        histories: Of every corner.
        place: Whether pictures were moved.
        n_train: Pictures to learn from.
    """
    reached = float(np.mean(_levels(histories)))
    return [
        TrainTestGap(place=place, corner=corner, n_train=n_train, train_accuracy=reached, gap=mean(parted))
        for corner, parted in _gaps_by_draw(histories).items()
    ]


def gap_differences(
    histories: Histories, place: Place, n_train: int, pairs: Sequence[tuple[Corner, Corner]]
) -> list[GapDifference]:
    """How much more the first of each pair overfits than the second: differences of the gaps of ``gaps`` by draw.

    Args:
        histories: Of every corner.
        place: Whether pictures were moved.
        n_train: Pictures to learn from.
        pairs: Of corners.
    """
    parted = _gaps_by_draw(histories)
    return [
        GapDifference(
            place=place,
            corner=corner,
            beside=beside,
            n_train=n_train,
            difference=difference(parted[corner], parted[beside]),
        )
        for corner, beside in pairs
    ]


def _levels(histories: Histories) -> list[float]:
    """The training accuracy that all corners reach, of each draw."""
    num_draws = len(histories[CORNERS[0]])
    return [min(max(one.train for one in histories[corner][draw]) for corner in CORNERS) for draw in range(num_draws)]


def _gaps_by_draw(histories: Histories) -> dict[Corner, list[float]]:
    levels = _levels(histories)
    return {
        corner: [
            _gap_at(history, step_of(history, level)) for history, level in zip(histories[corner], levels, strict=True)
        ]
        for corner in CORNERS
    }


def _gap_at(history: Sequence[Glance], step: float | None) -> float:
    """Train minus test there; at the first look a corner may know more of its pictures than all others ever will."""
    return value_at(history, step, "train") - value_at(history, step, "test")


def memorized(histories: Mapping[Corner, Sequence[Sequence[Glance]]], n_train: int) -> list[Memorized]:
    """When each corner fits random labels."""
    steps = {corner: [step_of(history, LEARNED) for history in drawn] for corner, drawn in histories.items()}
    return [
        Memorized(
            corner=corner,
            n_train=n_train,
            most_steps=drawn[0][-1].step,
            steps=steps[corner],
            typical_steps=typical_steps(steps[corner]),
            train_accuracy=accuracy_of([history[-1].train for history in drawn]),
        )
        for corner, drawn in histories.items()
    ]


def typical_steps(steps: Sequence[float | None]) -> Estimate | None:
    """The geometric mean over draws, with the t interval of the logarithms; None where some draw never came there."""
    taken = [math.log(each) for each in steps if each is not None]
    if len(taken) < len(steps):
        return None
    found = mean(taken)
    ends = {name: math.exp(getattr(found, name)) for name in ("value", "low", "high")}
    return found.model_copy(update=ends)


def step_of(history: Sequence[Glance], level: float) -> float | None:
    """Steps until the training accuracy first reaches a level, along their logarithm; None if it never does."""
    before: Glance | None = None
    for glance in history:
        if glance.train >= level:
            if before is None:
                return float(glance.step)
            part = (level - before.train) / (glance.train - before.train)
            return float(math.exp(math.log(before.step) + part * math.log(glance.step / before.step)))
        before = glance
    return None


def value_at(history: Sequence[Glance], step: float | None, name: str) -> float:
    """An accuracy after so many steps, straight between glances along log steps; the last where ``step`` is None."""
    last = history[-1].step if step is None else step
    return float(
        np.interp(math.log(last), [math.log(one.step) for one in history], [getattr(one, name) for one in history])
    )
