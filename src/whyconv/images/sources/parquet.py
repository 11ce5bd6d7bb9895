"""Pictures whose bytes lie in a column of a Parquet file."""

from __future__ import annotations

import importlib
import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from whyconv.errors import PictureError
from whyconv.images.sources.arrow_files import ArrowFile
from whyconv.images.sources.listing import stat_file
from whyconv.images.sources.table_files import import_parquet

_GROUPS_HELD = 2


@dataclass(eq=False)
class ParquetFile:
    """One column of a Parquet file, of which whole row groups are read and the last two kept.

    Attributes:
        path: The file.
        column: A column of bytes, or of structs with a field ``bytes``.
    """

    path: Path
    column: str
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)
    _file: Any = field(default=None, repr=False)
    _starts: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64), repr=False)
    _groups: OrderedDict[int, Any] = field(default_factory=OrderedDict, repr=False)

    def read(self, row: int) -> bytes:
        """Returns the bytes in a row, counted from 0; raises PictureError where there are none."""
        arrow = importlib.import_module("pyarrow")
        try:
            with self._lock:
                value = self._value(row)
        except (OSError, arrow.ArrowException) as error:
            raise PictureError(f"the row cannot be read: {str(error).splitlines()[0]}") from None
        content = value.get("bytes") if isinstance(value, dict) else value
        if not isinstance(content, bytes):
            raise PictureError("the row holds no bytes")
        return content

    def _value(self, row: int) -> Any:  # noqa: ANN401 - pyarrow has no types
        if self._file is None:
            self._file = import_parquet().ParquetFile(self.path)
            about = self._file.metadata
            sizes = [about.row_group(i).num_rows for i in range(about.num_row_groups)]
            self._starts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        group = int(np.searchsorted(self._starts, row, side="right")) - 1
        if group not in self._groups:
            self._groups[group] = self._file.read_row_group(group, columns=[self.column]).column(0)
            if len(self._groups) > _GROUPS_HELD:
                self._groups.popitem(last=False)
        self._groups.move_to_end(group)
        return self._groups[group][row - int(self._starts[group])].as_py()

    def __getstate__(self) -> dict[str, Any]:
        """Leaves the open file behind: another process opens its own."""
        return {"path": self.path, "column": self.column}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Opens again from path and column."""
        fresh = ParquetFile(state["path"], state["column"])
        self.__dict__.update(fresh.__dict__)


@dataclass(frozen=True, eq=False)
class ParquetContents:
    """Pictures in rows of Parquet or Arrow files.

    Attributes:
        files: The files.
        file_of: int64 (n,), the file that a picture lies in.
        row_of: int64 (n,), its row there, from 0.
    """

    files: tuple[ArrowFile | ParquetFile, ...]
    file_of: np.ndarray
    row_of: np.ndarray

    def read(self, row: int) -> bytes:
        """Returns the bytes of a picture; raises PictureError where the row holds none."""
        return self.files[int(self.file_of[row])].read(int(self.row_of[row]))

    def stat(self, row: int) -> tuple[int, int]:
        """Returns size and time of the whole file: any change of it counts as a change of every picture."""
        return stat_file(self.files[int(self.file_of[row])].path)

    def take(self, rows: np.ndarray) -> ParquetContents:
        """Returns the pictures of ``rows`` only."""
        return ParquetContents(self.files, self.file_of[rows], self.row_of[rows])
