"""Labels files and tables: each row names a picture, or holds its bytes, and says its label."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from whyconv.errors import DataError, UsageError
from whyconv.images.sources.column_files import open_column
from whyconv.images.sources.columns import Columns, choose_columns, columns_of_parts
from whyconv.images.sources.containers import ContainedPictures
from whyconv.images.sources.file_parts import file_part_notes
from whyconv.images.sources.folders import groups_by_pattern, labels_by_pattern
from whyconv.images.sources.labels import (
    group_numbers,
    is_minus_one,
    is_minus_one_none,
    minus_one_note,
    none_notes,
    number_classes,
)
from whyconv.images.sources.listing import (
    Contents,
    FileContents,
    Names,
    Pictures,
    few,
    printable,
    printable_names,
    shortened,
)
from whyconv.images.sources.table_files import Table, open_table
from whyconv.images.sources.table_rows import Listing, Shelf, TableFile, list_rows
from whyconv.results import Note


def read_tables(
    shelf: Shelf,
    files: Sequence[TableFile],
    *,
    label_from: str | None,
    group_by: str | None,
    require_labels: bool,
    keep_all_classes: bool = False,
) -> Pictures:
    """Reads labels files.

    Paths are relative to the folder of their table and stay inside it; absolute paths are taken as they
    are; nothing is downloaded. A file that is missing stays in the list: a note counts them, and reading
    it says so. An empty label is no mistake, but the picture has none, and a note counts those too.

    Args:
        shelf: What names are relative to.
        files: CSV, JSON Lines, Parquet or Arrow files.
        label_from: Regular expression on the names that gives the label instead of a column.
        group_by: A column, or else a regular expression on the names.
        require_labels: Whether a table without labels is refused.
        keep_all_classes: As in ``read_pictures``.

    Raises:
        DataError: Columns are missing, or rows contradict themselves: all mistakes of the file at once.
        UsageError: A regular expression is none, or ``group_by`` is neither column nor expression.
        MissingExtraError: Parquet or Arrow without pyarrow.
    """
    root, notes = shelf.root, list[Note]()
    tables = [open_table(file.path) for file in files]
    needs_label = require_labels and label_from is None
    chosen = [
        choose_columns(table, group_by=group_by, needs_label=needs_label, notes=notes, of_parts=columns_of_parts(table))
        for table in tables
    ]
    if len({columns.content is None for columns in chosen}) > 1:
        raise DataError(f"Of {few(file.path.name for file in files)}, some hold pictures and some only their names.")
    listing = list_rows(shelf, files, tables, chosen)
    contents, names = _contents(root, files, chosen, listing)
    texts: Sequence[str | None] = listing.labels
    if label_from is not None:
        texts = labels_by_pattern(label_from, names, notes)
    if all(columns.part is None for columns in chosen):
        notes += file_part_notes([file.path.name for file in files], [file.part for file in files])
    notes += _row_notes(listing, names, texts, files)
    texts = _without_minus_one(listing, texts, files, notes)
    parts = np.array(listing.parts, np.int8)
    order = [name for table, columns in zip(tables, chosen, strict=True) for name in _order(table, columns)]
    order = [] if label_from else order
    labels, classes, class_notes = number_classes(texts, parts, order, keep_all_classes=keep_all_classes)
    return Pictures(
        where=str(root),
        layout=Note(
            key="layout_table",
            values={"files": few(file.path.relative_to(root).as_posix() for file in files)},
        ),
        names=names,
        labels=labels,
        classes=classes,
        parts=parts,
        groups=_groups(group_by, chosen, tables, listing, names, notes),
        skipped=(),
        notes=(*notes, *class_notes, *none_notes(classes)),
        contents=contents,
    )


def _without_minus_one(
    listing: Listing, texts: Sequence[str | None], files: Sequence[TableFile], notes: list[Note]
) -> Sequence[str | None]:
    """The labels, where they are numbers of which -1 says that there is none, without it."""
    if texts is not listing.labels or listing.has_texts or not is_minus_one_none({each for each in texts if each}):
        return texts
    known = [None if text is not None and is_minus_one(text) else text for text in texts]
    notes.append(minus_one_note(few(file.path.name for file in files), known.count(None) - texts.count(None)))
    return known


def _order(table: Table, columns: Columns) -> list[str]:
    return table.class_names.get(columns.label or "", [])


def _contents(
    root: Path, files: Sequence[TableFile], chosen: Sequence[Columns], listing: Listing
) -> tuple[Contents, Names]:
    if chosen[0].content is None:
        paths = Names(listing.paths)
        return FileContents(str(root), paths), printable_names(paths)
    columns = [open_column(file.path, each.content or "") for file, each in zip(files, chosen, strict=True)]
    file_of = np.array(listing.file_of, np.int64)
    rows = np.array(listing.line_of, np.int64) - 1
    if all(listing.paths) and len(set(listing.paths)) == len(listing.paths):
        names = printable_names(Names(listing.paths))
    else:
        stems = [printable(file.path.relative_to(root).as_posix()) for file in files]
        names = Names(f"{stems[number]}[{row}]" for number, row in zip(file_of.tolist(), rows.tolist(), strict=True))
    return ContainedPictures(columns, file_of, rows), names


def _row_notes(listing: Listing, names: Names, texts: Sequence[str | None], files: Sequence[TableFile]) -> list[Note]:
    notes = []
    table = few(file.path.name for file in files)
    if listing.num_repeated:
        notes.append(Note(key="table_rows_repeated", values={"file": table, "num": f"{listing.num_repeated:,}"}))
    if listing.respelled:
        text, path = listing.respelled[0]
        values = {
            "file": table,
            "num": f"{len(listing.respelled):,}",
            "written": printable(text),
            "there": printable(path),
        }
        notes.append(Note(key="table_endings_respelled", values=values))
    unlabeled = [row for row, text in enumerate(texts) if text is None]
    if unlabeled and texts is listing.labels and len(unlabeled) < len(texts):
        values = {"file": table, "num": f"{len(unlabeled):,}", "names": few(names[row] for row in unlabeled)}
        notes.append(Note(key="table_labels_empty", values=values, level="warning"))
    return notes


def _groups(
    group_by: str | None, chosen: Sequence[Columns], tables: Sequence[Table], listing: Listing, names: Names,
    notes: list[Note],
) -> np.ndarray | None:  # fmt: skip
    if group_by is None or all(columns.group is None for columns in chosen):
        try:
            return groups_by_pattern(group_by, names, notes)
        except UsageError as error:
            columns = few(map(shortened, tables[0].columns), 10)
            raise UsageError(f"{error} It is no column of the table either. Its columns: {columns}.") from None
    num_alone = listing.keys.count(None)
    values = {"num_groups": f"{len(set(listing.keys) - {None}):,}", "num_alone": f"{num_alone:,}"}
    notes.append(Note(key="grouped", values=values, level="warning" if num_alone else "info"))
    return group_numbers(listing.keys)
