"""A run is scored on pictures that it was not made from, whatever place and container they come in."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tiny_training import bars, write_bars
from whyconv import machine, scoring, workflow
from whyconv.errors import DataError, ModelFileError, PictureError, UsageError
from whyconv.files import digest
from whyconv.finishing import read_summary
from whyconv.recognizer import open_recognizer
from whyconv.results import Event, Note, RunSummary
from whyconv.show.runs import evaluation_lines
from whyconv.training import pictures
from whyconv.training.run_folder import SUMMARY, read_plan
from whyconv.training.seen import SEEN


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("scoring")
    write_bars(folder / "bars", 60, seed=0)
    return folder


@pytest.fixture(scope="module")
def summary(place: Path) -> RunSummary:
    return workflow.train(
        str(place / "bars"),
        network="lesson",
        epochs=2,
        flips="off",
        threads=1,
        test_fraction=0.2,
        only_model=True,
        out=str(place / "runs"),
        store=str(place / "store"),
    )


def evaluate(summary: RunSummary, where: Path, **words: str) -> tuple[RunSummary, dict[str, Note]]:
    events: list[Event] = []
    found = workflow.evaluate(Path(summary.run), str(where), events.append, **words)
    return found, {event.key: event for event in events if isinstance(event, Note)}


def test_threads_that_another_machine_had_are_cut_to_the_cores_of_this_one(
    summary: RunSummary, monkeypatch: pytest.MonkeyPatch
) -> None:
    used: list[int] = []

    def noted(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any, num_threads: int, **words: Any) -> Any:
            used.append(num_threads)
            return function(*given, num_threads=1, **words)

        return call

    plan = read_plan(Path(summary.run)).model_copy(update={"threads": 64})
    monkeypatch.setattr(workflow, "read_plan", lambda run: plan)
    monkeypatch.setattr(machine, "num_cores", lambda: 3)
    monkeypatch.setattr(scoring, "open_recognizer", noted(open_recognizer))
    monkeypatch.setattr(pictures, "inspect", noted(pictures.inspect))
    found = workflow.evaluate(Path(summary.run))
    assert used == [3, 3]
    assert found.test.confusion == summary.test.confusion


def test_the_asked_sizes_of_the_parts_are_kept(summary: RunSummary) -> None:
    assert open_recognizer(summary.run).metadata.parts == {"train": 38, "validation": 10, "test": 12}


def test_of_its_own_pictures_only_the_test_part_is_scored(summary: RunSummary, place: Path) -> None:
    found, notes = evaluate(summary, place / "bars")
    assert found.test.n == summary.test.n
    assert found.test.confusion == summary.test.confusion
    assert "evaluate_own_pictures" in notes


def test_copies_among_the_pictures_do_not_make_the_score_surer(summary: RunSummary, place: Path) -> None:
    """Each of 12 pictures five times: as many answers as of 60, and about as sure as of 12."""
    once, often = write_bars(place / "once", 12, seed=9), place / "often"
    for path in once.rglob("*.png"):
        (often / path.parent.name).mkdir(parents=True, exist_ok=True)
        for number in range(5):
            shutil.copy(path, often / path.parent.name / f"{path.stem}-{number}.png")
    (few, _), (many, _) = evaluate(summary, once), evaluate(summary, often)
    assert (few.test.n, few.test.num_groups, few.test.has_copies) == (12, 12, False)
    assert (many.test.n, many.test.num_groups, many.test.has_copies) == (60, 12, True)
    for name in ("accuracy", "balanced_accuracy"):
        one, other = getattr(few.test, name), getattr(many.test, name)
        assert other.value == pytest.approx(one.value)
        assert other.high - other.low == pytest.approx(one.high - one.low, rel=0.25)
    told = "\n".join(evaluation_lines(many.test, "en"))
    assert "The 60 pictures are 12 groups" in told
    assert "groups" not in "\n".join(evaluation_lines(few.test, "en"))


def test_copies_of_what_it_was_made_from_are_left_out_with_the_reason(summary: RunSummary, place: Path) -> None:
    """Elsewhere, under other names, in another container: known by the bytes or by the pixels."""
    other = write_bars(place / "other", 10, seed=4)
    for index, path in enumerate(sorted((place / "bars").rglob("*.png"))):
        target = other / path.parent.name / f"copy-{index}"
        if index % 2:
            shutil.copy(path, target.with_suffix(".png"))
        else:
            with Image.open(path) as image:
                image.save(target.with_suffix(".bmp"))
    found, notes = evaluate(summary, other)
    parts = open_recognizer(summary.run).metadata.parts
    assert found.test.n == 10 + parts["test"]
    reasons = [each.reason for each in found.test.left_out]
    assert reasons.count("it was trained on") == parts["train"]
    assert reasons.count("it was used for validation") == parts["validation"]
    assert notes["evaluate_seen"].level == "warning"
    assert notes["evaluate_seen"].values == {"n": parts["train"] + parts["validation"]}


def test_a_class_met_only_in_the_test_folder_is_scored(summary: RunSummary, place: Path) -> None:
    other = write_bars(place / "foreign", 20, seed=7)
    for label, part in (("lies", "train"), ("stands", "test")):
        (place / "parts" / part).mkdir(parents=True)
        (other / label).rename(place / "parts" / part / label)
    found, _ = evaluate(summary, place / "parts")
    assert found.test.n == len(list((place / "parts" / "test").rglob("*.png")))
    assert found.test.left_out == []


def test_words_on_pictures_without_pictures_are_refused(summary: RunSummary) -> None:
    for words in ({"layout": "folders"}, {"label_from": "(.)"}):
        with pytest.raises(UsageError, match="go with PICTURES"):
            workflow.evaluate(Path(summary.run), **words)


def test_nothing_but_training_pictures_is_refused(summary: RunSummary, place: Path) -> None:
    digests = {line.split()[1] for line in (Path(summary.run) / SEEN).read_text().splitlines()}
    from whyconv.files import digest

    for path in (place / "bars").rglob("*.png"):
        if digest(path) in digests:
            target = place / "known" / path.parent.name / path.name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)
    with pytest.raises(DataError, match="that it was not made from"):
        evaluate(summary, place / "known")


def test_without_its_digests_a_run_scores_nothing(summary: RunSummary, place: Path, tmp_path: Path) -> None:
    run = shutil.copytree(summary.run, tmp_path / "run")
    (run / SEEN).unlink()
    with pytest.raises(ModelFileError, match="nobody can tell"):
        evaluate(summary.model_copy(update={"run": str(run)}), write_bars(tmp_path / "bars", 4, seed=9))


def test_arrays_are_scored_by_their_own_range(summary: RunSummary, tmp_path: Path) -> None:
    data = bars(30, seed=11)
    scores = []
    for name, values in (("a", data.pixels), ("b", data.pixels.astype(np.uint16) * 257), ("c", data.pixels / 255)):
        np.savez(tmp_path / f"{name}.npz", x=values, y=np.array(["lies", "stands"])[data.labels])
        scores.append(evaluate(summary, tmp_path / f"{name}.npz")[0].test)
    assert scores[0].confusion == scores[1].confusion == scores[2].confusion
    assert scores[0].loss == pytest.approx(scores[1].loss)


def test_a_finished_run_keeps_no_checkpoint_and_is_not_trained_again(summary: RunSummary, tmp_path: Path) -> None:
    run = shutil.copytree(summary.run, tmp_path / "run")
    assert not (run / "checkpoints").exists()
    weights, history = (run / "model.safetensors").read_bytes(), (run / "metrics.jsonl").read_bytes()
    again = workflow.resume(run)
    assert (run / "model.safetensors").read_bytes() == weights
    assert (run / "metrics.jsonl").read_bytes() == history
    assert again.test.confusion == summary.test.confusion
    assert (again.best_epoch, again.num_steps) == (summary.best_epoch, summary.num_steps)
    assert (run / "report.html").exists()
    plan = (run / "run.toml").read_text()
    (run / "run.toml").write_text(plan.replace("epochs = 2", "epochs = 3"))
    assert (run / SUMMARY).exists()
    with pytest.raises(UsageError, match="is not the plan that this run was made by"):
        workflow.resume(run)


def test_a_run_whose_plan_an_older_whyconv_wrote_is_gone_on_with(summary: RunSummary, tmp_path: Path) -> None:
    run = shutil.copytree(summary.run, tmp_path / "run")
    lines = (run / "run.toml").read_text(encoding="utf-8").splitlines(keepends=True)
    # As it was before blocks had a size of their own.
    (run / "run.toml").write_text("".join(line for line in lines if "filter_size" not in line), encoding="utf-8")
    files_digest = digest(run / "run.toml")
    assert files_digest != read_plan(run).digest
    stored = read_summary(run).model_copy(update={"plan_digest": files_digest})
    (run / SUMMARY).write_text(stored.model_dump_json(), encoding="utf-8")
    again = workflow.resume(run)
    assert again.test.confusion == summary.test.confusion
    assert again.plan_digest == read_plan(run).digest
    assert open_recognizer(run).metadata.sets is not None
    assert workflow.resume(run).num_steps == summary.num_steps


def test_single_arrays_are_read_by_the_range_of_the_training_arrays(tmp_path: Path) -> None:
    """Whole numbers of 16 bits that stay below 256: one picture alone does not say so, its training did."""
    data = bars(40)
    np.savez(tmp_path / "bars.npz", x=data.pixels.astype(np.uint16), y=data.labels)
    words = {"network": "lesson", "epochs": 1, "flips": "off", "threads": 1, "store": str(tmp_path)}
    run = workflow.train(str(tmp_path / "bars.npz"), only_model=True, out=str(tmp_path / "runs"), **words).run
    recognizer = open_recognizer(run)
    assert recognizer.metadata.array_white == 255
    expected = recognizer.predict_proba(data.pixels)
    assert np.array_equal(recognizer.predict_proba(data.pixels.astype(np.uint16)), expected)
    with pytest.raises(PictureError, match="expected 0 to 255, as in the training pictures"):
        recognizer.predict_proba(data.pixels.astype(np.uint16) * 257)
