"""predict: a line, a row or an object a picture; a bad file is told and costs no other its answer."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from command_line import Outcome, read_csv, shell
from tiny_model import COLORS


def test_predict_prints_a_line_a_picture(run: Callable[..., Outcome], model: Path, inbox: Path) -> None:
    outcome = run("predict", model, inbox, "--top", 2)
    assert (outcome.code, outcome.text) == (0, "")
    lines = outcome.data.splitlines()
    assert [line.split()[0] for line in lines] == [str(inbox / f"{name}.png") for name in sorted(COLORS)]
    assert [line.split()[1] for line in lines] == sorted(COLORS)
    assert all(re.fullmatch(r".+   \w+ 0\.\d\d   \w+ 0\.\d\d", line) for line in lines)


def test_predict_in_json_lines(run: Callable[..., Outcome], model: Path, inbox: Path) -> None:
    rows = [json.loads(line) for line in run("predict", model, inbox, "--json").data.splitlines()]
    assert [row["label"] for row in rows] == sorted(COLORS)
    assert all(row["error"] is None and 0 < row["margin"] < 1 for row in rows)
    assert list(rows[0]) == [
        "path", "label", "probability", "label_2", "probability_2", "label_3", "probability_3", "margin", "error",
    ]  # fmt: skip


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_predict_to_a_table(ending: str, run: Callable[..., Outcome], model: Path, inbox: Path, tmp_path: Path) -> None:
    table = tmp_path / f"answers.{ending}"
    outcome = run("predict", model, inbox, "--to", table, "--top", 1)
    assert (outcome.code, outcome.data) == (0, "")
    assert outcome.text == f"3 pictures -> {table}\n"
    if ending == "csv":
        rows = read_csv(table)
    elif ending == "jsonl":
        rows = [json.loads(line) for line in table.read_text().splitlines()]
    else:
        rows = pytest.importorskip("pyarrow.parquet").read_table(table).to_pylist()
    assert [row["label"] for row in rows] == sorted(COLORS)
    assert list(rows[0]) == ["path", "label", "probability", "margin", "error"]
    assert all(0 < float(row["margin"]) < 1 for row in rows)


def test_a_bad_file_is_a_row_and_exit_code_3(
    run: Callable[..., Outcome], model: Path, inbox: Path, tmp_path: Path
) -> None:
    (inbox / "cut\x1b[31m.jpg").write_bytes(b"\xff\xd8\xff")
    outcome = run("predict", model, inbox)
    assert outcome.code == 3
    assert len(outcome.data.splitlines()) == 4
    assert "cut\\x1b[31m.jpg   error: " in outcome.data
    assert "\x1b" not in outcome.data
    assert outcome.text == "1 of 4 files could not be read\n"
    assert run("predict", model, inbox, "--to", tmp_path / "a.csv").code == 3
    rows = read_csv(tmp_path / "a.csv")
    assert [bool(row["error"]) for row in rows].count(True) == 1


def test_a_path_that_is_not_there_is_named(run: Callable[..., Outcome], model: Path, inbox: Path) -> None:
    outcome = run("predict", model, inbox.parent / "inbux")
    assert outcome.code == 3
    assert "Did you mean 'inbox'?" in outcome.text


def test_no_pictures_at_all_is_said(run: Callable[..., Outcome], model: Path, tmp_path: Path) -> None:
    (tmp_path / "nothing").mkdir()
    assert run("predict", model, tmp_path / "nothing").text.startswith("no pictures found in ")


def test_names_that_are_no_utf8_are_printed_and_written(model: Path, inbox: Path, tmp_path: Path) -> None:
    try:
        (inbox / "red.png").rename(inbox / os.fsdecode(b"\xff.png"))
    except OSError:
        pytest.skip("this file system takes only UTF-8")
    shown = shell("predict", model, inbox)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert "\\xff.png   red 0." in shown.stdout
    assert shell("predict", model, inbox, "--to", tmp_path / "a.parquet").returncode == 0
