"""A search over settings by successive halving: many on short trainings, the better half on longer ones.

Three rounds, whose trainings take an eighth, a quarter and half of the epochs that a run has; after each the better
half goes on, by J on the validation part, and the usual setting always does. In the end another one is chosen only if
its J lies below that of the usual one by more than a standard error of the difference, picture by picture: of many
settings that are equally good, the least J is luck.

References:
    Jamieson, Talwalkar, *Non-stochastic best arm identification and hyperparameter optimization* (2016),
    arXiv 1502.07943.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from whyconv.errors import DivergedError
from whyconv.results import Note, Notify, Progress, Search, SearchTrial, Setting
from whyconv.settings import Plan, TrainingPlan
from whyconv.training.cost import costs
from whyconv.training.device import lying_on, place_of
from whyconv.training.intervals import fraction
from whyconv.training.logits import network_logits
from whyconv.training.loop import train_network
from whyconv.training.pixel_rows import LabelledPixels
from whyconv.training.recipe import rate_for
from whyconv.training.start import start_network
from whyconv.training.views import from_afar

ROUNDS = 3
LEAST_SETTINGS, MOST_SETTINGS = 4, 32
# By what the learning rate and the weight decay are multiplied, at most; divided, likewise.
_SPREAD = 4.0
_WIDTHS = (0.5, 0.75, 1.0, 1.5)
_FILTER_SIZES = (3, 5)
_WITHOUT_DECAY = ("muon",)
# What a setting of the search costs in the mean, by what the usual one does.
_MEAN_COST = 1.3


def settings_that_fit(epochs: int, seconds_per_epoch: float, seconds: float) -> int:
    """How many settings a search can begin with, from 4 to 32; 0 where not even 4 fit.

    Args:
        epochs: Of a run.
        seconds_per_epoch: With the usual setting.
        seconds: For the search.
    """
    per_setting = sum(_epochs_of(each, epochs) / 2 ** (each - 1) for each in range(1, ROUNDS + 1)) * seconds_per_epoch
    fits = seconds / (per_setting * _MEAN_COST)
    return 0 if fits < LEAST_SETTINGS else min(MOST_SETTINGS, int(fits))


def draw_settings(plan: Plan, count: int, *, most_cost: float, is_rate_open: bool = True) -> list[Setting]:
    """The usual setting, and others around it, drawn by the plan's seed.

    Learning rate, and weight decay where the optimizer has one: times a number whose logarithm is uniform between
    those of 1/4 and 4. For ``swift``: filters of each block times 0.5, 0.75, 1 or 1.5, of 3 or 5 pixels a side.

    Args:
        plan: With the usual setting.
        count: Of settings.
        most_cost: What one may cost, by multiplications and additions, where the usual one costs 1.
        is_rate_open: Whether the learning rate is searched over.
    """
    usual = setting_of(plan)
    random = np.random.default_rng([plan.seed, 1])
    has_decay = plan.training.optimizer not in _WITHOUT_DECAY and usual.weight_decay > 0
    found = [usual]
    while len(found) < count:
        rate, decay = _SPREAD ** random.uniform(-1, 1, 2)
        width, size = float(random.choice(_WIDTHS)), int(random.choice(_FILTER_SIZES))
        if not usual.widths:
            width, size = 1.0, usual.filter_size
        if width**2 * (size / usual.filter_size) ** 2 > max(1.0, most_cost):
            continue
        found.append(
            Setting(
                learning_rate=usual.learning_rate * (float(rate) if is_rate_open else 1.0),
                weight_decay=usual.weight_decay * (float(decay) if has_decay else 1.0),
                widths=[8 * max(1, round(width * each / 8)) for each in usual.widths],
                filter_size=size,
            )
        )
    return found


def setting_of(plan: Plan) -> Setting:
    """What of a plan is searched over."""
    recipe, network = plan.training, plan.network
    return Setting(
        learning_rate=recipe.learning_rate,
        weight_decay=recipe.weight_decay,
        widths=network.widths,
        filter_size=network.filter_size,
    )


def with_setting(plan: Plan, setting: Setting) -> Plan:
    """The plan with a setting put in; what is no kernel learns faster or slower by as much as the kernels do."""
    recipe = plan.training
    faster = setting.learning_rate / recipe.learning_rate
    training = {
        "learning_rate": setting.learning_rate,
        "other_learning_rate": recipe.other_learning_rate * faster,
        "weight_decay": setting.weight_decay,
    }
    network = {"widths": setting.widths, "filter_size": setting.filter_size}
    return plan.model_copy(
        update={
            "training": recipe.model_copy(update=training),
            "network": plan.network.model_copy(update=network),
        }
    )


@dataclass(frozen=True, eq=False)
class Contest:
    """What settings are tried on.

    Attributes:
        plan: Of the run, with the usual setting.
        train: The training part.
        validation: By which they are judged.
        epochs: Of a run.
    """

    plan: Plan
    train: LabelledPixels
    validation: LabelledPixels
    epochs: int

    def enter(self, number: int, setting: Setting, turn: int) -> tuple[Tensor, SearchTrial]:
        """Trains by a setting as a round has it; returns J of each validation picture, and the row of the table.

        Where training diverges, every J is infinite.
        """
        began = time.perf_counter()
        epochs = _epochs_of(turn, self.epochs)
        tried = with_setting(self.plan, setting)
        short = shortened(tried, epochs)
        sizes = tried.network.model_copy(update={"views": from_afar(tried.network.views)})
        tried = tried.model_copy(update={"training": short, "network": sizes})
        network = start_network(tried, pixels=self.train.pixels)
        none = LabelledPixels(self.validation.pixels[:0], self.validation.labels[:0])
        losses, num_right = torch.full((len(self.validation),), math.inf), 0
        with suppress(DivergedError):
            train_network(network, self.train, none, tried)
            with lying_on(place_of(tried), network):
                logits = network_logits(network, self.validation.pixels, sizes)
            labels = torch.from_numpy(self.validation.labels.astype(np.int64))
            offsets = torch.tensor(short.class_offsets, dtype=torch.float32)
            losses = costs(torch.from_numpy(logits), labels, offsets, short.label_smoothing).nan_to_num(math.inf)
            num_right = int((logits.argmax(axis=1) == self.validation.labels).sum())
        loss = float(losses.mean())
        is_number = math.isfinite(loss)
        row = SearchTrial(
            number=number,
            round=turn,
            epochs=epochs,
            setting=setting,
            loss=loss if is_number else None,
            accuracy=fraction(num_right, len(losses)) if is_number else None,
            seconds=round(time.perf_counter() - began, 2),
            is_kept=False,
        )
        return losses, row


def shortened(plan: Plan, epochs: int) -> TrainingPlan:
    """The recipe for a training of so many epochs, its rate raised as the rule raises it for few steps.

    A setting then stands for the same multiple of the usual rate in a short training as in a long one; otherwise the
    rates that are best for short trainings would be chosen.
    """
    recipe, per_epoch = plan.training, plan.steps_per_epoch
    short, whole = (
        rate_for(recipe.optimizer, recipe.batch, count * per_epoch) for count in (epochs, max(epochs, recipe.epochs))
    )
    rate = recipe.learning_rate * (short / whole)
    return recipe.model_copy(update={"epochs": epochs, "steps": 0, "patience": epochs, "learning_rate": rate})


def search(contest: Contest, settings: Sequence[Setting], *, deadline: float, notify: Notify) -> Search:
    """Tries settings, the first of which is the usual one.

    Args:
        contest: What they are tried on.
        settings: At least two.
        deadline: On the clock of ``time.perf_counter``. A round that is not done by then does not count.
        notify: Told of every training.
    """
    began = time.perf_counter()
    going = dict(enumerate(settings))
    trials: list[SearchTrial] = []
    losses: dict[int, Tensor] = {}
    total = sum(max(2, len(settings) // 2 ** (turn - 1)) for turn in range(1, ROUNDS + 1))
    for turn in range(1, ROUNDS + 1):
        rows: list[SearchTrial] = []
        found: dict[int, Tensor] = {}
        for number, setting in going.items():
            if time.perf_counter() > deadline:
                break
            found[number], row = contest.enter(number, setting, turn)
            rows.append(row)
            notify(Progress(stage="search", done=min(total, len(trials) + len(rows)), total=total))
        if len(found) < len(going):
            break
        losses = found
        ranked = sorted(losses, key=lambda number: float(losses[number].mean()))
        kept = {*ranked[: max(2, len(ranked) // 2)], 0}
        going = {number: setting for number, setting in going.items() if number in kept}
        trials += [row.model_copy(update={"is_kept": row.number in kept}) for row in rows]
    notify(Progress(stage="search", done=total, total=total))
    return _judged(trials, losses, round(time.perf_counter() - began, 1), notify)


def _judged(trials: list[SearchTrial], losses: dict[int, Tensor], seconds: float, notify: Notify) -> Search:
    """Chooses, by the last round that was done."""
    others = [number for number in losses if number and losses[number].isfinite().all()]
    if not others:
        notify(Note(key="search_none"))
        return Search(trials=trials, chosen=0, gain=None, gain_error=None, seconds=seconds)
    best = min(others, key=lambda number: float(losses[number].mean()))
    gains = losses[0] - losses[best]
    gain, error = float(gains.mean()), float(gains.std()) / math.sqrt(len(gains))
    is_compared = math.isfinite(gain)
    chosen = best if not is_compared or gain > error else 0
    if is_compared:
        notify(Note(key="search_chosen" if chosen else "search_usual", values={"gain": gain, "error": error}))
    else:
        notify(Note(key="search_diverged", level="warning"))
    last = trials[-1].round
    ended = [row.model_copy(update={"is_kept": row.number == chosen}) if row.round == last else row for row in trials]
    compared = {"gain": gain if is_compared else None, "gain_error": error if is_compared else None}
    return Search(trials=ended, chosen=chosen, seconds=seconds, **compared)


def _epochs_of(turn: int, epochs: int) -> int:
    """Of a training in a round: an eighth, a quarter, half of a run's."""
    return max(1, round(epochs / 2 ** (ROUNDS + 1 - turn)))
