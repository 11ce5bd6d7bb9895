r"""Predictions as rows of a table: CSV, JSON lines or Parquet, written as they come.

Columns: ``path, label, probability, label_2, probability_2, ..., margin, unsure, set, error``. ``margin`` is the
probability of the first label less that of the second, in [0, 1], higher is surer. ``unsure`` is true or false, and
empty where the recognizer cannot tell. ``set`` is there where sets were asked for: labels with `` | `` between them in
CSV, a list elsewhere. A picture that could not be read has its reason under ``error`` and nothing else. Bytes of a
file name that are no UTF-8 are written as ``\udcXX``.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from whyconv.errors import UsageError, needing_extra
from whyconv.files import writing
from whyconv.results import Prediction
from whyconv.untrusted import json_values

Row = dict[str, str | float | bool | list[str] | None]
Write = Callable[[Prediction], None]

# Where a cell begins, for a spreadsheet that splits at commas or, as in many countries, at semicolons or tabs; and what
# it would take there for a formula, with blanks or quotes before it. Signs of full width are signs in some countries.
_SIGNS = "=+\\-@\uff1d\uff0b\uff0d\uff20"
_FORMULA = re.compile(f'^(?=[\\t\\r\\n\\0]|[\\s\\0"]*[{_SIGNS}])|(?<=[;\\t\\r\\n])(?=[\\s\\0"]*[{_SIGNS}])')
_PARQUET_ROWS = 4096
_ALWAYS = {"path", "label", "probability", "margin", "unsure", "error"}
_MOST_HEAD = 1_000_000
_BETWEEN = " | "


@contextmanager
def writing_predictions(path: Path, top: int, *, has_sets: bool = False) -> Iterator[Write]:
    """Opens a table and yields a function that adds one prediction to it.

    The file is there whole when the block ends well, or not at all; nothing is held in memory but the
    rows of one Parquet group.

    Args:
        path: Its ending decides the form: .csv, .jsonl or .parquet.
        top: How many labels to write for each picture, at least 1.
        has_sets: Whether there is a column for answer sets.

    Raises:
        UsageError: The ending is another one.
        MissingExtraError: Parquet is asked for and pyarrow is not installed.
    """
    form = _FORMS.get(path.suffix.lower())
    if form is None:
        raise UsageError(
            f"Predictions cannot be written to {path.name}. Expected a name ending in {', '.join(_FORMS)}."
        )
    with form(path, list(as_row(Prediction(name="", labels=[]), top, has_sets=has_sets))) as write_row:
        yield lambda prediction: write_row(as_row(prediction, top, has_sets=has_sets))


def holds_predictions(path: Path) -> bool:
    """Whether a file is such a table, or empty: nothing is lost by writing another in its place."""
    try:
        with path.open("rb") as file:
            first = file.readline(_MOST_HEAD)
        if path.suffix.lower() == ".parquet" and first:
            with needing_extra("Writing Parquet", "tables"):
                from pyarrow import parquet
            columns = parquet.read_schema(path).names
        else:
            columns = json_values(first) if first.startswith(b"{") else first.decode().strip().split(",")
    except (OSError, ValueError):  # pyarrow's and json's own are among these
        return False
    return not first or set(columns) >= _ALWAYS


def as_row(prediction: Prediction, top: int, *, has_sets: bool = False) -> Row:
    """Returns one prediction as column -> value; None where there is nothing to say."""
    row: Row = {"path": _as_utf8(prediction.name)}
    for place in range(top):
        ranked = prediction.labels[place] if place < len(prediction.labels) else None
        suffix = f"_{place + 1}" if place else ""
        row[f"label{suffix}"] = None if ranked is None else _as_utf8(ranked.label)
        row[f"probability{suffix}"] = None if ranked is None else _short(ranked.probability)
    ahead = margin(prediction)
    row["margin"] = None if ahead is None else _short(ahead)
    row["unsure"] = prediction.is_unsure
    if has_sets:
        row["set"] = None if prediction.label_set is None else [_as_utf8(label) for label in prediction.label_set]
    row["error"] = None if prediction.error is None else _as_utf8(prediction.error)
    return row


def margin(prediction: Prediction) -> float | None:
    """Returns how far the first label is ahead of the second, in [0, 1]; None with fewer than two labels."""
    if len(prediction.labels) < 2:
        return None
    return prediction.labels[0].probability - prediction.labels[1].probability


def as_json(prediction: Prediction, top: int, *, has_sets: bool = False) -> str:
    """Returns one prediction as a line of JSON, without the end of the line."""
    return _dump(as_row(prediction, top, has_sets=has_sets))


def escape_formula(text: str) -> str:
    """Returns ``text`` with ``'`` wherever a spreadsheet would see the beginning of a formula.

    JSON lines and Parquet hold every text as it is.

    References:
        OWASP, *CSV Injection* (https://owasp.org/www-community/attacks/CSV_Injection).
    """
    return _FORMULA.sub("'", text)


def text_cell(text: str) -> str:
    """Returns ``text`` as a CSV cell: quoted where the form asks for it, and never a formula.

    References:
        RFC 4180, *Common Format and MIME Type for CSV Files*, section 2.
    """
    cell = escape_formula(_as_utf8(text))
    return '"' + cell.replace('"', '""') + '"' if any(letter in cell for letter in ',"\r\n') else cell


@contextmanager
def _csv(path: Path, columns: list[str]) -> Iterator[Callable[[Row], None]]:
    with writing(path) as file, _as_text(file) as text:
        text.write(",".join(columns) + "\r\n")

        def write_row(row: Row) -> None:
            text.write(",".join(map(_cell, row.values())) + "\r\n")

        yield write_row


@contextmanager
def _jsonl(path: Path, columns: list[str]) -> Iterator[Callable[[Row], None]]:
    del columns  # each line carries its own keys
    with writing(path) as file, _as_text(file) as text:

        def write_row(row: Row) -> None:
            text.write(_dump(row) + "\n")

        yield write_row


@contextmanager
def _parquet(path: Path, columns: list[str]) -> Iterator[Callable[[Row], None]]:
    with needing_extra("Writing Parquet", "tables"):
        import pyarrow as arrow
        from pyarrow import parquet
    kinds = {"unsure": arrow.bool_(), "set": arrow.list_(arrow.string()), "margin": arrow.float32()}
    usual = {True: arrow.float32(), False: arrow.string()}
    schema = arrow.schema([(name, kinds.get(name, usual[name.startswith("probability")])) for name in columns])
    waiting: list[Row] = []
    with writing(path) as file, parquet.ParquetWriter(file, schema) as writer:

        def write_row(row: Row) -> None:
            waiting.append(row)
            if len(waiting) == _PARQUET_ROWS:
                flush()

        def flush() -> None:
            writer.write_table(arrow.Table.from_pylist(waiting, schema=schema))
            waiting.clear()

        yield write_row
        flush()


@contextmanager
def _as_text(file: IO[bytes]) -> Iterator[io.TextIOWrapper]:
    text = io.TextIOWrapper(file, encoding="utf-8", newline="", write_through=False)
    yield text
    text.detach()  # flushes, and leaves the file open for the one who opened it


def _cell(value: str | float | bool | list[str] | None) -> str:
    if isinstance(value, list):
        value = _BETWEEN.join(value)
    if isinstance(value, bool):
        return str(value).lower()
    return text_cell(value) if isinstance(value, str) else "" if value is None else f"{value:.6g}"


def _dump(row: Row) -> str:
    return json.dumps(row, ensure_ascii=False)


def _short(number: float) -> float:
    """Returns the six digits that a float32 holds for certain, not the seventeen it is printed with."""
    return float(f"{number:.6g}")


def _as_utf8(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


_FORMS = {".csv": _csv, ".jsonl": _jsonl, ".parquet": _parquet}
ENDINGS = tuple(_FORMS)
