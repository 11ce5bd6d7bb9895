"""Which part of a split a file of many pictures belongs to: by its folder, or by a word of its name."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import PurePath, PurePosixPath

from whyconv.images.sources.labels import TRAIN, part_of, part_words
from whyconv.images.sources.listing import PART_NAMES, few
from whyconv.results import Note


def part_of_file(path: PurePath) -> int:
    """Returns the index into PART_NAMES of a file: of its folder, else of the one part among the words of its name.

    ``train/0000.tar``, ``imagenet1k-train-0000.tar``. Two parts in one name (``train-val-0.tar``) are none.
    """
    own, parts = part_of(path.parent.name), part_words(path.stem)[0]
    return own or (min(parts) if len(parts) == 1 else 0)


def part_of_place(place: str) -> int:
    """Returns the part of a path or URL; what a URL asks for behind its path is no name."""
    return part_of_file(PurePosixPath(re.split(r"[?#]", place)[0] if "://" in place else place))


def parts_of_files(paths: Sequence[PurePath]) -> list[int]:
    """Returns the part of each file that belongs to a set.

    Where none would be learned from, a word inside of all names is one of the set (``lab-test-000.tar``) and no part;
    one at the beginning (``test-000.tar``) is meant.
    """
    parts = [part_of_file(path) for path in paths]
    is_plain = any(part_of(path.parent.name) or part_of(re.split(r"[-_.]", path.stem)[0]) for path in paths)
    return parts if is_plain or any(part in (0, TRAIN) for part in parts) else [0] * len(parts)


def file_part_notes(names: Sequence[str], parts: Sequence[int]) -> list[Note]:
    """Returns warnings of names with two parts, and of files without a part beside others that have one."""
    outside = [name for name, part in zip(names, parts, strict=True) if not part]
    double = [name for name in outside if len(part_words(PurePosixPath(name).stem)[0]) > 1]
    notes = []
    if double:
        notes.append(Note(key="files_of_two_parts", values={"names": few(double)}, level="warning"))
    alone = sorted({*outside} - {*double})
    if alone and any(parts):
        found = "/".join(name for part, name in enumerate(PART_NAMES) if part and part in parts)
        values = {"num": f"{len(alone):,}", "num_files": f"{len(names):,}", "names": few(alone), "parts": found}
        notes.append(Note(key="files_without_part", values=values, level="warning"))
    return notes
