"""Pictures in class folders, with or without train, validation and test folders around them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from whyconv.errors import DataError
from whyconv.images.sources.labels import (
    PART_ALIASES,
    TRAIN,
    compile_pattern,
    group_key,
    group_numbers,
    match_names,
    number_classes,
    part_of,
)
from whyconv.images.sources.listing import PART_NAMES, FileContents, Names, Pictures, few, printable, printable_names
from whyconv.images.sources.shape import Shape
from whyconv.images.sources.suggest import suggest_pattern
from whyconv.images.sources.unread import labels_file, to_have_it_read
from whyconv.images.sources.walk import Tree
from whyconv.results import Note


def read_folders(  # noqa: PLR0913
    tree: Tree,
    where: str,
    shape: Shape,
    *,
    with_parts: bool,
    label_from: str | None,
    group_by: str | None,
    keep_all_classes: bool = False,
) -> Pictures:
    """Reads class folders: the class of a picture is the first folder below the root, or below its part.

    Args:
        tree: What lies below the root.
        where: The root, as asked for.
        shape: How the pictures lie.
        with_parts: Whether top folders named after parts are parts.
        label_from: Regular expression on the name that gives the label instead of the folder.
        group_by: Regular expression on the name that gives the group.
        keep_all_classes: As in ``read_pictures``.

    Raises:
        UsageError: A regular expression is none, or marks no group.
        DataError: ``label_from`` fits no name.
    """
    paths = Names(tree.files)
    names = printable_names(paths)
    splits = [path[len(shape.base) :].split("/") for path in tree.files]
    tops = [pieces[0] if with_parts and len(pieces) > 1 else "" for pieces in splits]
    parts = np.array([shape.parts.get(top, 0) for top in tops], np.int8)
    depths = [shape.depths.get(top, 0) for top in tops]
    texts = [
        pieces[d] if len(pieces) > d + 1 and (d or not with_parts) else None
        for pieces, d in zip(splits, depths, strict=True)
    ]
    notes: list[Note] = []
    if label_from is not None:
        texts = labels_by_pattern(label_from, names, notes)
    else:
        notes += _folder_notes(tree, shape, texts, parts, with_parts)
    texts = [None if text is None else printable(text) for text in texts]
    labels, classes, class_notes = number_classes(texts, parts, keep_all_classes=keep_all_classes)
    layout = _layout(parts, with_parts, label_from)
    return Pictures(
        where=where,
        layout=layout,
        names=names,
        labels=labels,
        classes=classes,
        parts=parts,
        groups=groups_by_pattern(group_by, names, notes),
        skipped=tuple(map(printable, [*tree.skipped, *tree.others])),
        notes=(*notes, *class_notes),
        contents=FileContents(tree.root, paths),
    )


def labels_by_pattern(pattern: str, names: Names, notes: list[Note]) -> list[str | None]:
    """Returns the label that ``--label-from`` takes from each name; notes names that do not fit.

    Raises:
        UsageError: The pattern is no regular expression, or marks no group.
        DataError: It fits no name at all.
    """
    texts = match_names(compile_pattern(pattern, "--label-from", "label"), names, "label")
    missed = [name for name, text in zip(names, texts, strict=True) if text is None]
    if len(missed) == len(names):
        raise DataError(
            f"--label-from {pattern!r} fits none of the {len(names):,} names, for example {few(names, 3)}. "
            f"It is searched in the path below the folder.{suggest_pattern(names)}"
        )
    if missed:
        values = {"num": f"{len(missed):,}", "names": few(missed)}
        notes.append(Note(key="label_from_unmatched", values=values, level="warning"))
    return texts


def groups_by_pattern(pattern: str | None, names: Names, notes: list[Note]) -> np.ndarray | None:
    """Returns int64 (n,) group numbers by ``--group-by``, None without one; notes names that do not fit.

    Raises:
        UsageError: The pattern is no regular expression, marks no group, or fits no name.
    """
    if pattern is None:
        return None
    keys = [group_key(key) for key in match_names(compile_pattern(pattern, "--group-by", "group"), names, "group")]
    num_missed = keys.count(None)
    if num_missed == len(keys):
        raise DataError(f"--group-by {pattern!r} fits none of the {len(names):,} names, for example {few(names, 3)}.")
    groups = group_numbers(keys)
    values = {"num_groups": f"{len(set(keys) - {None}):,}", "num_alone": f"{num_missed:,}"}
    notes.append(Note(key="grouped", values=values, level="warning" if num_missed else "info"))
    return groups


def _layout(parts: np.ndarray, with_parts: bool, label_from: str | None) -> Note:
    if not with_parts:
        return Note(key="layout_folders") if label_from is None else _from_names("layout_names", label_from)
    found = "/".join(PART_NAMES[part] for part in np.unique(parts) if part)
    if label_from is None:
        return Note(key="layout_splits", values={"parts": found})
    return _from_names("layout_splits_names", label_from, parts=found)


def _from_names(key: str, pattern: str, **values: str) -> Note:
    return Note(key=key, values={"pattern": printable(pattern), **values})


def _folder_notes(
    tree: Tree, shape: Shape, texts: Sequence[str | None], parts: np.ndarray, with_parts: bool
) -> list[Note]:
    unlabeled = [path for path, text in zip(tree.files, texts, strict=True) if text is None]
    notes, unlabeled = _unknown_parts(shape, unlabeled) if with_parts else ([], unlabeled)
    if unlabeled:
        values = {"num": f"{len(unlabeled):,}", "names": few(unlabeled)}
        notes.append(Note(key="pictures_outside_classes", values=values, level="warning"))
    through = [shape.base] if shape.base else []
    if with_parts:
        deep = [name for name, depth in shape.depths.items() if depth > 1]
        through = [f"{shape.base}{name}/{shape.tops[name].wrapper}" for name in deep] or through
    if through:
        folders = few(folder.rstrip("/") for folder in through)
        notes.append(Note(key="folder_looked_through", values={"folder": folders}))
    empty = _empty_classes(tree, shape, with_parts)
    if empty:
        notes.append(Note(key="folders_empty", values={"num": str(len(empty)), "folders": few(empty)}, level="warning"))
    if len(set(texts) - {None}) == 1:
        notes += _only_class_notes(shape)
    return notes if with_parts else [*notes, *_class_notes(shape)]


def _unknown_parts(shape: Shape, unlabeled: list[str]) -> tuple[list[Note], list[str]]:
    """Tells of folders beside parts that hold the same classes; returns what else is in no class folder, too."""
    prefixes = tuple(f"{shape.base}{name}/" for name in shape.not_called_parts)
    there = [path for path in unlabeled if path.startswith(prefixes)]
    if not there:
        return [], unlabeled
    values = {"folders": few(shape.not_called_parts), "num": len(there), "names": few(there)}
    values |= {"known": ", ".join(PART_ALIASES)}
    note = Note(key="folders_not_called_parts", values=values, level="warning")
    return [note], [path for path in unlabeled if not path.startswith(prefixes)]


def _only_class_notes(shape: Shape) -> list[Note]:
    """Where the classes may be meant to lie, if all pictures come to one."""
    for name, top in shape.tops.items():
        if len(top.classes) > 1:
            folder = f"{shape.base}{name}/{top.wrapper}".rstrip("/")
            values = {"folder": printable(folder), "inside": few(sorted(top.classes))}
            return [Note(key="only_class_holds_folders", values=values, level="warning")]
    return []


def _class_notes(shape: Shape) -> list[Note]:
    """What may be meant where top folders are taken for classes."""
    notes = []
    if shape.parts:
        notes.append(Note(key="parts_read_as_classes", values={"folders": few(shape.parts)}, level="warning"))
    nested = [f"{name}/{inner}" for name, top in shape.tops.items() for inner in top.inside if part_of(inner)]
    if nested:
        notes.append(Note(key="parts_inside_classes", values={"folders": few(nested)}, level="warning"))
    num_deep = sum(sum(top.inside.values()) for top in shape.tops.values())
    alike = [] if nested else shape.alike_inside
    if alike:
        notes.append(_alike_note(shape, alike))
    elif num_deep and not nested:
        notes.append(Note(key="folders_inside_classes", values={"num": f"{num_deep:,}"}))
    return notes


def _alike_note(shape: Shape, alike: Sequence[str]) -> Note:
    first, top = next(iter(shape.tops.items()))
    depth = f"{shape.base}{first}/{top.wrapper}".count("/")
    values = {
        "folders": few(shape.tops),
        "inside": few(alike),
        "pattern": f"^(?:[^/]+/){{{depth}}}([^/]+)/",
        "one": printable(f"{shape.base}{first}/{top.wrapper}".rstrip("/")),
    }
    return Note(key="folders_alike_inside", values=values, level="warning")


def _empty_classes(tree: Tree, shape: Shape, with_parts: bool) -> list[str]:
    """Folders where a part or class is expected that hold no candidate; those around skipped runs are none."""
    full = {folder for path in tree.files for folder in _folders_around(path[len(shape.base) :])}
    around_runs = {run[: run.rfind("/")] for run in tree.runs if "/" in run}
    empty = []
    for folder in tree.folders:
        if not folder.startswith(shape.base) or folder in around_runs:
            continue
        inner = folder[len(shape.base) :]
        top = inner.partition("/")[0]
        depth = shape.depths.get(top, 1 if part_of(top) else -1) if with_parts else 0
        if inner.count("/") <= depth and inner not in full:
            empty.append(folder)
    return empty


def _folders_around(path: str) -> list[str]:
    pieces = path.split("/")[:-1]
    return ["/".join(pieces[:depth]) for depth in range(1, len(pieces) + 1)]


def flat_parts_error(where: str, shape: Shape, names: Names, table: str | None, odd: str) -> DataError:
    """Returns the error for part folders that hold pictures and no class folders; arguments as below."""
    folders, first = few(f"{name}/" for name in shape.parts), printable(next(iter(shape.parts)))
    # Test pictures often have numbers for names where those to learn from carry their labels.
    learned = tuple(f"{shape.base}{name}/" for name, part in shape.parts.items() if part == TRAIN)
    known = Names(name for name in names if name.startswith(learned))
    return DataError(
        f"{printable(where)}: {folders} hold pictures directly, so there are parts but no classes. "
        f"Expected class folders inside, for example {first}/cat and {first}/dog."
        f"{odd}{_proposal(where, known or names, table)} If these folders are the classes, say --layout folders."
    )


def no_classes_error(where: str, names: Names, table: str | None, odd: str) -> DataError:
    """Returns the error for one folder of pictures without classes; proposes a table there, or ``--label-from``.

    Args:
        where: What was asked for.
        names: Of the pictures.
        table: One that says labels and is not called so.
        odd: What is wrong with one that is called so; "" where there is none.
    """
    return DataError(
        f"{printable(where)} has no class folders: found {len(names):,} files at its top, for example {few(names, 3)}. "
        f"Expected each class in a folder of its own ({printable(where)}/cat, {printable(where)}/dog), "
        f"or a labels.csv with the columns file_name,label.{odd}{_proposal(where, names, table)}"
    )


def _proposal(where: str, names: Names, table: str | None) -> str:
    if table is None:
        return suggest_pattern(names)
    if Path(where).is_file():
        return f" If {printable(table)} says the labels, {to_have_it_read(labels_file(table))}."
    return f" If {printable(table)} says the labels, name that file instead of the folder."
