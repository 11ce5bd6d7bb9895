from __future__ import annotations

import json
from pathlib import Path

import pytest
from racing.cells import Cell, append_row, cell_of, missing, read_rows, record, sole_race

CELL = Cell("fastai.fair", "flowers", 3, 0, "side=64")


def test_a_record_names_its_cell() -> None:
    row = json.loads(json.dumps(record(CELL, accuracy=0.5)))
    assert cell_of(row) == CELL
    assert str(CELL) == "fastai.fair flowers 3 min seed 0  [side=64]"


def test_what_has_a_record_is_not_missing() -> None:
    others = [Cell("fastai.fair", "flowers", 3, 1, "side=64"), Cell("fastai.fair", "flowers", 3, 0, "side=96")]
    rows = [record(CELL), {"kind": "anchor", "seconds": 1.0}]
    assert missing([CELL, *others, CELL, others[0]], rows) == others


def test_rows_come_back_as_they_were_written(tmp_path: Path) -> None:
    rows = [record(CELL, accuracy=number / 7, note="꽃") for number in range(3)]
    for row in rows:
        append_row(tmp_path / "new" / "race.jsonl", row)
    assert read_rows(tmp_path / "new" / "race.jsonl") == rows
    assert read_rows(tmp_path / "absent.jsonl") == []


def test_a_line_torn_by_a_power_cut_is_no_record_and_does_not_spoil_the_next(tmp_path: Path) -> None:
    path = tmp_path / "race.jsonl"
    append_row(path, record(CELL))
    whole = path.read_bytes()
    path.write_bytes(whole + whole[:-7])
    assert read_rows(path) == [record(CELL)]
    append_row(path, record(CELL, accuracy=1.0))
    assert read_rows(path) == [record(CELL), record(CELL, accuracy=1.0)]


def test_a_damaged_line_is_named(tmp_path: Path) -> None:
    path = tmp_path / "race.jsonl"
    path.write_text('{"kind": "anchor"}\n{"kind"\n{}\n')
    with pytest.raises(ValueError, match="line 2, is no JSON"):
        read_rows(path)


def test_two_races_at_once_are_refused(tmp_path: Path) -> None:
    with sole_race(tmp_path / "race.jsonl"):
        with pytest.raises(RuntimeError, match="Another race"), sole_race(tmp_path / "race.jsonl"):
            pass
        with sole_race(tmp_path / "other.jsonl"):
            pass
    with sole_race(tmp_path / "race.jsonl"):
        pass
