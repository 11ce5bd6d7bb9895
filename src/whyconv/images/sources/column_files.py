"""Pictures whose bytes lie in a column of a Parquet or an Arrow file."""

from __future__ import annotations

import importlib
import threading
from abc import ABC, abstractmethod
from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from whyconv.errors import DataError, PictureError
from whyconv.images.sources.arrow_files import ARROW_ENDINGS, open_arrow
from whyconv.images.sources.listing import Stat, stat_file
from whyconv.images.sources.table_files import import_parquet

_GROUPS_HELD = 2


def open_column(path: Path, name: str) -> ColumnFile:
    """Returns a column of a file of either kind, by its ending; nothing is read yet."""
    return ArrowColumn(path, name) if path.suffix.lower() in ARROW_ENDINGS else ParquetColumn(path, name)


@dataclass(eq=False)
class ColumnFile(ABC):
    """One column of a file; safe to share between threads, and opened anew by every process.

    Attributes:
        path: The file.
        column: A column of bytes, or of structs with a field ``bytes``.
    """

    path: Path
    column: str
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)
    _opened: Any = field(default=None, repr=False)

    def read(self, row: int) -> bytes:
        """Returns the bytes in a row, counted from 0; raises PictureError where there are none."""
        arrow = importlib.import_module("pyarrow")
        try:
            with self._lock:
                value = self._value(row)
        except (OSError, DataError, arrow.ArrowException) as error:
            raise PictureError(f"the row cannot be read: {str(error).splitlines()[0]}") from None
        content = value.get("bytes") if isinstance(value, dict) else value
        if not isinstance(content, bytes):
            raise PictureError("the row holds no bytes")
        return content

    def stat(self, row: int) -> Stat:
        """Returns size, time and mark of the whole file: any change of it counts as a change of every picture."""
        del row
        return stat_file(self.path)

    @abstractmethod
    def _value(self, row: int) -> Any:  # noqa: ANN401 - pyarrow has no types
        """What stands in a row; opens the file where it is not open."""

    def __getstate__(self) -> dict[str, Any]:
        return {"path": self.path, "column": self.column}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(type(self)(**state).__dict__)


@dataclass(eq=False)
class ParquetColumn(ColumnFile):
    """Of a Parquet file, of which whole row groups are read and the last two kept."""

    _starts: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64), repr=False)
    _groups: OrderedDict[int, Any] = field(default_factory=OrderedDict, repr=False)

    def _value(self, row: int) -> Any:  # noqa: ANN401
        if self._opened is None:
            self._opened = import_parquet().ParquetFile(self.path)
            about = self._opened.metadata
            sizes = [about.row_group(i).num_rows for i in range(about.num_row_groups)]
            self._starts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        group = int(np.searchsorted(self._starts, row, side="right")) - 1
        if group not in self._groups:
            self._groups[group] = self._opened.read_row_group(group, columns=[self.column]).column(0)
            if len(self._groups) > _GROUPS_HELD:
                self._groups.popitem(last=False)
        self._groups.move_to_end(group)
        return self._groups[group][row - int(self._starts[group])].as_py()


@dataclass(eq=False)
class ArrowColumn(ColumnFile):
    """Of an Arrow file, mapped."""

    def _value(self, row: int) -> Any:  # noqa: ANN401
        if self._opened is None:
            self._opened = open_arrow(self.path).column(self.column)
        return self._opened[row].as_py()
