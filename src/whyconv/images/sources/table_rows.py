"""Rows of labels files to pictures: paths that stay inside, labels that do not contradict, mistakes together."""

from __future__ import annotations

import os
import posixpath
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from whyconv.errors import DataError
from whyconv.images.sources.columns import Columns, class_text, is_name, value_text
from whyconv.images.sources.labels import PART_ALIASES, class_name, group_key, part_of
from whyconv.images.sources.listing import few, printable, shortened
from whyconv.images.sources.table_files import CSV_ENDINGS, Table

_MOST_PROBLEMS = 10
# Of a path, and of a name in it: no disk takes more, and pictures written as texts have more.
_LONGEST_PATH, _LONGEST_NAME = 4096, 255
_URL = re.compile(r"[a-z][a-z0-9+.-]+://|data:", re.IGNORECASE)


@dataclass(frozen=True)
class TableFile:
    """A table to be read; ``part`` is that of its folder or file name, 0 for none."""

    path: Path
    part: int = 0


@dataclass(frozen=True)
class Shelf:
    """Where the pictures lie that tables name.

    Attributes:
        root: Folder that the tables lie in.
        names: Of all there is, where the pictures lie in an archive and only its tables were laid out below ``root``.
    """

    root: Path
    names: frozenset[str] | None = None
    _inside: dict[Path, str | None] = field(default_factory=dict, compare=False, repr=False)

    def has(self, path: str) -> bool:
        """Whether there is something at a path relative to the root."""
        return path in self.names if self.names is not None else os.path.lexists(self.root / path)

    def relative(self, path: Path) -> str | None:
        """Returns a whole path relative to the root, whichever links lead to either; None where it lies elsewhere."""
        if path.parent not in self._inside:
            self._inside[path.parent] = self._prefix(path.parent)
        prefix = self._inside[path.parent]
        return None if prefix is None else prefix + path.name

    def _prefix(self, folder: Path) -> str | None:
        top = self.root.absolute()
        if not folder.is_relative_to(top) or ".." in folder.parts:
            # Only what is above the pictures may be another name of the root: links below it are names of their own.
            real = top.resolve()
            found = next((each for each in (folder, *folder.parents) if each.resolve() == real), None)
            if found is None:
                return None
            top = found
        return posixpath.join(*folder.relative_to(top).parts, "")


