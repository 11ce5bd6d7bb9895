"""Which arrays belong together: parts and kinds by name, files that are one half of a pair."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from whyconv.errors import DataError
from whyconv.images.sources.array_files import HDF5_ENDINGS, NPY_ENDINGS, Member, members_of
from whyconv.images.sources.binary_files import cifar_labels, idx_name, is_idx, without_packed
from whyconv.images.sources.labels import PART_ALIASES, part_of
from whyconv.images.sources.listing import PART_NAMES, few, printable
from whyconv.images.sources.walk import is_hidden

_WORDS = {
    "images": frozenset(("x", "images", "image", "pictures", "data", "imgs")),
    "labels": frozenset(("y", "labels", "label", "targets", "target")),
    "classes": frozenset(("classes", "names")),
}


_HALVES = ("images", "labels")


@dataclass
class PartArrays:
    """The arrays of one part."""

    images: Member | None = None
    labels: Member | None = None
    classes: Member | None = None
    groups: Member | None = None


def sort_members(
    members: Sequence[Member], where: str, has_many_files: bool, group_by: str | None
) -> tuple[dict[int, PartArrays], list[str]]:
    """Sorts arrays by part and kind.

    Args:
        members: All arrays of the files that belong together.
        where: What was asked for.
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
            raise _two_arrays(f"{PART_NAMES[number]} {kind}".strip(), other, member, where)
        setattr(part, kind, member)
    return parts, unused


def _two_arrays(what: str, one: Member, other: Member, where: str) -> DataError:
    is_told_apart = Path(where).is_dir() and other.file not in companions(one.file)
    return DataError(
        f"Two arrays hold the {what}: '{one.key}' in {printable(one.file.name)} and '{other.key}' in "
        f"{printable(other.file.name)}. Keep one{', or name a single file' if is_told_apart else ''}."
    )


def companions(path: Path) -> list[Path]:
    """Returns the files that belong to a file of arrays, itself included: the other half of a pair.

    An IDX file goes with those beside it that bear the same name but for part and kind, a CIFAR file with those of its
    set. ``x.npy`` goes with the .npy files beside it; where these hold something twice, as ``x.npy`` and
    ``images.npy`` do, with those that are called like it. An HDF5 file that holds one part only goes with the file
    beside it that holds another part and bears the same name but for the part (``train_cats.h5``,
    ``test_cats.h5``), or with the only one that holds another part.
    """
    if num_labels := cifar_labels(path.name):
        return _beside(path, lambda name: cifar_labels(name) == num_labels)
    if is_idx(path.name):
        unpacked = path.with_suffix("") if path.suffix == ".gz" else None
        return _of_one_set(path, without_packed([p for p in _beside(path, is_idx) if p != unpacked]))
    if path.suffix.lower() in NPY_ENDINGS:
        return _of_one_set(path, _beside(path, lambda name: name.lower().endswith(NPY_ENDINGS)))
    own = parts_in(path) if path.suffix.lower() in HDF5_ENDINGS else set()
    return _with_other_part(path, own) if own and 0 not in own else [path]


def _beside(path: Path, fits: Callable[[str], bool]) -> list[Path]:
    """The file and those beside it whose names fit, but for what a walk over the folder would pass over."""
    names = (p for p in path.parent.iterdir() if fits(p.name))
    return sorted(p for p in names if p == path or (not is_hidden(p.name) and p.is_file()))


class _Named(NamedTuple):
    """What the name of a file of one array says: part, kind, how these are written; of IDX files its other words."""

    number: int
    kind: str
    style: tuple[bool, str]
    rest: list[str]


def _named(path: Path) -> _Named:
    name, num_axes, mark = idx_name(path.name)
    name = name.replace("t10k", "test") if num_axes else path.stem
    number, kind = parse_key(name)
    kind = kind if not num_axes else "labels" if num_axes == 1 else "images"
    words = _words(name)
    told = _WORDS["images"] | _WORDS["labels"]
    rest = [word for word in words if num_axes and word not in told and not part_of(word)]
    return _Named(number, kind, (not {"x", "y"}.isdisjoint(words), mark), rest)


def _of_one_set(path: Path, found: Sequence[Path]) -> list[Path]:
    """Those of the files, each with one array, that belong to one of them by their names."""
    names = {each: _named(each) for each in found}
    own = names[path]
    alike = [each for each in found if names[each].rest == own.rest]
    has_both = {names[each].kind for each in alike}.issuperset(_HALVES)
    if not has_both and _is_one_set(names.values()):
        return list(found)
    if _is_one_set([names[each] for each in alike]):
        return alike
    return [
        each
        for each in alike
        if each == path
        or names[each].kind not in _HALVES
        or (names[each].style == own.style and names[each][:2] != own[:2])
    ]


def _is_one_set(names: Iterable[_Named]) -> bool:
    """Whether no half of a part is there twice."""
    found = [name[:2] for name in names if name.kind in _HALVES]
    return len(set(found)) == len(found)


def _with_other_part(path: Path, own: set[int]) -> list[Path]:
    others = [p for p in _beside(path, lambda name: name.lower().endswith(HDF5_ENDINGS)) if p != path]
    others = [p for p in others if (held := parts_in(p)) and 0 not in held and not held & own]
    alike = [p for p in others if _without_part(p.stem) == _without_part(path.stem)]
    matching = alike or (others if len(others) == 1 else [])
    return sorted([path, *matching])


def parse_key(key: str) -> tuple[int, str]:
    """Returns the part and the kind ("images", "labels", "classes", or the rest as it is) of an array's name."""
    words = _words(key)
    parts = [part_of(word) for word in words if part_of(word)]
    rest = [word for word in words if not part_of(word)]
    if not rest and "label" in key.casefold():
        rest = ["label"]
    kind = next((kind for kind, known in _WORDS.items() if len(rest) == 1 and rest[0] in known), "_".join(rest))
    return (parts[0] if parts else 0), kind


def _words(key: str) -> list[str]:
    words = [
        word for word in re.split(r"[^a-z0-9]+", key.casefold()) if word not in ("set", "list", "class", "label", "")
    ]
    if len(words) == 1 and not part_of(words[0]):
        glued = re.fullmatch(rf"([xy])({'|'.join(PART_ALIASES)})|({'|'.join(PART_ALIASES)})([xy])", words[0])
        words = [word for word in glued.groups() if word] if glued else words
    return words


def parts_in(path: Path) -> set[int]:
    """Returns the parts (indices into PART_NAMES) that a file holds pictures of, by the names of its arrays."""
    return {parse_key(member.key)[0] for member in members_of(path) if parse_key(member.key)[1] == "images"}


def _without_part(stem: str) -> list[str]:
    return [word for word in re.split(r"[^a-z0-9]+", stem.casefold()) if not part_of(word)]


def listed(members: Sequence[Member]) -> str:
    """Returns names and shapes of the first arrays, for messages."""
    return few((f"{member.key} {tuple(member.rows.shape)}" for member in members), 8)
