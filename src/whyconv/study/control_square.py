"""The control square: four corners, three controls, accuracy on nested sizes, the gain in both orders."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import torch

from whyconv.errors import ParityError
from whyconv.results import (
    CONTROLS,
    CORNERS,
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
from whyconv.study.protocol import sizes_of
from whyconv.study.scores import scores_of, told_by
from whyconv.study.side_by_side import run_side_by_side
from whyconv.study.trials import Study
from whyconv.study.tuning import final_jobs, same_steps_jobs, tune
from whyconv.training.torch_habits import torch_habits

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
    results = kept or KeptTrials(None, "")
    # One thread: trainings run side by side, and their numbers do not depend on how many there are.
    with torch_habits(1):
        checks = _check(study, notify, check_stop)
        tuned = tune(
            protocol,
            lambda jobs: run_side_by_side(study, jobs, results, notify, check_stop, stage="square_tuning"),
        )
        jobs, short = final_jobs(protocol, tuned), same_steps_jobs(protocol, tuned)
        wanted = list(dict.fromkeys([*jobs.values(), *short.values()]))
        found = run_side_by_side(study, wanted, results, notify, check_stop, stage="square")
    trials = {training: found[job] for training, job in jobs.items()}
    same_steps = {training: found[job] for training, job in short.items()}
    tested = pictures.test.labels[scored_rows(pictures.test, protocol.most_scored)]
    chance = float(np.bincount(tested).max() / len(tested))
    scores = scores_of(protocol, trials, same_steps, tuned)
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
        tried_rates=sorted({rate for one in tuned.values() for rate in one.rates}),
        seconds=round(time.perf_counter() - began, 1),
    )


def make_study(pictures: SquarePictures, protocol: SquareProtocol) -> Study:
    """The study of some pictures by a protocol, before anything is trained."""
    return Study(pictures, protocol, make_controls(protocol.side, protocol.multiplier, protocol.seed))


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
