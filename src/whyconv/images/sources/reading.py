"""Which reading fits a path: class folders, part folders, a labels file, arrays."""

from __future__ import annotations

import os
from pathlib import Path

from whyconv.errors import DataError, UsageError, nearest
from whyconv.images.sources.folders import flat_parts_error, no_classes_error, read_folders, shape_of
from whyconv.images.sources.listing import Names, Pictures, printable
from whyconv.images.sources.walk import missing_error, walk

LAYOUTS = ("auto", "folders", "splits", "table", "arrays")


def read_pictures(
    where: str | Path,
    *,
    layout: str = "auto",
    label_from: str | None = None,
    group_by: str | None = None,
    require_labels: bool = True,
) -> Pictures:
    """Finds pictures and their labels; opens no picture.

    Args:
        where: A folder, a labels file or table, or a file of arrays.
        layout: "auto", or the reading to take: "folders", "splits", "table" or "arrays".
        label_from: Regular expression searched in each name; its group ``label``, else its first, is the label.
        group_by: Regular expression on the names, or a column of the labels file: pictures that share it
            stay together in a split.
        require_labels: Whether pictures without any label are refused.

    Raises:
        UsageError: ``layout`` or a regular expression is wrong.
        DataError: There is nothing to read, or it cannot be read without guessing.
    """
    if layout not in LAYOUTS:
        raise UsageError(f"Unknown layout '{layout}'.{nearest(layout, LAYOUTS)} Choose from: {', '.join(LAYOUTS)}.")
    if not os.path.lexists(where):
        raise missing_error([os.fspath(where)])
    tree = walk(where)
    shape = shape_of(tree.files)
    names = Names(map(printable, tree.files))
    if not tree.files:
        raise DataError(f"{printable(os.fspath(where))} holds no pictures.")
    with_parts = layout == "splits" or (
        layout == "auto" and (shape.has_parts or (label_from is not None and shape.is_flat_parts))
    )
    if require_labels and label_from is None:
        if not shape.tops:
            raise no_classes_error(os.fspath(where), names)
        if shape.is_flat_parts and layout != "folders":
            raise flat_parts_error(os.fspath(where), shape, names)
    return read_folders(tree, os.fspath(where), shape, with_parts=with_parts, label_from=label_from, group_by=group_by)
