"""From what was asked and what the pictures are to a plan in which nothing is left open."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from whyconv import files
from whyconv.errors import DataError
from whyconv.images.prepare import PicturePolicy
from whyconv.machine import num_cores
from whyconv.measures.certificate import require_conditions
from whyconv.nets.swift import widths_for
from whyconv.nets.windowed import window_for
from whyconv.results import Note, Notify, ignore
from whyconv.settings import NetworkPlan, PicturesPlan, Plan, TrainSettings, View
from whyconv.training.augment import epoch_order
from whyconv.training.circular import CERTIFICATE_SECONDS, views_kept
from whyconv.training.loop import LEAST_STEPS, LabelledPixels, normalize, steps_per_epoch
from whyconv.training.pictures import Division, Part, channel_statistics
from whyconv.training.probe import MirrorTrial, try_mirror
from whyconv.training.recipe import Facts, augment_plan, hardly_varied, side_cost, training_plan
from whyconv.training.run_folder import MOST_EXAMPLES
from whyconv.training.self_test import try_precisions
from whyconv.training.start import start_network
from whyconv.training.start_weights import find_start_weights
from whyconv.training.torch_habits import torch_habits
from whyconv.training.views import from_afar, views_for

# Of the minutes asked for: what the trial may take, what is left for export, scores and report.
_TRIAL_FRACTION = 0.06
_ENDING_SECONDS = 12.0
_ENDING_FRACTION = 0.05
SLACK = 0.93
_SMALL_SIDE = 16
_TRIAL_STEPS, _TIMED_STEPS = 200, 15
_MAX_TRIAL_EPOCHS = 15
# Of a network with so few filters in its narrowest block nothing is taken any more; others lose half of them where a
# picture would be seen less often than this.
_NARROWEST, _FEW_PASSES = 16, 3
_RETIMED_STEPS, _RETIMED_PICTURES = 6, 64
# Up to so many epochs, a part of one more is worth having.
_FEW_EPOCHS = 10
# A picture seen no more often than this is not yet known by heart: varying it only makes it harder.
_FEW_LOOKS = 4


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

    Where mirroring is left to a validation part, or minutes are asked for, a short trial training is made first
    and thrown away.

    Args:
        settings: What was asked.
        material: The prepared pictures.
        began: ``time.perf_counter()`` at the start of the command, from which minutes count.
        notify: Told of what was decided, and why.

    Raises:
        DataError: A part is too small to train on.
        UsageError: Answers are to be invariant, and the network's graph does not show it; every reason.
    """
    if len(material.train) < 2:
        raise DataError(f"Only {len(material.train)} picture is left for training. Expected at least 2; add pictures.")
    classes = material.division.inspection.pictures.classes
    counts = np.bincount(material.train.data.labels, minlength=len(classes)).tolist()
    facts = Facts(counts=counts, side=material.policy.side, in_channels=material.policy.channels)
    draft = _draft(settings, material, facts, settings.threads or threads_for(facts.side))
    _require_invariance(draft)
    draft = _with_precision(draft, material, notify)
    if len(set(draft.training.class_offsets)) > 1:
        notify(Note(key="run_balanced", values={"ratio": max(counts) / max(1, min(counts))}))
    is_open = settings.flips == "auto" and len(material.validation) > 0
    if settings.flips == "auto" and not is_open:
        notify(Note(key="run_flips_unknown"))
    if settings.minutes is None and not is_open:
        return draft
    with torch_habits(draft.threads):
        trial = _try(settings, material, draft, notify)
    flip = decide_flip(trial, draft.network.classes, notify) if is_open else draft.augment.flip
    views = views_kept(settings, views_for(augment_plan(settings, facts, flip=flip)))
    draft, trial = _narrowed(settings, material, draft, trial, views=views, began=began, notify=notify)
    time_left = deadline(settings, began) - time.perf_counter()
    plan = _settle(settings, draft, facts, trial, flip=flip, time_left=time_left)
    if settings.minutes is not None:
        _tell_budget(settings, plan, trial, notify)
    return plan


