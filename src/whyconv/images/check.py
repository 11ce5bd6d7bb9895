"""What is wrong with pictures before a network is trained on them, and whether it can be at all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from whyconv.errors import DataError
from whyconv.images.duplicates import MIN_NEAR_SIDE, Duplicates
from whyconv.images.sources.listing import PART_NAMES, Pictures, printable
from whyconv.images.sources.unread import to_have_it_read
from whyconv.images.survey import Survey
from whyconv.results import CheckReport, ClassCount, DuplicateGroup, Note, SizeRange, Unreadable
from whyconv.settings import MOST_CLASS_LETTERS, MOST_CLASSES, PicturesPlan, TrainSettings
from whyconv.texts import as_typed

# From here on the largest class is answered too often unless the recipe balances.
UNBALANCED_RATIO = 3.0
# Below this, a class's test part holds one or two pictures, and its measured recall means little.
FEW_PICTURES = 10
_MOST_NAMED = 5
_MOST_REASONS = 3
# Of layouts in which no folder says the class.
_LABELS_IN = {
    "layout_names": "what --label-from marks",
    "layout_splits_names": "what --label-from marks",
    "layout_table": "the column of labels",
    "layout_arrays": "the array of labels",
    "layout_memory": "the array of labels",
    "layout_webdataset": "the labels of the samples",
}


def check(pictures: Pictures, survey: Survey, duplicates: Duplicates, *, seconds: float = 0.0) -> CheckReport:
    """Puts together what the pictures are like and what would mislead a training.

    Args:
        pictures: With their labels and the user's own parts.
        survey: Of these pictures.
        duplicates: Among these pictures.
        seconds: Time taken to find all this out.
    """
    counted = survey.readable & (pictures.labels >= 0)
    # Pictures without any label are described as well as labeled ones.
    shown = counted if counted.any() else survey.readable
    classes = _count_classes(pictures, duplicates, counted)
    groups = [_group(members, pictures, duplicates) for members in duplicates.members()]
    formats, counts = np.unique(survey.formats[shown], return_counts=True)
    num_gray = int(survey.is_gray[shown].sum())
    return CheckReport(
        where=printable(pictures.where),
        layout=pictures.layout,
        num_pictures=int(counted.sum()),
        classes=classes,
        widths=_range(survey.widths[shown]),
        heights=_range(survey.heights[shown]),
        channels="gray" if num_gray and num_gray == shown.sum() else "color",
        num_gray=num_gray,
        formats=dict(zip(formats.tolist(), counts.tolist(), strict=True)),
        num_turned=int(survey.is_turned[shown].sum()),
        num_scaled=int(survey.is_scaled[shown].sum()),
        num_alpha=int(survey.has_alpha[shown].sum()),
        num_animated=int(survey.is_animated[shown].sum()),
        unreadable=[Unreadable(name=pictures.names[i], reason=reason) for i, reason in sorted(survey.reasons.items())],
        duplicates=groups,
        mirrored=[(pictures.names[left], pictures.names[right]) for left, right in duplicates.mirrored.tolist()],
        leaks=[group for group in groups if len(set(group.parts) - {""}) > 1],
        conflicts=[group for group in groups if len(set(group.labels) - {""}) > 1],
        skipped=list(pictures.skipped),
        notes=[*pictures.notes, *_notes(pictures, survey, classes, counted), *_mirror_notes(pictures, duplicates)],
        seconds=seconds,
    )


def left_out_notes(report: CheckReport, command: str) -> list[Note]:
    """What a training does not learn from, or learns in contradiction, in short; ``command`` shows all of it."""
    notes = []
    if report.unreadable:
        names = _reasons(report)
        values = {"n": len(report.unreadable), "names": names, "command": command}
        notes.append(Note(key="train_unreadable_left_out", values=values, level="warning"))
    if report.conflicts:
        group = report.conflicts[0]
        pairs = [(name, label) for name, label in zip(group.names, group.labels, strict=True) if label]
        first, one = pairs[0]
        second, other = next((name, label) for name, label in pairs if label != one)
        values = {"n": len(report.conflicts), "pictures": sum(map(_num_labelled, report.conflicts))}
        values |= {"first": first, "one": one, "second": second, "other": other, "command": command}
        notes.append(Note(key="train_under_two_labels", values=values, level="warning"))
    return notes


def _num_labelled(group: DuplicateGroup) -> int:
    return sum(label != "" for label in group.labels)


def check_command(where: str, asked: TrainSettings | PicturesPlan) -> str:
    """What to type to see all that was found out about these pictures, read as they were."""
    layout = None if asked.layout == "auto" else asked.layout
    given = {"layout": layout, "label-from": asked.label_from, "group-by": asked.group_by, "store": asked.store}
    options = [word for name, value in given.items() if value for word in (f"--{name}", value)]
    # Alone, for only so a place that begins with a dash is not taken for an option.
    return printable(" ".join(["whyconv check", as_typed(where), *([as_typed(*options)] if options else [])]))


def _reasons(report: CheckReport) -> str:
    told = "; ".join(f"{one.name}: {one.reason}" for one in report.unreadable[:_MOST_REASONS])
    return told + "; ..." * (len(report.unreadable) > _MOST_REASONS)


def require_trainable(report: CheckReport) -> None:
    """Refuses pictures that no recognizer can be made from; all that is wrong is said at once.

    Raises:
        DataError: There are no pictures, none can be read, none has a label, all show the same thing; there
            is one class; a class has nothing to train on; or every class has a single picture.
    """
    wrong = _nothing_at_all(report) or [
        *_too_few_classes(report),
        *_too_many_classes(report),
        *_classes_without_pictures(report),
    ]
    if wrong:
        raise DataError(" ".join(wrong))


def _nothing_at_all(report: CheckReport) -> list[str]:
    """Says why there is not one picture to train on; nothing if there is."""
    if report.num_pictures:
        return []
    broken, count = _reasons(report), len(report.unreadable)
    if report.widths is None and count:
        return [
            f"None of the {count:,} files in {report.where} can be read as a picture ({broken}). Expected pictures "
            "such as JPEG or PNG. Copy or download them again, or name another folder."
        ]
    if report.widths is None:
        return [f"{report.where} holds no pictures. Expected at least two classes with several pictures each."]
    also = f" The {count:,} that cannot be read: {broken}." if count else ""
    return [
        f"No picture in {report.where} that can be read has a label.{also} Put each class in a folder of its own, "
        "or say where the label is in the names: --label-from REGEX."
    ]


def _too_few_classes(report: CheckReport) -> Iterator[str]:
    """Says where one class, or one picture, is all there is."""
    if len(report.classes) == 1:
        only = report.classes[0]
        yield (
            f"There is one class, '{only.name}', with {only.num_pictures:,} pictures; to recognize is to choose, so at "
            f"least two are needed. {_where_classes_may_be(report)}"
        )
    elif all(group.num_pictures == 1 for group in report.classes):
        yield (
            f"Each of the {len(report.classes):,} classes has a single picture, so nothing would be left to test with. "
            f"Expected at least 2 in each, better {FEW_PICTURES} and more. {_where_labels_may_be(report)}"
        )
    elif report.num_pictures > 1 and _shows_one_thing(report):
        first = report.duplicates[0].names[0]
        yield (
            f"All {report.num_pictures:,} pictures show the same thing ({first}), in all classes. "
            "Expected different pictures: look whether the files were copied as meant."
        )


def _where_classes_may_be(report: CheckReport) -> str:
    """What to do where there is one class: what the reading has seen of others, else general advice."""
    told = {note.key: note.values for note in report.notes}
    if found := told.get("only_class_holds_folders"):
        return f"There are folders in {found['folder']} ({found['inside']}): if they are the classes, name that folder."
    found = told.get("table_not_read") or told.get("table_in_archive_not_read") or told.get("table_without_labels")
    if found:
        what_to_do = to_have_it_read(str(found.get("labels_file", "")))
        if "table_without_labels" in told:
            return (
                f"{found['file']} has the columns {found['columns']}: if it says the labels, call the column of "
                f"pictures file_name and that of labels label, and {what_to_do}."
            )
        return (
            f"{found['file']} has columns of pictures and of labels ({found['columns']}): if it says the labels, "
            f"{what_to_do}."
        )
    if labels := _LABELS_IN.get(report.layout.key):
        return f"Look at {labels}: does it say the same of every picture?"
    return "Add a folder of other pictures beside it, or name the folder above it."


def _where_labels_may_be(report: CheckReport) -> str:
    """What to do where every picture is of a class of its own."""
    if labels := _LABELS_IN.get(report.layout.key):
        return f"Look at {labels}: does it say another class of every picture?"
    return (
        "If the pictures of one class lie in different folders, say where the label is in the names: "
        "--label-from REGEX."
    )


def _too_many_classes(report: CheckReport) -> Iterator[str]:
    """Says where no file of a recognizer could hold the classes."""
    if len(report.classes) > MOST_CLASSES:
        yield f"There are {len(report.classes):,} classes; expected at most {MOST_CLASSES:,}."
    longest = max((one.name for one in report.classes), key=len, default="")
    if len(longest) > MOST_CLASS_LETTERS:
        yield (
            f"The name of a class has {len(longest):,} letters ({longest[:40]}...); expected at most "
            f"{MOST_CLASS_LETTERS:,}. Is that the column of the labels?"
        )


def _shows_one_thing(report: CheckReport) -> bool:
    return len(report.duplicates) == 1 and len(report.duplicates[0].names) >= report.num_pictures


def _classes_without_pictures(report: CheckReport) -> Iterator[str]:
    """Says which classes have nothing to learn from."""
    empty = [one.name for one in report.classes if not one.num_pictures]
    if empty:
        yield (
            f"{len(empty):,} of {len(report.classes):,} classes {_have(empty)} no picture that can be read: "
            f"{_few(empty)}. Add pictures, mend the files, or remove the folder; whyconv check names every bad file."
        )
    unseen = [one.name for one in report.classes if one.num_pictures and not _num_to_train_on(one)]
    if unseen:
        yield (
            f"{len(unseen):,} of {len(report.classes):,} classes {_have(unseen)} no readable picture in the training "
            f"part: {_few(unseen)}. Add some there, or remove the class from the other parts."
        )


def _num_to_train_on(one: ClassCount) -> int:
    return one.num_by_part.get("train", 0) + one.num_by_part.get("", 0) if one.num_by_part else one.num_pictures


def _count_classes(pictures: Pictures, duplicates: Duplicates, counted: np.ndarray) -> list[ClassCount]:
    """Counts the pictures of each class, in all and in the user's own parts, and the different ones."""
    num_classes = len(pictures.classes)
    table = np.zeros((num_classes, len(PART_NAMES)), np.int64)
    np.add.at(table, (pictures.labels[counted], pictures.parts[counted]), 1)
    pairs = np.unique(np.stack([pictures.labels[counted], duplicates.group[counted]]), axis=1)
    different = np.bincount(pairs[0], minlength=num_classes)
    used = [part for part in range(len(PART_NAMES)) if (pictures.parts == part).any()]
    has_parts = bool(pictures.parts.any())
    return [
        ClassCount(
            name=name,
            num_pictures=int(table[label].sum()),
            num_different=int(different[label]),
            num_by_part={PART_NAMES[part]: int(table[label, part]) for part in used} if has_parts else {},
        )
        for label, name in enumerate(pictures.classes)
    ]


