"""Minutes that a training has no use for: settings are searched with them, and the run is that of its plan."""

from __future__ import annotations

from pathlib import Path

import pytest

from tiny_training import write_bars
from whyconv import spare_time, workflow
from whyconv.reporting import read_search
from whyconv.results import Note
from whyconv.settings import Plan
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
    run, notes = train(tmp_path, minutes=0.3)
    keys = [each.key for each in notes]
    assert keys.index("search_begins") < keys.index("search_rest") < keys.index("run_plan")
    found, plan = read_search(run), Plan.read(run / "run.toml")
    assert found is not None
    assert {row.round for row in found.trials} == {1, 2, 3}
    chosen = next(row.setting for row in found.trials if row.number == found.chosen)
    assert setting_of(plan) == chosen
    assert 1 <= plan.training.epochs <= 2 * 4
    report = (run / "report.html").read_text(encoding="utf-8")
    assert 'id="search"' in report
    assert report.count("(usual)") == sum(row.number == 0 for row in found.trials) == 3
    # By its plan the run is repeated bit for bit, without a search.
    second = Path(workflow.train_from_file(run / "run.toml", out=str(tmp_path / "again")).run)
    assert read_search(second) is None
    assert (run / "model.safetensors").read_bytes() == (second / "model.safetensors").read_bytes()


@pytest.mark.parametrize("wanted", [{"search": "off"}, {"epochs": 3}, {"members": 2}, {"validation_fraction": 0.05}])
def test_nothing_is_searched_where_that_is_asked_or_makes_no_sense(tmp_path: Path, wanted: dict[str, object]) -> None:
    run, notes = train(tmp_path, minutes=0.25, only_model=True, **wanted)
    assert "search_begins" not in [each.key for each in notes]
    assert read_search(run) is None


def test_without_minutes_nothing_is_spare(tmp_path: Path) -> None:
    run, _ = train(tmp_path, only_model=True)
    assert read_search(run) is None
