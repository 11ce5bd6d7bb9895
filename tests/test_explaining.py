"""The verb why: what it asks of a run, what it leaves there, and what it does not measure twice."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tiny_training import write_bars
from whyconv import explaining, workflow
from whyconv.errors import DataError, ModelFileError, StoppedError, UsageError
from whyconv.finishing import read_summary
from whyconv.results import Square, SquareProtocol
from whyconv.study.protocol import Rung

LEAST = Rung(1, 2, 3, ())


@pytest.fixture(scope="module")
def bars_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("why")
    write_bars(folder / "bars", n=60)
    settings = {"network": "lesson", "epochs": 1, "store": str(folder / "store"), "out": str(folder / "runs")}
    return Path(workflow.train(str(folder / "bars"), only_model=True, flips="off", **settings).run)


@pytest.fixture
def least(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("QUICK", "WHOLE"):
        monkeypatch.setattr(explaining, name, LEAST)
    monkeypatch.setattr(explaining, "LADDER", (LEAST,))


def test_the_record_lies_in_the_run_folder_and_is_not_measured_again(
    bars_run: Path, least: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    square = workflow.why(bars_run, quick=True)
    saved = Square.model_validate_json((bars_run / "why.json").read_text(encoding="utf-8"))
    assert saved == square
    scored = read_summary(bars_run).test
    assert scored is not None
    assert (square.protocol.side, square.protocol.channels, square.num_test) == (8, 1, scored.n)
    told: list[object] = []
    monkeypatch.setattr(workflow, "explain", None)
    assert workflow.why(bars_run, told.append, quick=True) == square
    assert [getattr(note, "key", None) for note in told] == ["square_saved"]
    monkeypatch.undo()
    assert not explaining.saved_square(bars_run, square.protocol.model_copy(update={"seed": 9}), square.digest)
    assert not explaining.saved_square(bars_run, square.protocol, "other pictures")


def test_another_side_and_minutes_are_told(bars_run: Path, least: None, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[object] = []
    asked: list[SquareProtocol] = []

    def measure(pictures: object, protocol: SquareProtocol, *_: object, **__: object) -> None:
        asked.append(protocol)
        raise StoppedError("Enough.")

    monkeypatch.setattr(explaining, "measure_square", measure)
    with pytest.raises(StoppedError):
        workflow.why(bars_run, told.append, side=16, minutes=0.001, seed=4)
    assert [(one.side, one.kernel, one.seed, one.steps) for one in asked] == [(16, 5, 4, 3)]
    keys = [getattr(note, "key", None) for note in told]
    assert {"square_side", "square_no_time", "square_plan"} <= set(keys)


def test_a_stop_leaves_nothing_behind(bars_run: Path, least: None, monkeypatch: pytest.MonkeyPatch) -> None:
    before = sorted(path.name for path in bars_run.iterdir())
    record = (bars_run / "why.json").read_bytes() if (bars_run / "why.json").exists() else b""
    monkeypatch.setattr(explaining, "stop_requests", _stopped)
    with pytest.raises(StoppedError, match="nothing was written") as stop:
        workflow.why(bars_run, seed=5)
    assert stop.value.exit_code == 143
    assert sorted(path.name for path in bars_run.iterdir()) == before
    assert not record or (bars_run / "why.json").read_bytes() == record


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


@pytest.mark.parametrize(("found", "settled"), [(6, 8), (8, 8), (15, 8), (16, 16), (96, 16)])
def test_the_side_follows_from_the_run(found: int, settled: int) -> None:
    assert explaining.settle_question(None, None, False, 0, found) == settled
    assert explaining.settle_question(32, None, False, 0, found) == 32


def test_a_run_without_validation_is_refused(tmp_path: Path, least: None) -> None:
    write_bars(tmp_path / "bars", n=40)
    settings = {"network": "lesson", "epochs": 1, "store": str(tmp_path / "store"), "out": str(tmp_path / "runs")}
    run = workflow.train(str(tmp_path / "bars"), only_model=True, flips="off", validation_fraction=0.0, **settings).run
    with pytest.raises(DataError, match="no validation part"):
        workflow.why(run, quick=True)


def test_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="no finished run"):
        workflow.why(tmp_path)