@dataclass
class Listing:
    """What the rows of all tables come to, picture by picture.

    Attributes:
        paths: Relative to the root, with ``/``, or absolute; "" for bytes without a name.
        labels: As text, None for none.
        parts: Index into PART_NAMES.
        keys: What stays together, None without such a column.
        file_of: Which table.
        line_of: Which line or, in Parquet, which row from 1.
        has_texts: Whether a label is a text where it could be a number, as it cannot in CSV, or that of a named class.
        num_repeated: Rows that say again what an earlier row said.
        respelled: Rows whose ending is written in other letters than that of the file: as written, and the file.
        problems: The first mistakes.
        num_problems: How many there are.
    """

    paths: list[str] = field(default_factory=list)
    labels: list[str | None] = field(default_factory=list)
    parts: list[int] = field(default_factory=list)
    keys: list[str | None] = field(default_factory=list)
    file_of: list[int] = field(default_factory=list)
    line_of: list[int] = field(default_factory=list)
    has_texts: bool = False
    num_repeated: int = 0
    respelled: list[tuple[str, str]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    num_problems: int = 0

    def complain(self, problem: str) -> None:
        """Notes a mistake; only the first ones keep their text."""
        self.num_problems += 1
        if len(self.problems) < _MOST_PROBLEMS:
            self.problems.append(problem)


@dataclass(frozen=True)
class _Row:
    line: int
    path: str
    label: str | None
    part: int
    key: str | None


def list_rows(shelf: Shelf, files: Sequence[TableFile], tables: Sequence[Table], chosen: Sequence[Columns]) -> Listing:
    """Reads all rows of all tables.

    Raises:
        DataError: Rows that cannot be understood, leave the folder of their table, or contradict each
            other: the first ten and their number, at once.
    """
    listing = Listing()
    named = few(file.path.name for file in files)
    place: dict[str, int] = {}
    for number, (file, table, columns) in enumerate(zip(files, tables, chosen, strict=True)):
        prefix = "" if len(files) == 1 else f"{file.path.name}, "
        for row in _rows(table, columns, file, shelf, listing):
            earlier = place.setdefault(row.path, len(listing.paths)) if columns.content is None else len(listing.paths)
            if earlier < len(listing.paths):
                _compare(row, earlier, listing, prefix)
                continue
            listing.paths.append(row.path)
            listing.labels.append(row.label)
            listing.parts.append(row.part)
            listing.keys.append(row.key)
            listing.file_of.append(number)
            listing.line_of.append(row.line)
    if listing.problems:
        more = f" (the first {_MOST_PROBLEMS})" if listing.num_problems > _MOST_PROBLEMS else ""
        are = "mistake" if listing.num_problems == 1 else "mistakes"
        raise DataError(f"{named}: {listing.num_problems:,} {are}{more}: {'; '.join(listing.problems)}.")
    if not listing.paths:
        raise DataError(f"{named} holds no rows. Expected one row a picture.")
    return listing


def _rows(table: Table, columns: Columns, file: TableFile, shelf: Shelf, listing: Listing) -> Iterator[_Row]:
    """Yields the rows that can be understood; complains of the others."""
    wanted = [columns.path or columns.content, columns.label, columns.part, columns.group]
    asked = list(dict.fromkeys(name for name in wanted if name is not None))
    names = table.class_names.get(columns.label or "", [])
    base = posixpath.join(*file.path.parent.relative_to(shelf.root).parts, "")
    is_typed = file.path.suffix.lower() not in CSV_ENDINGS
    listing.has_texts |= bool(names)
    for line, values in table.rows(asked, columns.content):
        found = dict(zip(asked, values, strict=True))
        path, label, part, key = (found.get(name) if name is not None else None for name in wanted)
        try:
            if columns.content is None:
                text = _path_text(path, columns.path)
                path = _inside(text, base, shelf)
                if posixpath.splitext(path)[1] != posixpath.splitext(text)[1]:
                    listing.respelled.append((text, path))
            listing.has_texts |= is_typed and isinstance(label, str | bytes)
            group = group_key(value_text(key))
            yield _Row(line, str(path or ""), class_text(label, names), part_number(part) or file.part, group)
        except ValueError as error:
            listing.complain(f"line {line}: {printable(str(error))}")
    for problem in table.problems:
        listing.complain(problem)


def _path_text(path: object, column: str | None) -> str:
    # Names of files are bytes, and not always UTF-8.
    path = path.decode("utf-8", "surrogateescape") if isinstance(path, bytes) and is_name(path) else path
    if path is None or path == "" or (isinstance(path, str) and not path.strip()):
        raise ValueError(f"{column} is empty")
    if not isinstance(path, str):
        raise ValueError(_no_file_name(column, path))
    if path.strip().casefold().startswith("file://"):
        raise ValueError(f"{shortened(path.strip())}: write the path without file://")
    if _URL.match(path.strip()):
        raise ValueError(f"{shortened(path.strip())} is a web address; nothing is downloaded, name files on this disk")
    if "\0" in path:
        raise ValueError(f"{column} holds a zero byte")
    try:
        os.fsencode(path)
    except UnicodeEncodeError:
        raise ValueError(
            f"{column} is {shortened(repr(path))}, expected a file name: half a character is none"
        ) from None
    text = path.strip()
    if len(text) > _LONGEST_PATH or max(map(len, re.split(r"[/\\]", text))) > _LONGEST_NAME:
        raise ValueError(_no_file_name(column, text))
    return text


def _no_file_name(column: str | None, value: object) -> str:
    return (
        f"{column} is {shortened(repr(value))}, expected a file name or, in Parquet and Arrow, the bytes of a picture "
        "file in a column of type binary"
    )


def _inside(text: str, base: str, shelf: Shelf) -> str:
    """Returns the path relative to the root, spelled as the file that is there if one of its spellings is there.

    Tries backslashes as slashes and both Unicode forms: a table made on Windows or macOS names the same files.
    """
    if Path(text).is_absolute():
        if shelf.names is not None:
            raise ValueError(f"{shortened(text)} is a whole path; in an archive, names are relative to the table")
        path = shelf.relative(Path(text)) or Path(text).as_posix()
        return path if shelf.has(path) else _as_there(path, shelf)
    slashed = text.replace("\\", "/")
    spellings = [text, slashed, unicodedata.normalize("NFC", slashed), unicodedata.normalize("NFD", slashed)]
    paths = [posixpath.normpath(spelling) for spelling in dict.fromkeys(spellings)]
    if any(path == ".." or path.startswith(("../", "/")) for path in paths):
        raise ValueError(
            f"{shortened(text)} leaves the folder of the table; put the table above the pictures, or write whole paths"
        )
    found = next((base + path for path in paths if shelf.has(base + path)), None)
    return _as_there(base + posixpath.normpath(slashed), shelf) if found is None else found


def _as_there(path: str, shelf: Shelf) -> str:
    """Returns a path where no file is, with its ending in the letters of the one that is there, if it is one only.

    Cameras and Windows write .JPG where a table, or whoever renamed the files, wrote .jpg.
    """
    stem, ending = posixpath.splitext(path)
    found = [each for each in (stem + ending.lower(), stem + ending.upper()) if each != path and shelf.has(each)]
    return found[0] if len(found) == 1 else path


def part_number(part: object) -> int:
    """Returns the index into PART_NAMES of a value of a column of parts; 0 for none.

    Raises:
        ValueError: It is the name of no part.
    """
    text = value_text(part)
    if text is not None and not part_of(text):
        raise ValueError(f"part '{shortened(text)}' is unknown, expected one of {', '.join(PART_ALIASES)}")
    return part_of(text or "")


def _compare(row: _Row, earlier: int, listing: Listing, prefix: str) -> None:
    for what, old, new in (
        # As they are numbered: written in another Unicode form, a class is the same.
        ("labels", *(class_name(label or "") or None for label in (listing.labels[earlier], row.label))),
        ("parts", listing.parts[earlier], row.part),
        ("groups", listing.keys[earlier], row.key),
    ):
        if old != new:
            told = f" ({', '.join(shortened(str(each or 'none')) for each in (old, new))})" if what != "parts" else ""
            name = shortened(row.path)
            listing.complain(f"{prefix}lines {listing.line_of[earlier]} and {row.line} give {name} two {what}{told}")
            return
    listing.num_repeated += 1
