"""From what was asked and what a trial showed to the plan: flips, epochs in the minutes, notes."""

from __future__ import annotations

import math
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from test_workflow import write_bars
from tiny_training import tiny_plan
from whyconv.errors import DataError
from whyconv.images.prepare import PicturePolicy
from whyconv.inspection import inspect
from whyconv.planning import Material, again, deadline, make_plan, making, time_left
from whyconv.planning.trial import timed_anew
from whyconv.results import Event, Note, Progress
from whyconv.settings import TrainSettings
from whyconv.training.pictures import Part, divide, load_parts
from whyconv.training.pixel_rows import LabelledPixels
from whyconv.training.probe import MirrorTrial


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> Material:
    place = tmp_path_factory.mktemp("planning")
    settings = TrainSettings.of({"pictures": str(write_bars(place / "bars", 120)), "store": str(place / "store")})
    inspection = inspect(settings.pictures, store=place / "store")
    division = divide(inspection, settings, seed=0, notify=lambda event: None)
    policy = PicturePolicy(side=8, channels=1)
    return Material(division, policy, *load_parts(division, policy, store=place / "store", notify=lambda event: None))


def plan_of(material: Material, began: float = math.nan, **words: object):
    events: list[Event] = []
    settings = TrainSettings.of({"pictures": "bars", "network": "lesson", "threads": 1, "batch": 8, **words})
    plan = make_plan(
        settings, material, began=time.perf_counter() if math.isnan(began) else began, notify=events.append
    )
    again.require_agreeing(plan, Path("run.toml"))
    return plan, events, [event.key for event in events if isinstance(event, Note)]


def trial_of(
    monkeypatch: pytest.MonkeyPatch,
    seconds_per_step: float,
    *,
    mirrored_right: int = 18,
    seconds_per_picture: float = 0.0,
) -> None:
    """Puts an answer in the place of the trial: 18 of 18 right, some of them when mirrored."""
    truth = np.arange(18) % 2
    mirrored = np.where(np.arange(18) < mirrored_right, truth, 1 - truth)
    trial = MirrorTrial(truth, truth, mirrored, seconds_per_step, seconds_per_picture)
    monkeypatch.setattr(making, "try_draft", lambda *_: trial)


def test_the_trial_says_that_it_comes_and_how_far_it_is(material: Material) -> None:
    _, events, keys = plan_of(material)
    first = next(index for index, event in enumerate(events) if isinstance(event, Progress))
    assert [event.key for event in events[:first] if isinstance(event, Note)][-1] == "run_trial"
    steps = [event for event in events if isinstance(event, Progress)]
    assert {event.stage for event in steps} == {"trial"}
    assert steps[-1].done == steps[-1].total == next(e for e in events[:first][::-1]).values["steps"]
    assert keys[-1] in {"run_flips", "run_flips_unlearned", "run_does_not_flip"}


@pytest.mark.parametrize(("mirrored_right", "flips", "key"), [(18, True, "run_flips"), (9, False, "run_does_not_flip")])
def test_the_trial_decides_about_mirroring(material, monkeypatch, mirrored_right: int, flips: bool, key: str) -> None:
    trial_of(monkeypatch, 0.01, mirrored_right=mirrored_right)
    plan, _, keys = plan_of(material)
    assert key in keys
    assert plan.augment.flip == ("mirrored" in plan.network.views) == flips
    plan, _, keys = plan_of(material, flips="on")
    assert keys == []
    assert plan.augment.flip


def test_too_little_learned_is_told_apart_from_too_much_lost(material, monkeypatch) -> None:
    half = np.arange(18) % 2
    trial = MirrorTrial(half, np.zeros(18, np.int64), half, 0.01, 0.0)
    monkeypatch.setattr(making, "try_draft", lambda *_: trial)
    plan, _, keys = plan_of(material)
    assert keys == ["run_flips_unlearned"]
    assert not plan.augment.flip


