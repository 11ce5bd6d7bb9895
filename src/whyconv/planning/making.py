"""From what was asked and what the pictures are to a plan in which nothing is left open."""

from __future__ import annotations

import math
import time
from dataclasses import replace
from typing import Literal

import numpy as np
import torch

from whyconv import files
from whyconv.machine import num_cores
from whyconv.measures.certificate import require_conditions
from whyconv.nets.swift import widths_for
from whyconv.nets.windowed import window_for
from whyconv.planning.material import Material, pictures_plan, require_two
from whyconv.planning.time_left import deadline, fitting, narrowed, tell_budget
from whyconv.planning.trial import decide_flip, try_draft
from whyconv.results import Note, Notify
from whyconv.settings import NetworkPlan, Plan, TrainSettings
from whyconv.training.augment import epoch_order
from whyconv.training.circular import views_kept
from whyconv.training.device import lying_on, place_of
from whyconv.training.logits import normalize
from whyconv.training.pictures import channel_statistics
from whyconv.training.probe import MirrorTrial
from whyconv.training.recipe import Facts, augment_plan, hardly_varied, training_plan
from whyconv.training.recording import may_be_recorded
from whyconv.training.self_test import try_precisions
from whyconv.training.start import start_network
from whyconv.training.start_weights import find_start_weights
from whyconv.training.streamed import seconds_to_read
from whyconv.training.torch_habits import torch_habits
from whyconv.training.views import views_for

_SMALL_SIDE = 16
# A picture seen no more often than this is not yet known by heart: varying it only makes it harder.
_FEW_LOOKS = 4


def make_plan(settings: TrainSettings, material: Material, *, began: float, notify: Notify) -> Plan:
    """Decides everything before step 1.

    Where mirroring is left to a validation part, or minutes are asked for, a short trial training is made first
    and thrown away.

    Args:
        settings: What was asked; its device is settled.
        material: The prepared pictures.
        began: ``time.perf_counter()`` at the start of the command, from which minutes count.
        notify: Told of what was decided, and why.

    Raises:
        DataError: A part is too small to train on.
        UsageError: Answers are to be invariant, and the network's graph does not show it; every reason.
    """
    require_two(material.train)
    counts, epoch_pictures = (
        material.counts(),
        material.stream.plan.epoch_pictures if material.stream is not None else 0,
    )
    is_on_card = settings.device == "cuda"
    facts = Facts(counts, material.policy.side, material.policy.channels, epoch_pictures, is_on_card=is_on_card)
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
    if (stream := material.stream) is not None and settings.minutes is not None:
        seconds = seconds_to_read(stream, num_cores())
        material = replace(material, reading_seconds=seconds)
        # The first step waits for the first window.
        began -= seconds * min(len(stream), stream.plan.window)
    with torch_habits(draft.threads):
        trial = try_draft(settings, material, draft, notify)
    flip = decide_flip(trial, draft.network.classes, notify) if is_open else draft.augment.flip
    views = views_kept(settings, views_for(augment_plan(settings, facts, flip=flip)))
    draft, trial = narrowed(settings, material, draft, trial, views=views, began=began, notify=notify)
    time_left = deadline(settings, began) - time.perf_counter()
    plan = _settle(settings, draft, facts, trial, flip=flip, time_left=time_left)
    if settings.minutes is not None:
        tell_budget(settings, plan, trial, notify)
    return plan


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
        device="cuda" if settings.device == "cuda" else None,
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
        stream=None if material.stream is None else material.stream.plan,
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
    """The draft with the precision that this machine is faster in, and right; float32 for small pictures."""
    if draft.network.side <= _SMALL_SIDE:
        return draft
    rows = np.sort(epoch_order(draft.seed, 0, len(material.train))[: draft.training.batch])
    pixels = torch.from_numpy(material.train.data.pixels[rows].transpose(0, 3, 1, 2)).float()
    labels = torch.from_numpy(material.train.data.labels[rows].astype(np.int64))
    with torch_habits(draft.threads):
        network, place = start_network(draft, pixels=material.train.data.pixels), place_of(draft)
        with lying_on(place, network):
            x, records = normalize(pixels, draft.network).to(place), may_be_recorded(draft.network.name)
            found = try_precisions(network, x, labels.to(place), records=records)
    notify(Note(key=f"run_{found.precision}", values={"gain": found.gain}))
    return draft.model_copy(update={"training": draft.training.model_copy(update={"precision": found.precision})})


def _start(settings: TrainSettings) -> tuple[str, str]:
    """The file of starting weights and its digest; two empty words where there is none."""
    if settings.start is None:
        return "", ""
    path = find_start_weights(settings.start).resolve()
    return str(path), files.digest(path)


def _settle(
    settings: TrainSettings, draft: Plan, facts: Facts, trial: MirrorTrial, *, flip: bool, time_left: float
) -> Plan:
    """The draft with what the trial has shown put in; ``time_left`` for the training, in seconds."""
    augment = augment_plan(settings, facts, flip=flip)
    views = views_kept(settings, views_for(augment))
    epochs, steps = None, 0
    if math.isfinite(time_left) and settings.epochs is None:
        epochs, steps = fitting(settings, draft, trial, views, time_left)
        if epochs <= _FEW_LOOKS:
            augment = hardly_varied(augment)
            views = views_kept(settings, views_for(augment))
            epochs, steps = fitting(settings, draft, trial, views, time_left)
    return draft.model_copy(
        update={
            "network": draft.network.model_copy(update={"views": views}),
            "augment": augment,
            "training": training_plan(settings, facts, epochs=epochs, steps=steps, precision=draft.training.precision),
        }
    )


def _one_or_three(channels: int) -> Literal[1, 3]:
    return 1 if channels == 1 else 3