def deadline(settings: TrainSettings, began: float) -> float:
    """When training must end for the minutes asked for, on the clock of ``began``; never where none were asked for."""
    if settings.minutes is None:
        return math.inf
    certificate = CERTIFICATE_SECONDS if settings.invariant == "circular" else 0.0
    return began + settings.minutes * 60 * (1 - _ENDING_FRACTION) - _ENDING_SECONDS - certificate


def threads_for(side: int) -> int:
    """One thread for pictures of up to 16 pixels, whose steps are too small to share; else all that may be used."""
    return 1 if side <= _SMALL_SIDE else num_cores()


def _draft(settings: TrainSettings, material: Material, facts: Facts, threads: int) -> Plan:
    """The plan without what a trial decides."""
    mean, std = channel_statistics(material.train.data.pixels)
    augment = augment_plan(settings, facts, flip=settings.flips == "on")
    start, start_digest = _start(settings)
    side = material.policy.side
    window = window_for(side) if settings.invariant == "realistic" else None
    return Plan(
        seed=settings.seed,
        threads=threads,
        language=settings.language,
        pictures=pictures_plan(settings, material),
        network=NetworkPlan(
            name=settings.network,
            members=settings.members,
            widths=widths_for(window or side) if settings.network == "swift" else [],
            start=start,
            start_digest=start_digest,
            in_channels=_one_or_three(material.policy.channels),
            side=side,
            classes=list(material.division.inspection.pictures.classes),
            mean=mean,
            std=std,
            views=views_kept(settings, views_for(augment)),
            invariant=settings.invariant,
            window=window,
            pooling="smooth" if window and settings.network == "swift" else None,
        ),
        augment=augment,
        training=training_plan(settings, facts),
    )


def _require_invariance(draft: Plan) -> None:
    """Makes sure, before step 1, that the network is what was asked for.

    Raises:
        UsageError: It is not; every reason.
    """
    if draft.network.invariant == "circular":
        side = draft.network.side
        require_conditions(start_network(draft, reads_file=False), (draft.network.in_channels, side, side))


def _with_precision(draft: Plan, material: Material, notify: Notify) -> Plan:
    """The draft with the precision that this processor is faster in, and right; float32 for small pictures."""
    if draft.network.side <= _SMALL_SIDE:
        return draft
    rows = np.sort(epoch_order(draft.seed, 0, len(material.train))[: draft.training.batch])
    pixels = torch.from_numpy(material.train.data.pixels[rows].transpose(0, 3, 1, 2)).float()
    labels = torch.from_numpy(material.train.data.labels[rows].astype(np.int64))
    with torch_habits(draft.threads):
        network = start_network(draft, pixels=material.train.data.pixels)
        found = try_precisions(network, normalize(pixels, draft.network), labels)
    notify(Note(key=f"run_{found.precision}", values={"gain": found.gain}))
    return draft.model_copy(update={"training": draft.training.model_copy(update={"precision": found.precision})})


def pictures_plan(settings: TrainSettings, material: Material) -> PicturesPlan:
    """That part of a plan which says which pictures, and how they were read and divided."""
    return PicturesPlan(
        path=str(Path(settings.pictures).resolve()),
        layout=settings.layout,
        label_from=settings.label_from or "",
        group_by=settings.group_by or "",
        strict=settings.strict,
        validation_fraction=material.division.validation_fraction,
        test_fraction=settings.test_fraction,
        store=str(Path(settings.store).resolve()) if settings.store else "",
        digest=material.division.digest,
        num_train=len(material.train),
        num_validation=len(material.validation),
        num_test=len(material.test),
    )


def _start(settings: TrainSettings) -> tuple[str, str]:
    """The file of starting weights and its digest; two empty words where there is none."""
    if settings.start is None:
        return "", ""
    path = find_start_weights(settings.start).resolve()
    return str(path), files.digest(path)


