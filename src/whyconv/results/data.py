"""What ``whyconv check`` finds in the pictures."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from whyconv.results.record import Note, Record
from whyconv.texts import say

_MOST_ROWS = 20


class Unreadable(Record):
    """A picture that is left out, and why.

    Attributes:
        name: Of the file.
        reason: In English.
        note: The same in either language, where whyconv decided; None where a decoder did.
    """

    name: str
    reason: str
    note: Note | None = None


class ClassCount(Record):
    """Pictures of one class.

    Attributes:
        name: Of the class.
        num_pictures: That can be read.
        num_by_part: The same in each of the user's own parts ("" is outside them); empty without parts.
        num_different: The same, each group of copies counted once; None where copies were not looked for.
    """

    name: str
    num_pictures: int
    num_by_part: dict[str, int] = Field(default_factory=dict)
    num_different: int | None = None


class SizeRange(Record):
    """Least, median and greatest side in pixels, after turning upright."""

    min: int
    median: int
    max: int


class DuplicateGroup(Record):
    """Pictures that show the same thing: one representative first, then its copies."""

    names: list[str]
    kind: Literal["exact", "near"]
    labels: list[str]
    parts: list[str]


class CheckReport(Record):
    """What ``whyconv check`` found. All counts are exact.

    Attributes:
        where: The path that was asked for.
        layout: How it was read: "class folders", "labels file metadata.csv", ...
        num_pictures: Readable pictures with a label.
        classes: Count of each class.
        widths: Widths in pixels.
        heights: Heights in pixels.
        channels: "gray" when every picture is gray, else "color".
        num_gray: Gray pictures among all.
        formats: Number of files of each format, by content.
        num_turned: Pictures that EXIF orientation turns upright.
        num_scaled: 16-bit or float pictures whose values are scaled to 0-255.
        num_alpha: Pictures with transparency, laid over the stated background.
        num_animated: Files with several frames, of which the first is taken.
        unreadable: Files left out, each with its reason.
        duplicates: Groups of exact or near duplicates, kept on one side of a split.
        mirrored: Pairs that are mirror images of each other; reported, not grouped.
        leaks: Groups that lie across the user's own splits.
        conflicts: Groups whose copies carry different labels.
        skipped: Folders and files that were passed over on purpose.
        notes: Everything else worth a sentence, warnings marked.
        seconds: Time taken.
    """

    where: str
    layout: Note
    num_pictures: int
    classes: list[ClassCount]
    widths: SizeRange | None
    heights: SizeRange | None
    channels: Literal["gray", "color"]
    num_gray: int
    formats: dict[str, int]
    num_turned: int
    num_scaled: int
    num_alpha: int
    num_animated: int
    unreadable: list[Unreadable]
    duplicates: list[DuplicateGroup]
    mirrored: list[tuple[str, str]]
    leaks: list[DuplicateGroup]
    conflicts: list[DuplicateGroup]
    skipped: list[str]
    notes: list[Note]
    seconds: float

    def __repr__(self) -> str:
        layout = say(self.layout.key, **self.layout.values)
        head = f"{self.where}: {self.num_pictures:,} pictures, {len(self.classes):,} classes ({layout})"
        rows = [(one.name, f"{one.num_pictures:,}") for one in self.classes[:_MOST_ROWS]]
        if len(self.classes) > _MOST_ROWS:
            rows.append(("...", f"{len(self.classes) - _MOST_ROWS:,} more classes"))
        rows += [("widths", _sides(self.widths)), ("heights", _sides(self.heights))]
        rows.append(("channels", f"{self.channels}, {self.num_gray:,} gray"))
        rows.append(("formats", ", ".join(f"{name} {count:,}" for name, count in self.formats.items())))
        counts = {"turned": self.num_turned, "scaled": self.num_scaled}
        counts |= {"transparent": self.num_alpha, "animated": self.num_animated}
        counts |= {"unreadable": len(self.unreadable), "groups of copies": len(self.duplicates)}
        counts |= {"mirrored pairs": len(self.mirrored), "groups across parts": len(self.leaks)}
        counts |= {"groups under two labels": len(self.conflicts)}
        rows += [(name, f"{count:,}") for name, count in counts.items() if count]
        width = max(len(name) for name, _ in rows)
        return "\n".join([head, *(f"  {name:<{width}}  {value}" for name, value in rows)])

    __str__ = __repr__


def _sides(sides: SizeRange | None) -> str:
    return f"{sides.min}-{sides.max} pixels, median {sides.median}" if sides else "none"
