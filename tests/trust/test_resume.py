"""A run that goes on: by its own plan, on the machine it is on, with steps left out that were left out before."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from stopped_run import SMALL, begin
from tiny_training import bars, write_bars
from whyconv import workflow
from whyconv.cli import runs
from whyconv.errors import ArrayError, SettingsError, UsageError
from whyconv.estimator import PictureClassifier
from whyconv.inspection import check
from whyconv.machine import num_cores
from whyconv.results import Event, Note
from whyconv.show.runs import run_lines
from whyconv.training import loop, step
from whyconv.training.cost import cost


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("begun")
    write_bars(place / "bars")
    return begin(place / "bars", place)


def resumed(begun: Path, place: Path, **words: int) -> tuple[Path, list[Note]]:
    """Resumes a copy by the verb; returns it with what was said of the machine."""
    run, events = place / "bars-1", list[Event]()
    if not run.exists():
        shutil.copytree(begun, run)
    summary = workflow.resume(run, events.append, **words)
    assert summary.num_epochs == SMALL["epochs"]
    return run, [event for event in events if isinstance(event, Note) and event.key == "run_other_machine"]


@pytest.mark.usefixtures("two_cores")
def test_with_another_number_of_threads_it_goes_on_and_says_that_bits_differ(
    begun: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    real = loop._Session._take_step
    monkeypatch.setattr(
        loop._Session, "_take_step", lambda *given: (seen.append(torch.get_num_threads()), real(*given))[1]
    )
    run, notes = resumed(begun, tmp_path / "two", threads=2)
    assert set(seen) == {2}
    assert [note.values["differences"] for note in notes] == ["threads 1 (now 2)"]
    machine = json.loads((run / "environment.json").read_text())
    assert (machine["threads"], [each["threads"] for each in machine["went_on_with"]]) == (1, [2])
    assert json.loads((run / "summary.json").read_text())["plan_digest"]
    run, notes = resumed(begun, tmp_path / "one")
    assert notes == []
    assert "went_on_with" not in json.loads((run / "environment.json").read_text())


def test_a_plan_of_a_larger_machine_is_carried_out_here_and_told_to_take_long(
    begun: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workflow, "num_cores", lambda: 2)
    run = begin(begun.parents[1] / "bars", tmp_path, threads=2)
    monkeypatch.setattr(workflow, "num_cores", lambda: 1)
    told = []
    for carry_out in (
        lambda notify: workflow.resume(run, notify),
        lambda notify: workflow.train_from_file(run / "run.toml", notify, out=str(tmp_path / "anew")),
    ):
        events = list[Event]()
        assert carry_out(events.append).num_epochs == SMALL["epochs"]
        notes = [event for event in events if isinstance(event, Note) and event.key == "run_more_threads_than_cores"]
        told += [(note.values, note.level) for note in notes]
    assert told == 2 * [({"threads": 2, "cores": 1}, "warning")]
    events = list[Event]()
    workflow.resume(run, events.append)  # which has ended: nothing takes long
    assert "run_more_threads_than_cores" not in [event.key for event in events if isinstance(event, Note)]


def test_more_threads_than_cores_are_refused_where_they_are_asked_for(
    begun: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = {"out": str(tmp_path), "store": str(begun.parents[1] / "store")}
    pictures = str(begun.parents[1] / "bars")
    with pytest.raises(UsageError, match=rf"threads 999.*may use {num_cores()} core"):
        workflow.train(pictures, **words, threads=999)
    with pytest.raises(UsageError, match="threads 999"):
        workflow.resume(begun, threads=999)
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr(workflow, "num_cores", lambda: 4)
    with pytest.raises(UsageError, match=r"threads 5.*4 cores"):
        workflow.train(pictures, **words, threads=5)


@pytest.mark.parametrize("name", ["torch", "instructions"])
def test_on_another_machine_or_torch_it_says_so_too(
    begun: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    shutil.copytree(begun, tmp_path / "bars-1")
    path = tmp_path / "bars-1" / "environment.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {name: "another"}))
    _, (note,) = resumed(begun, tmp_path)
    assert note.values["differences"].startswith(f"{name} another (now ")


def test_the_verb_passes_the_number_of_threads_on_and_refuses_all_else(
    monkeypatch: pytest.MonkeyPatch, begun: Path
) -> None:
    asked = []
    monkeypatch.setattr(runs, "_resume", lambda *given: asked.append(given))
    runs.train(resume=begun, threads=2)
    assert asked[0][3] == 2
    for words in ({"resume": begun}, {"config": begun / "run.toml"}):
        with pytest.raises(UsageError, match=r"--profile.* whyconv train PICTURES --profile") as error:
            runs.train(**words, profile=True)
        assert "edit" not in str(error.value)
    with pytest.raises(UsageError, match="--epochs cannot be changed with --resume"):
        runs.train(resume=begun, epochs=2)
    with pytest.raises(UsageError, match="--accept-changed-data goes with --config"):
        runs.train(resume=begun, accept_changed_data=True)


def test_the_plan_is_read_and_nothing_is_measured_again(
    begun: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("searched_plan", "choose_start", "divide", "open_start"):
        monkeypatch.setattr(f"whyconv.workflow.{name}", lambda *_, name=name, **__: pytest.fail(name))
    before = (begun / "run.toml").read_bytes()
    run, _ = resumed(begun, tmp_path)
    assert (run / "run.toml").read_bytes() == before


def test_a_run_that_leaves_a_step_out_says_so_in_summary_history_and_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []

    def spoiled(*given: object) -> torch.Tensor:
        calls.append(1)
        return cost(*given) * (torch.inf if len(calls) == 3 else 1)  # type: ignore[arg-type]

    monkeypatch.setattr(step, "cost", spoiled)
    write_bars(tmp_path / "bars")
    words = SMALL | {"epochs": 2, "out": str(tmp_path), "store": str(tmp_path / "store"), "on_divergence": "skip"}
    events: list[Event] = []
    summary = workflow.train(str(tmp_path / "bars"), events.append, **words)
    (skipped,) = summary.skipped_steps
    assert (skipped.step, skipped.what, skipped.value) == (3, "cost", "inf")
    assert len(skipped.pictures) > 8
    assert all((tmp_path / "bars" / name).is_file() for name in skipped.pictures)
    (note,) = [event for event in events if isinstance(event, Note) and event.key == "run_step_skipped_cost"]
    assert note.values["pictures"].startswith(", ".join(skipped.pictures[:8]) + " and ")
    run = Path(summary.run)
    assert 'on_divergence = "skip"' in (run / "run.toml").read_text()
    assert '"skipped": {"what": "cost", "value": "inf", "pictures": [' in (run / "metrics.jsonl").read_text()
    assert "1 of 8 steps left out, because" in " ".join(run_lines(summary, "en"))
    assert (run / "report.html").exists()
    again = workflow.resume(run)
    assert again.skipped_steps == summary.skipped_steps
    # Without it, nothing of all this is in a plan, so that plans of before keep their digest.
    assert "on_divergence" not in begin(tmp_path / "bars", tmp_path / "other").joinpath("run.toml").read_text()


def test_what_leaves_no_step_out_refuses_to() -> None:
    with pytest.raises(UsageError, match=r"--on-divergence skip: .* --start scratch"):
        workflow.train("nowhere", start="pretrained", on_divergence="skip")
    with pytest.raises(SettingsError, match=r"on_divergence = 'skp'.*Did you mean 'skip'"):
        workflow.train("nowhere", on_divergence="skp")


def test_a_learning_rate_of_a_million_is_out_of_range() -> None:
    with pytest.raises(SettingsError, match=r"learning_rate = 1000000\.0: input should be less than or equal to 1000"):
        workflow.train("nowhere", learning_rate=1e6)


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
def test_pixels_that_are_no_numbers_never_reach_a_training(tmp_path: Path, value: float) -> None:
    """One such picture of a file is left out and named; arrays given to the estimator are refused."""
    data = bars(40)
    x = data.pixels[:, :, :, 0].astype(np.float32) / 255
    x[7, 3, 3] = value
    np.savez(tmp_path / "bars.npz", x=x, y=data.labels)
    found = check(tmp_path / "bars.npz", store=tmp_path / "store")
    assert [each.name for each in found.unreadable] == ["x[7]"]
    assert "values from" in found.unreadable[0].reason or "no number" in found.unreadable[0].reason
    with pytest.raises(ArrayError, match=r"holds (values from .*|NaN in 1 of 40 pictures, first in X\[7\]); expected"):
        PictureClassifier().fit(x, data.labels)
