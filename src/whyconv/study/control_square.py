"""The control square: four corners, three controls, accuracy on nested sizes, the gain in both orders."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import torch

from whyconv.errors import ParityError
from whyconv.machine import num_cores
from whyconv.results import (
    CONTROLS,
    CORNERS,
    ArmName,
    Corner,
    Notify,
    Progress,
    Square,
    SquareProtocol,
    UnmovedCheck,
    ignore,
)
from whyconv.study.controls import make_controls
from whyconv.study.corners import num_hidden_parameters
from whyconv.study.draws import SquarePictures, scored_rows
from whyconv.study.exactness import check_corners
from whyconv.study.kept_trials import KeptTrials
from whyconv.study.matched import matched_told
from whyconv.study.protocol import Training, needed_trainings, sizes_of
from whyconv.study.scores import scores_of, told_by
from whyconv.study.side_by_side import run_side_by_side
from whyconv.study.trials import Job, Settings, Study
from whyconv.study.tuning import tune, tuning_jobs
from whyconv.training.torch_habits import torch_habits

# Steps that are timed, and what scoring adds to the steps.
_PROBE_STEPS, _SCORING, _FINAL_SCORING = 4, 1.05, 1.25
# Of the exact comparison, for each weight of a dense layer with one map: about, on an ordinary core.
_EXACT_SECONDS = 1.5e-5
_OTHER_NETWORKS: tuple[ArmName, ...] = ("normalized", "same_parameters", "same_multiply_adds")
# Relative difference of losses that double precision may bring about in 50 steps.
ROUNDING = 1e-9


def measure_square(
    pictures: SquarePictures,
    protocol: SquareProtocol,
    notify: Notify = ignore,
    *,
    check_stop: Callable[[], None] = lambda: None,
    kept: KeptTrials | None = None,
    **origin: str,
) -> Square:
    """Measures the square of some pictures.

    Args:
        pictures: In their parts, at the protocol's side.
        protocol: What is trained with what.
        notify: Told how far it has come.
        check_stop: Called before every step; may raise to end it all.
        kept: Results of trainings that were carried out before, and where new ones go.
        **origin: ``run``, ``digest`` and ``version`` of the record.

    Raises:
        ParityError: A corner notices a change that it cannot notice by its structure.
    """
    began = time.perf_counter()
    study = make_study(pictures, protocol)
    results = kept or KeptTrials(None, protocol, "")
    # One thread: trainings run side by side, and their numbers do not depend on how many there are.
    with torch_habits(1):
        checks = _check(study, notify, check_stop)
        tuned = tune(
            protocol,
            lambda jobs: run_side_by_side(study, jobs, results, notify, check_stop, stage="square_tuning"),
        )
        draws = tuple(range(protocol.num_draws))
        jobs = {one: Job(one, (tuned[one].settings,), draws, is_final=True) for one in needed_trainings(protocol)}
        found = run_side_by_side(study, list(jobs.values()), results, notify, check_stop, stage="square")
    trials = {training: found[job] for training, job in jobs.items()}
    tested = pictures.test.labels[scored_rows(pictures.test, protocol.most_scored)]
    chance = float(np.bincount(tested).max() / len(tested))
    scores = scores_of(protocol, trials, tuned)
    sizes = sizes_of(protocol, pictures.num_classes)
    return Square(
        run=origin.get("run", ""),
        digest=origin.get("digest", ""),
        version=origin.get("version", ""),
        protocol=protocol,
        num_test=len(tested),
        largest_class_fraction=chance,
        weights={corner: num_hidden_parameters(corner, sizes) for corner in CORNERS},
        checks=checks,
        scores=scores,
        **told_by(scores, trials, protocol, chance),
        matched=matched_told(scores, protocol, sizes),
        seconds=round(time.perf_counter() - began, 1),
    )


def make_study(pictures: SquarePictures, protocol: SquareProtocol) -> Study:
    """The study of some pictures by a protocol, before anything is trained."""
    return Study(pictures, protocol, make_controls(protocol.side, protocol.multiplier, protocol.seed))


def predict_seconds(study: Study) -> Callable[[SquareProtocol], float]:
    """Times a few steps of every kind of network on this machine.

    Args:
        study: Whose protocol has every arm that is asked for later.

    Returns:
        From a protocol to how many seconds it would take.
    """
    kinds = dict.fromkeys(_kind(one) for one in needed_trainings(study.protocol))
    with torch_habits(1):
        seconds = {kind: _step_seconds(study, *kind) for kind in kinds}

    def predict(protocol: SquareProtocol) -> float:
        final = sum(seconds[_kind(one)] for one in needed_trainings(protocol)) * protocol.num_draws
        jobs = tuning_jobs(protocol, protocol.learning_rates)
        tuned = sum(seconds[_kind(job.training)] * len(job.settings) * len(job.draws) for job in jobs)
        # One extension is about what there is, where any are allowed.
        tuned *= 1 + min(1, protocol.most_extensions) / len(protocol.learning_rates)
        exact = 1 + _EXACT_SECONDS * protocol.channels * protocol.side**4
        return exact + protocol.steps * (_FINAL_SCORING * final + _SCORING * tuned) / num_cores()

    return predict


def _kind(training: Training) -> tuple[Corner, ArmName]:
    """What the time of a step depends on: networks of other sizes, or with a normalization, are a kind of their own."""
    return training.corner, training.arm if training.arm in _OTHER_NETWORKS else "plain"


def _step_seconds(study: Study, corner: Corner, arm: ArmName) -> float:
    """Of one step of one network, in a stack of the usual size."""
    training = Training(corner, "moved", "signs", study.protocol.sizes[-1], arm)
    settings = tuple(Settings(rate, 0.0) for rate in study.protocol.learning_rates)
    members = study.groups(Job(training, settings, tuple(range(study.protocol.num_draws)), is_final=False))[0]
    study.train(training, members, 1)  # what is slow only once
    began = time.perf_counter()
    study.train(training, members, _PROBE_STEPS)
    return (time.perf_counter() - began) / (_PROBE_STEPS * len(members))


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
