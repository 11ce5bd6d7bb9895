"""Cells of the race, and the file of their records: one JSON object a line, appended whole or not at all."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Any

Row = dict[str, Any]


@dataclass(frozen=True)
class Cell:
    """One whole training: what tool, on what, how long.

    Attributes:
        tool: Name of a column of the table.
        data: Name of a set of pictures.
        minutes: For the whole command.
        seed: Of the training, and of the split where the set comes without one.
        words: What the tool is told besides, as text; other words are another cell.
        label: Names a state of whyconv that is timed again; "" for the usual one.
    """

    tool: str
    data: str
    minutes: float
    seed: int
    words: str = ""
    label: str = ""

    def __str__(self) -> str:
        rest = "".join(f"  [{text}]" for text in (self.words, self.label) if text)
        return f"{self.tool} {self.data} {self.minutes:g} min seed {self.seed}{rest}"


def cell_of(row: Row) -> Cell:
    """Returns the cell that a record belongs to."""
    return Cell(**{name: row[name] for name in Cell.__dataclass_fields__})


def is_cell(row: Row) -> bool:
    """Whether a record is that of a cell, not of the anchor."""
    return row["kind"] == "cell"


def record(cell: Cell, **measured: object) -> Row:
    """Returns the record of a finished cell."""
    return {"kind": "cell", **asdict(cell), **measured}


def missing(cells: Iterable[Cell], rows: Iterable[Row]) -> list[Cell]:
    """Returns the cells without a record, each once, in their order."""
    done = {cell_of(row) for row in rows if is_cell(row)}
    return [cell for cell in dict.fromkeys(cells) if cell not in done]


def read_rows(path: Path) -> list[Row]:
    """Returns all records; a last line without its end was being written when the power went, and is none.

    Raises:
        ValueError: A line is no JSON; its number is named.
    """
    if not path.exists():
        return []
    rows = []
    for number, line in enumerate(path.read_bytes().splitlines(keepends=True), start=1):
        if not line.endswith(b"\n"):
            break
        try:
            rows.append(json.loads(line))
        except ValueError as error:
            raise ValueError(f"{path}, line {number}, is no JSON: {error}. Remove or mend the line.") from None
    return rows


def append_row(path: Path, row: Row) -> None:
    """Adds one record, and cuts off before it what a power cut left of another."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab+") as file:
        _cut_torn_line(file)
        file.write(json.dumps(row, ensure_ascii=False).encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())


def _cut_torn_line(file: IO[bytes]) -> None:
    file.seek(0)
    content = file.read()
    file.truncate(content.rfind(b"\n") + 1)
    file.seek(0, os.SEEK_END)


@contextmanager
def sole_race(path: Path) -> Iterator[None]:
    """Holds the file of records; two races at once would slow each other.

    Raises:
        RuntimeError: Another process holds it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_name(path.name + ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise RuntimeError(f"Another race writes to {path}. Wait for it, or name another --results.") from None
        yield
