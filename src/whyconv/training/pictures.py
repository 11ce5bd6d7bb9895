"""From a place with labelled pictures to the pixels and labels of each part."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from whyconv.errors import DataError
from whyconv.images.check import check_command, left_out_notes, require_trainable
from whyconv.images.prepare import PicturePolicy
from whyconv.images.sources import Pictures
from whyconv.images.sources.listing import few
from whyconv.images.split import LEFT_OUT, TEST, TRAIN, VALIDATION, Material, assign_parts, components, digest_numbers
from whyconv.images.store import PixelStore, open_store
from whyconv.inspection import Inspection, inspect
from whyconv.machine import memory_bytes, threads_here
from whyconv.results import Note, Notify, Unreadable
from whyconv.settings import PicturesPlan, Plan, TrainSettings
from whyconv.texts import as_typed, say
from whyconv.training.manifest import PictureRow, compare, not_those_of, read_manifest
from whyconv.training.pixel_rows import LabelledPixels, PixelRows, Pixels

_LEAK_KEYS = {
    TRAIN: "not_scored_in_train",
    VALIDATION: "not_scored_in_validation",
}
_PART_NAMES = {LEFT_OUT: "left out", TRAIN: "train", VALIDATION: "validation", TEST: "test"}
_MOST_NAMED = 5
_VALIDATION_FRACTION, _MOST_VALIDATION = 0.15, 2000
_STATISTICS_PICTURES = 2000
_STATISTICS_SIDE = 32
# Of the memory this process may use: what the pixels of a run may take.
_MEMORY_FRACTION = 0.25
_COPIED = 64


@dataclass(frozen=True, eq=False)
class Part:
    """One part of the pictures at the network's size.

    Attributes:
        name: "train", "validation" or "test".
        names: Of the pictures.
        data: Their pixels and labels, row for row.
        groups: Pictures with equal numbers (n,) are copies of one another, or were to stay together; None: all are
            independent.
    """

    name: str
    names: list[str]
    data: LabelledPixels
    groups: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.names)

    @property
    def independent(self) -> NDArray[np.int64]:
        """Rows of the first picture of each group, in their order."""
        return np.arange(len(self)) if self.groups is None else first_of_each(self.groups)


def first_of_each(groups: NDArray[np.int64]) -> NDArray[np.int64]:
    """Rows of the first picture of each group (n,), in their order."""
    return np.sort(np.unique(groups, return_index=True)[1])


@dataclass(frozen=True, eq=False)
class Division:
    """Which picture is in which part, before any pixel is prepared.

    Attributes:
        inspection: The pictures and what is known about them.
        parts: int8 (n,): 1 training, 2 validation, 3 test, 0 left out.
        left_out: Test pictures that are not scored, with the reason.
        validation_fraction: Wanted part of the pictures, as it was asked for or follows from their number.
    """

    inspection: Inspection
    parts: NDArray[np.int8]
    left_out: list[Unreadable]
    validation_fraction: float

    @property
    def digest(self) -> str:
        """32 hex characters over content, label and part of every picture, whatever their order and paths."""
        survey, pictures = self.inspection.survey, self.inspection.pictures
        names = [pictures.classes[label] if label >= 0 else "" for label in pictures.labels]
        rows = sorted(
            digest.tobytes().hex() + f" {part} {name}"
            for digest, part, name in zip(survey.digests, self.parts, names, strict=True)
        )
        return hashlib.blake2b("\n".join(rows).encode(), digest_size=16).hexdigest()

    def rows(self) -> list[PictureRow]:
        """Every picture as ``pictures.jsonl`` has it."""
        pictures, digests = self.inspection.pictures, self.inspection.survey.digests
        return [
            PictureRow(name, pictures.classes[label] if label >= 0 else "", _PART_NAMES[part], digest.tobytes().hex())
            for name, label, part, digest in zip(
                pictures.names, pictures.labels.tolist(), self.parts.tolist(), digests, strict=True
            )
        ]

    def indices(self, part: int) -> NDArray[np.int64]:
        """Rows of the pictures of one part, in the order of their content: the same on every machine."""
        rows = np.flatnonzero(self.parts == part)
        digests = self.inspection.survey.digests[rows]
        return rows[np.lexsort((rows, *digests.T[::-1]))]

    def without_copies(self, part: int) -> NDArray[np.int64]:
        """Which of ``indices(part)`` are no copies of one before: places in it, rising."""
        return first_of_each(self.inspection.duplicates.group[self.indices(part)])

    @property
    def groups(self) -> NDArray[np.int64]:
        """A number for every picture: equal ones are copies of one another, or were to stay together."""
        return groups_of(self.inspection)

    @property
    def labels(self) -> NDArray[np.int32]:
        """Class of every picture, -1 for none."""
        return np.asarray(self.inspection.pictures.labels, np.int32)


def groups_of(inspection: Inspection) -> NDArray[np.int64]:
    """A number for every picture (n,): equal ones are copies of one another, or were to stay together."""
    survey, pictures = inspection.survey, inspection.pictures
    linked = [inspection.duplicates.group, pictures.groups, digest_numbers(survey.digests)]
    found = components(linked, survey.readable)
    # What cannot be read is linked to nothing.
    return np.where(found < 0, np.arange(len(found)), found)


def divide(inspection: Inspection, asked: TrainSettings | PicturesPlan, *, seed: int, notify: Notify) -> Division:
    """Refuses what cannot be trained on, and assigns every picture to a part.

    Test pictures of the user's own split of which a copy is in the training or validation part are not scored:
    they would measure memory. For the same reason validation pictures of which a copy is in training decide nothing.

    Args:
        inspection: The pictures, and what is known about them.
        asked: Says whether to be strict, and how large the parts are.
        seed: Of the draw.
        notify: Told of the rule that was applied, and of what was left out.

    Raises:
        DataError: The pictures cannot be trained on, or some file cannot be read and that was asked to stop.
    """
    report = inspection.report
    if asked.strict and report.unreadable:
        first = report.unreadable[0]
        raise DataError(
            f"{len(report.unreadable)} file(s) cannot be read; the first is {first.name}: {first.reason}. "
            "Repair or remove them, or train without --strict to leave them out."
        )
    require_trainable(report)
    pictures, survey, duplicates = inspection.pictures, inspection.survey, inspection.duplicates
    material = Material(
        labels=pictures.labels,
        digests=survey.digests,
        classes=pictures.classes,
        readable=survey.readable,
        parts=pictures.parts,
        groups=(duplicates.group, pictures.groups),
    )
    fraction = _validation_fraction(pictures, asked)
    parts, notes = assign_parts(material, seed=seed, validation_fraction=fraction, test_fraction=asked.test_fraction)
    told = left_out_notes(report, check_command(pictures.where, asked))
    for note in (*report.notes, *told, *notes, *_torn_groups(pictures, parts)):
        notify(note)
    leaks = _leaks(duplicates.group, parts)
    left_out = [not_scored(pictures.names[row], key) for row, key in sorted(leaks.items())]
    if left_out:
        notify(Note(key="train_leaks_left_out", values={"n": len(left_out)}, level="warning"))
    parts[list(leaks)] = LEFT_OUT
    known = (parts == VALIDATION) & np.isin(duplicates.group, duplicates.group[parts == TRAIN])
    parts[known] = LEFT_OUT
    if known.any():
        values = {"n": int(known.sum()), "left": int((parts == VALIDATION).sum())}
        notify(Note(key="train_known_validation", values=values, level="warning"))
    return Division(inspection, parts, left_out, fraction)


def _validation_fraction(pictures: Pictures, asked: TrainSettings | PicturesPlan) -> float:
    """What was asked for; else 0.15, but no more than makes 2,000 pictures: the others are better used to learn."""
    if asked.validation_fraction is not None:
        return asked.validation_fraction
    num_split = int(((pictures.labels >= 0) & (pictures.parts <= TRAIN)).sum())
    return min(_VALIDATION_FRACTION, _MOST_VALIDATION / max(1, num_split))


def _leaks(group: NDArray[np.int64], parts: NDArray[np.int8]) -> dict[int, str]:
    """Test pictures of which a copy lies in another part: row -> key of the reason."""
    return {
        row: key
        # Training last: it is the graver reason where both hold.
        for part, key in reversed(_LEAK_KEYS.items())
        for row in np.flatnonzero((parts == TEST) & np.isin(group, group[parts == part])).tolist()
    }


def _torn_groups(pictures: Pictures, parts: NDArray[np.int8]) -> list[Note]:
    """Tells of groups that were to stay together and that the user's own parts tear apart."""
    if pictures.groups is None:
        return []
    used = np.flatnonzero(parts != LEFT_OUT)
    pairs = np.unique(np.stack([pictures.groups[used], parts[used]]), axis=1)
    numbers, counts = np.unique(pairs[0], return_counts=True)
    torn = numbers[counts > 1]
    if not len(torn):
        return []
    firsts = [pictures.names[int(np.flatnonzero(pictures.groups == number)[0])] for number in torn[:_MOST_NAMED]]
    values = {"n": len(torn), "names": ", ".join(firsts) + ", ..." * (len(torn) > _MOST_NAMED)}
    return [Note(key="train_groups_torn", values=values, level="warning")]


