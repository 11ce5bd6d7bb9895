"""Tables, row by row: CSV, JSON Lines, Parquet, Arrow; columns by name, each row with its line number."""

from __future__ import annotations

import codecs
import csv
import importlib
import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from types import ModuleType
from typing import IO, Any, TextIO

from whyconv.errors import DataError, MissingExtraError
from whyconv.images.sources.arrow_files import ARROW_ENDINGS, arrow_rows, open_arrow
from whyconv.images.sources.listing import few, printable, shortened
from whyconv.untrusted import json_values

CSV_ENDINGS = (".csv", ".tsv")
JSONL_ENDINGS = (".jsonl", ".ndjson")
PARQUET_ENDINGS = (".parquet", ".pq")
TEXT_ENDINGS = (*CSV_ENDINGS, *JSONL_ENDINGS)
TABLE_ENDINGS = (*TEXT_ENDINGS, *PARQUET_ENDINGS, *ARROW_ENDINGS)
LABELS_FILE_STEMS = ("labels", "label", "metadata")

_DELIMITERS = ",;\t|"
_WORD = re.compile(r"\w")
# By which Excel is told what stands between columns, and what it passes over.
_SEP = re.compile(r'\s*"?sep=([^\w\s"]|\t)"?\s*', re.IGNORECASE)
_LINE_END = re.compile(rb"\r\n?|\n")
_LINES_LOOKED_AT = 1_000
_LONGEST_FIELD = 1 << 24
_ROWS_AT_ONCE = 1024

Row = tuple[int, list[Any]]


@dataclass
class Table:
    """A table whose rows can be read again and again, without holding them.

    Attributes:
        path: The file.
        columns: Names as written.
        binary: Columns of bytes, or of structs with a field ``bytes`` (Parquet and Arrow only).
        class_names: For a column of class numbers, the names of the classes, where the file holds them.
        problems: Mistakes met while reading rows, each with its line.
        opened: A Parquet file that is open already, in place of the one under ``path``.
    """

    path: Path
    columns: tuple[str, ...]
    binary: tuple[str, ...] = ()
    class_names: dict[str, list[str]] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    opened: IO[bytes] | None = None

    def rows(self, columns: Sequence[str], content: str | None = None, at_once: int = _ROWS_AT_ONCE) -> Iterator[Row]:
        """Yields the line number (Parquet and Arrow: the row number, from 1) and the values of ``columns``.

        Of ``content``, the column of the pictures' bytes, only the field ``path`` is read; None without one. Of Parquet
        and Arrow, ``at_once`` rows are held in memory.
        """
        ending = self.path.suffix.lower()
        if ending in ARROW_ENDINGS:
            yield from arrow_rows(self.path, columns, content, at_once)
            return
        read = _json_rows if ending in JSONL_ENDINGS else _csv_rows
        with _saying_what_is_closed(self.path):
            if self.opened is not None or ending in PARQUET_ENDINGS:
                yield from _parquet_rows(self, columns, content, at_once)
            else:
                yield from read(self, columns)


def open_table(path: Path) -> Table:
    """Opens a table by its ending and reads the names of its columns.

    Raises:
        DataError: The file is empty, damaged, not UTF-8, or may not be read.
        MissingExtraError: Parquet or Arrow without pyarrow.
    """
    ending = path.suffix.lower()
    if ending in PARQUET_ENDINGS:
        return _open_parquet(path)
    if ending in ARROW_ENDINGS:
        return table_of(path, open_arrow(path).schema)
    with _saying_what_is_closed(path):
        if ending in JSONL_ENDINGS:
            return _open_json_lines(path)
        columns = tuple(name.strip() for name in next(_fields(path), (0, []))[1])
    if not columns:
        raise DataError(f"{printable(path.name)} has no columns. Expected a first line such as file_name,label.")
    return Table(path, columns)


