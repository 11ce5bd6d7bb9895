"""How pictures lie in folders: which folder is around everything, which are parts, where the class folders begin."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

from whyconv.images.sources.labels import part_of, part_words

_LEAST_ALIKE = 2


@dataclass
class TopFolder:
    """A folder at the top.

    Attributes:
        num_direct: Pictures directly in it.
        inside: Pictures below each folder in it, by name.
        wrapper: Single folders in each other below it, each with a final ``/``, up to the first that holds pictures or
            several folders; "" where it holds these itself.
        classes: Folders that hold pictures where the wrapper ends.
    """

    num_direct: int
    inside: dict[str, int]
    wrapper: str = ""
    classes: frozenset[str] = frozenset()

    @property
    def num_pictures(self) -> int:
        """All pictures below the folder."""
        return self.num_direct + sum(self.inside.values())


@dataclass(frozen=True)
class Shape:
    """How pictures lie below a folder.

    Attributes:
        base: "" or the single folders around everything, each with a final ``/``.
        num_loose: Pictures directly below the base.
        tops: Folders below the base that hold pictures, in order of name.
    """

    base: str
    num_loose: int
    tops: dict[str, TopFolder]

    @cached_property
    def parts(self) -> dict[str, int]:
        """Of each top folder that is called like a part, the index into PART_NAMES.

        Called so are ``train``, ``training_set`` and ``train2017``; and ``seg_train`` beside ``seg_test``: two parts
        of the same other words, for one alone may be any thing (``train_station``).
        """
        words = {name: part_words(name) for name in self.tops}
        of_rest: dict[tuple[str, ...], set[int]] = {}
        for found, rest in words.values():
            if len(found) == 1:
                of_rest.setdefault(rest, set()).update(found)
        return {
            name: min(found)
            for name, (found, rest) in words.items()
            if len(found) == 1 and (not rest or len(of_rest[rest]) > 1)
        }

    @property
    def part_tops(self) -> list[str]:
        """Top folders that are called like parts."""
        return list(self.parts)

    @property
    def num_parts(self) -> int:
        """How many different parts the part folders stand for."""
        return len(set(self.parts.values()))

    @cached_property
    def depths(self) -> dict[str, int]:
        """Of each part folder, how many folders lie around its class folders, itself included.

        ``train/train/cat`` and ``test/test/cat``: a single folder that is called as its part is no class; nor are
        single folders around the same classes in several parts.
        """
        tops = {name: self.tops[name] for name in self.parts}
        wrapped = [top for top in tops.values() if top.wrapper and len(top.classes) >= _LEAST_ALIKE]
        are_alike = len(wrapped) > 1 and _are_alike([top.classes for top in wrapped], _LEAST_ALIKE)
        has_classes = any(len(top.classes) >= _LEAST_ALIKE for top in tops.values())
        depths = {}
        for name, top in tops.items():
            is_looked_through = has_classes and (_is_named_as(name, top) or (are_alike and top in wrapped))
            depths[name] = 1 + (top.wrapper.count("/") if is_looked_through else 0)
        return depths

    @property
    def not_called_parts(self) -> list[str]:
        """Top folders that no part is called, around the classes that parts have: ``holdout/cat`` beside them."""
        known = {each.casefold() for name in self.parts for each in self.class_folders(name)}
        others = {name: top.classes for name, top in self.tops.items() if name not in self.parts}
        return [name for name, inside in others.items() if inside and {each.casefold() for each in inside} <= known]

    @property
    def has_parts(self) -> bool:
        """Whether train, validation and test folders with class folders inside are the safe reading.

        One such folder among other folders of pictures may be a class ("train" beside "bus"): two
        different parts are asked for then. Names that are a part's with additions are parts where there are two, and
        the classes in them are the same; for those with other words (``seg_train``) two of the same classes at least.
        """
        with_classes = [name for name in self.parts if self._has_classes(name)]
        plain = [name for name in with_classes if part_of(name)]
        num_plain = len({part_of(name) for name in self.tops} - {0})
        if plain and (num_plain > 1 or all(map(part_of, self.tops))):
            return True
        if not with_classes or self.num_parts < _LEAST_ALIKE:
            return False
        if any(self.tops[name].num_direct for name in with_classes):
            return False
        if len(with_classes) == 1 and len(self.parts) < len(self.tops):
            return False
        sets = [self.class_folders(name) for name in with_classes]
        if any(part_words(name)[1] for name in self.parts):
            return len({self.parts[name] for name in with_classes}) > 1 and _are_alike(sets, _LEAST_ALIKE)
        return _are_alike(sets, 1)

    @property
    def is_flat_parts(self) -> bool:
        """Whether all there is are part folders with pictures directly inside: parts without classes."""
        names = list(self.tops)
        are_parts = bool(names) and all(len(found) == 1 and not rest for found, rest in map(part_words, names))
        is_sure = are_parts and (self.num_parts > 1 or all(map(part_of, names)))
        return is_sure and not any(map(self._has_classes, names))

    @property
    def alike_inside(self) -> list[str]:
        """The folders that all top folders hold alike, which then may be the classes; else none.

        ``images/cat`` and ``masks/cat``, or ``a/a/cat`` and ``b/b/dog``: folders that each hold one of their own name.
        """
        tops = list(self.tops.values())
        if len(tops) < _LEAST_ALIKE or any(top.num_direct for top in tops):
            return []
        first, *others = (top.classes for top in tops)
        are_equal = len(first) >= _LEAST_ALIKE and all(each == first for each in others)
        are_own = all(_is_named_as(name, top) and top.classes for name, top in self.tops.items())
        return sorted(frozenset[str]().union(first, *others)) if are_equal or are_own else []

    def class_folders(self, name: str) -> frozenset[str]:
        """Names of the class folders in a part folder."""
        top = self.tops[name]
        return top.classes if self.depths[name] > 1 else frozenset(top.inside)

    def _has_classes(self, name: str) -> bool:
        """Whether there are folders in a part folder, other than one that repeats its name around pictures."""
        top = self.tops[name]
        return bool(top.inside) and not (_is_named_as(name, top) and not top.classes)


def shape_of(files: Sequence[str], around: str = "") -> Shape:
    """Returns how files lie; single folders around class folders are looked through.

    Args:
        files: Paths, with ``/``.
        around: A folder that all of them lie in and that is no class, with a final ``/``: the one that was packed.
    """
    folders = _Folders()
    for path in files:
        folders.add(path.rpartition("/")[0])
    folders.sum_up()
    base = _base(folders, around)
    tops = {name: _top(folders, f"{base}{name}/") for name in folders.inside.get(base, {})}
    return Shape(base, folders.direct.get(base, 0), tops)


@dataclass
class _Folders:
    """Pictures directly in each folder (with a final ``/``, "" for the root), and below each folder in it."""

    direct: dict[str, int] = field(default_factory=dict)
    inside: dict[str, dict[str, int]] = field(default_factory=dict)

    def add(self, folder: str) -> None:
        key = f"{folder}/" if folder else ""
        self.direct[key] = self.direct.get(key, 0) + 1

    def sum_up(self) -> None:
        for folder, num in self.direct.items():
            around = ""
            for name in folder.split("/")[:-1]:
                inside = self.inside.setdefault(around, {})
                inside[name] = inside.get(name, 0) + num
                around += f"{name}/"

    def through(self, folder: str) -> str:
        """Goes through single folders without pictures beside them; returns where that ends."""
        while len(inside := self.inside.get(folder, {})) == 1 and not self.direct.get(folder):
            folder += f"{next(iter(inside))}/"
        return folder


def _base(folders: _Folders, around: str) -> str:
    """The single folders around several ones, or around a part; ``around`` where pictures lie in the innermost."""
    passed = around
    while len(inside := folders.inside.get(passed, {})) == 1 and not folders.direct.get(passed):
        name = next(iter(inside))
        if part_of(name):
            return passed
        passed += f"{name}/"
    return around if folders.direct.get(passed) else passed


def _top(folders: _Folders, path: str) -> TopFolder:
    inside = folders.inside.get(path, {})
    end = folders.through(path)
    return TopFolder(folders.direct.get(path, 0), inside, end[len(path) :], frozenset(folders.inside.get(end, {})))


def _is_named_as(name: str, top: TopFolder) -> bool:
    return top.wrapper.partition("/")[0].casefold() == name.casefold()


def _are_alike(sets: Sequence[frozenset[str]], least: int) -> bool:
    """Whether the largest set holds at least half of each other one, and ``least`` names of it."""
    largest = max(sets, key=len)
    known = {name.casefold() for name in largest}
    shared = [(len({name.casefold() for name in each} & known), len(each)) for each in sets]
    return all(num >= least and 2 * num >= size for num, size in shared)
