"""What a folder could be read as, besides class folders: labels files, Parquet shards, arrays."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from whyconv.errors import DataError, MissingExtraError
from whyconv.images.sources.archive_endings import archive_ending, closed_ending
from whyconv.images.sources.array_files import is_array_file
from whyconv.images.sources.array_names import parts_in
from whyconv.images.sources.arrow_files import ARROW_ENDINGS
from whyconv.images.sources.binary_files import names_classes, without_packed
from whyconv.images.sources.columns import has_labels
from whyconv.images.sources.file_parts import parts_of_files
from whyconv.images.sources.labels import part_of
from whyconv.images.sources.listing import few, printable
from whyconv.images.sources.table_files import (
    LABELS_FILE_STEMS,
    PARQUET_ENDINGS,
    TABLE_ENDINGS,
    TEXT_ENDINGS,
    open_table,
)
from whyconv.images.sources.table_rows import TableFile
from whyconv.images.sources.unread import labels_files_in
from whyconv.images.sources.walk import Tree
from whyconv.untrusted import json_in

_SHARD_FOLDERS = ("", "data")
# Of the `datasets` library: what belongs to a saved set, and how it calls what it keeps there of later steps.
_STATE, _KEPT_BY_LIBRARY = "state.json", "cache-"


def labels_files(tree: Tree, base: str) -> list[TableFile]:
    """Finds ``labels.csv``, ``metadata.jsonl`` and the like that hold labels.

    Looked for at the top, else in every part folder (``train/metadata.csv``); failing those, where there
    are no pictures at all, Parquet files named after parts (``data/train-00000-of-00002.parquet``) or in part folders
    (``default/train/0000.parquet``), or Arrow files at the top or in part folders
    (``train/data-00000-of-00001.arrow``).

    Args:
        tree: What lies below the folder.
        base: The folder that was looked through, with a final ``/``, or "".

    Raises:
        DataError: Two labels files lie at the top, or one cannot be read.
        MissingExtraError: One is Parquet or Arrow, without pyarrow.
    """
    tops, inner = labels_files_in(tree.others, base)
    tops = [path for path in tops if has_labels(open_table(Path(tree.root, path)))]
    if len(tops) > 1:
        raise DataError(f"Two files say the labels: {few(map(str, tops))}. Name the right one instead of the folder.")
    if tops:
        return [TableFile(Path(tree.root, tops[0]))]
    inner = [path for path in inner if has_labels(open_table(Path(tree.root, path)))]
    if inner:
        return [TableFile(Path(tree.root, path), part_of(path.parent.name)) for path in inner]
    return [] if tree.files else _shards(tree)


def array_files(tree: Tree, base: str, *, is_sure: bool) -> list[Path]:
    """Finds files of arrays at the top.

    Args:
        tree: What lies below the folder.
        base: The folder that was looked through, with a final ``/``, or "".
        is_sure: Whether there is nothing else to read; otherwise files of other things, such as weights
            of a network, are no arrays of pictures and no trouble.
    """
    found = [path for path in tree.others if is_array_file(path.rpartition("/")[2])]
    files = [Path(tree.root, path) for path in found if path.rpartition("/")[0] in ("", base.rstrip("/"))]
    files = without_packed(files)
    return files if is_sure or any(map(_may_hold_pictures, files)) else []


def folder_around(tree: Tree) -> str:
    """Returns the one folder that all of an archive lies in, with a final ``/``; "" where that is none, or a part's.

    Around Parquet files, ``data`` is where shards are looked for.
    """
    paths = [*tree.files, *tree.others]
    name = paths[0].partition("/")[0] if paths else ""
    are_shards = name in _SHARD_FOLDERS and any(path.lower().endswith(PARQUET_ENDINGS) for path in tree.others)
    is_around = all(path.startswith(f"{name}/") for path in paths)
    return f"{name}/" if name and is_around and not part_of(name) and not are_shards else ""


def files_to_lay_out(tree: Tree, layout: str) -> list[str]:
    """Returns the files of an archive that a reading may have to open, besides pictures.

    Labels files and texts at the top that may be some; where nothing says that pictures lie in folders, all tables
    and arrays, for they may be the pictures.

    Args:
        tree: What lies in the archive.
        layout: The reading that was asked for, or "auto".
    """
    tables = [path for path in tree.others if path.lower().endswith(TABLE_ENDINGS)]
    if layout != "arrays" and any("/" in path for path in tree.files):
        texts = [path for path in tables if "/" not in path and path.lower().endswith(TEXT_ENDINGS)]
        named = [path for path in tables if PurePosixPath(path).stem.casefold() in LABELS_FILE_STEMS]
        return sorted({*texts, *named}) if layout in ("auto", "table") else []
    names = {path: path.rpartition("/")[2] for path in tree.others}
    states = [path for path in tree.others if tables and path.rpartition("/")[2] == _STATE]
    return sorted(
        {*tables, *states, *(path for path, name in names.items() if is_array_file(name) or names_classes(name))}
    )


def nothing_found_error(where: str, tree: Tree) -> DataError:
    """Returns the error for a folder without anything that may be a picture."""
    endings = Counter(PurePosixPath(path).suffix.lower() for path in tree.others)
    found = ", ".join(f"{num:,} {ending}" for ending, num in endings.most_common(5)) or "no files"
    hint = ""
    is_archive, has_archives = archive_ending(where) and Path(where).is_file(), any(map(archive_ending, tree.others))
    if is_archive and (has_archives or any(map(closed_ending, tree.others))):
        hint = " Archives inside of an archive are not read: unpack the outer one."
    elif has_archives:
        hint = " Name the archive itself instead of the folder around it."
    elif any(map(closed_ending, tree.others)):
        hint = " Unpack the archive first."
    elif tree.skipped:
        hint = f" Passed over: {few(tree.skipped)}."
    return DataError(
        f"{printable(where)} holds no pictures; found {found}. Looked for class folders ({printable(where)}/cat/1.jpg),"
        f" train, val and test folders around them, labels.csv or metadata.csv, Parquet, .npz and HDF5 files.{hint}"
    )


def _may_hold_pictures(path: Path) -> bool:
    try:
        return bool(parts_in(path))
    except (DataError, MissingExtraError):
        return False


def _shards(tree: Tree) -> list[TableFile]:
    tables = [PurePosixPath(path) for path in tree.others if path.lower().endswith(TABLE_ENDINGS)]
    found = [path for path in tables if path.suffix.lower() in PARQUET_ENDINGS]
    # Around part folders there may be one of any name: that of a configuration, as the `datasets` library has them.
    around = {".", *_SHARD_FOLDERS, *([found[0].parts[0]] if len({path.parts[0] for path in found}) == 1 else [])}
    shards = [path for path in found if str(path.parent) in (".", *_SHARD_FOLDERS)]
    shards += [path for path in found if part_of(path.parent.name) and str(path.parent.parent) in around]
    if not shards:
        return _saved(tree, tables)
    return [TableFile(Path(tree.root, path), part) for path, part in zip(shards, parts_of_files(shards), strict=True)]


def _saved(tree: Tree, tables: Sequence[PurePosixPath]) -> list[TableFile]:
    """What ``save_to_disk`` of the `datasets` library wrote: one data set, or one for each part in its own folder."""
    saved = [path for path in tables if path.suffix.lower() in ARROW_ENDINGS]
    tops = [path for path in saved if str(path.parent) == "."]
    inner = [path for path in saved if str(path.parent.parent) == "." and part_of(path.parent.name)]
    found = _without_kept(tree, tops or inner)
    return [TableFile(Path(tree.root, path), part_of(path.parent.name)) for path in found]


def _without_kept(tree: Tree, saved: Sequence[PurePosixPath]) -> list[PurePosixPath]:
    """The Arrow files of a set, without what the library kept beside them of ``.map()`` and ``.shuffle()``.

    Raises:
        DataError: A file that belongs to the set is not there.
    """
    found: list[PurePosixPath] = []
    for folder in dict.fromkeys(path.parent for path in saved):
        there = {path.name: path for path in saved if path.parent == folder}
        names = _named_by_state(tree, folder)
        if missing := [name for name in names if name not in there]:
            raise DataError(
                f"{printable(str(folder / _STATE))} names {few(missing)}, which is not there. Is the folder complete?"
            )
        kept = set(names) or {name for name in there if not name.startswith(_KEPT_BY_LIBRARY)}
        found += [path for name, path in there.items() if name in kept]
    return found


def _named_by_state(tree: Tree, folder: PurePosixPath) -> list[str]:
    """Names of the files that make up a saved set; none where nothing says which."""
    if str(folder / _STATE) not in tree.others:
        return []
    try:
        return [str(each["filename"]) for each in json_in(Path(tree.root, folder, _STATE))["_data_files"]]
    except (OSError, ValueError, TypeError, KeyError):
        return []
