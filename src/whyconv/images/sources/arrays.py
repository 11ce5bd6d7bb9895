"""Pictures in arrays: x and y, x_train and y_train, the course's train_set_x and train_set_y."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from whyconv.errors import DataError, PictureError, UsageError, nearest
from whyconv.images.array_levels import White
from whyconv.images.sources.array_files import Member, ObjectRows, Rows, StackedRows, members_of, stacked
from whyconv.images.sources.array_names import PartArrays, listed, sort_members
from whyconv.images.sources.array_rules import PixelRule, read_alike, rule_of
from whyconv.images.sources.array_values import (
    Findings,
    Texts,
    all_values,
    class_texts,
    key_texts,
    label_texts,
    without_minus_one,
)
from whyconv.images.sources.containers import ContainedPictures
from whyconv.images.sources.labels import group_numbers, none_notes, number_classes
from whyconv.images.sources.listing import PART_NAMES, Names, Pictures, Stat, few, mark_by, printable, stat_file
from whyconv.results import Note


@dataclass(frozen=True, eq=False)
class Block:
    """Pictures of one array.

    Attributes:
        rows: (n, h, w) or (n, h, w, channels), or channels first.
        key: Name of the array.
        is_channels_first: Whether the axes are (n, channels, h, w).
        rule: How its values are read; None where they are no pixels.
        file_stats: The first row in each of the files that it lies in, and their stats; none for arrays in memory.
    """

    rows: Rows
    key: str
    is_channels_first: bool = False
    rule: PixelRule | None = None
    file_stats: tuple[tuple[int, Stat], ...] = ()

    @property
    def white(self) -> White:
        """The value that stands for white."""
        return self.rule.white if self.rule else 255

    def read(self, row: int) -> np.ndarray:
        """Returns the pixels of one picture, (h, w) or (h, w, channels)."""
        try:
            pixels = np.asarray(self.rows[row])
        except OSError as error:
            raise PictureError(f"the array cannot be read: {error}") from None
        pixels = pixels.transpose(1, 2, 0) if self.is_channels_first else pixels
        if pixels.dtype.kind == "f" and not np.isfinite(pixels).all():
            raise PictureError("it holds values that are no numbers (NaN or infinite)")
        rounded_to = self.rule and self.rule.rounded_to
        if rounded_to is None:
            # Here and not picture by picture: a dark one may lie below 0 by more than its own range would explain.
            return np.ascontiguousarray(np.clip(pixels, 0, 1) if pixels.dtype.kind == "f" else pixels)
        return np.asarray(np.rint(pixels), rounded_to)

    def stat(self, row: int) -> Stat:
        """Returns the bytes of one picture's values, and time and mark of the file that they lie in."""
        if self._stats:
            return self._stats[bisect_right(self.file_stats, row, key=lambda found: found[0]) - 1]
        return Stat(self._row_bytes, 0, 0)

    @cached_property
    def _stats(self) -> tuple[Stat, ...]:
        # Where an array beside this one has changed, a row may be another of the same file, or be read otherwise.
        rule = self.rule and (self.rule.white, self.rule.rounded_to)
        return tuple(
            Stat(self._row_bytes, stat.time, mark_by(stat.mark, start, rule)) for start, stat in self.file_stats
        )

    @property
    def _row_bytes(self) -> int:
        return math.prod(self.rows.shape[1:]) * self.rows.dtype.itemsize


@dataclass(frozen=True, eq=False)
class ArrayContents(ContainedPictures):
    """Pictures in one or more arrays."""

    containers: Sequence[Block]

    @property
    def white(self) -> White | None:
        """The value that stands for white in all of the arrays; None where they differ."""
        found = {block.white for block in self.containers}
        return found.pop() if len(found) == 1 else None


@dataclass(frozen=True, eq=False)
class _Part:
    """One part, read: its number in PART_NAMES, pixels, labels, and group keys."""

    number: int
    block: Block
    texts: Texts
    keys: list[str | None]