def _group(members: np.ndarray, pictures: Pictures, duplicates: Duplicates) -> DuplicateGroup:
    labels = [int(label) for label in pictures.labels[members]]
    return DuplicateGroup(
        names=[pictures.names[index] for index in members.tolist()],
        kind="exact" if duplicates.is_exact[members].all() else "near",
        labels=[pictures.classes[label] if label >= 0 else "" for label in labels],
        parts=[PART_NAMES[part] for part in pictures.parts[members].tolist()],
    )


def _range(sides: np.ndarray) -> SizeRange | None:
    if not len(sides):
        return None
    return SizeRange(min=int(sides.min()), median=int(np.median(sides)), max=int(sides.max()))


def _notes(pictures: Pictures, survey: Survey, classes: list[ClassCount], counted: np.ndarray) -> Iterator[Note]:
    """Yields what the numbers of the report do not say by themselves."""
    yield from _size_notes(survey, counted)
    yield from _white_notes(survey, counted)
    yield from _class_notes(classes)
    yield from _broken_notes(pictures, survey, classes)


def _mirror_notes(pictures: Pictures, duplicates: Duplicates) -> Iterator[Note]:
    """Yields how many pictures have a mirror image in another of the user's own parts: they are known there."""
    pairs = duplicates.mirrored
    parts = pictures.parts[pairs]
    across = pairs[(parts > 0).all(axis=1) & (parts[:, 0] != parts[:, 1])]
    if len(across):
        left, right = (pictures.names[index] for index in across[0].tolist())
        yield Note(
            key="mirrored_across_parts", values={"n": len(across), "left": left, "right": right}, level="warning"
        )


