"""The control square: four corners, three controls, accuracy on nested sizes, the gain in both orders."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import torch

from whyconv.errors import ParityError
from whyconv.machine import num_cores
from whyconv.results import (
    CONTROLS,
    CORNERS,
    PLACES,
    ControlLoss,
    Corner,
    CornerScore,
    GainSplit,
    Notify,
    Progress,
    Square,
    SquareProtocol,
    UnmovedCheck,
    ignore,
)
from whyconv.study.controls import UNMOVED, make_controls
from whyconv.study.corners import num_hidden_parameters
from whyconv.study.exactness import check_corners
from whyconv.study.protocol import Training, all_trainings, needed_trainings, same_training, sizes_of
from whyconv.study.side_by_side import run_side_by_side
from whyconv.study.split import accuracy_of, difference, split_gain
from whyconv.study.trials import SquarePictures, Study, Trial, scored_rows
from whyconv.training.torch_habits import torch_habits

# Steps that are timed, and what scoring adds to the steps.
_PROBE_STEPS, _SCORING = 4, 1.05
# Of the exact comparison, for each weight of a dense layer with one map: about, on an ordinary core.
_EXACT_SECONDS = 1.5e-5
# Relative difference of losses that double precision may bring about in 50 steps.
ROUNDING = 1e-9


def measure_square(
    pictures: SquarePictures,
    protocol: SquareProtocol,
    notify: Notify = ignore,
    *,
    check_stop: Callable[[], None] = lambda: None,
    **origin: str,
) -> Square:
    """Measures the square of some pictures.

    Args:
        pictures: In their parts, at the protocol's side.
        protocol: What is trained with what.
        notify: Told how far it has come.
        check_stop: Called before every step; may raise to end it all.
        **origin: ``run``, ``digest`` and ``version`` of the record.

    Raises:
        ParityError: A corner notices a change that it cannot notice by its structure.
    """
    began = time.perf_counter()
    study = make_study(pictures, protocol)
    # One thread: trainings run side by side, and their numbers do not depend on how many there are.
    with torch_habits(1):
        checks = _check(study, notify, check_stop)
        trials = run_side_by_side(study, needed_trainings(protocol), notify, check_stop)
    tested = pictures.test.labels[scored_rows(pictures.test, protocol.most_scored)]
    scores = [_score(training, protocol, trials) for training in all_trainings(protocol)]
    return Square(
        run=origin.get("run", ""),
        digest=origin.get("digest", ""),
        version=origin.get("version", ""),
        protocol=protocol,
        num_validation=len(scored_rows(pictures.validation, protocol.most_scored)),
        num_test=len(tested),
        largest_class_fraction=float(np.bincount(tested).max() / len(tested)),
        weights={corner: num_hidden_parameters(corner, study.sizes) for corner in CORNERS},
        checks=checks,
        scores=scores,
        losses=_losses(scores, protocol),
        splits=_splits(scores, protocol),
        seconds=round(time.perf_counter() - began, 1),
    )


def make_study(pictures: SquarePictures, protocol: SquareProtocol) -> Study:
    """The study of some pictures by a protocol, before anything is trained."""
    controls = make_controls(protocol.side, protocol.multiplier, protocol.seed)
    return Study(pictures, protocol, sizes_of(protocol, pictures.num_classes), controls)


def predict_seconds(study: Study) -> Callable[[SquareProtocol], float]:
    """Times a few steps of every corner on this machine: from a protocol to how many seconds it would take."""
    with torch_habits(1):
        seconds = {corner: _step_seconds(study, corner) for corner in CORNERS}

    def predict(protocol: SquareProtocol) -> float:
        each = protocol.steps * len(protocol.learning_rates) * protocol.num_draws
        total = sum(seconds[one.corner] * each for one in needed_trainings(protocol))
        exact = 1 + _EXACT_SECONDS * protocol.channels * protocol.side**4
        return exact + _SCORING * total / num_cores()

    return predict


def _step_seconds(study: Study, corner: Corner) -> float:
    """Of one step of one network, in a stack of the usual size."""
    short = replace(study, protocol=study.protocol.model_copy(update={"steps": _PROBE_STEPS}))
    training = Training(corner, "moved", "signs", study.protocol.sizes[-1])
    draws = short.draw_groups(training)[0]
    short.train(training, draws)  # what is slow only once
    began = time.perf_counter()
    short.train(training, draws)
    return (time.perf_counter() - began) / (_PROBE_STEPS * len(draws) * len(short.protocol.learning_rates))


def _check(study: Study, notify: Notify, check_stop: Callable[[], None]) -> list[UnmovedCheck]:
    protocol, train = study.protocol, study.pictures.train
    step = max(1, len(train) // protocol.exact_pictures)
    rows = np.arange(0, len(train), step)[: protocol.exact_pictures]
    found = check_corners(
        study.pictures.numbers(train, rows),
        torch.from_numpy(train.labels[rows].astype(np.int64)),
        sizes_of(protocol, study.pictures.num_classes, exact=True),
        study.controls,
        steps=protocol.exact_steps,
        seed=protocol.seed,
    )
    checks = []
    total = len(CORNERS) * (1 + len(CONTROLS))
    for check in found:
        check_stop()
        _require_unmoved(check)
        checks.append(check)
        notify(Progress(stage="square_exact", done=len(checks), total=total))
    return checks


def _require_unmoved(check: UnmovedCheck) -> None:
    if check.is_unmoved and not check.difference <= ROUNDING:
        raise ParityError(
            f"{check.corner} should not notice pictures that are {check.change}, but its loss differs by "
            f"{check.difference:.2g} (allowed {ROUNDING:g}): a layer computes something else here. Please report this."
        )


def _score(training: Training, protocol: SquareProtocol, trials: Mapping[Training, Trial]) -> CornerScore:
    word, trained = same_training(training, protocol)
    if trained not in trials:  # moved and controlled, like moved, which is like still
        trained = same_training(trained, protocol)[1]
    trial = trials[trained]
    return CornerScore(
        corner=training.corner,
        place=training.place,
        control=training.control,
        n_train=training.n_train,
        accuracy=accuracy_of(trial.by_draw),
        by_draw=trial.by_draw,
        learning_rate=trial.learning_rate,
        is_rate_at_edge=trial.is_rate_at_edge,
        same_as=word,
    )


def _losses(scores: list[CornerScore], protocol: SquareProtocol) -> list[ControlLoss]:
    at = {(one.corner, one.place, one.control): one for one in scores if one.n_train == protocol.sizes[-1]}
    return [
        ControlLoss(
            corner=corner,
            place=place,
            control=control,
            is_unmoved=corner in UNMOVED[control],
            points=difference(at[corner, place, control].by_draw, at[corner, place, None].by_draw),
        )
        for place in protocol.controlled
        for control in CONTROLS
        for corner in CORNERS
    ]


def _splits(scores: list[CornerScore], protocol: SquareProtocol) -> list[GainSplit]:
    plain = {(one.place, one.n_train, one.corner): one.by_draw for one in scores if one.control is None}
    return [
        split_gain({corner: plain[place, n_train, corner] for corner in CORNERS}, place, n_train)
        for place in PLACES
        for n_train in protocol.sizes
    ]
