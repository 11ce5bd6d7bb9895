"""Classes that stand in another order than in the plan are found by their names; other names are refused."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from stopped_run import SMALL, begin
from tiny_training import bars
from whyconv import workflow
from whyconv.errors import DataError
from whyconv.recognizer import open_recognizer
from whyconv.results import RunSummary
from whyconv.settings import Plan
from whyconv.training.manifest import read_manifest

N = 80
NAMES = ("lies", "stands")


def write(path: Path, order: tuple[str, ...]) -> Path:
    """The same pictures with the same names of classes, which are numbered in this order."""
    data = bars(N)
    labels = [order.index(NAMES[label]) for label in data.labels]
    np.savez(path, x=data.pixels[:, :, :, 0], y=np.array(labels, np.int64), classes=np.array(order))
    return path


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, RunSummary]:
    """The file of the pictures, and a run that has learned from them."""
    place = tmp_path_factory.mktemp("ordered")
    words = {"out": str(place / "runs"), "store": str(place / "store"), "only_model": True, "balance": "on"}
    path = write(place / "bars.npz", NAMES)
    return path, workflow.train(str(path), **SMALL | {"epochs": 12, "learning_rate": 0.02} | words)


@pytest.fixture
def pictures(finished: tuple[Path, RunSummary]):
    """The file, which may be changed."""
    yield finished[0]
    write(finished[0], NAMES)


def rightly_named(run: Path) -> float:
    """Share of new bars that the exported file calls by their own name."""
    data, recognizer = bars(100, seed=9), open_recognizer(run)
    probabilities = recognizer.predict_proba(list(data.pixels[:, :, :, 0]))
    answers = [recognizer.classes[place] for place in probabilities.argmax(axis=1)]
    return float(np.mean([answer == NAMES[label] for answer, label in zip(answers, data.labels, strict=True)]))


def test_a_stopped_run_goes_on_to_the_same_bits(tmp_path: Path) -> None:
    path = write(tmp_path / "bars.npz", NAMES)
    run = begin(path, tmp_path)
    straight = workflow.train_from_file(run / "run.toml", out=str(tmp_path / "straight"))
    write(path, NAMES[::-1])
    assert workflow.resume(run).test == straight.test
    assert (run / "model.safetensors").read_bytes() == (Path(straight.run) / "model.safetensors").read_bytes()
    assert (run / "suspects.csv").read_bytes() == (Path(straight.run) / "suspects.csv").read_bytes()


def test_a_finished_run_has_the_same_scores(finished, pictures: Path) -> None:
    summary = finished[1]
    assert summary.test.accuracy.value > 0.8
    write(pictures, NAMES[::-1])
    found = workflow.evaluate(Path(summary.run)).test
    assert (found.confusion, found.classes) == (summary.test.confusion, summary.test.classes)


@pytest.mark.parametrize("accept", [False, True])
def test_a_plan_trains_to_the_same_bits(finished, pictures: Path, tmp_path: Path, accept: bool) -> None:
    run = Path(finished[1].run)
    write(pictures, NAMES[::-1])
    again = workflow.train_from_file(run / "run.toml", out=str(tmp_path), accept_changed_data=accept)
    assert (Path(again.run) / "model.safetensors").read_bytes() == (run / "model.safetensors").read_bytes()
    assert (Path(again.run) / "run.toml").read_bytes() == (run / "run.toml").read_bytes()


def test_of_other_pictures_in_another_order_labels_are_those_of_the_plan(
    finished, pictures: Path, tmp_path: Path
) -> None:
    plan = Plan.read(Path(finished[1].run) / "run.toml")
    training = plan.training.model_copy(update={"class_offsets": [0.1, -0.1]})
    (tmp_path / "edited.toml").write_text(plan.model_copy(update={"training": training}).to_toml())
    write(pictures, NAMES[::-1])
    with np.load(pictures) as kept:
        arrays = dict(kept)
    away = np.flatnonzero(arrays["y"] == 0)[:4]
    np.savez(pictures, x=np.delete(arrays["x"], away, 0), y=np.delete(arrays["y"], away), classes=arrays["classes"])
    again = workflow.train_from_file(tmp_path / "edited.toml", out=str(tmp_path), accept_changed_data=True)
    plan = Plan.read(Path(again.run) / "run.toml")
    assert plan.network.classes == list(NAMES)
    rows = read_manifest(Path(again.run))
    assert rows is not None
    counts = [sum(row.part == "train" and row.label == name for row in rows) for name in NAMES]
    assert counts[0] > counts[1]
    expected = [np.log(2 * count / sum(counts)) for count in counts]
    assert plan.training.class_offsets == pytest.approx(expected, abs=1e-6)
    assert rightly_named(Path(again.run)) > 0.8


def test_a_plan_with_its_classes_in_another_order_learns_the_names(finished, tmp_path: Path) -> None:
    run = Path(finished[1].run)
    plan = Plan.read(run / "run.toml")
    network = plan.network.model_copy(update={"classes": list(NAMES[::-1])})
    (tmp_path / "edited.toml").write_text(plan.model_copy(update={"network": network}).to_toml())
    again = workflow.train_from_file(tmp_path / "edited.toml", out=str(tmp_path / "runs"))
    assert open_recognizer(again.run).classes == NAMES[::-1]
    assert again.test.accuracy.value > 0.8
    assert rightly_named(Path(again.run)) > 0.8


def test_a_finished_run_whose_plan_is_reordered_is_scored_by_the_names_of_its_file(finished, tmp_path: Path) -> None:
    summary, run = finished[1], tmp_path / "copied"
    shutil.copytree(summary.run, run)
    plan = Plan.read(run / "run.toml")
    network = plan.network.model_copy(update={"classes": list(NAMES[::-1])})
    (run / "run.toml").write_text(plan.model_copy(update={"network": network}).to_toml())
    assert workflow.evaluate(run).test.confusion == summary.test.confusion


@pytest.mark.parametrize("accept", [False, True])
def test_other_names_in_the_plan_are_refused(finished, tmp_path: Path, accept: bool) -> None:
    plan = Plan.read(Path(finished[1].run) / "run.toml")
    network = plan.network.model_copy(update={"classes": ["lies", "rests"]})
    (tmp_path / "edited.toml").write_text(plan.model_copy(update={"network": network}).to_toml())
    with pytest.raises(DataError, match=r"other classes than the plan \(new: stands; not there: rests\)\."):
        workflow.train_from_file(tmp_path / "edited.toml", out=str(tmp_path / "runs"), accept_changed_data=accept)
