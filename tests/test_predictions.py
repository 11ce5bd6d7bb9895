"""Rows of predictions read back as what was predicted, and open safely in a spreadsheet."""

from __future__ import annotations

import csv
import io
import json
import os
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whyconv.errors import UsageError
from whyconv.predictions import as_json, escape_formula, margin, text_cell, writing_predictions
from whyconv.results import Prediction, RankedLabel


def predicted(name: str, *labels: tuple[str, float]) -> Prediction:
    return Prediction(name=name, labels=[RankedLabel(label=label, probability=share) for label, share in labels])


ROWS = [
    predicted("a/고양이.jpg", ("cat", 0.75), ("dog, big", 0.25)),
    predicted('b "two"\nlines.png', ("dog, big", 0.5), ("cat", 0.5)),
    Prediction(name="c.jpg", labels=[], error="cut short"),
]
COLUMNS = ["path", "label", "probability", "label_2", "probability_2", "margin", "unsure", "error"]


def write(path: Path, rows: list[Prediction] = ROWS, top: int = 2) -> Path:
    with writing_predictions(path, top) as add:
        for row in rows:
            add(row)
    return path


def test_csv_reads_back(tmp_path: Path) -> None:
    with write(tmp_path / "p.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == COLUMNS
    assert list(rows[0].values()) == ["a/고양이.jpg", "cat", "0.75", "dog, big", "0.25", "0.5", "", ""]
    assert rows[1]["path"] == 'b "two"\nlines.png'
    assert list(rows[2].values()) == ["c.jpg", "", "", "", "", "", "", "cut short"]


SETS = [
    ROWS[0].model_copy(update={"is_unsure": False, "novelty": 0.3, "label_set": ["cat", "dog, big"]}),
    ROWS[1].model_copy(update={"is_unsure": True, "novelty": 2.5, "label_set": ["=dog"]}),
    ROWS[2],
]


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_unsure_and_sets_have_columns_and_what_is_not_known_is_empty(ending: str, tmp_path: Path) -> None:
    path = tmp_path / f"p.{ending}"
    with writing_predictions(path, 1, has_sets=True) as add:
        for row in SETS:
            add(row)
    if ending == "csv":
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        assert [row["unsure"] for row in rows] == ["false", "true", ""]
        assert [row["set"] for row in rows] == ["cat | dog, big", "'=dog", ""]
    else:
        if ending == "jsonl":
            rows = [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n")[:-1]]
        else:
            rows = pytest.importorskip("pyarrow.parquet").read_table(path).to_pylist()
        assert [row["unsure"] for row in rows] == [False, True, None]
        assert [row["set"] for row in rows] == [["cat", "dog, big"], ["=dog"], None]
    assert list(rows[0]) == ["path", "label", "probability", "margin", "unsure", "set", "error"]


def test_json_lines_read_back(tmp_path: Path) -> None:
    rows = [json.loads(line) for line in write(tmp_path / "p.jsonl").read_text(encoding="utf-8").split("\n")[:-1]]
    assert [list(row) for row in rows] == [COLUMNS] * 3
    assert rows[0]["probability"] == 0.75
    assert rows[2] == dict.fromkeys(COLUMNS) | {"path": "c.jpg", "error": "cut short"}
    assert json.loads(as_json(ROWS[0], 2)) == rows[0]


def test_parquet_reads_back_and_agrees_with_json(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    table = parquet.read_table(write(tmp_path / "p.PARQUET"))
    assert table.column_names == COLUMNS
    assert table.to_pylist() == [json.loads(as_json(row, 2)) for row in ROWS]
    assert str(table.schema.field("probability").type) == "float"


def test_parquet_is_written_in_groups(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    written = parquet.ParquetFile(write(tmp_path / "p.parquet", [ROWS[0]] * 9000))
    assert written.metadata.num_rows == 9000
    assert written.metadata.num_row_groups == 3


@pytest.mark.parametrize("name", ["p.csv", "p.jsonl", "p.parquet"])
def test_a_failure_leaves_what_was_there(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text("before")
    with pytest.raises(AttributeError):
        write(tmp_path / name, [ROWS[0], None])
    assert (tmp_path / name).read_text() == "before"
    assert list(tmp_path.iterdir()) == [tmp_path / name]


def test_another_ending_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"p\.xlsx.*\.csv, \.jsonl, \.parquet"):
        write(tmp_path / "p.xlsx")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("start", ["=1+1", "+1", "-1", "@sum", "\tx", "\rx", "\nx"])
def test_cells_that_a_spreadsheet_would_run_are_quoted(start: str, tmp_path: Path) -> None:
    rows = [predicted(start, (start, 1.0)), Prediction(name="x", labels=[], error=start)]
    with write(tmp_path / "p.csv", rows).open(encoding="utf-8", newline="") as file:
        first, second = csv.DictReader(file)
    assert first["path"] == first["label"] == second["error"] == "'" + start


@given(st.lists(st.text(), min_size=1))
def test_cells_read_back_as_the_csv_module_reads_them(texts: list[str]) -> None:
    line = ",".join(["", *map(text_cell, texts)]) + "\r\n"
    (row,) = csv.reader(io.StringIO(line, newline=""), strict=True)
    assert row[1:] == [escape_formula(text) for text in texts]


@given(st.text(st.sampled_from("a;,\t\r\n\0 \"'=+-@\uff1d")))
def test_escaping_changes_nothing_else(text: str) -> None:
    escaped = escape_formula(text)
    assert escaped.replace("'", "") == text.replace("'", "")
    assert (escaped == text) == (
        not any(is_formula(cell) for cell in re.split(r"[;\t\r\n]", text)) and text[:1] not in SPLITS
    )
    assert not any(is_formula(cell) for cell in re.split(r"[;\t\r\n]", escaped))


SPLITS = ("\t", "\r", "\n", "\0")


def is_formula(cell: str) -> bool:
    return cell.lstrip(' \0"').startswith(("=", "+", "-", "@", "\uff1d"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a;=1+1", "a;'=1+1"),
        ('a;"=1+1"', 'a;\'"=1+1"'),
        ("\uff1d1+1", "'\uff1d1+1"),
        (" =1+1", "' =1+1"),
        ("\0=1", "'\0=1"),
        ("a-b=c@d+e;f", "a-b=c@d+e;f"),
        ("", ""),
    ],
)
def test_a_formula_is_found_wherever_a_spreadsheet_begins_a_cell(text: str, expected: str) -> None:
    assert escape_formula(text) == expected


@pytest.mark.parametrize("name", ["p.csv", "p.jsonl", "p.parquet"])
def test_a_name_that_is_no_utf8_is_written(name: str, tmp_path: Path) -> None:
    if name.endswith("parquet"):
        pytest.importorskip("pyarrow")
    written = write(tmp_path / name, [predicted(os.fsdecode(b"\xff.jpg"), ("cat", 1.0))])
    assert b"udcff.jpg" in written.read_bytes()


def test_margin_is_the_lead_of_the_first_label() -> None:
    assert margin(ROWS[0]) == 0.5
    assert margin(predicted("x", ("cat", 1.0))) is None
    assert margin(ROWS[2]) is None


def test_probabilities_have_the_digits_of_a_float32(tmp_path: Path) -> None:
    assert '"probability": 0.93,' in as_json(predicted("x", ("cat", 0.9300000071525574)), 1)
