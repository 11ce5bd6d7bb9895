"""What is done with more minutes than a training has use for: settings are searched, before step 1."""

from __future__ import annotations

import time
from pathlib import Path

from whyconv.planning import SLACK, Material, deadline, make_plan
from whyconv.results import Note, Notify, Search
from whyconv.settings import Plan, TrainSettings
from whyconv.training.recipe import epochs_for, patience_for
from whyconv.training.run_folder import SEARCH, write_json
from whyconv.training.search import Contest, draw_settings, search, settings_that_fit, shortened, with_setting
from whyconv.training.torch_habits import torch_habits

# So many times the usual epochs must fit; and so many are trained at most, where a search goes before.
_LEAST_TIMES, _MOST_TIMES = 4, 2
_LEAST_VALIDATION = 30
_MOST_COST = 3.0


def searched_plan(settings: TrainSettings, material: Material, folder: Path, *, began: float, notify: Notify) -> Plan:
    """The plan of a run; its settings are searched where the minutes are at least four times those of the usual epochs.

    Then the run has at most twice the usual epochs, and their learning rate. Nothing is searched where epochs are asked
    for, weights come from a file, several networks answer together, several processes train, pictures are streamed, or
    the validation part has less than 30 pictures.

    Args:
        settings: What was asked.
        material: The prepared pictures.
        folder: Where ``search.json`` is written.
        began: ``time.perf_counter()`` at the start of the command, from which minutes count.
        notify: Told of what was found.

    Raises:
        DataError: A part is too small to train on.
    """
    plan = make_plan(settings, material, began=began, notify=notify)
    usual, fits = epochs_for(material.num_train), plan.training.epochs
    times = fits / usual
    is_fixed = settings.search == "off" or settings.minutes is None or settings.epochs is not None
    # Settings are tried by one process, on pictures that are at hand.
    is_elsewhere = material.stream is not None or material.time_steps is not None
    is_other = bool(plan.network.start) or plan.network.members > 1 or len(material.validation) < _LEAST_VALIDATION
    if is_fixed or is_elsewhere or is_other or times < _LEAST_TIMES:
        return plan
    end = deadline(settings, began)
    per_epoch = SLACK * (end - time.perf_counter()) / fits
    most_cost = min(_MOST_COST, times / _MOST_TIMES)
    seconds = (fits - most_cost * usual) * per_epoch
    count = settings_that_fit(usual, per_epoch, seconds)
    if not count:
        return plan
    notify(Note(key="search_begins", values={"n": count, "fits": fits, "seconds": seconds}))
    usual_plan = _lasting(plan, _MOST_TIMES * usual, settings)
    drawn = draw_settings(usual_plan, count, most_cost=most_cost, is_rate_open=settings.learning_rate is None)
    with torch_habits(plan.threads):
        contest = Contest(usual_plan, material.train.data, material.validation.data, usual)
        found = search(contest, drawn, deadline=time.perf_counter() + seconds, notify=notify)
    write_json(folder / SEARCH, found.model_dump(mode="json"))
    left = SLACK * (end - time.perf_counter())
    epochs = max(1, min(_MOST_TIMES * usual, int(left / _seconds_per_epoch(found, per_epoch))))
    notify(Note(key="search_rest", values={"epochs": epochs, "seconds": found.seconds}))
    return _lasting(with_setting(usual_plan, drawn[found.chosen]), epochs, settings)


def _lasting(plan: Plan, epochs: int, settings: TrainSettings) -> Plan:
    """The plan with fewer epochs, and the learning rate of so many unless one was asked for."""
    update: dict[str, object] = {"patience": patience_for(plan.training.optimizer, epochs)}
    if settings.learning_rate is not None:
        update["learning_rate"] = plan.training.learning_rate
    return plan.model_copy(update={"training": shortened(plan, epochs).model_copy(update=update)})


def _seconds_per_epoch(found: Search, usual: float) -> float:
    """Of the chosen setting, as its last training took."""
    own = [each for each in found.trials if each.number == found.chosen]
    return own[-1].seconds / own[-1].epochs if own else usual
