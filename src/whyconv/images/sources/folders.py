"""Pictures in class folders, with or without train, validation and test folders around them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np

from whyconv.errors import DataError
from whyconv.images.sources.labels import (
    compile_pattern,
    group_numbers,
    match_names,
    number_classes,
    part_of,
)
from whyconv.images.sources.listing import PART_NAMES, FileContents, Names, Pictures, few, printable, printable_names
from whyconv.images.sources.suggest import suggest_pattern
from whyconv.images.sources.walk import Tree
from whyconv.results import Note


@dataclass
class TopFolder:
    """A folder at the top: pictures directly in it, and in folders below it (by name)."""

    num_direct: int
    inside: dict[str, int]

    @property
    def num_pictures(self) -> int:
        """All pictures below the folder."""
        return self.num_direct + sum(self.inside.values())


@dataclass(frozen=True)
class Shape:
    """How pictures lie below a folder.

    Attributes:
        base: "" or the single folder around everything, with a final ``/``.
        num_loose: Pictures directly below the base.
        tops: Folders below the base that hold pictures, in order of name.
    """

    base: str
    num_loose: int
    tops: dict[str, TopFolder]

    @property
    def part_tops(self) -> list[str]:
        """Top folders whose whole name is that of a part."""
        return [name for name in self.tops if part_of(name)]

    @property
    def num_parts(self) -> int:
        """How many different parts the part folders stand for."""
        return len({part_of(name) for name in self.part_tops})

    @property
    def has_parts(self) -> bool:
        """Whether train, validation and test folders with class folders inside are the safe reading.

        One such folder among other folders of pictures may be a class ("train" beside "bus"): two
        different parts are asked for then.
        """
        with_classes = [name for name in self.part_tops if self.tops[name].inside]
        is_alone = len(self.part_tops) == len(self.tops)
        return bool(with_classes) and (is_alone or self.num_parts > 1)

    @property
    def is_flat_parts(self) -> bool:
        """Whether all there is are part folders with pictures directly inside: parts without classes."""
        tops = self.tops.values()
        return bool(tops) and len(self.part_tops) == len(tops) and not any(top.inside for top in tops)


def shape_of(files: Sequence[str], base: str = "") -> Shape:
    """Returns how the files below ``base`` lie; a single folder around class folders is looked through."""
    num_loose, tops = 0, dict[str, TopFolder]()
    for path in files:
        first, _, rest = path[len(base) :].partition("/")
        if not rest:
            num_loose += 1
            continue
        top = tops.setdefault(first, TopFolder(0, {}))
        second, _, deeper = rest.partition("/")
        if deeper:
            top.inside[second] = top.inside.get(second, 0) + 1
        else:
            top.num_direct += 1
    if len(tops) == 1 and not num_loose:
        ((name, top),) = tops.items()
        if not part_of(name) and not top.num_direct and (len(top.inside) > 1 or part_of(next(iter(top.inside)))):
            return shape_of(files, f"{base}{name}/")
    return Shape(base, num_loose, tops)


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
    if not with_parts:
        parts = np.zeros(len(paths), np.int8)
    else:
        parts = np.array([part_of(pieces[0]) if len(pieces) > 1 else 0 for pieces in splits], np.int8)
    depth = (parts > 0).astype(int)
    texts = [
        pieces[d] if len(pieces) > d + 1 and (d or not with_parts) else None
        for pieces, d in zip(splits, depth, strict=True)
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
    keys = match_names(compile_pattern(pattern, "--group-by", "group"), names, "group")
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
    notes = []
    unlabeled = [path for path, text in zip(tree.files, texts, strict=True) if text is None]
    if unlabeled:
        values = {"num": f"{len(unlabeled):,}", "names": few(unlabeled)}
        notes.append(Note(key="pictures_outside_classes", values=values, level="warning"))
    if shape.base:
        notes.append(Note(key="folder_looked_through", values={"folder": printable(shape.base.rstrip("/"))}))
    empty = _empty_classes(tree, shape, with_parts)
    if empty:
        notes.append(Note(key="folders_empty", values={"num": str(len(empty)), "folders": few(empty)}, level="warning"))
    if with_parts:
        return notes
    as_classes = shape.part_tops
    if as_classes:
        notes.append(Note(key="parts_read_as_classes", values={"folders": few(as_classes)}, level="warning"))
    nested = [f"{name}/{inner}" for name, top in shape.tops.items() for inner in top.inside if part_of(inner)]
    if nested:
        notes.append(Note(key="parts_inside_classes", values={"folders": few(nested)}, level="warning"))
    num_deep = sum(sum(top.inside.values()) for top in shape.tops.values())
    if num_deep and not nested:
        notes.append(Note(key="folders_inside_classes", values={"num": f"{num_deep:,}"}))
    return notes


def _empty_classes(tree: Tree, shape: Shape, with_parts: bool) -> list[str]:
    """Folders where a part or class is expected that hold no candidate; those around skipped runs are none."""
    full = {folder for path in tree.files for folder in _class_levels(path[len(shape.base) :])}
    around_runs = {run[: run.rfind("/")] for run in tree.runs if "/" in run}
    empty = []
    for folder in tree.folders:
        if not folder.startswith(shape.base) or folder in around_runs:
            continue
        inner = folder[len(shape.base) :]
        is_in_part = part_of(inner.partition("/")[0]) > 0
        is_expected = is_in_part and inner.count("/") <= 1 if with_parts else "/" not in inner
        if is_expected and inner not in full:
            empty.append(folder)
    return empty


def _class_levels(path: str) -> list[str]:
    first, _, rest = path.partition("/")
    second, _, deeper = rest.partition("/")
    return ([first] if rest else []) + ([f"{first}/{second}"] if deeper else [])


def flat_parts_error(where: str, shape: Shape, names: Names, table: str | None) -> DataError:
    """Returns the error for part folders that hold pictures and no class folders."""
    folders, first = few(f"{name}/" for name in shape.part_tops), printable(shape.part_tops[0])
    return DataError(
        f"{printable(where)}: {folders} hold pictures directly, so there are parts but no classes. "
        f"Expected class folders inside, for example {first}/cat and {first}/dog."
        f"{_proposal(where, names, table)} If these folders are the classes, say --layout folders."
    )


def no_classes_error(where: str, names: Names, table: str | None) -> DataError:
    """Returns the error for one folder of pictures without classes; proposes a table there, or ``--label-from``."""
    return DataError(
        f"{printable(where)} has no class folders: found {len(names):,} files at its top, for example {few(names, 3)}. "
        f"Expected each class in a folder of its own ({printable(where)}/cat, {printable(where)}/dog), "
        f"or a labels.csv with the columns file_name,label.{_proposal(where, names, table)}"
    )


def _proposal(where: str, names: Names, table: str | None) -> str:
    if table is None:
        return suggest_pattern(names)
    if Path(where).is_file():
        return (
            f" If {printable(table)} says the labels, call it labels{PurePosixPath(table).suffix} in the archive, or "
            "unpack the archive and name that file."
        )
    return f" If {printable(table)} says the labels, name that file instead of the folder."