def test_the_class_that_mirroring_would_hurt_is_named_with_its_own_counts(material, monkeypatch) -> None:
    truth = np.repeat([0, 1], [6, 300])
    mirrored = truth.copy()
    mirrored[:5] = 1
    trial = MirrorTrial(truth, truth, mirrored, 0.01, 0.0)
    monkeypatch.setattr(making, "try_draft", lambda *_: trial)
    _, events, keys = plan_of(material)
    assert keys == ["run_flips_class_lost"]
    assert events[0].values == {"name": "lies", "n": 6, "num_right": 6, "num_right_mirrored": 1}


def test_without_validation_pictures_nothing_is_tried_and_nothing_mirrored(material, monkeypatch) -> None:
    monkeypatch.setattr(making, "try_draft", lambda *_: pytest.fail("a trial was made"))
    data = material.validation.data
    nothing = Part("validation", [], LabelledPixels(data.pixels[:0], data.labels[:0]))
    without = Material(material.division, material.policy, material.train, nothing, material.test)
    plan, _, keys = plan_of(without)
    assert keys == ["run_flips_unknown"]
    assert not plan.augment.flip


def test_epochs_follow_from_the_minutes_and_the_measured_step(material, monkeypatch) -> None:
    steps = round(len(material.train) / 8)
    trial_of(monkeypatch, 1.0)
    plan, events, keys = plan_of(material, minutes=10)
    # 600 s less 5 % and 12 s for the ending, of which 93 % are planned.
    assert plan.training.epochs == int((600 * 0.95 - 12 - 0.1) * 0.93 / steps)
    assert plan.training.steps == 0
    assert keys[-1] == "run_budget"
    assert events[-1].values["epochs"] == plan.training.epochs
    assert events[-1].values["seconds"] == pytest.approx(steps)


def test_of_few_epochs_a_part_of_the_last_is_planned_too(material, monkeypatch) -> None:
    per_epoch = round(len(material.train) / 8)
    trial_of(monkeypatch, 45 * 0.92 / per_epoch / 2.5)  # a minute less 15 s for the ending, of which 93 % are planned
    plan, events, keys = plan_of(material, minutes=1)
    assert plan.training.epochs == 3
    assert plan.training.steps == pytest.approx(2.5 * per_epoch, abs=1)
    assert keys[-1] == "run_budget"
    assert events[-1].values["epochs"] == pytest.approx(2.5, abs=0.1)


def test_pictures_seen_a_few_times_are_hardly_varied(material, monkeypatch) -> None:
    per_epoch = round(len(material.train) / 8)
    for epochs, is_varied in ((2.5, False), (8.5, True)):
        trial_of(monkeypatch, 45 * 0.92 / per_epoch / epochs)
        plan, _, _ = plan_of(material, minutes=1, network="plain")
        varied = plan.augment.min_area < 1, plan.augment.max_aspect > 1, plan.augment.max_degrees > 0
        assert varied == (is_varied,) * 3
        assert plan.augment.shift_fraction > 0


def test_the_looks_after_the_last_step_are_left_time_for(material, monkeypatch) -> None:
    trial_of(monkeypatch, 0.01)
    without, _, _ = plan_of(material, minutes=10, flips="on")
    trial_of(monkeypatch, 0.01, seconds_per_picture=1.0)
    plan, _, _ = plan_of(material, minutes=10, flips="on")
    views, pictures = len(plan.network.views), plan.pictures
    ending = views * (2 * (pictures.num_validation + pictures.num_test) + pictures.num_train) - 30
    per_epoch = 0.01 * round(len(material.train) / 8)
    seconds = (600 * 0.95 - 12 - ending) * 0.93 / (per_epoch + views * pictures.num_validation)
    assert seconds < 10 < without.training.epochs  # so that the time does make the difference
    assert (plan.training.epochs, plan.training.steps) == (int(seconds), 0)


def test_where_mirroring_is_settled_a_few_steps_are_timed(material: Material) -> None:
    _, events, keys = plan_of(material, minutes=1, flips="off")
    assert "run_timed" in keys
    assert "run_trial" not in keys
    trial = [event for event in events if isinstance(event, Progress) and event.stage == "trial"]
    assert trial[-1].total == 15


