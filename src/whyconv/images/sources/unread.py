"""Tables that are not read: nothing but their columns says that they hold labels, or their columns do not say so."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath

from whyconv.errors import DataError, MissingExtraError
from whyconv.images.sources.columns import choose_columns, has_labels
from whyconv.images.sources.labels import part_of
from whyconv.images.sources.listing import few, printable, shortened
from whyconv.images.sources.table_files import LABELS_FILE_STEMS, TABLE_ENDINGS, Table, open_table
from whyconv.images.sources.walk import Tree
from whyconv.results import Note


def folders_down_to(base: str) -> list[str]:
    """Returns "" and every folder on the way to ``base``, itself included, each with a final ``/``."""
    pieces = base.split("/")[:-1]
    return ["".join(f"{piece}/" for piece in pieces[:depth]) for depth in range(len(pieces) + 1)]


def labels_files_in(paths: Iterable[str], base: str) -> tuple[list[PurePosixPath], list[PurePosixPath]]:
    """Returns the tables that are called labels files: at the top or on the way to ``base``, and in part folders."""
    tables = [PurePosixPath(path) for path in paths if path.lower().endswith(TABLE_ENDINGS)]
    named = [path for path in tables if path.stem.casefold() in LABELS_FILE_STEMS]
    around = [folder.rstrip("/") or "." for folder in folders_down_to(base)]
    tops = [path for path in named if str(path.parent) in around]
    return tops, [path for path in named if str(path.parent.parent) in around and part_of(path.parent.name)]


def not_understood(tree: Tree, base: str) -> str:
    """Returns what is wrong with the columns of the first labels file that is there, after a blank; else ""."""
    tops, inner = labels_files_in(tree.others, base)
    for path in (*tops, *inner):
        try:
            choose_columns(open_table(Path(tree.root, path)), group_by=None, needs_label=True, notes=[])
        except MissingExtraError:
            continue
        except DataError as error:  # which begins with the name
            folder = "" if str(path.parent) == "." else printable(f"{path.parent}/")
            return f" {folder}{error}"
    return ""


def table_of_another_name(tree: Tree, base: str) -> str | None:
    """Returns the first table at the top, or on the way to ``base``, that says labels, whatever its name."""
    return next((path for path, table in _tables(tree, base) if has_labels(table)), None)


def unread_note(tree: Tree, base: str, *, is_any: bool, is_packed: bool = False) -> Note | None:
    """Returns a note on a table at the top that was not read.

    Args:
        tree: What lies below the folder.
        base: The folders that were looked through, each with a final ``/``, or "".
        is_any: Whether a table without a column of labels is worth a word too, for there is no other sign of classes.
        is_packed: Whether that folder is an archive, in which no file can be named.
    """
    found = list(_tables(tree, base))
    for path, table in found:
        if has_labels(table):
            return _of_table("table_in_archive_not_read" if is_packed else "table_not_read", path, table, is_packed)
    return _of_table("table_without_labels", *found[0], is_packed) if is_any and found else None


def _of_table(key: str, path: str, table: Table, is_packed: bool) -> Note:
    values = {"file": printable(path), "columns": few(map(shortened, table.columns), 8)}
    values |= {"labels_file": labels_file(path)} if is_packed else {}
    return Note(key=key, values=values, level="warning")


def labels_file(table: str) -> str:
    """What a table is to be called so that it is read where it lies."""
    return f"labels{PurePosixPath(table).suffix}"


def to_have_it_read(labels_file: str) -> str:
    """What to do with a table that is not read; ``labels_file`` is what to call it in an archive, "" in a folder."""
    if not labels_file:
        return "name that file"
    return f"call it {labels_file} in the archive, or unpack the archive and name that file"


def _tables(tree: Tree, base: str) -> Iterator[tuple[str, Table]]:
    around = folders_down_to(base)
    for path in tree.others:
        if path[: path.rfind("/") + 1] in around and path.lower().endswith(TABLE_ENDINGS):
            # They are only spoken of: one that cannot be read is no trouble.
            with suppress(DataError, MissingExtraError):
                yield path, open_table(Path(tree.root, path))
