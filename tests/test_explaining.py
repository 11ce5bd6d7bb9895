"""The verb why: what it asks of a run, what it leaves there, and what it does not measure twice."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from made_up_study import made_up_hyperparameters
from small_square import small_pictures
from tiny_training import write_bars
from whyconv import explained, explaining, workflow
from whyconv.errors import DataError, ModelFileError, StoppedError, UsageError
from whyconv.finishing import read_summary
from whyconv.images.split import TRAIN
from whyconv.moving import measure_moved
from whyconv.recognizer import open_recognizer
from whyconv.report import why_section
from whyconv.report.page import WHY_BEGINS, WHY_ENDS
from whyconv.results import SquareProtocol, ignore
from whyconv.results.hyperparameters import Hyperparameters
from whyconv.results.why import Question, Why
from whyconv.show.text import sentence
from whyconv.study.protocol import Extent
from whyconv.texts import say
from whyconv.training.pictures import divide_again, parts_of
from whyconv.training.run_folder import read_plan

LEAST = Extent(1, (0.05, 0.3), steps=3)


@pytest.fixture(scope="module")
def bars_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("why")
    write_bars(folder / "bars", n=200)
    settings = {"network": "lesson", "epochs": 1, "store": str(folder / "store"), "out": str(folder / "runs")}
    return Path(workflow.train(str(folder / "bars"), only_model=True, flips="off", **settings).run)


@pytest.fixture
def least(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(explaining, "QUICK", LEAST)
    monkeypatch.setattr(explaining, "whole", lambda: LEAST)
    monkeypatch.setattr(explaining, "fitting_extent", lambda seconds, limit: (LEAST, ["sizes", "decays"]))


def test_copies_are_learned_from_once(bars_run: Path) -> None:
    plan = read_plan(bars_run)
    division = divide_again(plan, ignore, bars_run / "run.toml")
    rows = division.indices(TRAIN)
    group = division.inspection.duplicates.group.copy()
    group[rows[[3, 8]]] = group[rows[0]]
    duplicates = replace(division.inspection.duplicates, group=group)
    copied = replace(division, inspection=replace(division.inspection, duplicates=duplicates))
    before, now = (explaining._pictures_at(plan, one, 8, ignore) for one in (division, copied))
    kept = np.delete(np.arange(len(rows)), [3, 8])
    assert np.array_equal(now.train.pixels[np.arange(len(kept))], before.train.pixels[kept])
    assert len(now.train) == len(rows) - 2


def test_the_record_lies_in_the_run_folder_and_is_not_measured_again(
    bars_run: Path, least: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    why = workflow.why(bars_run, quick=True)
    saved = Why.model_validate_json((bars_run / "why.json").read_text(encoding="utf-8"))
    assert saved == why
    scored = read_summary(bars_run).test
    assert scored is not None
    protocol = why.square.protocol
    assert (protocol.side, protocol.channels, why.square.num_test) == (8, 1, scored.n)
    # The file's accuracy, found a second way: by the network alone, on the unmoved test pictures.
    assert [one.protocol.kind for one in why.translation] == ["zero", "circular"]
    assert why.translation[0].accuracy.value == pytest.approx(scored.accuracy.value)
    assert [(one.what, one.reason) for one in why.not_measured] == [("crop", "why_few_real")]
    told: list[object] = []
    monkeypatch.setattr(workflow, "measure_why", None)
    assert workflow.why(bars_run, told.append, quick=True) == why
    assert [getattr(note, "key", None) for note in told] == ["square_saved"]
    monkeypatch.undo()
    assert not explained.answered(bars_run, why.question.model_copy(update={"seed": 9}), why.digest, ignore)
    assert not explained.answered(bars_run, why.question, "other pictures", ignore)


@pytest.mark.parametrize(("side", "size"), [(8, 8), (20, 16)])
def test_the_dense_twin_is_the_dense_corner_of_the_first_draw(
    tmp_path: Path, least: None, side: int, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_bars(tmp_path / "bars", n=200, side=side)
    settings = {"network": "lesson", "epochs": 1, "store": str(tmp_path / "store"), "out": str(tmp_path / "runs")}
    run = Path(workflow.train(str(tmp_path / "bars"), only_model=True, flips="off", size=size, **settings).run)
    found = workflow.why(run, quick=True, side=8)
    twin, own = open_recognizer(run / "twin_dense.onnx"), open_recognizer(run)
    assert (twin.classes, twin.policy, twin.metadata.network) == (own.classes, own.policy, "dense")
    plan = read_plan(run)
    _, parts = parts_of(plan, divide_again(plan, ignore), ignore, side=size)
    test = parts[2].data
    right = twin.run(np.asarray(test.pixels[np.arange(len(test))])).probabilities.argmax(axis=1) == test.labels
    score = found.square.score("dense", "still")
    # Of smaller pictures the file takes means over blocks, where the square has resized originals.
    assert right.mean() == pytest.approx(score.by_draw[0], abs=1e-6 if size == 8 else 0.1)
    assert score.by_draw[0] > 0.6
    monkeypatch.setattr("whyconv.dense_twin_file._MOST_PARAMETERS", 10)
    told: list[object] = []
    workflow.why(run, told.append, quick=True, side=8, seed=1)  # takes the place of the first
    assert "dense_twin_large" in [getattr(note, "key", None) for note in told]
    assert not (run / "twin_dense.onnx").exists()


def test_a_shorter_answer_leaves_the_dense_twin_of_the_longer_one_alone(
    bars_run: Path, least: None, tmp_path: Path
) -> None:
    run = Path(shutil.copytree(bars_run, tmp_path / "run"))
    longer = workflow.why(run, quick=True, seed=2)
    record = longer.model_copy(update={"question": longer.question.model_copy(update={"minutes": 10.0})})
    (run / "why.json").write_text(record.model_dump_json(), encoding="utf-8")
    twin = (run / "twin_dense.onnx").read_bytes()
    workflow.why(run, quick=True, seed=3)
    assert (run / "why-8-pixels-quick-seed-3.json").exists()
    assert (run / "twin_dense.onnx").read_bytes() == twin
    (run / "why.json").unlink()
    workflow.why(run, quick=True, seed=4)
    assert (run / "twin_dense.onnx").read_bytes() != twin


def test_real_pixels_come_in_where_originals_have_them(tmp_path: Path, least: None) -> None:
    write_bars(tmp_path / "bars", n=200, side=20)
    settings = {"network": "lesson", "epochs": 2, "store": str(tmp_path / "store"), "out": str(tmp_path / "runs")}
    run = Path(workflow.train(str(tmp_path / "bars"), only_model=True, flips="off", size=12, **settings).run)
    found = workflow.why(run, quick=True)
    crop = found.translation[0]
    assert (crop.protocol.kind, crop.protocol.side, found.not_measured) == ("crop", (12, 12), [])
    # A second way: the exported file, asked about the middle of the pictures at the larger side, and about one shift.
    reach = int(max(down for down, _ in crop.protocol.shifts))
    plan = read_plan(run)
    _, parts = parts_of(plan, divide_again(plan, ignore), ignore, side=12 + 2 * reach)
    test = parts[2].data
    assert crop.protocol.n == len(test)
    recognizer = open_recognizer(run)

    def right(down: int, across: int) -> float:
        top, left = reach - down, reach - across
        windows = np.ascontiguousarray(test.pixels[:, top : top + 12, left : left + 12])
        return float((recognizer.run(windows).probabilities.argmax(1) == test.labels).mean())

    assert crop.accuracy.value == pytest.approx(right(0, 0))
    by_shift = {one.shift: one.accuracy for one in crop.by_shift}
    assert by_shift[reach, -reach] == pytest.approx(right(reach, -reach))
    _require_told_where_moves_are_cut(run)


def _require_told_where_moves_are_cut(run: Path) -> None:
    """Of a run that sees 12 x 12 pixels, which are usually moved by up to 3."""
    plan = read_plan(run)
    division = divide_again(plan, ignore)
    for seconds, reach, left_out in ((1e9, 3, []), (0.0, 2, ["farther"])):
        told: list[Any] = []
        found = measure_moved(run, plan, division, told.append, seconds=seconds, seed=0)
        assert ({one.protocol.reach for one in found.measured}, found.left_out) == ({reach}, left_out)
        notes = [one for one in told if getattr(one, "key", "") == "moved_nearer"]
        assert [one.values for one in notes] == [{"reach": 2, "shifts": 24, "usual": 3, "all": 48}] * len(left_out)
    assert "more than 2 pixels" in say("why_part_farther", "en")


def test_another_side_and_minutes_are_told(bars_run: Path, least: None, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Any] = []
    asked: list[SquareProtocol] = []

    def measure(pictures: object, protocol: SquareProtocol, *_: object, **__: object) -> None:
        asked.append(protocol)
        raise StoppedError("Enough.")

    monkeypatch.setattr(explaining, "measure_square", measure)
    with pytest.raises(StoppedError):
        workflow.why(bars_run, told.append, side=16, minutes=0.001, seed=4)
    assert [(one.side, one.kernel, one.seed, one.steps) for one in asked] == [(16, 5, 4, 3)]
    keys = [getattr(note, "key", None) for note in told]
    assert {"square_side", "square_no_time", "square_plan", "why_left_out"} <= set(keys)
    # The pictures allow no more numbers of them: these are not missing.
    assert told[keys.index("why_left_out")].values == {"n": 1}
    assert say("why_part_decays", "en") in sentence(told[keys.index("why_left_out_parts")], "en")


def test_what_was_trained_before_a_stop_is_not_trained_again(
    bars_run: Path, least: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: object, **__: object) -> None:
        raise StoppedError("Stopped.")

    for name in ("measure_moved", "write_dense_twin"):
        with monkeypatch.context() as patch, pytest.raises(StoppedError):
            patch.setattr(explaining, name, stopped)
            workflow.why(bars_run, quick=True, seed=6)
        assert (bars_run / "why-parts.json").exists() == (name == "write_dense_twin")
    told: list[object] = []
    assert workflow.why(bars_run, told.append, quick=True, seed=6).translation
    assert not {"square", "square_tuning", "translation"} & {getattr(event, "stage", "") for event in told}
    assert not (bars_run / "why-parts.json").exists()


def test_hyperparameters_are_kept_and_what_cannot_be_measured_is_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def fails(*_: object, **__: object) -> Hyperparameters:
        asked.append("fails")
        raise DataError("too small")

    def measured(*_: object, **__: object) -> Hyperparameters:
        asked.append("measured")
        return made_up_hyperparameters()

    question = Question(side=8, minutes=1.0, seed=0)
    for study in (fails, measured, fails):
        monkeypatch.setattr(explaining, "study_hyperparameters", study)
        keep = explained.KeptParts(tmp_path / "why-parts.json", "origin")
        failed: dict[str, str] = {}
        found = explaining._hyperparameters(small_pictures(), question, failed, ignore, lambda: None, keep)
        assert (found is None, failed) == ((True, {"hyperparameters": "too small"}) if len(asked) == 1 else (False, {}))
    assert asked == ["fails", "measured"]


def test_a_stop_leaves_nothing_behind(bars_run: Path, least: None, monkeypatch: pytest.MonkeyPatch) -> None:
    before = sorted(path.name for path in bars_run.iterdir())
    record = (bars_run / "why.json").read_bytes() if (bars_run / "why.json").exists() else b""
    monkeypatch.setattr(explaining, "stop_requests", _stopped)
    with pytest.raises(StoppedError, match="trainings that had ended are kept") as stop:
        workflow.why(bars_run, seed=5)
    assert stop.value.exit_code == 143
    assert sorted(path.name for path in bars_run.iterdir()) == before
    assert not record or (bars_run / "why.json").read_bytes() == record


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"seed": 5}, " --seed 5"),
        ({"quick": True, "seed": 5}, " --quick --seed 5"),
        ({"minutes": 60.0, "side": 16, "seed": 1}, " --minutes 60 --side 16 --seed 1"),
    ],
)
def test_a_stopped_question_says_how_the_same_is_asked_again(
    bars_run: Path, asked: dict[str, Any], words: str, least: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(explaining, "stop_requests", _stopped)
    with pytest.raises(StoppedError) as stop:
        workflow.why(bars_run, **asked)
    assert str(stop.value).endswith(f"Go on with:  whyconv why {bars_run}{words}")


def test_a_second_ctrl_c_says_so_too(bars_run: Path, least: None, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(explaining, "measure_square", interrupted)
    with pytest.raises(StoppedError) as stop:
        workflow.why(bars_run, quick=True, seed=8)
    assert str(stop.value) == f"Stopped by Ctrl-C. Go on with:  whyconv why {bars_run} --quick --seed 8"
    assert stop.value.exit_code == 130


def test_the_report_is_filled_in_its_own_language_once_and_left_alone_without_a_place(
    bars_run: Path, least: None
) -> None:
    path = bars_run / "report.html"
    path.write_text(f'<html lang="ko">{WHY_BEGINS}<p class="unmeasured">-</p>{WHY_ENDS}</html>', encoding="utf-8")
    told: list[object] = []
    why = workflow.why(bars_run, told.append, quick=True)  # measured, or read again
    filled = path.read_text(encoding="utf-8")
    assert filled == f'<html lang="ko">{WHY_BEGINS}\n{why_section(why, "ko")}\n{WHY_ENDS}</html>'
    assert workflow.why(bars_run, quick=True) == why
    assert path.read_text(encoding="utf-8") == filled
    workflow.why(bars_run, told.append, quick=True, seed=7)
    assert path.read_text(encoding="utf-8") != filled
    assert "why_no_place" not in {getattr(note, "key", None) for note in told}
    path.write_text("<html>by hand</html>", encoding="utf-8")
    workflow.why(bars_run, told.append, quick=True, seed=8)
    assert path.read_text(encoding="utf-8") == "<html>by hand</html>"
    assert "why_no_place" in {getattr(note, "key", None) for note in told}
    path.unlink()


class _stopped:  # noqa: N801
    def __enter__(self) -> Callable[[], int]:
        return lambda: 143

    def __exit__(self, *_: object) -> None:
        pass


def test_all_mistakes_are_named_at_once() -> None:
    with pytest.raises(UsageError) as mistakes:
        explaining.settle_question(12, -1.0, True, -3, 8)
    for word in ("4 mistake(s)", "side = 12", "8, 16 or 32", "minutes = -1", "quick and minutes", "seed = -3"):
        assert word in str(mistakes.value)


@pytest.mark.parametrize(
    ("minutes", "seed", "said"),
    [("1", 0, "minutes = '1'"), (True, 0, "minutes = True"), (float("nan"), 0, "nan"), (None, 1.5, "seed = 1.5")],
)
def test_what_is_no_number_is_told(minutes: object, seed: object, said: str) -> None:
    with pytest.raises(UsageError, match=f"1 mistake.*\n.*{said}: expected"):
        explaining.settle_question(None, minutes, False, seed, 8)


def test_numbers_of_numpy_are_taken() -> None:
    asked = explaining.settle_question(np.int64(16), np.float32(2), False, np.int64(4), 8)
    assert asked == Question(side=16, minutes=2.0, seed=4)


@pytest.mark.parametrize(("found", "settled"), [(6, 8), (8, 8), (15, 8), (16, 16), (96, 16)])
def test_the_side_follows_from_the_run(found: int, settled: int) -> None:
    assert explaining.settle_question(None, None, False, 0, found) == Question(side=settled, minutes=10.0, seed=0)
    assert explaining.settle_question(32, 3.0, False, 0, found) == Question(side=32, minutes=3.0, seed=0)
    assert explaining.settle_question(None, None, True, 1, 8) == Question(side=8, minutes=None, seed=1)


def test_the_square_has_three_fifths_and_what_the_others_cannot_use() -> None:
    assert explaining.square_seconds(10) == pytest.approx(60 * 6.2)
    assert explaining.square_seconds(40) == pytest.approx(60 * 24.8)
    assert explaining.square_seconds(200) == pytest.approx(60 * (200 - 15.2))


def test_a_run_without_test_pictures_is_refused(tmp_path: Path, least: None) -> None:
    write_bars(tmp_path / "bars", n=40)
    settings = {"network": "lesson", "epochs": 1, "store": str(tmp_path / "store"), "out": str(tmp_path / "runs")}
    run = workflow.train(str(tmp_path / "bars"), only_model=True, flips="off", test_fraction=0.0, **settings).run
    with pytest.raises(DataError, match=r"0 test picture\(s\)"):
        workflow.why(run, quick=True)


def test_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="no run folder"):
        workflow.why(tmp_path)