def test_epochs_that_were_asked_for_are_those_announced(material, monkeypatch) -> None:
    trial_of(monkeypatch, 1.0)
    plan, events, keys = plan_of(material, minutes=1, epochs=50)
    assert plan.training.epochs == 50
    assert keys[-1] == "run_budget_asked"
    assert events[-1].values["epochs"] == 50


@pytest.mark.parametrize(("seconds_per_step", "steps"), [(5.3, 7), (1000.0, 5)])
def test_less_than_an_epoch_is_planned_by_steps_with_a_warning(
    material, monkeypatch, seconds_per_step: float, steps: int
) -> None:
    trial_of(monkeypatch, seconds_per_step)
    plan, events, keys = plan_of(material, minutes=1)
    assert (plan.training.epochs, plan.training.steps) == (
        1,
        steps,
    )  # 45 s less 7 %, with 4 s to spare: 7 steps of 5.3 s
    assert keys[-1] == "run_budget_steps"
    assert events[-1].level == "warning"


def test_few_minutes_halve_the_filters_until_some_passes_fit(material, monkeypatch) -> None:
    trial_of(monkeypatch, 4.0)
    seconds = {32: 3.5, 16: 0.3}  # of a step, by the filters of the narrowest block
    timed: list[list[int]] = []

    def by_table(_, draft, trial):
        timed.append(draft.network.widths)
        return replace(trial, seconds_per_step=seconds[min(draft.network.widths)])

    monkeypatch.setattr(time_left, "timed_anew", by_table)
    monkeypatch.setattr(making, "widths_for", lambda side: [64, 256])
    narrow, _, keys = plan_of(material, network="swift", minutes=2)
    assert (narrow.network.widths, timed) == ([16, 64], [[32, 128], [16, 64]])
    assert keys.count("run_narrower") == 2
    timed.clear()
    wide, _, keys = plan_of(material, network="swift", minutes=100)
    assert (wide.network.widths, timed, "run_narrower" in keys) == ([64, 256], [], False)
    # Epochs that were asked for are not a matter of time, and no network without widths is narrowed.
    assert plan_of(material, network="swift", minutes=2, epochs=1)[0].network.widths == [64, 256]
    assert plan_of(material, minutes=2)[0].network.widths == []
    assert timed == []


def test_the_looks_of_all_views_count_before_filters_are_halved(material, monkeypatch) -> None:
    """Where the steps alone would leave time for a few passes, and the looks after them would not."""
    monkeypatch.setattr(making, "widths_for", lambda side: [64, 256])
    monkeypatch.setattr(time_left, "timed_anew", lambda _, draft, trial: trial)
    for views, widths in ((["upright"], [64, 256]), (["upright"] * 8, [16, 64])):
        trial_of(monkeypatch, 1.0, seconds_per_picture=0.05)
        monkeypatch.setattr(making, "views_kept", lambda settings, found, views=views: views)
        assert plan_of(material, network="swift", minutes=2)[0].network.widths == widths


def test_another_network_is_timed_on_its_own_steps(material) -> None:
    draft, _, _ = plan_of(material, network="swift", epochs=1)
    trial = MirrorTrial(np.zeros(2, np.int64), np.zeros(2, np.int64), np.zeros(2, np.int64), 1e9, 1e9)
    timed = timed_anew(material, draft, trial)
    assert 0 < timed.seconds_per_step < 10
    assert 0 < timed.seconds_per_picture < 10
    assert timed.truth is trial.truth


def fewer(material: Material, count: int) -> Material:
    """The same with so many training pictures."""
    data = LabelledPixels(material.train.data.pixels[:count], material.train.data.labels[:count])
    return replace(material, train=Part("train", material.train.names[:count], data))


def test_another_network_is_timed_where_a_pass_is_one_step(material) -> None:
    draft, _, _ = plan_of(material, network="swift", epochs=1)
    few = fewer(material, 8)
    trial = MirrorTrial(np.zeros(2, np.int64), np.zeros(2, np.int64), np.zeros(2, np.int64), 1e9, 1e9)
    assert 0 < timed_anew(few, draft, trial).seconds_per_step < 10


