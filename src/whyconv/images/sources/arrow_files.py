"""Tables in Arrow files, as ``datasets.Dataset.save_to_disk`` writes them: mapped, row by row."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from whyconv.errors import DataError, MissingExtraError
from whyconv.images.sources.listing import printable

ARROW_ENDINGS = (".arrow",)

_FILE_MAGIC = b"ARROW1"


def open_arrow(path: Path) -> Any:  # noqa: ANN401 - pyarrow has no types
    """Returns the ``pyarrow.Table`` in a file, of the form with or without a footer; its values stay on disk.

    Raises:
        DataError: The file is damaged, or none of these.
        MissingExtraError: pyarrow is not installed.
    """
    try:
        arrow, ipc = importlib.import_module("pyarrow"), importlib.import_module("pyarrow.ipc")
    except ImportError:
        raise MissingExtraError("Reading Arrow files", "tables") from None
    try:
        with path.open("rb") as file:
            opener = ipc.open_file if file.read(len(_FILE_MAGIC)) == _FILE_MAGIC else ipc.open_stream
        return opener(arrow.memory_map(str(path))).read_all()
    except (OSError, arrow.ArrowException) as error:
        name, reason = printable(path.name), str(error).splitlines()[0]
        raise DataError(f"{name} cannot be read as Arrow: {reason}. Is the file complete?") from None


def arrow_rows(
    path: Path, columns: Sequence[str], content: str | None, at_once: int
) -> Iterator[tuple[int, list[Any]]]:
    """Yields the row number from 1 and the values of ``columns``; of ``content`` only its field ``path``."""
    line = 0
    for batch in open_arrow(path).to_batches(max_chunksize=at_once):
        found = [
            _without_bytes(batch.column(name)) if name == content else batch.column(name).to_pylist()
            for name in columns
        ]
        for row in range(batch.num_rows):
            line += 1
            yield line, [values[row] for values in found]


def _without_bytes(column: Any) -> list[Any]:  # noqa: ANN401
    kind = str(column.type)
    has_path = kind.startswith("struct<") and any(each.name == "path" for each in column.type)
    return list(column.field("path").to_pylist()) if has_path else [None] * len(column)