def divide_again(plan: Plan, notify: Notify, path: Path | None = None) -> Division:
    """Reads and divides the pictures of a plan, and makes sure that they are the same.

    Their names may have changed, which is told, and the times of their files.

    Args:
        plan: Says which pictures.
        notify: Told of other names.
        path: The plan's file; ``pictures.jsonl`` beside it tells what has changed.

    Raises:
        DataError: A picture was added, removed, changed or relabelled, or is in another part; says which. Or the plan
            calls the classes otherwise.
    """
    division = divide_as(plan, notify)
    before = read_manifest(path.parent) if path is not None else None
    changes = compare(before, division.rows()) if before is not None else None
    if division.digest != plan.pictures.digest:
        raise not_those_of(plan, path, changes)
    require_classes(plan, division)
    if changes is not None and changes.renamed:
        names = ", ".join(changes.renamed[:_MOST_NAMED]) + ", ..." * (len(changes.renamed) > _MOST_NAMED)
        notify(Note(key="run_other_names", values={"n": len(changes.renamed), "names": names}))
    return division


def divide_as(plan: Plan, notify: Notify) -> Division:
    """Reads and divides the pictures that are there now as a plan says, with classes numbered as the plan has them.

    A source may order its classes itself, and otherwise another time: what follows goes by their numbers.
    """
    asked = plan.pictures
    inspection = inspect(
        asked.path,
        layout=asked.layout,
        label_from=asked.label_from or None,
        group_by=asked.group_by or None,
        store=Path(asked.store) if asked.store else None,
        notify=notify,
        num_threads=threads_here(plan.threads),
        classes=plan.network.classes,
    )
    return divide(inspection, asked, seed=plan.seed, notify=lambda event: None)


