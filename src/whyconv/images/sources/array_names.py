"""Which arrays belong together: parts and kinds by name, files that are one half of a pair."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from whyconv.errors import DataError
from whyconv.images.sources.array_files import HDF5_ENDINGS, NPY_ENDINGS, Member, members_of
from whyconv.images.sources.binary_files import is_binary
from whyconv.images.sources.labels import PART_ALIASES, part_of
from whyconv.images.sources.listing import PART_NAMES, few, printable

_WORDS = {
    "images": frozenset(("x", "images", "image", "pictures", "data", "imgs")),
    "labels": frozenset(("y", "labels", "label", "targets", "target")),
    "classes": frozenset(("classes", "names")),
}


@dataclass
class PartArrays:
    """The arrays of one part."""

    images: Member | None = None
    labels: Member | None = None
    classes: Member | None = None
    groups: Member | None = None


def sort_members(
    members: Sequence[Member], has_many_files: bool, group_by: str | None
) -> tuple[dict[int, PartArrays], list[str]]:
    """Sorts arrays by part and kind.

    Args:
        members: All arrays of the files that belong together.
        has_many_files: Whether the part may stand in the name of the file instead.
        group_by: Name of the array that says what stays together.

    Returns:
        The arrays of each part (index into PART_NAMES), and the names of those that are not used.

    Raises:
        DataError: Two arrays claim to be the same thing.
    """
    parts: dict[int, PartArrays] = {}
    unused = []
    for member in members:
        number, kind = parse_key(member.key)
        if not number and has_many_files:
            number = next(
                (part_of(word) for word in re.split(r"[^a-z]+", member.file.stem.casefold()) if part_of(word)), 0
            )
        if group_by is not None and kind == parse_key(group_by)[1]:
            kind = "groups"
        elif kind not in _WORDS:
            unused.append(member.key)
            continue
        part = parts.setdefault(number, PartArrays())
        other = getattr(part, kind)
        if other is not None:
            raise DataError(
                f"Two arrays hold the {PART_NAMES[number]} {kind}: '{other.key}' in {printable(other.file.name)} and "
                f"'{member.key}' in {printable(member.file.name)}. Keep one, or name a single file."
            )
        setattr(part, kind, member)
    return parts, unused


def companions(path: Path) -> list[Path]:
    """Returns the files that belong to a file of arrays, itself included: the other half of a pair.

    ``x.npy`` goes with the .npy files beside it. An HDF5 file that holds one part only goes with the file
    beside it that holds another part and bears the same name but for the part (``train_cats.h5``,
    ``test_cats.h5``), or with the only one that holds another part.
    """
    ending = path.suffix.lower()
    if is_binary(path.name):
        return sorted(each for each in path.parent.iterdir() if is_binary(each.name))
    if ending in NPY_ENDINGS:
        return sorted(each for each in path.parent.iterdir() if each.suffix.lower() in NPY_ENDINGS)
    own = parts_in(path) if ending in HDF5_ENDINGS else set()
    if not own or 0 in own:
        return [path]
    others = sorted(p for p in path.parent.iterdir() if p != path and p.suffix.lower() in HDF5_ENDINGS and p.is_file())
    others = [p for p in others if (held := parts_in(p)) and 0 not in held and not held & own]
    alike = [p for p in others if _without_part(p.stem) == _without_part(path.stem)]
    matching = alike or (others if len(others) == 1 else [])
    return sorted([path, *matching])


def parse_key(key: str) -> tuple[int, str]:
    """Returns the part and the kind ("images", "labels", "classes", or the rest as it is) of an array's name."""
    words = [
        word for word in re.split(r"[^a-z0-9]+", key.casefold()) if word not in ("set", "list", "class", "label", "")
    ]
    if len(words) == 1 and not part_of(words[0]):
        glued = re.fullmatch(rf"([xy])({'|'.join(PART_ALIASES)})|({'|'.join(PART_ALIASES)})([xy])", words[0])
        words = [word for word in glued.groups() if word] if glued else words
    parts = [part_of(word) for word in words if part_of(word)]
    rest = [word for word in words if not part_of(word)]
    if not rest and "label" in key.casefold():
        rest = ["label"]
    kind = next((kind for kind, known in _WORDS.items() if len(rest) == 1 and rest[0] in known), "_".join(rest))
    return (parts[0] if parts else 0), kind


def parts_in(path: Path) -> set[int]:
    """Returns the parts (indices into PART_NAMES) that a file holds pictures of, by the names of its arrays."""
    return {parse_key(member.key)[0] for member in members_of(path) if parse_key(member.key)[1] == "images"}


def _without_part(stem: str) -> list[str]:
    return [word for word in re.split(r"[^a-z0-9]+", stem.casefold()) if not part_of(word)]


def listed(members: Sequence[Member]) -> str:
    """Returns names and shapes of the first arrays, for messages."""
    return few((f"{member.key} {tuple(member.rows.shape)}" for member in members), 8)
