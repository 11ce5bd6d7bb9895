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
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from sklearn import metrics

from tiny_training import bars
from whyconv import workflow
from whyconv.errors import DataError, ModelFileError, SettingsError, UsageError
from whyconv.recognizer import open_recognizer
from whyconv.results import Event, Note
from whyconv.settings import Plan
from whyconv.training.checkpoint import load_weights
from whyconv.training.start import start_network

FILES = {
    *("model.safetensors", "network.json", "model.onnx", "why.onnx", "layers.json", "run.toml", "metrics.jsonl"),
    *("predictions.csv", "report.html", "features.npy", "thumbnails.npy", "MODEL_CARD.md", "environment.json"),
    *("summary.json", "checkpoints"),
}
SMALL = {"network": "lesson", "epochs": 3, "flips": "off", "threads": 1}


def write_bars(folder: Path, n: int = 80, seed: int = 0, side: int = 8) -> Path:
    data = bars(n, seed, side)
    for index, (pixels, label) in enumerate(zip(data.pixels, data.labels, strict=True)):
        path = folder / ("stands" if label else "lies") / f"{index:03}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels[:, :, 0]).save(path)
    return folder


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


def test_evaluation_of_the_own_test_part_repeats_the_reported_score(finished) -> None:
    summary, _ = finished
    assert workflow.evaluate(Path(summary.run)).test.confusion == summary.test.confusion


def test_evaluation_of_other_pictures_matches_classes_by_name(finished, tmp_path: Path) -> None:
    other = write_bars(tmp_path / "other", 30, seed=5)
    (other / "lies").rename(other / "unknown things")
    (other / "stands" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    events: list[Event] = []
    found = workflow.evaluate(Path(finished[0].run), str(other), events.append).test
    assert found.n == 15
    assert found.classes[1].n == 15
    assert found.classes[0].recall is None
    assert len(found.left_out) == 16
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
        workflow.train("pets/", epoch=3, batch=1)
    assert "batch = 1: input should be greater than or equal to 2" in str(error.value)


def test_an_unknown_network_fails_before_anything_is_read(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="Did you mean 'plain'"):
        workflow.train(str(tmp_path / "nowhere"), network="plan", out=str(tmp_path / "runs"))
    assert not (tmp_path / "runs").exists()


def test_a_folder_that_is_no_run_is_told_apart(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="is no run folder"):
        workflow.resume(tmp_path)
    with pytest.raises(ModelFileError, match="is no finished run"):
        workflow.evaluate(tmp_path)