def require_classes(plan: Plan, division: Division) -> None:
    """Makes sure that the classes of the pictures are those of the plan, number for number.

    Raises:
        DataError: They have other names.
    """
    there, planned = division.inspection.pictures.classes, plan.network.classes
    if list(there) != planned:
        new, gone = few(sorted({*there} - {*planned})), few(sorted({*planned} - {*there}))
        told = [f"{what}: {names}" for what, names in (("new", new), ("not there", gone)) if names]
        raise DataError(
            f"The pictures in {plan.pictures.path} have other classes than the plan ({'; '.join(told)}). Other classes "
            f"are another training:  whyconv train {as_typed(plan.pictures.path)}"
        )


def not_scored(name: str, key: str, **values: str) -> Unreadable:
    """A picture that is left out for a reason of ours, which the sentence ``key`` states."""
    return Unreadable(name=name, reason=say(key, **values), note=Note(key=key, values=values))


def used(inspection: Inspection) -> NDArray[np.bool_]:
    """Which pictures can be learned from or scored, bool (n,): they can be read and have a label."""
    return np.asarray(inspection.survey.readable & (inspection.pictures.labels >= 0))


def side_for(inspection: Inspection, largest: int = 128) -> int:
    """The side of the network's picture when none is asked for.

    The median of the pictures' longer sides: as it is up to 32 pixels, else rounded down to a multiple of 8,
    and at most ``largest``.
    """
    survey = inspection.survey
    longer = np.maximum(survey.widths, survey.heights)[used(inspection)]
    # Pictures of which none can be used are refused later, with the reasons.
    median = int(np.median(longer)) if len(longer) else 0
    return max(8, median) if median <= 32 else min(largest, median // 8 * 8)


def channels_for(inspection: Inspection) -> Literal[1, 3]:
    """1 when every picture is gray, else 3."""
    return 1 if inspection.report.channels == "gray" else 3


def load_parts(
    division: Division,
    policy: PicturePolicy,
    *,
    store: Path | None,
    notify: Notify,
    num_threads: int | None = None,
    read_once: bool = False,
) -> tuple[Part, Part, Part]:
    """Prepares the pixels, once, and gives the training, validation and test parts.

    Memory: n x side x side x channels bytes, as long as that is at most a quarter of what this process may use.
    Above that, and where pictures are ``read_once``, pixels stay in the store on disk, and what is needed is read each
    time: slower where the system cannot keep the store in its own cache.

    Raises:
        DataError: Pictures have changed since they were inspected: what they show now was not divided.
    """
    pictures = division.inspection.pictures
    kept = np.flatnonzero(used(division.inspection))
    place = np.zeros(len(pictures), np.int64)
    place[kept] = np.arange(len(kept))
    wanted = pictures if len(kept) == len(pictures) else pictures.select(kept)
    opened = open_store(wanted, policy, folder=store, notify=notify, num_threads=num_threads)
    _require_unchanged(division, opened, kept)
    labels, groups = division.labels, division.groups
    memory = memory_bytes()
    fits = not read_once and (memory is None or opened.pixels.nbytes <= _MEMORY_FRACTION * memory)

    def part(number: int, name: str) -> Part:
        rows = division.indices(number)
        there = place[rows]
        pixels = _in_memory(opened.pixels, there) if fits else PixelRows(opened.pixels, there)
        return Part(name, [pictures.names[row] for row in rows], LabelledPixels(pixels, labels[rows]), groups[rows])

    return part(TRAIN, "train"), part(VALIDATION, "validation"), part(TEST, "test")


def _require_unchanged(division: Division, opened: PixelStore, kept: NDArray[np.int64]) -> None:
    """Refuses pixels made from other contents than those that were inspected, and pictures that cannot be read now."""
    pictures, survey = division.inspection.pictures, division.inspection.survey
    is_other = (opened.digests != survey.digests[kept]).any(axis=1) | ~opened.readable
    rows = np.flatnonzero(is_other & (division.parts[kept] != LEFT_OUT)).tolist()
    if not rows:
        return
    named = ", ".join(
        f"{pictures.names[kept[row]]} ({opened.reasons.get(row, 'another picture')})" for row in rows[:_MOST_NAMED]
    )
    raise DataError(
        f"{len(rows):,} of {len(pictures):,} pictures in {pictures.where} are not what they were when they were looked "
        f"at a moment ago: {named}{', ...' * (len(rows) > _MOST_NAMED)}. Train again when nothing writes there."
    )


def parts_of(
    plan: Plan, division: Division, notify: Notify, *, side: int | None = None, read_once: bool = False
) -> tuple[PicturePolicy, tuple[Part, Part, Part]]:
    """The parts of a plan's pictures, and how they were prepared: at the side its network sees, or at another."""
    policy = PicturePolicy(side=side or plan.network.side, channels=plan.network.in_channels)
    store = Path(plan.pictures.store) if plan.pictures.store else None
    return policy, load_parts(
        division, policy, store=store, notify=notify, num_threads=threads_here(plan.threads), read_once=read_once
    )


def _in_memory(source: NDArray[np.uint8], rows: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Chosen rows of a memory map: read in the order of the disk, kept in the order asked for."""
    order = np.argsort(rows)
    pixels = np.empty((len(rows), *source.shape[1:]), np.uint8)
    # A few at a time: each is copied twice, and the first copy is then still near the processor.
    for start in range(0, len(rows), _COPIED):
        some = order[start : start + _COPIED]
        pixels[some] = source[rows[some]]
    return pixels


def channel_statistics(pixels: Pixels) -> tuple[list[float], list[float]]:
    """Mean and standard deviation of each channel, in gray levels.

    Over at most 2,000 evenly chosen pictures, and of large ones every n-th row and column, 32 to 63 a side.
    """
    step = -(-len(pixels) // _STATISTICS_PICTURES)
    apart = max(1, pixels.shape[1] // _STATISTICS_SIDE)
    sample = pixels[::step][:, ::apart, ::apart].astype(np.float64)
    mean, std = sample.mean(axis=(0, 1, 2)), sample.std(axis=(0, 1, 2))
    return [round(float(value), 4) for value in mean], [max(1.0, round(float(value), 4)) for value in std]
