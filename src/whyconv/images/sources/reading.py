"""Which reading fits a path: class folders, part folders, a labels file, arrays."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

from whyconv.errors import DataError, UsageError, nearest
from whyconv.images.sources.archive_endings import ARCHIVE_ENDINGS, archive_ending, closed_ending
from whyconv.images.sources.archived import ArchivedTree, archived_tree
from whyconv.images.sources.archives import MemberContents, Members, open_archive
from whyconv.images.sources.array_files import ARRAY_ENDINGS, is_array_file
from whyconv.images.sources.array_names import companions
from whyconv.images.sources.arrays import read_arrays
from whyconv.images.sources.binary_files import class_names_beside
from whyconv.images.sources.candidates import array_files, labels_files, nothing_found_error
from whyconv.images.sources.folders import flat_parts_error, no_classes_error, read_folders
from whyconv.images.sources.kept import kept_of
from whyconv.images.sources.listing import PART_NAMES, FileContents, Names, Pictures, few, printable
from whyconv.images.sources.missing import check_missing
from whyconv.images.sources.samples import label_ending, read_samples, sample_files
from whyconv.images.sources.shape import Shape, shape_of
from whyconv.images.sources.table_files import TABLE_ENDINGS
from whyconv.images.sources.table_rows import Shelf, TableFile
from whyconv.images.sources.tables import read_tables
from whyconv.images.sources.unread import not_understood, table_of_another_name, unread_note
from whyconv.images.sources.walk import Tree, missing_error, tree_of, walk
from whyconv.results import Note

LAYOUTS = ("auto", "folders", "splits", "table", "arrays", "webdataset")


def read_pictures(  # noqa: PLR0913
    where: str | Path,
    *,
    layout: str = "auto",
    label_from: str | None = None,
    group_by: str | None = None,
    require_labels: bool = True,
    keep_all_classes: bool = False,
    store: Path | None = None,
) -> Pictures:
    """Finds pictures and their labels; opens no picture.

    An archive is read as the folder that it would be, without unpacking its pictures. What cannot be read in place is
    copied to the cache once: the tar file in a packed one, labels files, and tables or arrays that hold the pictures.

    Args:
        where: A folder, an archive of one (.zip, .tar, .tar.gz, .tar.bz2, .tar.xz), a labels file or table, or a file
            of arrays.
        layout: "auto", or the reading to take: "folders", "splits", "table", "arrays" or "webdataset".
        label_from: Regular expression searched in each name; its group ``label``, else its first, is the label.
        group_by: Regular expression on the names, or a column of the labels file, or an array: pictures
            that share it stay together in a split.
        require_labels: Whether pictures without any label are refused.
        keep_all_classes: Whether pictures of classes that the training part lacks keep their labels: they cannot be
            learned, but scored.
        store: The cache; None is the default one.

    Returns:
        The pictures in a fixed order. The first of their notes says how they were read.

    Raises:
        UsageError: ``layout`` or a regular expression is wrong.
        DataError: There is nothing to read, or it cannot be read without guessing.
        MissingExtraError: Parquet or HDF5 without the extra ``tables``.
        StorageError: The cache does not take what has to be unpacked of an archive.
    """
    if layout not in LAYOUTS:
        raise UsageError(f"Unknown layout '{layout}'.{nearest(layout, LAYOUTS)} Choose from: {', '.join(LAYOUTS)}.")
    if not os.path.lexists(where):
        raise missing_error([os.fspath(where)])
    asked = _Request(os.fspath(where), layout, label_from, group_by, require_labels, keep_all_classes, store)
    taken, pictures = asked.read_folder() if Path(where).is_dir() else asked.read_file()
    if require_labels and not (pictures.labels >= 0).any():
        raise DataError(f"{printable(asked.where)}: none of the {len(pictures):,} pictures has a label.")
    return replace(pictures, where=asked.where, notes=(_told(taken, pictures), *pictures.notes))


class _Reading(NamedTuple):
    """A way to read a folder, and the files it opens (which then are not passed over)."""

    read: Callable[[], Pictures]
    files: Sequence[Path] = ()


@dataclass(frozen=True)
class _Request:
    """What was asked for; the arguments of ``read_pictures``."""

    where: str
    layout: str
    label_from: str | None
    group_by: str | None
    require_labels: bool
    keep_all_classes: bool = False
    store: Path | None = None

    def read_file(self) -> tuple[str, Pictures]:
        """Reads a table or a file of arrays."""
        path, name = Path(self.where), printable(self.where)
        if not path.is_file():
            raise DataError(
                f"{name} is neither a folder nor a regular file: a pipe, a device, or a link that leads nowhere. "
                "Expected a folder of pictures, a table or a file of arrays."
            )
        ending = path.suffix.lower()
        if archive_ending(path.name):
            return self.read_archive()
        if ending not in TABLE_ENDINGS and not is_array_file(path.name):
            if closed := closed_ending(path.name):
                raise DataError(
                    f"{name} is packed as {closed}, which is not read. Unpack it and name what comes out, or pack the "
                    f"pictures as one of {', '.join(ARCHIVE_ENDINGS)}."
                )
            raise DataError(
                f"{name} is a single file. Expected a folder of pictures, an archive of one "
                f"({', '.join(ARCHIVE_ENDINGS)}), a table ({', '.join(TABLE_ENDINGS)}) "
                f"or arrays ({', '.join(ARRAY_ENDINGS)}, IDX, CIFAR's .bin)."
            )
        kind = "table" if ending in TABLE_ENDINGS else "arrays"
        if self.layout not in ("auto", kind):
            raise UsageError(f"{name} cannot be read with --layout {self.layout}: it is a file of the kind '{kind}'.")
        if kind == "arrays":
            return kind, self._arrays(companions(path))
        pictures = self._table([TableFile(path)], Shelf(path.parent))
        return kind, replace(pictures, notes=(*pictures.notes, *check_missing(pictures, path, [path.name])))

    def read_folder(self) -> tuple[str, Pictures]:
        """Walks a folder and takes the safest of its possible readings, or the one asked for."""
        return self._read_tree(walk(self.where))

    def read_archive(self) -> tuple[str, Pictures]:
        """Reads an archive as the folder that it would be."""
        path = Path(self.where)
        members = open_archive(path, self.store)
        taken, pictures = self._read_members(members)
        unpacked = kept_of(path, self.store).note()
        return taken, replace(pictures, notes=(*pictures.notes, *([unpacked] if unpacked else [])))

    def _read_members(self, members: Members) -> tuple[str, Pictures]:
        """Reads an archive as the folder that was packed, or as samples: those of a tar file are told by their labels.

        Where its pictures lie in class folders too, ``.cls`` goes before these, for only samples have it, and they go
        before ``.json``, which may be about anything.
        """
        may_be = self.layout == "auto" and self.label_from is None and archive_ending(self.where) != ".zip"
        ending = label_ending(members.names) if may_be else ""
        samples, folders = partial(self._as_samples, members), partial(self._as_folder, members)
        if self.layout == "webdataset" or (ending and not _lie_in_classes(tree_of(self.where, members.names))):
            return samples()
        if not ending:
            return folders()
        (taken, pictures), other = (samples(), folders) if ending == "cls" else (folders(), samples)
        try:
            rival, read_so = other()
        except (DataError, UsageError):
            return taken, pictures
        is_other = len(read_so.classes) > 1 and _described(read_so) != _described(pictures)
        notes = _two_readings(taken, rival if is_other else "", self.where)
        return taken, replace(pictures, notes=(*notes, *pictures.notes))

    def _as_samples(self, members: Members) -> tuple[str, Pictures]:
        return "webdataset", self._samples([members])

    def _as_folder(self, members: Members) -> tuple[str, Pictures]:
        archived = archived_tree(members, self.layout, self.store)
        return self._read_tree(archived.tree, archived)

    def _read_tree(self, tree: Tree, archived: ArchivedTree | None = None) -> tuple[str, Pictures]:
        shape = shape_of(tree.files, archived.around if archived and self.layout != "folders" else "")
        readings = self._readings(tree, shape, archived)
        if self.layout not in ("auto", *readings):
            found = f"It can be read as: {', '.join(readings)}." if readings else "No other reading fits either."
            found += not_understood(tree, shape.base) if self.layout == "table" else ""
            raise DataError(f"{printable(self.where)} cannot be read with --layout {self.layout}. {found}")
        if not readings:
            raise self._no_reading(tree, shape, archived)
        if self.layout != "auto":
            taken, pictures, notes = self.layout, readings[self.layout].read(), list[Note]()
        else:
            taken, pictures, notes = _safest(readings, self.where)
            if self.label_from is None and taken in ("folders", "splits") and "table" not in readings:
                is_any, is_packed = len(pictures.classes) == 1, archived is not None
                unread = unread_note(tree, shape.base, is_any=is_any, is_packed=is_packed)
                notes += [unread] if unread else []
        pictures = replace(pictures, notes=(*notes, *pictures.notes))
        return taken, _complete(pictures, tree, readings[taken].files, Path(self.where))

    def _readings(self, tree: Tree, shape: Shape, archived: ArchivedTree | None) -> dict[str, _Reading]:
        """Possible readings, the safest first: labels file, part folders or class folders, arrays."""
        readings: dict[str, _Reading] = {}
        tables = labels_files(tree, shape.base) if self.layout in ("auto", "table") else []
        if tables:
            shelf = archived.shelf if archived else Shelf(Path(tree.root))
            read = partial(self._table, tables, shelf, archived)
            readings["table"] = _Reading(read, [table.path for table in tables])
        needs_folders = self.label_from is None and self.require_labels
        are_parts = shape.has_parts or (not needs_folders and (shape.is_flat_parts or shape.num_parts > 1))
        if are_parts or (shape.part_tops and self.layout == "splits"):
            readings["splits"] = _Reading(partial(self._folders, tree, shape, archived, with_parts=True))
        elif tree.files and not (needs_folders and (shape.is_flat_parts or not shape.tops)):
            readings["folders"] = _Reading(partial(self._folders, tree, shape, archived, with_parts=False))
        if self.layout == "folders" and shape.tops:
            readings["folders"] = _Reading(partial(self._folders, tree, shape, archived, with_parts=False))
        arrays = array_files(tree, shape.base, is_sure=not tree.files)
        samples = sample_files(tree) if archived is None else []
        if samples:
            read = partial(self._samples, [open_archive(path, self.store) for path in samples])
            readings["webdataset"] = _Reading(read, samples)
        if arrays:
            beside = [names for path in arrays if (names := class_names_beside(path)) is not None]
            readings["arrays"] = _Reading(partial(self._arrays, arrays), [*arrays, *beside])
        return readings

    def _no_reading(self, tree: Tree, shape: Shape, archived: ArchivedTree | None) -> DataError:
        if not tree.files:
            return DataError(f"{nothing_found_error(self.where, tree)}{not_understood(tree, shape.base)}")
        names = Names(map(printable, tree.files))
        table, odd = table_of_another_name(tree, shape.base), not_understood(tree, shape.base)
        if shape.is_flat_parts:
            return flat_parts_error(self.where, shape, names, table, odd)
        error = no_classes_error(self.where, names, table, odd)
        if archived is None:
            return error
        hint = f" If {printable(archived.around)} is a class, say --layout folders." if archived.around else ""
        if label_ending(archived.members.names):
            hint += " If these are samples, with a label beside each picture, say --layout webdataset."
        return DataError(f"{error}{hint}")

    def _folders(self, tree: Tree, shape: Shape, archived: ArchivedTree | None, *, with_parts: bool) -> Pictures:
        pictures = read_folders(
            tree,
            self.where,
            shape,
            with_parts=with_parts,
            label_from=self.label_from,
            group_by=self.group_by,
            keep_all_classes=self.keep_all_classes,
        )
        return archived.within(pictures) if archived else pictures

    def _table(self, files: list[TableFile], shelf: Shelf, archived: ArchivedTree | None = None) -> Pictures:
        pictures = read_tables(
            shelf,
            files,
            label_from=self.label_from,
            group_by=self.group_by,
            require_labels=self.require_labels,
            keep_all_classes=self.keep_all_classes,
        )
        return archived.within(pictures) if archived else pictures

    def _samples(self, archives: Sequence[Members]) -> Pictures:
        if self.label_from is not None:
            raise UsageError("--label-from reads file names, and samples carry their labels. Leave it out.")
        return read_samples(self.where, archives, group_by=self.group_by, keep_all_classes=self.keep_all_classes)

    def _arrays(self, files: list[Path]) -> Pictures:
        if self.label_from is not None:
            raise UsageError("--label-from reads file names, and pictures in arrays have none. Leave it out.")
        return read_arrays(
            self.where,
            files,
            group_by=self.group_by,
            require_labels=self.require_labels,
            keep_all_classes=self.keep_all_classes,
        )


def _safest(readings: dict[str, _Reading], where: str) -> tuple[str, Pictures, list[Note]]:
    """Returns the reading to take, its pictures, and a warning of another reading that is worth one.

    A labels file was written on purpose and goes before folder names, unless it speaks of less than half
    of the pictures in class folders, which are then said to be taken, and why. One folder is no classes: there the
    labels file is read, or its mistake said. Folders go before arrays. Folders that cannot be read as it was asked for,
    with a column of the table to group by for one, are no other reading.
    """
    taken, *others = readings
    pictures = readings[taken].read()
    rival = next((other for other in others if other != "arrays"), None)
    if taken != "table" or rival is None:
        return taken, pictures, _two_readings(taken, next(iter(others), ""), where)
    try:
        in_folders = readings[rival].read()
    except (DataError, UsageError):
        return taken, pictures, []
    num_shared = len(set(pictures.names) & set(in_folders.names))
    if 2 * num_shared < len(in_folders) and len(in_folders.classes) > 1:
        table = few(path.name for path in readings[taken].files)
        return rival, in_folders, [_passed_over(pictures, in_folders, num_shared, table)]
    is_same = _described(pictures) == _described(in_folders)
    return taken, pictures, _two_readings(taken, "" if is_same or len(in_folders.classes) < 2 else rival, where)


def _lie_in_classes(tree: Tree) -> bool:
    """Whether pictures lie in folders that may be several classes."""
    shape = shape_of(tree.files)
    return shape.has_parts or (len(shape.tops) > 1 and not shape.is_flat_parts)


def _two_readings(taken: str, other: str, where: str) -> list[Note]:
    values = {"taken": taken, "other": other, "where": printable(where)}
    return [Note(key="two_readings", values=values, level="warning")] if other else []


def _passed_over(pictures: Pictures, in_folders: Pictures, num_shared: int, table: str) -> Note:
    """Why a labels file gave way to class folders."""
    values = {"file": table, "classes": few(pictures.classes), "folders": few(in_folders.classes)}
    if not num_shared:
        values |= {"num_rows": f"{len(pictures):,}", "name": pictures.names[0], "there": in_folders.names[0]}
        return Note(key="labels_file_unmatched", values=values, level="warning")
    listed = set(pictures.names)
    unlisted = next(name for name in in_folders.names if name not in listed)
    values |= {"num": f"{num_shared:,}", "num_pictures": f"{len(in_folders):,}", "name": unlisted}
    return Note(key="labels_file_short", values=values, level="warning")


def _complete(pictures: Pictures, tree: Tree, used: Sequence[Path], where: Path) -> Pictures:
    """Adds what only the walk knows: what was passed over, not listed, missing or closed."""
    notes = list(pictures.notes)
    read = {path.relative_to(tree.root).as_posix() for path in used}
    unlisted = tree.files
    if isinstance(pictures.contents, FileContents | MemberContents):
        listed, there = set(pictures.contents.paths), set(tree.files)
        unlisted = [path for path in tree.files if path not in listed]
        notes += [] if listed <= there else check_missing(pictures, where, sorted(read))
    if unlisted:
        values = {"num": f"{len(unlisted):,}", "names": few(unlisted)}
        notes.append(Note(key="pictures_not_listed", values=values, level="warning"))
    if tree.again:
        values = {"num": f"{len(tree.again):,}", "folders": few(tree.again)}
        notes.append(Note(key="folders_read_already", values=values, level="warning"))
    if tree.closed:
        values = {"num": f"{len(tree.closed):,}", "folders": few(tree.closed)}
        notes.append(Note(key="folders_closed", values=values, level="warning"))
    skipped = [printable(path) for path in (*tree.skipped, *tree.others, *unlisted) if path not in read]
    if skipped:
        notes.append(Note(key="skipped", values={"num": f"{len(skipped):,}", "names": few(skipped)}))
    return replace(pictures, skipped=tuple(skipped), notes=tuple(notes))


def _described(pictures: Pictures) -> dict[str, tuple[str, int]]:
    names = (*pictures.classes, "")
    each = zip(pictures.names, pictures.labels.tolist(), pictures.parts.tolist(), strict=True)
    return {name: (names[label], part) for name, label, part in each}


def _told(taken: str, pictures: Pictures) -> Note:
    """The sentence that says how the pictures were read."""
    counts = np.bincount(pictures.parts, minlength=len(PART_NAMES)).tolist()
    parts = ", ".join(f"{name} {num:,}" for name, num in zip(PART_NAMES[1:], counts[1:], strict=True) if num)
    values = {
        "layout": pictures.layout,
        "num_pictures": f"{len(pictures):,}",
        "num_classes": f"{len(pictures.classes):,}",
        "classes": few(pictures.classes, 10),
        "parts": parts,
    }
    return Note(key=f"read_as_{taken}", values=values)
