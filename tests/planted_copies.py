"""Photos of a set laid out as train and test, with copies of some train photos planted in test."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageOps

from drawn_pictures import encode
from scenes import jpeg, png, resized, write
from whyconv.inspection import check
from whyconv.results import CheckReport

KINDS = ("exact", "compressed", "resized", "mirrored")


def copy_of(image: Image.Image, kind: str, quality: int, size: float, *, as_bmp: bool) -> tuple[str, bytes]:
    """The copy of one kind, as the end of its name and its content."""
    if kind == "exact":
        # The same pixels in another container are an exact copy too.
        return (".bmp", encode(image, "BMP")) if as_bmp else (".png", png(image))
    if kind == "compressed":
        return ".jpg", jpeg(image, quality)
    if kind == "resized":
        return ".jpg", jpeg(resized(image, size), 85)
    return ".jpg", jpeg(ImageOps.mirror(image), 85)


@dataclass(frozen=True)
class Planted:
    """What was planted, and what was found.

    Attributes:
        pairs: Original and copy by name -> kind.
        report: Of the whole folder.
    """

    pairs: dict[frozenset[str], str]
    report: CheckReport

    def found(self) -> dict[str, float]:
        """Which part of the copies of each kind was found across the parts, in [0, 1]."""
        hits = Counter(kind for pair, kind in self.pairs.items() if self._is_found(pair, kind))
        return {kind: hits[kind] / count for kind, count in Counter(self.pairs.values()).items()}

    def false_alarms(self) -> set[str]:
        """Pictures that are called a copy of one that they are no planted copy of."""
        groups = [set(group.names) for group in self.report.duplicates] + [set(pair) for pair in self.report.mirrored]
        return {name for group in groups if frozenset(group) not in self.pairs for name in group}

    def _is_found(self, pair: frozenset[str], kind: str) -> bool:
        if kind == "mirrored":
            return pair in map(frozenset, self.report.mirrored)
        kinds = ("exact",) if kind == "exact" else ("near",)
        return any(frozenset(leak.names) == pair and leak.kind in kinds for leak in self.report.leaks)


def plant(
    folder: Path,
    photos: Iterable[Image.Image],
    *,
    qualities: Sequence[int] = (50, 75, 95),
    sizes: Sequence[float] = (0.5, 0.75, 1.5),
) -> Planted:
    """Writes every photo to train and a copy of it to test, one kind after the other, and has the folder checked."""
    pairs = {}
    for number, image in enumerate(photos):
        kind, label, turn = KINDS[number % len(KINDS)], f"class {number % 2}", number // len(KINDS)
        strength = qualities[turn % len(qualities)], sizes[turn % len(sizes)]
        ending, content = copy_of(image, kind, *strength, as_bmp=turn % 2 == 0)
        original, copy = f"train/{label}/{number:04}.png", f"test/{label}/{kind} {number:04}{ending}"
        # One photo at a time: a thousand of them together would fill the memory.
        write(folder, {original: png(image), copy: content})
        pairs[frozenset((original, copy))] = kind
    return Planted(pairs, check(folder, store=folder.parent / "cache"))