def read_arrays(
    where: str,
    files: Sequence[Path],
    *,
    group_by: str | None = None,
    require_labels: bool = True,
    keep_all_classes: bool = False,
) -> Pictures:
    """Reads files of arrays; arrays find each other by their names.

    ``x`` or ``images`` holds pictures, ``y`` or ``labels`` their classes; ``train``, ``val`` or ``test`` in
    the name of an array, or else of its file, is the part; ``classes`` names the classes in the order of
    their numbers, which is kept.

    Args:
        where: What was asked for.
        files: .npz, .npy, HDF5, IDX or CIFAR files that belong together.
        group_by: Name of an array with one number or text a picture.
        require_labels: Whether pictures without labels are refused.
        keep_all_classes: As in ``read_pictures``.

    Raises:
        DataError: Arrays are missing, of the wrong shape, type or length: all of them named at once.
        UsageError: There is no array ``group_by``.
    """
    members = stacked([member for file in files for member in members_of(file)])
    arrays, unused = sort_members(members, where, len(files) > 1, group_by)
    if not any(part.images for part in arrays.values()):
        raise DataError(
            f"{few(file.name for file in files)} holds no pictures under a known name. Found the arrays: "
            f"{listed(members)}. Expected x and y, or x_train, y_train, x_test, y_test "
            "(images and labels are understood too)."
        )
    if group_by is not None and not any(part.groups for part in arrays.values()):
        near = nearest(group_by, [member.key for member in members])
        raise UsageError(f"There is no array '{group_by}' to group by.{near} Found: {listed(members)}.")
    findings = Findings()
    if unused:
        findings.notes.append(Note(key="arrays_ignored", values={"arrays": few(unused)}))
    shared = next((part.classes for part in arrays.values() if part.classes), None)
    found = [(number, part) for number, part in sorted(arrays.items()) if part.images]
    parts = _alike([_read_part(number, part, shared, require_labels, findings) for number, part in found], findings)
    if findings.problems:
        raise DataError(f"{printable(where)} cannot be used: {'; '.join(findings.problems)}.")
    groups = None if group_by is None else _groups(parts, findings)
    return replace(
        _pictures(parts, findings, keep_all_classes=keep_all_classes),
        where=where,
        layout=Note(key="layout_arrays", values={"files": few(dict.fromkeys(file.name for file in files))}),
        groups=groups,
    )


def pictures_from_arrays(
    images: np.ndarray,
    labels: np.ndarray | None = None,
    *,
    classes: Sequence[str] = (),
    parts: np.ndarray | None = None,
) -> Pictures:
    """Makes pictures of arrays in memory.

    Args:
        images: (n, h, w) or (n, h, w, channels): whole numbers 0-255 or 0-65535, or fractions 0-1.
        labels: (n,) numbers or texts, or one-hot (n, classes); none if None.
        classes: Names by number; the labels themselves where empty.
        parts: int (n,), index into PART_NAMES; all 0 if None.

    Raises:
        DataError: Shapes, types or lengths are wrong: all mistakes at once.
    """
    findings = Findings()
    arrays = PartArrays(images=Member(Path(), "x", np.asarray(images)))
    if labels is not None:
        arrays.labels = Member(Path(), "y", np.asarray(labels))
    if classes:
        arrays.classes = Member(Path(), "classes", np.array(classes, dtype=np.str_))
    found = _alike([_read_part(0, arrays, None, labels is not None, findings)], findings)
    if findings.problems:
        raise DataError(f"The arrays cannot be used: {'; '.join(findings.problems)}.")
    return _pictures(found, findings, parts)


def _read_part(
    number: int, arrays: PartArrays, shared: Member | None, require_labels: bool, findings: Findings
) -> _Part:
    assert arrays.images is not None
    block = _block(arrays.images, findings)
    n = (*block.rows.shape, 0)[0]
    keys: list[str | None] = [None] * n
    if arrays.groups:
        keys = _keys(arrays.groups, block.key, n, findings)
    if arrays.labels is None:
        if require_labels:
            findings.problems.append(f"{block.key} has no labels beside it (looked for y or labels of the same part)")
        return _Part(number, block, Texts([None] * n, []), keys)
    named = arrays.classes or shared
    names = class_texts(named.rows, named.key, findings) if named else []
    values = all_values(arrays.labels.rows, arrays.labels.key, "one label a picture", findings)
    if values is None:
        return _Part(number, block, Texts([None] * n, []), keys)
    texts = label_texts(values, arrays.labels.key, names, findings)
    if len(texts.labels) != n:
        num = len(texts.labels)
        findings.problems.append(f"{block.key} has {n:,} pictures but {arrays.labels.key} has {num:,} labels")
    return _Part(number, block, texts, keys)