@contextmanager
def _saying_what_is_closed(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise DataError(
            f"{printable(path.name)} cannot be read: {reason}. Expected a table that may be read."
        ) from None


def import_parquet() -> ModuleType:
    """Returns pyarrow.parquet; raises MissingExtraError without it."""
    try:
        return importlib.import_module("pyarrow.parquet")
    except ImportError:
        raise MissingExtraError("Reading Parquet", "tables") from None


def _csv_rows(table: Table, columns: Sequence[str]) -> Iterator[Row]:
    places = [table.columns.index(name) for name in columns]
    fields = _fields(table.path)
    next(fields, None)
    for line, values in fields:
        if len(values) == len(table.columns):
            yield line, [values[place] for place in places]
        else:
            hint = "; put a text with a comma in quotes" if len(values) > len(table.columns) else ""
            table.problems.append(
                f"line {line} has {len(values)} fields where the first line has {len(table.columns)}{hint}"
            )


def _fields(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yields line number and fields of each line that is not blank, the one with the names of columns included."""
    line = 0
    try:
        with path.open(encoding=_encoding(path), newline="") as file:
            delimiter, line = _delimiter(file)
            csv.field_size_limit(_LONGEST_FIELD)
            above, reader = line, csv.reader(file, delimiter=delimiter, strict=True)
            for values in reader:
                line = above + reader.line_num
                if any(value.strip() for value in values):
                    yield line, values
    except UnicodeDecodeError as error:
        raise DataError(_encoding_text(path, error)) from None
    except csv.Error as error:
        # Where a quote opens that is not closed: by the end of its row, the reader is in another line.
        raise DataError(
            f"{printable(path.name)} is not a table of comma-separated values: line {line + 1}: {error}."
        ) from None


def _delimiter(file: TextIO) -> tuple[str, int]:
    """Returns what stands between columns, and how many lines lie above the place where the file is left."""
    lines = enumerate(iter(file.readline, ""), 1)
    num, first = next(((num, line) for num, line in lines if _WORD.search(line)), (0, ""))
    if said := _SEP.fullmatch(first):
        return said[1], num
    file.seek(0)
    # The first line that is not blank holds names of columns: which mark stands between them is plain there.
    return max(_DELIMITERS, key=first.count), 0


def _json_rows(table: Table, columns: Sequence[str]) -> Iterator[Row]:
    for line, record in _records(table):
        yield line, [record.get(name) for name in columns]


def _records(table: Table) -> Iterator[tuple[int, dict[str, Any]]]:
    try:
        with table.path.open(encoding=_encoding(table.path)) as file:
            for line, text in enumerate(file, 1):
                if not text.strip():
                    continue
                try:
                    record = json.loads(text)
                except (json.JSONDecodeError, RecursionError):
                    table.problems.append(f"line {line} is not JSON; expected one object a line")
                    continue
                except ValueError:
                    table.problems.append(f"line {line} holds a number of too many digits; put a name in quotes")
                    continue
                if isinstance(record, dict):
                    yield line, record
                else:
                    table.problems.append(f'line {line} is not an object; expected {{"file_name": ..., "label": ...}}')
    except UnicodeDecodeError as error:
        raise DataError(_encoding_text(table.path, error)) from None


def _open_json_lines(path: Path) -> Table:
    looked_at = Table(path, ())
    keys = dict.fromkeys(key for _, record in islice(_records(looked_at), _LINES_LOOKED_AT) for key in record)
    if keys:
        return Table(path, tuple(keys))
    name, such = printable(path.name), 'such as {"file_name": ..., "label": ...}'
    if _begins_a_list(path):
        raise DataError(
            f"{name} holds a JSON list. Expected one object a line, {such}, without brackets around and commas between."
        )
    if looked_at.problems:
        raise DataError(f"{name}: {looked_at.problems[0]}.")
    raise DataError(f"{name} has no columns. Expected one object a line, {such}.")


def _begins_a_list(path: Path) -> bool:
    with path.open(encoding=_encoding(path)) as file:
        return next((line for line in file if line.strip()), "").lstrip().startswith("[")


def _encoding(path: Path) -> str:
    with path.open("rb") as file:
        start = file.read(4)
    return "utf-16" if start[:2] in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "utf-8-sig"


def _encoding_text(path: Path, error: UnicodeDecodeError) -> str:
    name, byte = printable(path.name), f"byte 0x{error.object[error.start]:02x}"
    what = f"begins as UTF-16 and is not ({byte})"
    if _encoding(path) != "utf-16":
        what = f"is not UTF-8 (line {_undecodable_line(path)}, {byte})"
    return f"{name} {what}. Save it again as UTF-8; spreadsheets call it 'CSV UTF-8'."


def _undecodable_line(path: Path) -> int:
    """The first line that is not UTF-8. The decoder only knows of the piece of the file that it was given."""
    num_before = 0
    with path.open("rb") as file:
        for piece in file:
            try:
                piece.decode()
            except UnicodeDecodeError as error:
                return num_before + len(_LINE_END.findall(piece[: error.start])) + 1
            num_before += len(_LINE_END.findall(piece))
    return num_before


def _open_parquet(path: Path) -> Table:
    parquet = import_parquet()
    arrow = importlib.import_module("pyarrow")
    try:
        schema = parquet.read_schema(path)
    except (OSError, arrow.ArrowException) as error:
        raise DataError(f"{printable(path.name)} cannot be read as Parquet: {error}. Is the file complete?") from None
    return table_of(path, schema)


def table_of(path: Path, schema: Any, opened: IO[bytes] | None = None) -> Table:  # noqa: ANN401 - pyarrow has no types
    """The table of a file with a ``pyarrow.Schema``; of a Parquet file that is open already, of that one."""
    binary = [each.name for each in schema if is_binary(each.type) or "bytes" in _struct_fields(each.type)]
    return Table(path, tuple(schema.names), tuple(binary), _class_names(schema.metadata or {}), opened=opened)


def is_binary(kind: Any) -> bool:  # noqa: ANN401 - pyarrow has no types
    """Whether a pyarrow type holds bytes, dictionary-encoded or not."""
    name = str(plain_type(kind))
    return name in ("binary", "large_binary", "binary_view") or name.startswith("fixed_size_binary")


def plain_type(kind: Any) -> Any:  # noqa: ANN401 - pyarrow has no types
    """The pyarrow type of the values themselves, where they are dictionary-encoded (pandas calls them categories)."""
    return kind.value_type if str(kind).startswith("dictionary<") else kind


def _struct_fields(kind: Any) -> list[str]:  # noqa: ANN401
    return [each.name for each in kind] if str(kind).startswith("struct<") else []


def _class_names(metadata: dict[bytes, bytes]) -> dict[str, list[str]]:
    """Class names that the `datasets` library writes beside a column of class numbers."""
    try:
        features = json_values(metadata.get(b"huggingface", b"{}"))["info"]["features"]
        return {name: [str(each) for each in about["names"]] for name, about in features.items() if "names" in about}
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}


def _parquet_rows(table: Table, columns: Sequence[str], content: str | None, at_once: int) -> Iterator[Row]:
    """Yields rows batch by batch; of ``content`` only the field ``path`` is read, None without one."""
    arrow = importlib.import_module("pyarrow")
    try:
        with import_parquet().ParquetFile(table.opened or table.path) as file:
            fields = {each.name: _struct_fields(each.type) for each in file.schema_arrow}
            wanted = [
                f"{name}.path" if "path" in fields[name] else name
                for name in columns
                if name != content or "path" in fields[name]
            ]
            line = 0
            for batch in file.iter_batches(columns=wanted, batch_size=at_once) if wanted else _empty_rows(file):
                found = {name: batch.column(name).to_pylist() for name in batch.schema.names}
                for row in range(batch.num_rows):
                    line += 1
                    values = [found[name][row] if name in found else None for name in columns]
                    yield line, [value.get("path") if isinstance(value, dict) else value for value in values]
    except (OSError, arrow.ArrowException) as error:
        name = printable(table.path.name)
        raise DataError(
            f"{name} cannot be read as Parquet: {error}. Columns: {few(map(shortened, table.columns), 8)}."
        ) from None


def _empty_rows(file: Any) -> Iterator[Any]:  # noqa: ANN401
    arrow = importlib.import_module("pyarrow")
    yield arrow.table({"": arrow.nulls(file.metadata.num_rows)})
