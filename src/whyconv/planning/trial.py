"""Short trainings that are thrown away: whether pictures may be mirrored, and how long a step takes."""

from __future__ import annotations

import math
import time
from dataclasses import replace

from whyconv.planning.material import Material
from whyconv.results import Note, Notify, ignore
from whyconv.settings import Plan, TrainSettings, steps_per_epoch
from whyconv.training.pixel_rows import LabelledPixels
from whyconv.training.probe import MirrorTrial, try_mirror
from whyconv.training.start import start_network
from whyconv.training.torch_habits import torch_habits

# Of the minutes asked for: what the trial may take.
_TRIAL_FRACTION = 0.06
_TRIAL_STEPS, _TIMED_STEPS = 200, 15
_MAX_TRIAL_EPOCHS = 15
_RETIMED_STEPS, _RETIMED_PICTURES = 6, 64


def try_draft(settings: TrainSettings, material: Material, draft: Plan, notify: Notify) -> MirrorTrial:
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
    found = try_mirror(network, material.train.data, material.validation.data, trial, deadline=end, notify=notify)
    return _as_it_will_be(found, material, draft)


def _as_it_will_be(trial: MirrorTrial, material: Material, plan: Plan) -> MirrorTrial:
    """The trial with the seconds of a step as the training will take them.

    Where several processes take it, they take some together. What reads the pictures wants the same cores.
    """
    seconds = trial.seconds_per_step if material.time_steps is None else material.time_steps(plan)
    return replace(trial, seconds_per_step=seconds + material.reading_seconds * plan.training.batch)


def timed_anew(material: Material, draft: Plan, trial: MirrorTrial) -> MirrorTrial:
    """The trial with the seconds of another network's steps."""
    # Of one step alone no pace is known.
    epochs = math.ceil(_RETIMED_STEPS / steps_per_epoch(len(material.train), draft.training.batch))
    shortened = {"epochs": epochs, "steps": _RETIMED_STEPS, "patience": epochs, "sides": []}
    recipe = draft.training.model_copy(update=shortened)
    plan = draft.model_copy(
        update={"training": recipe, "network": draft.network.model_copy(update={"views": ["upright"]})}
    )
    few = LabelledPixels(
        material.validation.data.pixels[:_RETIMED_PICTURES], material.validation.data.labels[:_RETIMED_PICTURES]
    )
    with torch_habits(draft.threads):
        network = start_network(plan)  # the first layer's weights do not change the pace
        timed = try_mirror(network, material.train.data, few, plan, deadline=math.inf, notify=ignore)
    timed = _as_it_will_be(timed, material, plan)
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
