"""Whole runs on small pictures: what lies in the run folder, repetition, stop and go on, scores, refusals."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn import metrics

from tiny_training import bars, write_bars
from whyconv import carrying_out, workflow
from whyconv.errors import (
    DataError,
    DivergedError,
    ModelFileError,
    SettingsError,
    StoppedError,
    UsageError,
    WhyconvError,
)
from whyconv.finishing import read_summary
from whyconv.recognizer import open_recognizer
from whyconv.results import Event, Note
from whyconv.settings import Plan, TrainSettings
from whyconv.training.checkpoint import load_weights
from whyconv.training.cost import cost
from whyconv.training.run_folder import sole_trainer
from whyconv.training.start import start_network

FILES = {
    *("model.safetensors", "network.json", "model.onnx", "why.onnx", "layers.json", "run.toml", "metrics.jsonl"),
    *("predictions.csv", "suspects.csv", "report.html", "features.npy", "thumbnails.npy", "MODEL_CARD.md"),
    *("environment.json", "summary.json", "digests.txt", "examples.jsonl", "pictures.jsonl"),
}
SMALL = {"network": "lesson", "epochs": 3, "flips": "off", "threads": 1}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("workflow")
    write_bars(folder / "bars")
    return folder


@pytest.fixture(scope="module")
def finished(place: Path):
    events: list[Event] = []
    summary = workflow.train(
        str(place / "bars"), events.append, out=str(place / "runs"), store=str(place / "store"), **SMALL
    )
    return summary, events


def test_a_run_folder_holds_all_that_a_run_is(finished) -> None:
    summary, _ = finished
    run = Path(summary.run)
    assert run.name == "bars-1"
    assert {each.name for each in run.iterdir()} == FILES
    assert summary.parity.is_equal
    assert summary.test.n + summary.validation.n + Plan.read(run / "run.toml").pictures.num_train == 80
    features, thumbnails = np.load(run / "features.npy"), np.load(run / "thumbnails.npy")
    assert len(features) == len(thumbnails) == Plan.read(run / "run.toml").pictures.num_train
    assert thumbnails.shape[1:] == (8, 8, 1)
    examples = [json.loads(line) for line in (run / "examples.jsonl").read_text(encoding="utf-8").splitlines()]
    assert len(examples) == len(features)
    for example, thumbnail in zip(examples, thumbnails, strict=True):
        assert (example["part"], Path(example["path"]).parent.name) == ("train", example["label"])
        with Image.open(run.parents[1] / "bars" / example["path"]) as picture:
            np.testing.assert_array_equal(np.asarray(picture), thumbnail[:, :, 0])


def test_the_weights_and_the_exported_file_are_the_same_network(finished) -> None:
    run = Path(finished[0].run)
    plan = Plan.read(run / "run.toml")
    network = start_network(plan)
    load_weights(run / "model.safetensors", network)
    from whyconv.export import compare

    assert compare(open_recognizer(run), network, plan.network, bars(20, seed=9).pixels).is_equal


def test_the_table_of_predictions_gives_the_accuracy_that_is_reported(finished) -> None:
    summary, _ = finished
    with (Path(summary.run) / "predictions.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["part"] == "test"]
    assert len(rows) == summary.test.n
    found = metrics.accuracy_score([row["truth"] for row in rows], [row["label"] for row in rows])
    assert found == pytest.approx(summary.test.accuracy.value)


def test_the_first_note_says_where_results_are_written(finished) -> None:
    summary, events = finished
    assert isinstance(events[0], Note)
    assert events[0].values == {"run": summary.run}


def test_the_plan_alone_repeats_the_run_bit_for_bit(finished, place: Path) -> None:
    run = Path(finished[0].run)
    again = workflow.train_from_file(run / "run.toml", out=str(place / "again"))
    assert (Path(again.run) / "model.safetensors").read_bytes() == (run / "model.safetensors").read_bytes()
    assert (Path(again.run) / "run.toml").read_text() == (run / "run.toml").read_text()


def test_a_finished_run_is_finished_anew_from_its_weights(finished, tmp_path: Path) -> None:
    run = tmp_path / "copied-1"
    shutil.copytree(finished[0].run, run)
    (run / "model.onnx").unlink()
    text = (run / "summary.json").read_text()
    (run / "summary.json").write_text(re.sub(r'"seconds": [\d.]+,\s*"stopped"', '"seconds": 36000.0, "stopped"', text))
    again = workflow.resume(run)
    assert again.seconds == read_summary(run).seconds == 36000  # of the training, not of what looked at it again
    assert (again.test, again.num_steps, again.stopped) == (finished[0].test, finished[0].num_steps, "planned")
    assert (run / "model.safetensors").read_bytes() == (Path(finished[0].run) / "model.safetensors").read_bytes()
    plan = (run / "run.toml").read_text()
    (run / "run.toml").write_text(plan.replace("learning_rate = ", "learning_rate = 1"))
    with pytest.raises(UsageError, match=r"not the plan .* whyconv train --config"):
        workflow.resume(run)


class Clock:
    """The clock of the loop: ``step`` seconds pass with every step of a network in training."""

    def __init__(self, step: float) -> None:
        self.now, self.step = time.perf_counter(), step

    def perf_counter(self) -> float:
        return self.now

    def start_network(self, plan: Plan, *told: object, **words: bool) -> torch.nn.Module:
        network = start_network(plan)

        def pass_time(module: torch.nn.Module, *_: object) -> None:
            self.now += self.step * module.training

        network.register_forward_hook(pass_time)
        return network


@pytest.mark.parametrize(("epochs", "step_seconds"), [(100, 2.0), (1, 20.0)], ids=["of many", "in the last"])
def test_a_run_that_the_clock_ended_is_repeated_bit_for_bit(
    place: Path, tmp_path: Path, monkeypatch, epochs: int, step_seconds: float
) -> None:
    settings = {"network": "lesson", "epochs": epochs, "batch": 8, "flips": "off", "threads": 1, "minutes": 1}
    settings |= {"out": str(tmp_path), "store": str(place / "store")}
    clock, events = Clock(step_seconds), []
    monkeypatch.setattr("whyconv.training.loop.time", clock)
    monkeypatch.setattr("whyconv.carrying_out.start_network", clock.start_network)
    first = workflow.train(str(place / "bars"), events.append, **settings)
    monkeypatch.undo()
    assert first.stopped == "clock"
    assert 5 <= first.num_steps < min(30, 7 * epochs)  # about 45 s are left of the minute
    assert "run_budget_asked" in [event.key for event in events if isinstance(event, Note)]
    record = Path(first.run) / "summary.json"
    if epochs == 1:
        # As earlier versions wrote it.
        record.write_text(record.read_text().replace('"stopped": "clock"', '"stopped": "planned"'))
        assert read_summary(record.parent).stopped == "planned"
    again = workflow.train_from_file(Path(first.run) / "run.toml", out=str(tmp_path))
    third = workflow.train_from_file(Path(again.run) / "run.toml", out=str(tmp_path))
    weights = [(Path(each.run) / "model.safetensors").read_bytes() for each in (first, again, third)]
    assert weights[0] == weights[1] == weights[2]
    assert again.num_steps == third.num_steps == first.num_steps
    assert workflow.resume(Path(first.run)).stopped == "clock"
    # Once changed, the plan beside the summary is a plan of its own.
    plan = Path(first.run) / "run.toml"
    plan.write_text(plan.read_text().replace(f"epochs = {epochs}\n", "epochs = 5\n"))
    assert workflow.train_from_file(plan, out=str(tmp_path)).num_epochs == 5


@pytest.mark.parametrize(
    ("stop", "exit_code"), [(KeyboardInterrupt(), 130), (StoppedError("Stopped by SIGTERM.", exit_code=143), 143)]
)
def test_a_stop_after_the_training_says_how_to_go_on(
    place: Path, tmp_path: Path, monkeypatch, stop: BaseException, exit_code: int
) -> None:
    def stopped(*_: object, **__: object) -> None:
        raise stop

    monkeypatch.setattr("whyconv.carrying_out.finish", stopped)
    with pytest.raises(StoppedError, match=r"Stopped.* Go on with:  whyconv train --resume .*bars-1") as error:
        workflow.train(str(place / "bars"), out=str(tmp_path), store=str(place / "store"), **SMALL)
    assert error.value.exit_code == exit_code
    monkeypatch.undo()
    train_on = carrying_out.train_on
    monkeypatch.setattr(carrying_out, "train_on", lambda *a, **k: replace(train_on(*a, **k), seconds_before=36000.0))
    resumed = workflow.resume(tmp_path / "bars-1")
    assert resumed.num_epochs == 3
    assert 36000 < resumed.seconds < 36100


@pytest.mark.usefixtures("two_cores")
def test_a_caller_finds_torch_and_the_search_path_as_they_were(place: Path, tmp_path: Path) -> None:
    torch.manual_seed(11)
    before = (torch.get_num_threads(), torch.are_deterministic_algorithms_enabled(), list(sys.path))
    drawn = torch.get_rng_state()
    workflow.train(str(place / "bars"), out=str(tmp_path), store=str(place / "store"), **SMALL | {"threads": 2})
    assert (torch.get_num_threads(), torch.are_deterministic_algorithms_enabled(), list(sys.path)) == before
    assert torch.equal(torch.get_rng_state(), drawn)


def test_a_cost_that_is_no_number_is_told_with_the_pictures_of_its_step(
    place: Path, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setattr("whyconv.training.step.cost", lambda *given: cost(*given) * torch.inf)
    words = {"network": "lesson", "epochs": 1, "batch": 4, "flips": "off", "threads": 1, "store": str(place / "store")}
    with pytest.raises(DivergedError, match=r"J became inf at step 1 ") as caught:
        workflow.train(str(place / "bars"), out=str(tmp_path), **words)
    named = re.search(r"The pictures of this step: (.*)\.$", str(caught.value))
    assert named is not None
    assert len(set(named[1].split(", "))) == len(caught.value.rows) == 4
    assert all((place / "bars" / name).is_file() for name in named[1].split(", "))


def test_a_run_that_another_process_trains_is_left_alone(finished, tmp_path: Path) -> None:
    run = tmp_path / "bars-1"
    shutil.copytree(finished[0].run, run)
    with sole_trainer(run), pytest.raises(WhyconvError, match=r"Another process is training in .*bars-1"):
        workflow.resume(run)


def test_an_own_network_that_cannot_be_trained_leaves_no_folder_behind(
    place: Path, tmp_path: Path, monkeypatch
) -> None:
    (tmp_path / "own_for_workflow.py").write_text("from torch import nn\ndef make():\n    return nn.Flatten()\n")
    monkeypatch.chdir(tmp_path)
    settings = SMALL | {"network": "own_for_workflow:make"}
    with pytest.raises(UsageError, match=r"to \(2, 64\); expected logits of shape \(2, 2\)"):
        workflow.train(str(place / "bars"), out="runs", store=str(place / "store"), **settings)
    assert list((tmp_path / "runs").iterdir()) == []


def test_evaluation_of_the_own_test_part_repeats_the_reported_score(finished) -> None:
    summary, _ = finished
    found = workflow.evaluate(Path(summary.run))
    assert found.test.confusion == summary.test.confusion
    assert (Path(found.evaluated).name, found.parity, summary.evaluated) == ("bars", None, None)


def test_the_report_says_why_each_number_of_the_plan_is_what_it_is(finished) -> None:
    page = (Path(finished[0].run) / "report.html").read_text()
    assert "asked for, or what fits into the minutes asked for; the rule gives " in page
    assert "16 up to 1,000 training pictures, 64 up to 10,000, else 256" in page


def test_evaluation_of_other_pictures_matches_classes_by_name(finished, tmp_path: Path) -> None:
    other = write_bars(tmp_path / "other", 30, seed=5)
    (other / "lies").rename(other / "unknown things")
    (other / "stands" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    events: list[Event] = []
    found = workflow.evaluate(Path(finished[0].run), str(other), events.append).test
    assert found.n == 15
    assert found.classes[1].n == 15
    assert found.classes[0].recall is None
    keys = [each.note.key if each.note else "" for each in found.left_out]
    assert sorted(keys) == [""] + ["not_scored_unknown_class"] * 15
    assert {each.reason for each in found.left_out if each.note} == {
        "class 'unknown things' is not known to the recognizer"
    }
    assert any(isinstance(event, Note) and event.key == "evaluate_foreign" for event in events)


def test_changed_pictures_are_noticed_before_a_repetition(finished, place: Path, tmp_path: Path) -> None:
    run = Path(finished[0].run)
    victim = next((place / "bars" / "lies").iterdir())
    target = place / "bars" / "stands" / victim.name.replace(".png", "x.png")
    victim.rename(target)
    try:
        with pytest.raises(DataError, match="are not those of the plan"):
            workflow.train_from_file(run / "run.toml", out=str(tmp_path))
        assert list(tmp_path.iterdir()) == []
    finally:
        target.rename(victim)


@pytest.mark.parametrize(("name", "accept"), [("num_train", False), ("num_validation", False), ("num_test", True)])
def test_a_plan_that_counts_its_pictures_otherwise_is_refused(
    finished, tmp_path: Path, name: str, accept: bool
) -> None:
    plan = Plan.read(Path(finished[0].run) / "run.toml")
    pictures, path = plan.pictures.model_copy(update={name: 8}), tmp_path / "edited.toml"
    path.write_text(plan.model_copy(update={"pictures": pictures}).to_toml())
    right = getattr(plan.pictures, name)
    with pytest.raises(SettingsError, match=rf"edited\.toml: pictures\.{name} = 8: .* {right}"):
        workflow.train_from_file(path, out=str(tmp_path / "runs"), accept_changed_data=accept)
    assert list((tmp_path / "runs").iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_a_stopped_command_says_how_to_go_on_and_goes_on_bit_for_bit(place: Path, tmp_path: Path, number: int) -> None:
    settings = SMALL | {"batch": 4, "epochs": 40}
    straight = workflow.train(
        str(place / "bars"), out=str(tmp_path / "straight"), store=str(place / "store"), **settings
    )
    words = ["train", str(place / "bars"), "--store", str(place / "store")]
    words += [word for name, value in settings.items() for word in (f"--{name}", str(value))]
    process = subprocess.Popen(
        [sys.executable, "-m", "whyconv", *words, "--out", "stopped"], cwd=tmp_path, stderr=subprocess.PIPE, text=True
    )
    run = tmp_path / "stopped" / "bars-1"
    deadline = time.monotonic() + 60
    while not (run / "metrics.jsonl").exists() or "epoch" not in (run / "metrics.jsonl").read_text():
        assert time.monotonic() < deadline, "no epoch ended within a minute"
        assert process.poll() is None
        time.sleep(0.01)
    os.kill(process.pid, number)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 128 + number, told
    assert "whyconv train --resume" in told
    assert not (run / "model.safetensors").exists()
    resumed = subprocess.run(
        [sys.executable, "-m", "whyconv", "train", "--resume", str(run), "--json"],
        cwd=tmp_path,
        capture_output=True,
        check=False,
    )
    assert resumed.returncode == 0, resumed.stderr
    expected = (Path(straight.run) / "model.safetensors").read_bytes()
    assert (run / "model.safetensors").read_bytes() == expected
    assert json.loads(resumed.stdout)["test"]["n"] > 0


def test_what_cannot_be_trained_on_leaves_no_folder_behind(tmp_path: Path) -> None:
    write_bars(tmp_path / "bars")
    shutil.rmtree(tmp_path / "bars" / "lies")
    with pytest.raises(DataError, match="one class"):
        workflow.train(str(tmp_path / "bars"), out=str(tmp_path / "runs"), store=str(tmp_path / "store"))
    assert list((tmp_path / "runs").iterdir()) == []


def test_strict_stops_at_the_first_unreadable_file(tmp_path: Path) -> None:
    write_bars(tmp_path / "bars", 20)
    (tmp_path / "bars" / "lies" / "bad.png").write_bytes(b"<html>")
    with pytest.raises(DataError, match=re.escape("1 file(s) cannot be read; the first is lies/bad.png")):
        workflow.train(str(tmp_path / "bars"), out=str(tmp_path / "runs"), store=str(tmp_path / "store"), strict=True)


def test_wrong_settings_are_all_named_at_once() -> None:
    with pytest.raises(SettingsError, match=r"epoch is not known. Did you mean 'epochs'") as error:
        workflow.train("pets/", epoch=3, batch=1, learning_rate=1e-320)
    assert "learning_rate = 1e-320: input should be greater than or equal to 0.000000001" in str(error.value)
    assert "batch = 1: input should be greater than or equal to 2" in str(error.value)


def test_settings_beside_settings_are_refused_and_paths_are_taken_as_such(tmp_path: Path) -> None:
    pictures = write_bars(tmp_path / "bars", n=30)
    settings = TrainSettings(pictures=str(pictures), out=str(tmp_path / "runs"), **SMALL)
    with pytest.raises(UsageError, match="beside it epochs, seed"):
        workflow.train(settings, epochs=3, seed=5)
    assert not (tmp_path / "runs").exists()
    with pytest.raises(UsageError, match="Did you mean 'plain'"):
        workflow.train(pictures, network="plan", out=tmp_path / "runs", store=tmp_path / "store")


def test_an_unknown_network_fails_before_anything_is_read(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="Did you mean 'plain'"):
        workflow.train(str(tmp_path / "nowhere"), network="plan", out=str(tmp_path / "runs"))
    assert not (tmp_path / "runs").exists()


def test_a_folder_that_is_no_run_is_told_apart(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="is no run folder"):
        workflow.resume(tmp_path)
    with pytest.raises(ModelFileError, match=r"is no run folder: it has no run\.toml"):
        workflow.evaluate(tmp_path)
    with pytest.raises(ModelFileError, match=r"There is no .*nowhere"):
        workflow.evaluate(tmp_path / "nowhere")
    (tmp_path / "model.onnx").touch()
    with pytest.raises(ModelFileError, match="is no run folder"):
        workflow.evaluate(tmp_path / "model.onnx")
    (tmp_path / "run.toml").touch()
    with pytest.raises(ModelFileError, match=r"is no finished run.*--resume"):
        workflow.evaluate(tmp_path)
