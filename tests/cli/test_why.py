"""why from the command line, on the run that the demo left."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from command_line import Demo, Outcome
from made_up_atlas import made_up_atlas
from made_up_why import made_up_why
from tiny_training import tiny_plan
from whyconv.cli import runs
from whyconv.report.page import WHY_BEGINS, WHY_ENDS
from whyconv.results.why import Why
from whyconv.training import run_folder


def test_the_demo_ends_with_the_short_form(demo_run: Demo) -> None:
    assert "Why convolutions? The control square of runs/demo-digits-1" in demo_run.output
    square = Why.model_validate_json((demo_run.run / "why.json").read_text(encoding="utf-8")).square
    unmoved = [check.difference for check in square.checks if check.is_unmoved]
    assert max(unmoved) < 1e-9 < 1e-3 < min(check.difference for check in square.checks if not check.is_unmoved)
    assert len(square.protocol.sizes) == 2


def test_json_goes_to_stdout_and_words_to_stderr(demo_run: Demo, run: Callable[..., Outcome]) -> None:
    outcome = run("why", demo_run.run, "--quick", "--json", "--lang", "ko")
    assert outcome.code == 0, outcome.text
    assert json.loads(outcome.data)["square"]["protocol"]["readout"] == "mean"
    assert "왜 합성곱인가?" in outcome.text


@pytest.fixture
def explained_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run whose answer lies there already."""
    folder = tmp_path / "runs" / "pets-1"
    folder.mkdir(parents=True)
    (folder / "report.html").write_text(f'<html lang="ko">{WHY_BEGINS}<p>-</p>{WHY_ENDS}</html>', encoding="utf-8")
    why = made_up_why().model_copy(update={"run": str(folder)})
    (folder / "why.json").write_text(why.model_dump_json(), encoding="utf-8")
    monkeypatch.setattr(runs, "_why", lambda *_: why)
    monkeypatch.setattr(run_folder, "read_plan", lambda _: tiny_plan())
    return folder


def test_the_last_lines_name_the_report_and_the_file_with_all_numbers(
    explained_run: Path, run: Callable[..., Outcome]
) -> None:
    names = [f"report: {explained_run / 'report.html'}", f"all numbers: {explained_run / 'why.json'}"]
    assert run("why", explained_run).text.splitlines()[-2:] == names
    (explained_run / "report.html").unlink()
    last = run("why", explained_run).text.splitlines()[-2:]
    assert last[1] == names[1]
    assert "report" not in last[0]


def test_an_answer_beside_a_longer_one_is_not_said_to_be_in_the_report(
    explained_run: Path, run: Callable[..., Outcome], tmp_path: Path
) -> None:
    (tmp_path / "atlas.json").write_text(made_up_atlas().model_dump_json(), encoding="utf-8")
    (explained_run / "why.json").rename(explained_run / "why-32-pixels-10-minutes-seed-0.json")
    page = (explained_run / "report.html").read_text(encoding="utf-8")
    text = run("why", explained_run, "--atlas", tmp_path).text
    assert text.splitlines()[-1] == f"all numbers: {explained_run / 'why-32-pixels-10-minutes-seed-0.json'}"
    assert "report:" not in text
    assert (explained_run / "report.html").read_text(encoding="utf-8") == page
    assert (explained_run / "atlas.svg").exists()


def test_the_report_holds_the_atlas_that_is_asked_for(
    explained_run: Path, run: Callable[..., Outcome], tmp_path: Path
) -> None:
    (tmp_path / "atlas.json").write_text(made_up_atlas().model_dump_json(), encoding="utf-8")
    outcome = run("why", explained_run, "--atlas", tmp_path / "atlas.json")
    assert outcome.code == 0, outcome.text
    assert outcome.text.splitlines()[-1].startswith("all numbers: ")
    assert "has no place" not in outcome.text
    assert ">points gained by sharing<" in (explained_run / "atlas.svg").read_text(encoding="utf-8")
    page = (explained_run / "report.html").read_text(encoding="utf-8")
    assert page.count(">pets-1</text>") == 2
    assert "변수 공유로 얻은" in page
    (explained_run / "report.html").write_text("<html>by hand</html>", encoding="utf-8")
    assert "has no place" in run("why", explained_run, "--atlas", tmp_path).text


def test_a_side_that_is_no_power_of_two_is_wrong_use(demo_run: Demo, run: Callable[..., Outcome]) -> None:
    outcome = run("why", demo_run.run, "--side", 24)
    assert outcome.code == 2
    assert "side = 24" in outcome.text
