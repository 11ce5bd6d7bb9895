"""What ``whyconv check`` found, as lines."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.cells import cell_len

from whyconv.results import CheckReport, ClassCount, SizeRange
from whyconv.show.text import WIDTH, facts, note_lines, printable, sentence, table
from whyconv.texts import say

_MANY_CLASSES = 16
_FEW = 5


def check_lines(report: CheckReport, language: str) -> list[str]:
    """Returns what ``whyconv check`` found."""
    head = say("check_head", language, where=printable(report.where), layout=sentence(report.layout, language))
    count = say("check_count", language, n=report.num_pictures, classes=len(report.classes))
    rows = [*_picture_rows(report, language), *_twin_rows(report, language)]
    first = [f"{head}   {count}"] if cell_len(f"{head}   {count}") <= WIDTH else [head, count]
    lines = [*first, *_class_lines(report.classes, language), *facts(rows)]
    lines += [*_example_lines(report, language), *_unreadable_lines(report, language)]
    for note in report.notes:
        if not note.key.startswith("read_as_"):  # that is the first line
            lines += note_lines(note, language)
    return lines


def _class_lines(classes: Sequence[ClassCount], language: str) -> list[str]:
    """Returns a row a class; of many, the largest and the smallest."""
    ordered = sorted(classes, key=lambda one: -one.num_pictures)
    total = sum(one.num_pictures for one in classes)
    rows = [_class_row(one, total, language) for one in ordered]
    if len(rows) > _MANY_CLASSES:
        hidden = say("check_more_classes", language, n=len(rows) - 2 * _FEW)
        return [*table(rows[:_FEW]), f"  {hidden}", *table(rows[-_FEW:])]
    return table(rows)


def _class_row(one: ClassCount, total: int, language: str) -> tuple[str, str]:
    share = f"{one.num_pictures:>9,}   {100 * one.num_pictures / max(total, 1):5.1f} %"
    parts = [f"{say(f'part_{part}', language)} {count:,}" for part, count in one.num_by_part.items() if part]
    return printable(one.name), "   ".join([share, *parts])


def _picture_rows(report: CheckReport, language: str) -> Iterable[tuple[str, str]]:
    if report.widths and report.heights:
        some_gray = report.channels == "color" and report.num_gray
        channels = say(
            "channels_some_gray" if some_gray else f"channels_{report.channels}", language, n=report.num_gray
        )
        yield say("check_sizes", language), f"{_sizes(report.widths, report.heights)}, {channels}"
    formats = ", ".join(
        f"{name} {count:,}" for name, count in sorted(report.formats.items(), key=lambda item: -item[1])
    )
    if formats:
        yield say("check_formats", language), formats
    for key, count in (
        ("turned", report.num_turned),
        ("scaled", report.num_scaled),
        ("alpha", report.num_alpha),
        ("animated", report.num_animated),
    ):
        if count:
            yield say(f"check_{key}", language), say(f"check_{key}_value", language, n=count)


def _twin_rows(report: CheckReport, language: str) -> Iterable[tuple[str, str]]:
    groups = (("duplicates", report.duplicates), ("leaks", report.leaks), ("conflicts", report.conflicts))
    for key, found in groups:
        if found:
            pictures = sum(len(group.names) for group in found)
            value = "check_duplicates_torn" if key == "duplicates" and report.leaks else f"check_{key}_value"
            yield say(f"check_{key}", language), say(value, language, n=len(found), pictures=pictures)
    if report.mirrored:
        yield say("check_mirrored", language), say("check_mirrored_value", language, n=len(report.mirrored))


def _example_lines(report: CheckReport, language: str) -> Iterable[str]:
    """Yields the first group of copies that would mislead a training."""
    for group in (report.leaks + report.conflicts)[:1]:
        first, second = (printable(name) for name in group.names[:2])
        more = " = ..." if len(group.names) > 2 else ""
        yield "  " + say("check_example", language)
        line = f"    {first} = {second}{more}"
        yield from [line] if cell_len(line) <= WIDTH else [f"    {first}", f"    = {second}{more}"]


def _unreadable_lines(report: CheckReport, language: str) -> list[str]:
    if not report.unreadable:
        return []
    lines = [say("check_unreadable", language, n=len(report.unreadable))]
    lines += [f"    {printable(one.name)}   {printable(one.reason)}" for one in report.unreadable[:_FEW]]
    if len(report.unreadable) > _FEW:
        lines.append("    " + say("and_more", language, n=len(report.unreadable) - _FEW))
    return lines


def _sizes(widths: SizeRange, heights: SizeRange) -> str:
    if widths.min == widths.max and heights.min == heights.max:
        return f"{widths.min} x {heights.min}"
    return f"{widths.min}-{widths.max} x {heights.min}-{heights.max} ({widths.median} x {heights.median})"
