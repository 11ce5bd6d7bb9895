"""predict: a line, a row or an object a picture; a bad file is told and costs no other its answer."""

from __future__ import annotations

import io
import json
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from command_line import Outcome, read_csv, shell
from novelty_pictures import pictures
from tiny_model import COLORS, make_metadata, write_model
from whyconv.novelty import add_novelty, fit_novelty


def test_predict_prints_a_line_a_picture(run: Callable[..., Outcome], model: Path, inbox: Path) -> None:
    outcome = run("predict", model, inbox, "--top", 2)
    assert outcome.code == 0
    assert outcome.text.startswith("unsure: not available")
    lines = outcome.data.splitlines()
    assert [line.split()[0] for line in lines] == [str(inbox / f"{name}.png") for name in sorted(COLORS)]
    assert [line.split()[1] for line in lines] == sorted(COLORS)
    assert all(re.fullmatch(r".+   \w+ 0\.\d\d   \w+ 0\.\d\d", line) for line in lines)


def test_predict_in_json_lines(run: Callable[..., Outcome], model: Path, inbox: Path) -> None:
    rows = [json.loads(line) for line in run("predict", model, inbox, "--json").data.splitlines()]
    assert [row["label"] for row in rows] == sorted(COLORS)
    assert all(row["error"] is None and 0 < row["margin"] < 1 for row in rows)
    assert list(rows[0]) == [
        *("path", "label", "probability", "label_2", "probability_2", "label_3", "probability_3"),
        *("margin", "unsure", "error"),
    ]


@pytest.mark.parametrize("encoding", ["ascii", "cp949", "latin-1", "utf-16", "utf-8"])
def test_json_reads_back_whatever_letters_the_stream_has(
    encoding: str, run: Callable[..., Outcome], inbox: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    classes = ["é", "고양이😀", "a\\\u202eb"]
    path = write_model(tmp_path / "letters.onnx", classes=classes)
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding=encoding))
    run("predict", path, inbox, "--json")
    rows = [json.loads(line) for line in written.getvalue().decode(encoding).splitlines()]
    assert [{row[f"label{place}"] for place in ("", "_2", "_3")} for row in rows] == [set(classes)] * 3
    assert written.getvalue().isascii() is (encoding not in ("utf-8", "utf-16"))


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_predict_to_a_table(ending: str, run: Callable[..., Outcome], model: Path, inbox: Path, tmp_path: Path) -> None:
    table = tmp_path / f"answers.{ending}"
    outcome = run("predict", model, inbox, "--to", table, "--top", 1)
    assert (outcome.code, outcome.data) == (0, "")
    assert outcome.text.endswith(f"3 pictures -> {table}\n")
    if ending == "csv":
        rows = read_csv(table)
    elif ending == "jsonl":
        rows = [json.loads(line) for line in table.read_text().splitlines()]
    else:
        rows = pytest.importorskip("pyarrow.parquet").read_table(table).to_pylist()
    assert [row["label"] for row in rows] == sorted(COLORS)
    assert list(rows[0]) == ["path", "label", "probability", "margin", "unsure", "error"]
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
    assert outcome.text.endswith("1 of 4 files could not be read\n")
    assert run("predict", model, inbox, "--to", tmp_path / "a.csv").code == 3
    rows = read_csv(tmp_path / "a.csv")
    assert [bool(row["error"]) for row in rows].count(True) == 1


def test_a_table_in_json_is_summed_up_in_one_object(
    run: Callable[..., Outcome], model: Path, inbox: Path, tmp_path: Path
) -> None:
    (inbox / "cut.jpg").write_bytes(b"\xff\xd8\xff")
    table = tmp_path / "a.csv"
    outcome = run("predict", model, inbox, "--to", table, "--json")
    assert outcome.code == 3
    assert json.loads(outcome.data) == {"to": str(table), "num_pictures": 4, "num_unread": 1}
    assert len(read_csv(table)) == 4


@pytest.mark.parametrize(("name", "is_folder"), [("answers.v2", True), ("a.CSV", False), ("a.parquet", False)])
def test_a_cluster_writes_into_folders_whose_names_may_hold_a_dot(
    name: str, is_folder: bool, run: Callable[..., Outcome], model: Path, inbox: Path, tmp_path: Path
) -> None:
    outcome = run("predict", model, inbox, "--to", tmp_path / name, "--cluster", "nowhere")
    assert outcome.code == 2
    # What is refused is the address, after the folder, or the folder itself.
    assert ("Expected --to FOLDER" in outcome.text) is not is_folder
    assert ("nowhere" in outcome.text) is is_folder


def test_a_path_that_is_not_there_is_named(run: Callable[..., Outcome], model: Path, inbox: Path) -> None:
    outcome = run("predict", model, inbox.parent / "inbux")
    assert outcome.code == 3
    assert "Did you mean 'inbox'?" in outcome.text


def test_a_path_that_is_not_there_is_told_before_anything_is_answered(
    run: Callable[..., Outcome], model: Path, inbox: Path, tmp_path: Path
) -> None:
    table = tmp_path / "a.csv"
    for verb in (("check", "inbux"), ("train", "inbux"), ("predict", model, "inbux")):
        outcome = run(*verb)
        assert (outcome.code, outcome.data) == (3, ""), verb
        assert "inbux does not exist" in outcome.text
    for words in (("inbux", inbox), (inbox, "inbux")):
        outcome = run("predict", model, *words, "--to", table)
        assert (outcome.code, outcome.data, table.exists()) == (3, "", False)
        assert "inbux does not exist" in outcome.text


