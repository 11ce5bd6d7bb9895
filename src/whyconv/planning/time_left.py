"""What the minutes asked for allow: how wide a network, how many passes, and when training must end."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence

from whyconv.planning.material import Material
from whyconv.planning.trial import timed_anew
from whyconv.results import Note, Notify
from whyconv.settings import Plan, TrainSettings, View
from whyconv.training.circular import CERTIFICATE_SECONDS
from whyconv.training.loop import LEAST_STEPS
from whyconv.training.probe import MirrorTrial
from whyconv.training.recipe import side_cost
from whyconv.training.run_folder import MOST_EXAMPLES
from whyconv.training.views import from_afar

# Of the minutes asked for: what is left for export, scores and report; of less than a minute, no more than a part.
_ENDING_SECONDS, _MOST_ENDING = 12.0, 0.3
_ENDING_FRACTION = 0.05
SLACK = 0.93
# Of a network with so few filters in its narrowest block nothing is taken any more; others lose half of them where a
# picture would be seen less often than this.
_NARROWEST, _FEW_PASSES = 16, 3
# Up to so many epochs, a part of one more is worth having.
_FEW_EPOCHS = 10


def deadline(settings: TrainSettings, began: float) -> float:
    """When training must end for the minutes asked for, on the clock of ``began``; never where none were asked for."""
    if settings.minutes is None:
        return math.inf
    certificate = CERTIFICATE_SECONDS if settings.invariant == "circular" else 0.0
    seconds = settings.minutes * 60
    return began + seconds * (1 - _ENDING_FRACTION) - min(_ENDING_SECONDS, _MOST_ENDING * seconds) - certificate


def narrowed(  # noqa: PLR0913
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
        trial = timed_anew(material, draft, trial)
        notify(Note(key="run_narrower", values={"widths": ", ".join(map(str, widths))}))
    return draft, trial


def fitting(
    settings: TrainSettings, draft: Plan, trial: MirrorTrial, views: Sequence[View], time_left: float
) -> tuple[int, int]:
    """Epochs that are done in the time left, and the steps until then; 0 steps where the epochs are whole ones.

    Of many epochs only whole ones are done; of few, what fits of the last one too. Time is left for the last looks.

    Args:
        settings: What was asked.
        draft: The plan as far as it is settled.
        trial: Its measured seconds.
        views: That answers will be averaged over.
        time_left: Until the deadline, in seconds.
    """
    seconds = time_left - _long_ending(settings, draft, trial, views)
    return _fitting_in(draft, trial, views, max(0.0, seconds) * SLACK)


def _fitting_in(plan: Plan, trial: MirrorTrial, views: Sequence[View], seconds: float) -> tuple[int, int]:
    """Epochs and steps, as ``fitting`` has them, in so many seconds of training alone."""
    steps, validation = _epoch_seconds(plan, trial, views)
    whole, rest = divmod(seconds, steps + validation)
    per_epoch = plan.steps_per_epoch
    more = max(0, math.floor((rest - validation) / steps * per_epoch))
    if whole * per_epoch + more < LEAST_STEPS:
        return math.ceil(LEAST_STEPS / per_epoch), LEAST_STEPS
    if whole >= _FEW_EPOCHS or (whole and not more):
        return int(whole), 0
    return int(whole) + 1, int(whole) * per_epoch + (more if whole else min(per_epoch, more))


def _epoch_seconds(plan: Plan, trial: MirrorTrial, views: Sequence[View]) -> tuple[float, float]:
    """Of an epoch's steps, at the sides it is trained at, and of the validation after it, by the views from afar."""
    sides = plan.training.sides or [plan.network.side]
    share = sum(side_cost(side, plan.network.side) for side in sides) / len(sides)
    looks = len(from_afar(views)) * plan.pictures.num_validation
    steps = plan.steps_per_epoch
    return share * steps * trial.seconds_per_step, looks * trial.seconds_per_picture


def _long_ending(settings: TrainSettings, plan: Plan, trial: MirrorTrial, views: Sequence[View]) -> float:
    """Seconds that the last looks take, beyond those that the deadline leaves.

    At the scored pictures in torch and in the exported file, at the kept examples in the file.
    """
    pictures = plan.pictures
    scored, examples = pictures.num_validation + pictures.num_test, min(MOST_EXAMPLES, pictures.num_train)
    left = (settings.minutes or 0.0) * 60 * _ENDING_FRACTION
    return max(0.0, len(views) * (2 * scored + examples) * trial.seconds_per_picture - left)


def tell_budget(settings: TrainSettings, plan: Plan, trial: MirrorTrial, notify: Notify) -> None:
    """Tells what is done in the minutes; warns where not every picture is seen once."""
    recipe = plan.training
    per_epoch = plan.steps_per_epoch
    values = {"minutes": settings.minutes, "seconds": sum(_epoch_seconds(plan, trial, plan.network.views))}
    if 0 < recipe.steps < per_epoch:
        values |= {"steps": recipe.steps, "per_epoch": per_epoch}
        notify(Note(key="run_budget_steps", values=values, level="warning"))
        return
    values["epochs"] = round(recipe.steps / per_epoch, 1) if recipe.steps else recipe.epochs
    notify(Note(key="run_budget_asked" if settings.epochs else "run_budget", values=values))
