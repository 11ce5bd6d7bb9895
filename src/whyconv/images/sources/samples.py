"""Samples in tar files, as the webdataset library writes them: members that share a name but for their endings.

References:
    https://github.com/webdataset/webdataset, "The WebDataset format".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path, PurePosixPath

import numpy as np

from whyconv.errors import DataError
from whyconv.images.sources.archives import DAMAGE, Archive, Members, open_archive
from whyconv.images.sources.columns import LABEL_NAMES, label_text
from whyconv.images.sources.containers import ContainedPictures
from whyconv.images.sources.file_parts import file_part_notes, parts_of_files
from whyconv.images.sources.folders import groups_by_pattern
from whyconv.images.sources.labels import none_notes, number_classes, part_of
from whyconv.images.sources.listing import Names, Pictures, few, printable, printable_names
from whyconv.images.sources.walk import Tree
from whyconv.results import Note
from whyconv.untrusted import json_values

# Everything before the first dot of the file's own name is the sample's.
SAMPLE_NAME = re.compile(r"((?:.*/)?[^/.]+)\.([^/]+)")
PICTURE_ENDINGS = ("jpg", "jpeg", "png", "webp", "ppm", "pgm", "bmp", "gif", "tif", "tiff", "img", "image")
LABEL_ENDINGS = ("cls", "json")
LONGEST_LABEL = 1_000_000
_MOST_PROBLEMS = 10


def sample_files(tree: Tree) -> list[Path]:
    """Finds tar files that hold samples, at the top or in part folders, where nothing else may be a picture."""
    found = [PurePosixPath(path) for path in tree.others if path.lower().endswith(".tar")]
    if tree.files or not found:
        return []
    tops = [path for path in found if len(path.parts) == 1 or (len(path.parts) == 2 and part_of(path.parts[0]))]
    files = [Path(tree.root, path) for path in tops]
    # One of them, such as the test part, may have no labels.
    return files if any(label_ending(open_archive(file).names) for file in files) else []


def label_ending(names: Sequence[str]) -> str:
    """Returns the ending of the labels where members of a tar file are samples, else "".

    They are where at least half of the pictures have a label beside them: "cls", which nothing else is called, or
    "json", which may be about anything.
    """
    samples = [sample for sample in _samples(names) if any(map(_is_picture, sample))]
    shown = [sample for sample in samples if not sample.keys().isdisjoint(PICTURE_ENDINGS)]
    for num, ending in enumerate(LABEL_ENDINGS, 1):
        num_labeled = sum(not sample.keys().isdisjoint(LABEL_ENDINGS[:num]) for sample in shown)
        if num_labeled and 2 * num_labeled >= len(samples):
            return ending
    return ""


def _is_picture(ending: str) -> bool:
    return ending.rpartition(".")[2] in PICTURE_ENDINGS


def read_samples(
    where: str, archives: Sequence[Members], *, group_by: str | None, keep_all_classes: bool = False
) -> Pictures:
    """Reads samples; ``.cls`` holds the class as a number or a text, ``.json`` an object with a ``label``.

    Args:
        where: What was asked for.
        archives: Tar files; the part is told by the folder or a word of the name (``train-000000.tar``).
        group_by: Regular expression on the name that gives the group.
        keep_all_classes: As in ``read_pictures``.

    Raises:
        DataError: Labels cannot be understood: the first ten, at once.
    """
    files = [archive.path for archive in archives]
    names, texts, parts, problems = [], [], [], list[str]()
    places = []
    prefixes = [f"{path.relative_to(where).as_posix()}/" if Path(where).is_dir() else "" for path in files]
    file_parts = parts_of_files(files)
    for number, (archive, prefix) in enumerate(zip(archives, prefixes, strict=True)):
        for sample in _samples(archive.names):
            picture = next((sample[ending] for ending in PICTURE_ENDINGS if ending in sample), None)
            if picture is None:
                continue
            names.append(prefix + archive.names[picture])
            texts.append(_label(archive, sample, problems))
            parts.append(file_parts[number])
            places.append((number, picture))
    if problems:
        more = f" (the first {_MOST_PROBLEMS} of {len(problems):,})" if len(problems) > _MOST_PROBLEMS else ""
        raise DataError(f"{printable(where)}{more}: {'; '.join(problems[:_MOST_PROBLEMS])}.")
    numbers = np.array(parts, np.int8)
    labels, classes, notes = number_classes(texts, numbers, keep_all_classes=keep_all_classes)
    at = np.array(places, np.int64).reshape(-1, 2)
    shown, groups = printable_names(Names(names)), list[Note]()
    notes = [*file_part_notes([path.name for path in files], file_parts), *notes]
    return Pictures(
        where=where,
        layout=Note(key="layout_webdataset", values={"files": few(path.name for path in files)}),
        names=shown,
        labels=labels,
        classes=classes,
        parts=numbers,
        groups=groups_by_pattern(group_by, shown, groups),
        skipped=(),
        notes=(*groups, *notes, *none_notes(classes)),
        contents=ContainedPictures([Archive(each) for each in archives], at[:, 0], at[:, 1]),
    )


def _samples(names: Sequence[str]) -> list[dict[str, int]]:
    """The members of each sample by ending, in the order of the first.

    They need not follow each other, as in a folder that was packed in the order of the disk; a second picture of the
    same name that does not follow is another sample.
    """
    found: list[dict[str, int]] = []
    latest: dict[str, dict[str, int]] = {}
    last = None
    for index, name in enumerate(names):
        match = SAMPLE_NAME.fullmatch(name)
        if match is None:
            continue
        key, ending = match[1], match[2].lower()
        sample = latest.get(key)
        if sample is None or (
            key != last and ending in PICTURE_ENDINGS and not sample.keys().isdisjoint(PICTURE_ENDINGS)
        ):
            sample = latest[key] = {}
            found.append(sample)
        sample.setdefault(ending, index)
        last = key
    return found


def _label(archive: Members, sample: dict[str, int], problems: list[str]) -> str | None:
    for ending in LABEL_ENDINGS:
        if ending not in sample:
            continue
        index = sample[ending]
        try:
            label = label_in(ending, int(archive.sizes[index]), partial(archive.content, index))
        except (OSError, KeyError, *DAMAGE) as error:
            problems.append(f"{printable(archive.names[index])} is no label: {printable(str(error))}")
            return None
        if label is not None:
            return label
    return None


def label_in(ending: str, size: int, content: Callable[[], bytes]) -> str | None:
    """The label in a member of a sample.

    Args:
        ending: "cls" or "json".
        size: Of the content in bytes.
        content: Gives it; not called where it is too large.

    Raises:
        ValueError: It is none.
    """
    if size > LONGEST_LABEL:
        raise ValueError(f"it has {size:,} bytes")
    try:
        text = content().decode("utf-8-sig")
        return label_text(_in_object(text) if ending == "json" else text)
    except RecursionError as error:
        raise ValueError(str(error)) from None


def _in_object(text: str) -> object:
    values = json_values(text)
    if not isinstance(values, dict):
        raise ValueError(f"expected an object with one of {', '.join(LABEL_NAMES[:4])}, ...")
    return next((values[name] for name in LABEL_NAMES if name in values), None)