@pytest.mark.parametrize(
    ("name", "mine"),
    [
        ("t.csv", b"path,label\na.png,cat\n"),
        ("t.jsonl", b'{"path": "a", "label": "b"}'),
        ("t.parquet", b"PAR1, and no more"),
    ],
)
def test_a_table_takes_the_place_of_a_table_of_predictions_alone(
    run: Callable[..., Outcome], model: Path, inbox: Path, tmp_path: Path, name: str, mine: bytes
) -> None:
    labels = tmp_path / name
    labels.write_bytes(mine)
    outcome = run("predict", model, inbox, "--to", labels)
    assert (outcome.code, "holds no predictions" in outcome.text) == (2, True)
    assert labels.read_bytes() == mine
    labels.write_bytes(b"")
    for top in ("1", "3"):
        assert run("predict", model, inbox, "--to", labels, "--top", top).code in {0, 3}
    assert b"probability_2" in labels.read_bytes()


def test_an_empty_word_is_not_the_current_folder(
    run: Callable[..., Outcome], model: Path, inbox: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(inbox)
    for words in (("predict", model, ""), ("predict", "", inbox), ("predict", model, inbox, "--to="), ("check", "")):
        outcome = run(*words)
        assert (outcome.code, outcome.data) == (2, "")
        assert "is empty. Expected a name or a value; is a variable of the shell not set?" in outcome.text
    assert "The word behind --to is empty" in run("predict", model, inbox, "--to=").text
    assert "--a= does not exist" in run("check", "--", "--a=").text


def test_a_table_takes_the_place_of_no_picture_and_of_no_file_of_a_run(
    run: Callable[..., Outcome], model: Path, inbox: Path, tmp_path: Path
) -> None:
    picture, linked = inbox / "red.csv", tmp_path / "linked.csv"
    (inbox / "red.png").rename(picture)
    linked.symlink_to(picture)
    mine = model / "predictions.csv"
    other = tmp_path / "runs" / "other-1" / "suspects.csv"
    other.parent.mkdir()
    for path in (mine, mine.with_name("run.toml"), other, other.with_name("run.toml")):
        path.write_text("made by a training")
    before = picture.read_bytes()
    for words in ((model, picture, "--to", picture), (model, picture, "--to", linked)):
        outcome = run("predict", *words)
        assert (outcome.code, "is one of the pictures" in outcome.text) == (2, True)
    for words in (
        (model, inbox, "--to", mine),
        (model / "model.onnx", inbox, "--to", mine),
        (model, inbox, "--to", other),
    ):
        outcome = run("predict", *words)
        assert (outcome.code, "is the run's own" in outcome.text) == (2, True)
    assert (picture.read_bytes(), mine.read_text(), other.read_text()) == (before, *["made by a training"] * 2)
    assert run("predict", model, inbox, "--to", model / "new.csv").code == 0
    table = tmp_path / "answers.csv"
    assert [run("predict", model, inbox, "--to", table).code for _ in range(2)] == [0, 0]


def test_no_pictures_at_all_is_said(run: Callable[..., Outcome], model: Path, tmp_path: Path) -> None:
    (tmp_path / "nothing").mkdir()
    assert run("predict", model, tmp_path / "nothing").text.startswith("no pictures found in ")


def test_names_that_are_no_utf8_are_printed_and_written(model: Path, inbox: Path, tmp_path: Path) -> None:
    try:
        (inbox / "red.png").rename(inbox / os.fsdecode(b"\xff.png"))
    except OSError:
        pytest.skip("this file system takes only UTF-8")
    shown = shell("predict", model, inbox)
    assert shown.returncode == 0
    assert len(shown.stderr.splitlines()) == 1  # that it cannot tell what is unsure
    assert "\\xff.png   red 0." in shown.stdout
    assert shell("predict", model, inbox, "--to", tmp_path / "a.parquet").returncode == 0


def test_sets_that_cannot_be_made_are_refused_before_anything_is_written(
    run: Callable[..., Outcome], model: Path, inbox: Path, tmp_path: Path
) -> None:
    outcome = run("predict", model, inbox, "--sets", 0.95, "--to", tmp_path / "a.csv")
    assert outcome.code == 2
    assert "no scores of validation pictures" in outcome.text
    assert not (tmp_path / "a.csv").exists()


def test_a_file_with_thresholds_says_unsure_and_gives_sets(
    run: Callable[..., Outcome], tmp_path: Path, inbox: Path
) -> None:
    truths = [0.2 + 0.04 * place for place in range(20)]
    told = {"threshold": -1.0, "accepted_fraction": 0.95, "n": 20}
    path = write_model(tmp_path / "told.onnx", sets={"truths": truths}, unsure=told)
    novelty = fit_novelty(pictures(60, 0), pictures(40, 1))
    path.write_bytes(
        add_novelty(path.read_bytes(), novelty, json.dumps(make_metadata(sets={"truths": truths}, unsure=told)))
    )
    lines = run("predict", path, inbox, "--top", 1, "--sets", 0.9).data.splitlines()
    assert all(re.search(r"   \{(red|green|blue)[^}]*\}   unsure$", line) for line in lines)
    rows = [json.loads(line) for line in run("predict", path, inbox, "--json", "--sets", 0.9).data.splitlines()]
    assert [row["unsure"] for row in rows] == [True] * 3
    assert all(row["set"][0] == row["label"] for row in rows)
    assert run("predict", path, inbox, "--sets", 0.99).code == 2
