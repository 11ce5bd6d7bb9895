"""What the rows of a Parquet shard say of its pictures: where each lies, its label and its part."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO, Any

from whyconv.errors import DataError
from whyconv.images.sources.columns import Columns, choose_columns, class_text, columns_of_parts
from whyconv.images.sources.listing import printable
from whyconv.images.sources.table_files import import_parquet, plain_type, table_of
from whyconv.images.sources.table_rows import part_number
from whyconv.results import Note

MOST_PROBLEMS = 10
# How the names of pyarrow's types of numbers begin.
_NUMBERS = ("int", "uint", "float", "double", "halffloat")
Row = tuple[int, int, str | None, int]


def parquet_rows(
    place: str, file: IO[bytes], problems: list[str], notes: list[Note]
) -> tuple[str, bool, Iterator[Row]]:
    """Finds the columns of a shard, and goes through its rows.

    Args:
        place: Path or URL.
        file: The shard, opened.
        problems: Mistakes of rows are added here; the first ones.
        notes: On the columns; they are added here.

    Returns:
        The column of pictures; whether labels are numbers, and no texts or numbers of named classes; and of each row
        its row group, its number there, its label and its part, None and 0 for none.

    Raises:
        DataError: It is damaged, or holds no pictures or labels.
        MissingExtraError: What reads it is not installed.
    """
    reader = import_parquet()
    arrow = importlib.import_module("pyarrow")
    try:
        parquet = reader.ParquetFile(file)
        table = table_of(Path(PurePosixPath(place).name), parquet.schema_arrow, file)
    except (OSError, arrow.ArrowException) as error:
        raise _damaged(place, error) from None
    of_parts = columns_of_parts(table)
    columns = choose_columns(
        table, group_by=None, needs_label=True, notes=notes, is_path_enough=False, of_parts=of_parts
    )
    if columns.content is None or columns.label is None:
        raise DataError(f"{printable(place)} holds paths and no pictures. Expected a column of the files' bytes.")
    names = table.class_names.get(columns.label, [])
    kind = plain_type(parquet.schema_arrow.field(columns.label).type)
    are_numbers = not names and str(kind).startswith(_NUMBERS)
    return columns.content, are_numbers, _rows_of_groups(place, parquet, columns, names, problems)


def _rows_of_groups(
    place: str,
    parquet: Any,  # noqa: ANN401 - pyarrow has no types
    columns: Columns,
    names: list[str],
    problems: list[str],
) -> Iterator[Row]:
    arrow = importlib.import_module("pyarrow")
    wanted = [name for name in (columns.label, columns.part) if name is not None]
    for group in range(parquet.num_row_groups):
        try:
            found = parquet.read_row_group(group, columns=wanted)
            # By the place of the first: two columns may have one name.
            labels, *parts = (found.column(found.schema.names.index(name)).to_pylist() for name in wanted)
        except (OSError, arrow.ArrowException) as error:
            raise _damaged(place, error) from None
        for row, (label, *part) in enumerate(zip(labels, *parts, strict=True)):
            try:
                yield group, row, class_text(label, names), part_number(part[0] if part else None)
            except ValueError as error:
                if len(problems) <= MOST_PROBLEMS:
                    problems.append(f"row {row + 1} of row group {group + 1}: {printable(str(error))}")


def _damaged(place: str, error: Exception) -> DataError:
    reason = printable(str(error).splitlines()[0])
    return DataError(f"{printable(place)} cannot be read as Parquet: {reason}. Is the file complete?")