@pytest.mark.parametrize(("count", "epochs"), [(8, 5), (16, 3), (24, 2), (40, 1)])
def test_however_little_time_there_is_five_steps_are_planned(material, monkeypatch, count: int, epochs: int) -> None:
    trial_of(monkeypatch, 1000.0)
    plan, events, keys = plan_of(fewer(material, count), minutes=0.1)
    assert (plan.training.epochs, plan.training.steps) == (epochs, 5)
    if count < 40:
        assert keys[-1] == "run_budget"
        assert events[-1].values["epochs"] == pytest.approx(5 / (count / 8), abs=0.05)


def test_of_a_few_seconds_most_are_for_the_training(material, monkeypatch) -> None:
    """Of 9 seconds; a constant ending would leave none, and the narrowest network."""
    trial_of(monkeypatch, 0.01)
    monkeypatch.setattr(making, "widths_for", lambda side: [64, 256])
    monkeypatch.setattr(time_left, "timed_anew", lambda *_: pytest.fail("it was narrowed"))
    plan, _, _ = plan_of(material, network="swift", minutes=0.15)
    assert plan.training.epochs > 20


def test_steps_of_several_processes_are_what_minutes_are_planned_from(material) -> None:
    asked = []

    def together(plan) -> float:
        asked.append(plan)
        return 0.5

    several = replace(material, time_steps=together, reading_seconds=0.01)
    _, events, _ = plan_of(several, minutes=2)
    told = next(event for event in events if isinstance(event, Note) and event.key == "run_budget")
    # 84 pictures in batches of 8; what is read comes on top.
    assert 10 * (0.5 + 8 * 0.01) <= told.values["seconds"] < 11 * (0.5 + 8 * 0.01)
    assert len(asked) == 1


def test_the_deadline_leaves_time_for_the_ending() -> None:
    assert deadline(TrainSettings(pictures="p"), 100.0) == math.inf
    assert deadline(TrainSettings(pictures="p", minutes=10), 100.0) == 100 + 570 - 12
    assert deadline(TrainSettings(pictures="p", minutes=1), 100.0) == 100 + 57 - 12
    assert deadline(TrainSettings(pictures="p", minutes=0.15), 100.0) == pytest.approx(100 + 9 * 0.95 - 2.7)


def test_the_plans_digest_is_that_of_its_file(tmp_path: Path) -> None:
    plan = tiny_plan()
    (tmp_path / "run.toml").write_text(plan.to_toml())
    assert type(plan).read(tmp_path / "run.toml").digest == plan.digest
    assert tiny_plan(learning_rate=0.004).digest != plan.digest


def changed(material: Material, count: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, **recipe: object):
    """What becomes of a plan of 40 pictures when there are so many."""
    plan = tiny_plan(batch=8, **recipe)
    pictures = plan.pictures.model_copy(update={"num_train": 40, "digest": "0" * 32})
    plan = plan.model_copy(update={"pictures": pictures})
    monkeypatch.setattr(again, "divide_as", lambda plan, notify: material.division)
    monkeypatch.setattr(again, "_prepared", lambda *_: fewer(material, count))
    found = again.accept_changes(plan, lambda event: None, tmp_path / "run.toml")[0]
    again.require_agreeing(found, tmp_path / "run.toml")
    return found


@pytest.mark.parametrize(("count", "steps"), [(40, 12), (80, 24), (16, 5)])
def test_of_other_pictures_a_plan_takes_as_many_passes(
    material, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, count: int, steps: int
) -> None:
    plan = changed(material, count, monkeypatch, tmp_path, epochs=3, steps=12, stop_after=9)
    assert (plan.training.steps, plan.training.stop_after, plan.training.epochs) == (steps, 0, 3)
    assert changed(material, count, monkeypatch, tmp_path).training.steps == 0


def test_a_single_picture_that_is_left_is_not_accepted(material, monkeypatch, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="Only 1 picture is left for training"):
        changed(material, 1, monkeypatch, tmp_path)
