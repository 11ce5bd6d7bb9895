"""Which column of a table says what: path, bytes, label, part; by the names people give them."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from types import MappingProxyType

from whyconv.errors import DataError
from whyconv.images.sources.labels import part_of
from whyconv.images.sources.listing import few, printable, shortened
from whyconv.images.sources.table_files import Table
from whyconv.results import Note

PATH_NAMES = (
    "file_name", "filename", "file", "path", "file_path", "filepath", "image_path", "img_path", "image_file",
    "image_name", "image", "img", "picture",
)  # fmt: skip
BYTES_NAMES = ("image", "img", "picture", "bytes", "image_bytes", "img_bytes", "content", "jpg", "jpeg", "png", "webp")
LABEL_NAMES = (
    "label", "labels", "class_name", "label_name", "class", "category", "target", "y", "class_label", "class_id",
    "label_id",
)  # fmt: skip
PART_COLUMN_NAMES = ("split", "part", "subset", "partition")
# These may say anything else: they are taken where all they hold is names of parts.
_MAYBE_PART_NAMES = ("set", "data_set", "dataset")
_PLACE_NAMES = frozenset(("x", "w", "h", "width", "height"))
_ROWS_LOOKED_AT, _NAMES_LOOKED_AT = 1_000, 16
_LONGEST_NAME = 4_096
# No name of a file has them, and every picture does.
_CONTROL = re.compile(rb"[\x00-\x1f\x7f]")
# Of a pair of surrogates; JSON can hold one alone.
_HALF = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True)
class Columns:
    """The columns that were taken, as written in the table; None where there is none."""

    path: str | None
    content: str | None
    label: str | None
    part: str | None
    group: str | None


def choose_columns(
    table: Table,
    *,
    group_by: str | None,
    needs_label: bool,
    notes: list[Note],
    is_path_enough: bool = True,
    of_parts: Mapping[str, frozenset[int]] = MappingProxyType({}),
) -> Columns:
    """Chooses columns by name, in any case and with blanks or hyphens for underscores.

    Where several would do, the first in the order of our lists is taken and a warning names the others.

    Args:
        table: The table.
        group_by: A column that says what stays together, if there is one of that name.
        needs_label: Whether a column of labels must be there.
        notes: Notes are added here.
        is_path_enough: Whether paths alone (no bytes) are of use.
        of_parts: What ``columns_of_parts`` says, where rows may be looked at.

    Raises:
        DataError: A column is missing: all that are missing at once, with the columns found.
    """
    content = _content(table)
    others: list[str] = []
    # A struct of the `datasets` library holds bytes, or else only a path: then it is a column of paths.
    path = None if content else _choose(table.columns, PATH_NAMES, others)
    label = _choose(table.columns, LABEL_NAMES, others)
    part = _choose(table.columns, PART_COLUMN_NAMES, others) or _choose(
        [name for name, parts in of_parts.items() if 0 not in parts], _MAYBE_PART_NAMES, others
    )
    group = next((name for name in table.columns if group_by is not None and name == group_by), None)
    problems = []
    if path is None and content is None:
        problems.append(f"no column of file names (looked for {', '.join(PATH_NAMES[:5])}, image, ...)")
    if label is None and needs_label:
        problems.append(f"no column of labels (looked for {', '.join(LABEL_NAMES[:8])}, ...)")
    if problems:
        columns = few(map(shortened, table.columns), 10)
        raise DataError(
            f"{printable(table.path.name)} has {' and '.join(problems)}. Its columns: {columns}. "
            "Expected a first line such as file_name,label."
        )
    notes.append(_taken_note(table, path or content or "", label, part))
    left = [name for name, parts in of_parts.items() if name not in (path, label, part, group) and len(parts) > 1]
    if left:
        values = {"file": printable(table.path.name), "columns": few(left)}
        notes.append(Note(key="table_column_of_parts", values=values, level="warning"))
    if others:
        values = {
            "file": printable(table.path.name),
            "taken": few([c for c in (path, label, part) if c]),
            "others": few(others),
        }
        notes.append(Note(key="table_columns_passed_over", values=values, level="warning"))
    return Columns(path, content, label, part, group)


def _taken_note(table: Table, path: str, label: str | None, part: str | None) -> Note:
    """Names the columns that were taken, and none that is not there."""
    key = {
        (True, True): "table_columns",
        (True, False): "table_columns_no_part",
        (False, True): "table_columns_no_label",
        (False, False): "table_columns_pictures",
    }[label is not None, part is not None]
    values = {"file": printable(table.path.name), "path": path, "label": label or "", "part": part or ""}
    return Note(key=key, values=values)


def has_labels(table: Table) -> bool:
    """Whether a table has a column of labels and one of paths or bytes."""
    path = _content(table) or _choose(table.columns, PATH_NAMES, [])
    return bool(path and _choose(table.columns, LABEL_NAMES, []))


def columns_of_parts(table: Table) -> dict[str, frozenset[int]]:
    """Returns the columns that hold names of parts only, blanks aside, and which parts; looks at rows.

    With part 0 those called ``set`` and the like that hold other texts too: one may be misspelled. Columns that are
    called like parts are not among them: they are taken whatever they hold.
    """
    known = list(table.problems)
    rest = [name for name in dict.fromkeys(table.columns) if name not in table.binary]
    rest = [name for name in rest if _key(name) not in PART_COLUMN_NAMES]
    # Nearly every column is told by its first row; only one that is not is worth another pass over the file.
    found = _only_parts(table, rest, _ROWS_LOOKED_AT)
    if found:
        found = _only_parts(table, list(found), None)
    table.problems = known
    return found


def _only_parts(table: Table, columns: Sequence[str], most: int | None) -> dict[str, frozenset[int]]:
    parts: dict[int, set[int]] = {place: set() for place in range(len(columns))}
    rows = table.rows(columns)
    mixed: dict[str, frozenset[int]] = {}
    for _, values in islice(rows, most):
        for place in list(parts):
            value = values[place]
            if value is None or (isinstance(value, str) and not value.strip()):
                continue
            part = part_of(value) if isinstance(value, str) else 0
            parts[place].add(part)
            if not part:
                held = frozenset(parts.pop(place))
                if len(held) > 1 and _key(columns[place]) in _MAYBE_PART_NAMES:
                    mixed[columns[place]] = held
        if not parts:
            break
    return mixed | {columns[place]: frozenset(each) for place, each in parts.items() if each}


def _content(table: Table) -> str | None:
    """The column of pictures: by its name, or the only one of bytes that holds neither labels nor parts nor names."""
    if named := _choose(table.binary, BYTES_NAMES, []):
        return named
    rest = [name for name in table.binary if not _choose([name], (*LABEL_NAMES, *PART_COLUMN_NAMES), [])]
    rest = [name for name in rest if not (_key(name) in PATH_NAMES and _holds_names(table, name))]
    return rest[0] if len(rest) == 1 else None


def _holds_names(table: Table, column: str) -> bool:
    """Whether a column of bytes holds names of files, by its first values."""
    found = [values[0] for _, values in islice(table.rows([column], at_once=_NAMES_LOOKED_AT), _NAMES_LOOKED_AT)]
    found = [value for value in found if value is not None]
    return bool(found) and all(isinstance(value, bytes) and is_name(value) for value in found)


def is_name(value: bytes) -> bool:
    """Whether bytes may be the name of a file, as those of a picture are not; empty ones may be a name left out."""
    return len(value) <= _LONGEST_NAME and not _CONTROL.search(value)


def label_text(value: object) -> str | None:
    """Returns a label as ``value_text`` does.

    Raises:
        ValueError: It is neither text nor a finite number, or no text that can be written.
    """
    if isinstance(value, float) and math.isinf(value):
        raise ValueError(f"the label is {value}, expected a text or a finite number")
    return value_text(value)


def value_text(value: object) -> str | None:
    """Returns what stands in a row as text, None for none (empty, null, not a number); bytes are UTF-8.

    Raises:
        ValueError: It is neither text nor a number, or no text that can be written.
    """
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, bytes):
        value = value.decode("utf-8", "backslashreplace")
    if not isinstance(value, str | int | float):
        raise ValueError(f"the label is {shortened(repr(value))}, expected one text or number")
    if isinstance(value, str) and _HALF.search(value):
        raise ValueError(f"the label is {shortened(repr(value))}, which holds half a character, expected a whole text")
    return str(value).strip() or None


def class_text(value: object, names: Sequence[str]) -> str | None:
    """Returns a label as text: a number of a class by its name, where the file has ``names``; else as ``label_text``.

    Where there are names, -1 is no label, as the `datasets` library writes it.

    Raises:
        ValueError: It is neither text nor a finite number, or the number of no class.
    """
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not names or not isinstance(value, int):
        return label_text(value)
    if not -1 <= value < len(names):
        raise ValueError(f"label {shortened(str(value))}, but {len(names)} classes are named (0 to {len(names) - 1})")
    return names[value] if value >= 0 else None


def _choose(columns: Sequence[str], names: Sequence[str], others: list[str]) -> str | None:
    keys = [_key(column) for column in columns]
    # Beside x or a width, y is where something lies in the picture.
    is_place = not _PLACE_NAMES.isdisjoint(keys)
    found = [
        column
        for name in names
        if not (name == "y" and is_place)
        for column, key in zip(columns, keys, strict=True)
        if key == name
    ]
    others.extend(found[1:])
    return found[0] if found else None


def _key(column: str) -> str:
    return re.sub(r"[\s\-]+", "_", column.strip().casefold())
