"""From what was asked and what the pictures are to a plan in which nothing is left open."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from whyconv.errors import DataError
from whyconv.images.prepare import PicturePolicy
from whyconv.machine import num_cores
from whyconv.results import Note, Notify
from whyconv.settings import NetworkPlan, PicturesPlan, Plan, TrainSettings
from whyconv.training.pictures import Division, Part, channel_statistics
from whyconv.training.probe import MirrorTrial, try_mirror
from whyconv.training.recipe import Facts, augment_plan, training_plan
from whyconv.training.start import start_network

# Of the minutes asked for: what the trial may take, what is left for export, scores and report.
_TRIAL_FRACTION = 0.06
_ENDING_SECONDS = 12.0
_ENDING_FRACTION = 0.05
_SLACK = 0.93
_SMALL_SIDE = 16
_TRIAL_STEPS = 200
_MIN_TRIAL_EPOCHS, _MAX_TRIAL_EPOCHS = 2, 15


@dataclass(frozen=True, eq=False)
class Material:
    """The pictures of a run, divided and prepared."""

    division: Division
    policy: PicturePolicy
    train: Part
    validation: Part
    test: Part


def make_plan(settings: TrainSettings, material: Material, *, began: float, notify: Notify) -> Plan:
    """Decides everything before step 1.

    Where mirroring is left to validation, or minutes are asked for, a short trial training is made first and
    thrown away.

    Args:
        settings: What was asked.
        material: The prepared pictures.
        began: ``time.perf_counter()`` at the start of the command, from which minutes count.
        notify: Told of what was decided, and why.

    Raises:
        DataError: A part is too small to train on.
    """
    if len(material.train) < 2:
        raise DataError(f"Only {len(material.train)} picture is left for training. Expected at least 2; add pictures.")
    classes = material.division.inspection.pictures.classes
    counts = np.bincount(material.train.data.labels, minlength=len(classes)).tolist()
    facts = Facts(counts=counts, side=material.policy.side, in_channels=material.policy.channels)
    draft = _draft(settings, material, facts, settings.threads or threads_for(facts.side))
    torch.set_num_threads(draft.threads)
    if len(set(draft.training.class_weights)) > 1:
        notify(Note(key="run_balanced", values={"ratio": max(counts) / max(1, min(counts))}))
    if settings.flips != "auto" and settings.minutes is None:
        return draft
    trial = _try(settings, material, draft)
    flip = _decide_flip(settings, trial, notify)
    return _settle(settings, draft, facts, trial, flip=flip, began=began, notify=notify)


def threads_for(side: int) -> int:
    """One thread for pictures of up to 16 pixels, whose steps are too small to share; else all that may be used."""
    return 1 if side <= _SMALL_SIDE else num_cores()


def _draft(settings: TrainSettings, material: Material, facts: Facts, threads: int) -> Plan:
    """The plan without what a trial decides."""
    mean, std = channel_statistics(material.train.data.pixels)
    flip = settings.flips == "on"
    return Plan(
        seed=settings.seed,
        threads=threads,
        language=settings.language,
        pictures=_pictures_plan(settings, material),
        network=NetworkPlan(
            name=settings.network,
            in_channels=_one_or_three(material.policy.channels),
            side=material.policy.side,
            classes=list(material.division.inspection.pictures.classes),
            mean=mean,
            std=std,
            mirror_views=flip,
        ),
        augment=augment_plan(settings, facts, flip=flip),
        training=training_plan(settings, facts),
    )


def _pictures_plan(settings: TrainSettings, material: Material) -> PicturesPlan:
    return PicturesPlan(
        path=str(Path(settings.pictures).resolve()),
        layout=settings.layout,
        label_from=settings.label_from or "",
        group_by=settings.group_by or "",
        strict=settings.strict,
        validation_fraction=settings.validation_fraction,
        test_fraction=settings.test_fraction,
        store=str(Path(settings.store).resolve()) if settings.store else "",
        digest=material.division.digest,
        num_train=len(material.train),
        num_validation=len(material.validation),
        num_test=len(material.test),
    )


def _try(settings: TrainSettings, material: Material, draft: Plan) -> MirrorTrial:
    """Trains without mirroring for about 200 steps, from 2 to 15 epochs; by the clock when minutes are asked for."""
    wanted = math.ceil(_TRIAL_STEPS * draft.training.batch / len(material.train))
    epochs = max(_MIN_TRIAL_EPOCHS, min(_MAX_TRIAL_EPOCHS, wanted))
    seconds = settings.minutes * 60 * _TRIAL_FRACTION if settings.minutes else 0.0
    recipe = draft.training.model_copy(update={"epochs": epochs, "patience": epochs, "seconds": seconds})
    trial = draft.model_copy(update={"training": recipe})
    return try_mirror(start_network(trial), material.train.data, material.validation.data, trial)


def _decide_flip(settings: TrainSettings, trial: MirrorTrial, notify: Notify) -> bool:
    if settings.flips != "auto":
        return settings.flips == "on"
    values = {"n": trial.n, "num_right": trial.num_right, "num_right_mirrored": trial.num_right_mirrored}
    notify(Note(key="run_flips" if trial.may_flip else "run_does_not_flip", values=values))
    return trial.may_flip


def _settle(  # noqa: PLR0913
    settings: TrainSettings, draft: Plan, facts: Facts, trial: MirrorTrial, *, flip: bool, began: float, notify: Notify
) -> Plan:
    """The draft with what the trial has shown put in."""
    epochs, seconds = None, 0.0
    if settings.minutes is not None:
        budget = settings.minutes * 60
        left = budget * (1 - _ENDING_FRACTION) - _ENDING_SECONDS - (time.perf_counter() - began)
        epochs = max(1, int(left * _SLACK / trial.seconds_per_epoch))
        seconds = round(max(left, trial.seconds_per_epoch), 3)
        values = {"minutes": settings.minutes, "seconds": trial.seconds_per_epoch, "epochs": epochs}
        notify(Note(key="run_budget", values=values))
    return draft.model_copy(
        update={
            "network": draft.network.model_copy(update={"mirror_views": flip}),
            "augment": augment_plan(settings, facts, flip=flip),
            "training": training_plan(settings, facts, epochs=epochs, seconds=seconds),
        }
    )


def _one_or_three(channels: int) -> Literal[1, 3]:
    return 1 if channels == 1 else 3