def _try(settings: TrainSettings, material: Material, draft: Plan, notify: Notify) -> MirrorTrial:
    """Trains without mirroring for 200 steps, at most 15 epochs; less when minutes are asked for and it takes long.

    Where only the speed is wanted, 15 steps are enough.
    """
    recipe = draft.training
    per_epoch = steps_per_epoch(len(material.train), recipe.batch)
    is_open = settings.flips == "auto" and len(material.validation) > 0
    steps = min(_TRIAL_STEPS if is_open else _TIMED_STEPS, _MAX_TRIAL_EPOCHS * per_epoch)
    epochs = math.ceil(steps / per_epoch)
    shortened = recipe.model_copy(update={"epochs": epochs, "steps": steps, "patience": epochs, "sides": []})
    unflipped = {
        "training": shortened,
        "augment": draft.augment.model_copy(update={"flip": False}),
        "network": draft.network.model_copy(update={"views": ["upright"]}),
    }
    trial = draft.model_copy(update=unflipped)
    notify(Note(key="run_trial", values={"steps": steps}) if is_open else Note(key="run_timed"))
    end = time.perf_counter() + settings.minutes * 60 * _TRIAL_FRACTION if settings.minutes else math.inf
    network = start_network(trial, pixels=material.train.data.pixels)
    return try_mirror(network, material.train.data, material.validation.data, trial, deadline=end, notify=notify)