def _size_notes(survey: Survey, counted: np.ndarray) -> Iterator[Note]:
    if counted.any() and survey.is_gray[counted].all():
        yield Note(key="pictures_all_gray", values={"num": int(counted.sum())})
    tiny = counted & (np.minimum(survey.widths, survey.heights) < MIN_NEAR_SIDE)
    if tiny.any():
        yield Note(key="pictures_tiny", values={"num": int(tiny.sum()), "side": MIN_NEAR_SIDE})


def _white_notes(survey: Survey, counted: np.ndarray) -> Iterator[Note]:
    """Yields whether pictures that do not say what is white were read by several rules, each by its own values."""
    ranges = {1: "0-1", 255: "0-255", 65535: "0-65535", -1: "min-max"}
    whites, counts = np.unique(survey.whites[counted & (survey.whites != 0)], return_counts=True)
    if len(whites) > 1:
        pairs = zip(whites.tolist(), counts.tolist(), strict=True)
        told = ", ".join(f"{ranges[white]}: {count:,}" for white, count in pairs)
        yield Note(key="whites_differ", values={"num": int(counts.sum()), "ranges": told}, level="warning")


def _class_notes(classes: list[ClassCount]) -> Iterator[Note]:
    ordered = sorted((one for one in classes if one.num_pictures), key=lambda one: one.num_pictures)
    if len(ordered) < 2:
        return
    least, most = ordered[0], ordered[-1]
    ratio = most.num_pictures / least.num_pictures
    if ratio > UNBALANCED_RATIO:
        values = {"ratio": ratio, "most": most.name, "num_most": most.num_pictures}
        values |= {"least": least.name, "num_least": least.num_pictures}
        yield Note(key="classes_unbalanced", values=values, level="warning")
    single = [one.name for one in ordered if one.num_pictures == 1]
    if single:
        yield Note(key="classes_one_picture", values={"num": len(single), "classes": _few(single)}, level="warning")
    few = [one.name for one in ordered if 1 < one.num_pictures < FEW_PICTURES]
    if few:
        values = {"num": len(few), "classes": _few(few), "limit": FEW_PICTURES}
        yield Note(key="classes_few_pictures", values=values, level="warning")
    copied = [one.name for one in ordered if one.num_different and 2 * one.num_different <= one.num_pictures]
    if copied:
        yield Note(key="classes_mostly_copies", values={"num": len(copied), "classes": _few(copied)}, level="warning")


def _broken_notes(pictures: Pictures, survey: Survey, classes: list[ClassCount]) -> Iterator[Note]:
    """Yields which classes lost all their pictures, in all or in a part, because none can be read."""
    lost = [one.name for one in classes if not one.num_pictures]
    if lost:
        yield Note(key="classes_unreadable", values={"num": len(lost), "classes": _few(lost)}, level="warning")
    for part in range(1, len(PART_NAMES)):
        there = (pictures.parts == part) & (pictures.labels >= 0)
        before = np.bincount(pictures.labels[there], minlength=len(classes))
        after = np.bincount(pictures.labels[there & survey.readable], minlength=len(classes))
        gone = [classes[label].name for label in np.flatnonzero((before > 0) & (after == 0)).tolist()]
        gone = [name for name in gone if name not in lost]
        if gone:
            values = {"part": PART_NAMES[part], "num": len(gone), "classes": _few(gone)}
            yield Note(key="classes_unreadable_in_part", values=values, level="warning")


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:_MOST_NAMED]) + (", ..." if len(names) > _MOST_NAMED else "")


def _have(names: Sequence[str]) -> str:
    return "has" if len(names) == 1 else "have"
