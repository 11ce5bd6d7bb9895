"""Minutes that a training has no use for: settings are searched with them, and the run is that of its plan."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from command_line import Demo
from tiny_training import bars, tiny_plan, write_bars
from whyconv import spare_time, workflow
from whyconv.planning import Material
from whyconv.reporting import read_search
from whyconv.results import Note, Search
from whyconv.settings import Plan, TrainSettings
from whyconv.spare_time import searched_plan
from whyconv.training.pictures import Part
from whyconv.training.recipe import rate_for
from whyconv.training.search import setting_of


def train(folder: Path, **wanted):
    notes: list[Note] = []
    asked = {"out": str(folder / "runs"), "store": str(folder / "store"), "flips": "off", "threads": 1} | wanted
    summary = workflow.train(str(write_bars(folder / "bars", 240)), notes.append, **asked)
    return Path(summary.run), [each for each in notes if isinstance(each, Note)]


@pytest.fixture(autouse=True)
def few_epochs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spare_time, "epochs_for", lambda num_train: 4)


def test_spare_minutes_go_to_a_search_and_the_plan_says_what_it_found(tmp_path: Path) -> None:
    run, notes = train(tmp_path, minutes=0.4)
    keys = [each.key for each in notes]
    assert keys.index("search_begins") < keys.index("search_rest") < keys.index("run_plan")
    found, plan = read_search(run), Plan.read(run / "run.toml")
    assert found is not None
    # On a machine that is busy with other work the clock may end the search after its first round.
    assert {row.round for row in found.trials} in ({1}, {1, 2}, {1, 2, 3})
    chosen = next(row.setting for row in found.trials if row.number == found.chosen)
    # Where the clock leaves less than twice the usual epochs, the rate is that of fewer.
    rate = plan.training.learning_rate
    assert setting_of(plan) == chosen.model_copy(update={"learning_rate": rate})
    assert 1 <= plan.training.epochs <= 2 * 4
    assert rate == pytest.approx(chosen.learning_rate) if plan.training.epochs == 8 else rate >= chosen.learning_rate
    report = (run / "report.html").read_text(encoding="utf-8")
    assert 'id="search"' in report
    assert (
        report.count("(usual)")
        == sum(row.number == 0 for row in found.trials)
        == len({row.round for row in found.trials})
    )
    # By its plan the run is repeated bit for bit, without a search.
    second = Path(workflow.train_from_file(run / "run.toml", out=str(tmp_path / "again")).run)
    assert read_search(second) is None
    assert (run / "model.safetensors").read_bytes() == (second / "model.safetensors").read_bytes()


@pytest.mark.parametrize(
    ("asked", "network", "validation", "is_searched"),
    [
        ({}, {}, 30, True),
        ({"search": "off"}, {}, 30, False),
        ({"epochs": 1000}, {}, 30, False),
        ({"minutes": None}, {}, 30, False),
        ({}, {"members": 2}, 30, False),
        ({}, {"start": "weights.safetensors"}, 30, False),
        ({}, {}, 29, False),
    ],
)
def test_when_settings_are_searched(asked, network, validation, is_searched, tmp_path: Path, monkeypatch) -> None:
    plan = tiny_plan(epochs=1000)
    plan = plan.model_copy(update={"network": plan.network.model_copy(update=network)})
    monkeypatch.setattr(spare_time, "make_plan", lambda *_, **__: plan)
    contests = []

    def search(contest, settings, *, deadline, notify):
        contests.append((contest, len(settings)))
        return Search(trials=[], chosen=0, gain=0.0, gain_error=0.0, seconds=0.0)

    monkeypatch.setattr(spare_time, "search", search)
    parts = [Part(name, [""] * n, bars(n)) for name, n in (("train", 100), ("validation", validation), ("test", 0))]
    material = Material(None, None, *parts)
    settings = TrainSettings(pictures="x", **{"minutes": 10.0} | asked)
    found = searched_plan(settings, material, tmp_path, began=time.perf_counter(), notify=lambda event: None)
    assert len(contests) == is_searched
    if is_searched:
        assert contests[0][0].epochs == 4
        assert found.training.epochs == 2 * 4
        assert read_search(tmp_path).chosen == 0
    else:
        assert found == plan


@pytest.mark.parametrize(("optimizer", "rate"), [("muon", None), ("muon", 0.01), ("adam", None)])
def test_after_a_search_the_rate_is_that_of_the_epochs_that_are_left(
    optimizer: str, rate: float | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = tiny_plan(epochs=1000, optimizer=optimizer, learning_rate=rate or 0.02)
    monkeypatch.setattr(spare_time, "make_plan", lambda *_, **__: plan)
    nothing = Search(trials=[], chosen=0, gain=0.0, gain_error=0.0, seconds=0.0)
    monkeypatch.setattr(spare_time, "search", lambda *_, **__: nothing)
    parts = [Part(name, [""] * n, bars(n)) for name, n in (("train", 100), ("validation", 30), ("test", 0))]
    settings = TrainSettings(pictures="x", minutes=10.0, learning_rate=rate)
    material = Material(None, None, *parts)
    found = searched_plan(settings, material, tmp_path, began=time.perf_counter(), notify=lambda event: None)
    assert found.training.epochs == 8
    steps = plan.steps_per_epoch
    ratio = 1.0 if rate else rate_for(optimizer, 16, 8 * steps) / rate_for(optimizer, 16, 1000 * steps)
    assert (ratio > 1) == (optimizer == "muon" and rate is None)
    assert found.training.learning_rate == pytest.approx(plan.training.learning_rate * ratio)


def test_without_minutes_nothing_is_spare(demo_run: Demo) -> None:
    assert read_search(demo_run.run) is None