def _groups(parts: Sequence[_Part], findings: Findings) -> np.ndarray:
    """Numbers of what stays together, int64 (n,); a note says how many groups there are."""
    keys = [key for part in parts for key in part.keys]
    num_alone = keys.count(None)
    values = {"num_groups": f"{len({*keys} - {None}):,}", "num_alone": f"{num_alone:,}"}
    findings.notes.append(Note(key="grouped", values=values, level="warning" if num_alone else "info"))
    return group_numbers(keys)


def _keys(groups: Member, images: str, n: int, findings: Findings) -> list[str | None]:
    """What stays together, for each of ``n`` pictures in the array called ``images``."""
    values = all_values(groups.rows, groups.key, "one value a picture", findings)
    if values is None:
        return [None] * n
    if values.size != n:
        findings.problems.append(f"{images} has {n:,} pictures but {groups.key} has {values.size:,} values")
    return key_texts(values)


def _block(images: Member, findings: Findings) -> Block:
    shape = tuple(images.rows.shape)
    if isinstance(images.rows, ObjectRows):
        findings.problems.append(
            f"{images.key} holds Python objects, which are never loaded: save pictures of one size as numbers, "
            f"{images.key} = np.stack({images.key})"
        )
        return Block(images.rows, images.key)
    is_channels_first = len(shape) == 4 and shape[1] in (1, 3, 4) and shape[3] not in (1, 3, 4)
    if len(shape) not in (3, 4) or (len(shape) == 4 and not is_channels_first and shape[3] not in (1, 3, 4)):
        findings.problems.append(
            f"{images.key} has shape {shape}, expected (n, h, w) or (n, h, w, 1, 3 or 4){_square_hint(shape)}"
        )
        return Block(images.rows, images.key)
    if is_channels_first:
        findings.notes.append(Note(key="array_channels_first", values={"array": images.key, "shape": str(shape)}))
    rule = rule_of(images.rows, images.key, findings)
    return Block(images.rows, images.key, is_channels_first, rule, _file_stats(images))


def _file_stats(images: Member) -> tuple[tuple[int, Stat], ...]:
    starts, files = [0], [images.file]
    if isinstance(images.rows, StackedRows):
        starts, files = list(images.rows.starts), list(images.rows.files)
    return tuple((start, stat_file(file)) for start, file in zip(starts, files, strict=True) if file.is_file())


def _alike(parts: Sequence[_Part], findings: Findings) -> list[_Part]:
    """The parts with one rule for the arrays of one type, and one for labels of -1."""
    rules = iter(read_alike([part.block.rule for part in parts if part.block.rule], findings))
    blocks = [replace(part.block, rule=next(rules) if part.block.rule else None) for part in parts]
    labels = without_minus_one([part.texts for part in parts], findings)
    return [replace(part, block=block, texts=texts) for part, block, texts in zip(parts, blocks, labels, strict=True)]


def _square_hint(shape: tuple[int, ...]) -> str:
    if len(shape) == 2 and math.isqrt(shape[1]) ** 2 == shape[1] > 1:
        side = math.isqrt(shape[1])
        return f" (if these are pictures of {side}x{side}, save them as x.reshape(-1, {side}, {side}))"
    return ""


def _pictures(
    found: Sequence[_Part], findings: Findings, parts: np.ndarray | None = None, *, keep_all_classes: bool = False
) -> Pictures:
    blocks = [part.block for part in found]
    sizes = [block.rows.shape[0] for block in blocks]
    if parts is None:
        parts = np.repeat(np.array([part.number for part in found], np.int8), sizes)
    parts = np.asarray(parts, np.int8)
    order = list(dict.fromkeys(name for part in found for name in part.texts.order))
    texts = [text for part in found for text in part.texts.labels]
    labels, classes, notes = number_classes(texts, parts, order, keep_all_classes=keep_all_classes)
    is_repeated = len({block.key for block in blocks}) < len(blocks)
    prefixes = [f"{PART_NAMES[part.number]}/" * is_repeated + part.block.key for part in found]
    return Pictures(
        where="arrays",
        layout=Note(key="layout_memory"),
        names=Names(f"{prefix}[{row}]" for prefix, size in zip(prefixes, sizes, strict=True) for row in range(size)),
        labels=labels,
        classes=classes,
        parts=parts,
        groups=None,
        skipped=(),
        notes=(*findings.notes, *notes, *none_notes(classes)),
        contents=ArrayContents(
            blocks, np.repeat(np.arange(len(blocks)), sizes), np.concatenate([np.arange(size) for size in sizes])
        ),
    )