def _narrowed(  # noqa: PLR0913
    settings: TrainSettings,
    material: Material,
    draft: Plan,
    trial: MirrorTrial,
    *,
    views: list[View],
    began: float,
    notify: Notify,
) -> tuple[Plan, MirrorTrial]:
    """The draft with half as many filters, and half again, until the time left allows a few passes over the pictures.

    Each halving is timed anew. Only for networks whose widths follow from pictures and time.
    """
    while (
        settings.minutes is not None and settings.epochs is None and min(draft.network.widths, default=0) > _NARROWEST
    ):
        left = deadline(settings, began) - time.perf_counter() - _long_ending(settings, draft, trial, views)
        if left * SLACK >= _FEW_PASSES * sum(_epoch_seconds(draft, trial, views)):
            break
        widths = [width // 2 for width in draft.network.widths]
        draft = draft.model_copy(update={"network": draft.network.model_copy(update={"widths": widths})})
        trial = _timed_anew(material, draft, trial)
        notify(Note(key="run_narrower", values={"widths": ", ".join(map(str, widths))}))
    return draft, trial


def _timed_anew(material: Material, draft: Plan, trial: MirrorTrial) -> MirrorTrial:
    """The trial with the seconds of another network's steps."""
    recipe = draft.training.model_copy(update={"epochs": 1, "steps": _RETIMED_STEPS, "patience": 1, "sides": []})
    plan = draft.model_copy(
        update={"training": recipe, "network": draft.network.model_copy(update={"views": ["upright"]})}
    )
    few = LabelledPixels(
        material.validation.data.pixels[:_RETIMED_PICTURES], material.validation.data.labels[:_RETIMED_PICTURES]
    )
    with torch_habits(draft.threads):
        network = start_network(plan)  # the first layer's weights do not change the pace
        timed = try_mirror(network, material.train.data, few, plan, deadline=math.inf, notify=ignore)
    return replace(trial, seconds_per_step=timed.seconds_per_step, seconds_per_picture=timed.seconds_per_picture)


def decide_flip(trial: MirrorTrial, classes: list[str], notify: Notify) -> bool:
    """Whether pictures may be mirrored, by what a trial has shown; tells why."""
    values = {"n": len(trial.truth), "num_right": trial.num_right, "num_right_mirrored": trial.num_right_mirrored}
    match trial.verdict:
        case "flips":
            notify(Note(key="run_flips", values=values))
        case "unlearned":
            notify(Note(key="run_flips_unlearned", values=values))
        case "lost":
            notify(Note(key="run_does_not_flip", values=values))
        case "class_lost":
            assert trial.lost_class is not None
            right, mirrored = trial.right_of(trial.lost_class)
            values = {
                "num_right": right,
                "num_right_mirrored": mirrored,
                "n": int((trial.truth == trial.lost_class).sum()),
            }
            notify(Note(key="run_flips_class_lost", values={"name": classes[trial.lost_class], **values}))
    return trial.verdict == "flips"


def _settle(
    settings: TrainSettings, draft: Plan, facts: Facts, trial: MirrorTrial, *, flip: bool, time_left: float
) -> Plan:
    """The draft with what the trial has shown put in; ``time_left`` for the training, in seconds."""
    augment = augment_plan(settings, facts, flip=flip)
    views = views_kept(settings, views_for(augment))
    epochs, steps = None, 0
    if math.isfinite(time_left) and settings.epochs is None:
        epochs, steps = _fitting_beside(settings, draft, trial, views, time_left)
        if epochs <= _FEW_LOOKS:
            augment = hardly_varied(augment)
            views = views_kept(settings, views_for(augment))
            epochs, steps = _fitting_beside(settings, draft, trial, views, time_left)
    return draft.model_copy(
        update={
            "network": draft.network.model_copy(update={"views": views}),
            "augment": augment,
            "training": training_plan(settings, facts, epochs=epochs, steps=steps, precision=draft.training.precision),
        }
    )


def _fitting_beside(
    settings: TrainSettings, draft: Plan, trial: MirrorTrial, views: Sequence[View], time_left: float
) -> tuple[int, int]:
    """Epochs and steps, as ``_fitting`` has them, that leave the time for the last looks by these views."""
    seconds = time_left - _long_ending(settings, draft, trial, views)
    return _fitting(draft, trial, views, max(0.0, seconds) * SLACK)


def _fitting(plan: Plan, trial: MirrorTrial, views: Sequence[View], seconds: float) -> tuple[int, int]:
    """Epochs that are done in so many seconds, and the steps until then; 0 steps where the epochs are whole ones.

    Of many epochs only whole ones are done; of few, what fits of the last one too.
    """
    steps, validation = _epoch_seconds(plan, trial, views)
    whole, rest = divmod(seconds, steps + validation)
    per_epoch = steps_per_epoch(plan.pictures.num_train, plan.training.batch)
    more = max(0, math.floor((rest - validation) / steps * per_epoch))
    if whole >= _FEW_EPOCHS or (whole and not more):
        return int(whole), 0
    return int(whole) + 1, int(whole) * per_epoch + (more if whole else min(per_epoch, max(LEAST_STEPS, more)))


def _epoch_seconds(plan: Plan, trial: MirrorTrial, views: Sequence[View]) -> tuple[float, float]:
    """Of an epoch's steps, at the sides it is trained at, and of the validation after it, by the views from afar."""
    sides = plan.training.sides or [plan.network.side]
    share = sum(side_cost(side, plan.network.side) for side in sides) / len(sides)
    looks = len(from_afar(views)) * plan.pictures.num_validation
    steps = steps_per_epoch(plan.pictures.num_train, plan.training.batch)
    return share * steps * trial.seconds_per_step, looks * trial.seconds_per_picture


def _long_ending(settings: TrainSettings, plan: Plan, trial: MirrorTrial, views: Sequence[View]) -> float:
    """Seconds that the last looks take, beyond those that the deadline leaves.

    At the scored pictures in torch and in the exported file, at the kept examples in the file.
    """
    pictures = plan.pictures
    scored, examples = pictures.num_validation + pictures.num_test, min(MOST_EXAMPLES, pictures.num_train)
    left = (settings.minutes or 0.0) * 60 * _ENDING_FRACTION
    return max(0.0, len(views) * (2 * scored + examples) * trial.seconds_per_picture - left)


def _tell_budget(settings: TrainSettings, plan: Plan, trial: MirrorTrial, notify: Notify) -> None:
    recipe = plan.training
    per_epoch = steps_per_epoch(plan.pictures.num_train, recipe.batch)
    values = {"minutes": settings.minutes, "seconds": sum(_epoch_seconds(plan, trial, plan.network.views))}
    if 0 < recipe.steps < per_epoch:
        values |= {"steps": recipe.steps, "per_epoch": per_epoch}
        notify(Note(key="run_budget_steps", values=values, level="warning"))
        return
    values["epochs"] = round(recipe.steps / per_epoch, 1) if recipe.steps else recipe.epochs
    notify(Note(key="run_budget_asked" if settings.epochs else "run_budget", values=values))


def _one_or_three(channels: int) -> Literal[1, 3]:
    return 1 if channels == 1 else 3
