"""A few pictures of many shards, drawn at random and kept as files of their own: what is looked at again and again."""

from __future__ import annotations

import io
import re
import tarfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from whyconv import files
from whyconv.errors import DataError, PictureError
from whyconv.images.shards.shards import Shards
from whyconv.images.sources.labels import TEST, TRAIN, VALIDATION
from whyconv.images.sources.listing import PART_NAMES, printable
from whyconv.images.threads import map_in_order
from whyconv.results import Notify, Progress, ignore

MOST_VALIDATION, MOST_TEST, MOST_SHOWN = 2_000, 5_000, 5_000
_LEAST_OF_A_CLASS = 2
_MOST_BYTES = 2_000_000_000
_DRAWN, _READ_AT_ONCE = 13, 8
# As they are written here: shard and entry of a picture of the sample.
_NAME = re.compile(r"(?:^|/)(\d{6,})-[^/]*/(\d{8,})\.[a-z0-9]+$")
# For people who look into the file: pictures are known by their content.
_ENDINGS = {b"\xff\xd8\xff": "jpg", b"\x89PNG": "png", b"RIFF": "webp", b"GIF8": "gif", b"BM": "bmp"}


@dataclass(frozen=True, eq=False)
class Sample:
    """Pictures that were drawn.

    Attributes:
        rows: By part: int64 (n, 2), shard and entry of each, in ascending order.
        stood_in_for: Parts that shards name and that nothing of can be used: drawn from those that are trained on.
    """

    rows: dict[int, NDArray[np.int64]]
    stood_in_for: frozenset[int] = frozenset()

    def left_out(self, shards: Shards, names: Iterable[str] = ()) -> list[NDArray[np.int64]]:
        """For each shard the entries that are never learned from, in ascending order.

        Args:
            shards: That this was drawn from.
            names: Of pictures in the sample's folder that are held back beside those of validation and test.
        """
        found = [(int(match[1]), int(match[2])) for name in names if (match := _NAME.search(name))]
        counts = [each.count for each in shards.listings]
        # The folder may hold others by now.
        also = [(number, entry) for number, entry in found if number < len(counts) and entry < counts[number]]
        kept = [self.rows[VALIDATION], self.rows[TEST], np.array(also, np.int64).reshape(-1, 2)]
        numbers, entries = np.concatenate(kept).T
        return [np.unique(entries[numbers == number]) for number in shards.first_named()]


def draw_sample(shards: Shards, *, seed: int, validation_fraction: float, test_fraction: float) -> Sample:
    """Draws pictures for validation and test, and some of those that are trained on.

    Each part is drawn uniformly from the shards of that part, where these have pictures with a class, else from those
    that are trained on, without those drawn before: at least one where any are wanted. A shard that is named several
    times is drawn from as one. Of every class two are left to be trained on, where it has as many: the first that were
    drawn for validation and test are given back. Of classes that are met fewer than twice among the training ones then,
    the first pictures are added to these.

    Args:
        shards: What is drawn from.
        seed: Of the draw.
        validation_fraction: Of the pictures with a class, at most ``MOST_VALIDATION``.
        test_fraction: The same, at most ``MOST_TEST``.

    Raises:
        DataError: Too few pictures are left to train on.
    """
    generator = np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, _DRAWN])))
    unlike = set(shards.first_named())
    learned = [number for number in shards.learned_shards() if number in unlike]
    pool = int(shards.counts[learned].sum())
    fraction, most = {TEST: test_fraction, VALIDATION: validation_fraction}, _most_of_parts(shards)
    rows, taken, stood_in_for = dict[int, NDArray[np.int64]](), np.zeros((0, 2), np.int64), set[int]()
    for part in (TEST, VALIDATION):
        own = [number for number, named in enumerate(shards.parts) if named == part and number in unlike]
        if own and shards.counts[own].any():
            rows[part] = _drawn(shards, own, most[part], generator, taken[:0])
        else:
            stood_in_for |= {part} if own and fraction[part] else set()
            wanted = min(max(fraction[part] > 0, round(fraction[part] * pool)), most[part])
            rows[part] = _drawn(shards, learned, wanted, generator, taken)
            taken = np.concatenate([taken, rows[part]])
    back = _given_back(shards, learned, taken)
    rows = {part: _without(own, back) for part, own in rows.items()}
    taken = _without(taken, back)
    shown = _drawn(shards, learned, most[TRAIN], generator, taken)
    rows[TRAIN] = _with_rare_classes(shards, learned, shown, taken)
    if len(rows[TRAIN]) < 2:
        raise DataError(f"{printable(shards.asked)}: too few pictures with a label are left to train on.")
    return Sample(rows, frozenset(stood_in_for))


def _most_of_parts(shards: Shards) -> dict[int, int]:
    """How many pictures of each part are drawn at most: fewer where all would take more than two gigabytes."""
    most = {TRAIN: MOST_SHOWN, VALIDATION: MOST_VALIDATION, TEST: MOST_TEST}
    mean_bytes = shards.num_bytes / max(1, shards.num_pictures)
    share = min(1.0, _MOST_BYTES / (mean_bytes * sum(most.values())))
    return {part: int(share * count) for part, count in most.items()}


def _drawn(
    shards: Shards, numbers: Sequence[int], count: int, generator: np.random.Generator, taken: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Up to ``count`` entries with a class that are not ``taken``, each as likely as any other."""
    counts = shards.counts[numbers].sum(axis=1)
    ends, total = np.cumsum(counts), int(counts.sum())
    if not total:
        return taken[:0]
    # More than wanted, for those that were taken; how many decides what is drawn, so it is as it was in older plans.
    places = generator.choice(total, min(total, 2 * count + len(taken)), replace=False)
    at = np.searchsorted(ends, places, side="right")
    rows = np.stack([np.array(numbers, np.int64)[at], places - (ends - counts)[at]], axis=1)
    for number in np.unique(rows[:, 0]).tolist():
        own = rows[:, 0] == number
        rows[own, 1] = np.flatnonzero(shards.labels(number) >= 0)[rows[own, 1]]
    return _sorted(_without(rows, taken)[:count])


def _labels(shards: Shards, rows: NDArray[np.int64]) -> NDArray[np.int32]:
    found = np.zeros(len(rows), np.int32)
    for number in np.unique(rows[:, 0]):
        own = rows[:, 0] == number
        found[own] = shards.labels(int(number))[rows[own, 1]]
    return found


def _given_back(shards: Shards, learned: Sequence[int], taken: NDArray[np.int64]) -> NDArray[np.int64]:
    """Of the entries that were ``taken``, the first of each class of which too few are left to be learned from.

    Not set aside before the draw: it is then the same as ever where enough is left, also in older plans.
    """
    labels, counts = _labels(shards, taken), shards.counts[learned].sum(axis=0)
    missing = np.minimum(_LEAST_OF_A_CLASS, counts) - (counts - np.bincount(labels, minlength=len(counts)))
    taken = taken[np.lexsort((taken[:, 1], taken[:, 0], labels))]
    labels = np.sort(labels)
    among_class = np.arange(len(labels)) - np.searchsorted(labels, labels)
    return np.asarray(taken[among_class < missing[labels]])


def _without(rows: NDArray[np.int64], others: NDArray[np.int64]) -> NDArray[np.int64]:
    known = {tuple(row) for row in others.tolist()}
    return np.asarray(rows[np.array([tuple(row) not in known for row in rows.tolist()], bool)])


def _with_rare_classes(
    shards: Shards, learned: Sequence[int], rows: NDArray[np.int64], taken: NDArray[np.int64]
) -> NDArray[np.int64]:
    held = np.bincount(_labels(shards, rows), minlength=len(shards.classes))
    rare = set(np.flatnonzero(held < _LEAST_OF_A_CLASS).tolist())
    known = {tuple(row) for row in np.concatenate([taken, rows]).tolist()}
    added = []
    for number in learned:
        if not rare:
            break
        if not shards.counts[number][list(rare)].any():
            continue
        labels = shards.labels(number)
        for entry in np.flatnonzero(np.isin(labels, list(rare))).tolist():
            label = int(labels[entry])
            if label in rare and (number, entry) not in known:
                added.append((number, entry))
                held[label] += 1
                rare -= {label} if held[label] >= _LEAST_OF_A_CLASS else set()
    return _sorted(np.concatenate([rows, np.array(added, np.int64).reshape(-1, 2)]))


def _sorted(rows: NDArray[np.int64]) -> NDArray[np.int64]:
    return rows[np.lexsort((rows[:, 1], rows[:, 0]))]


def write_sample(shards: Shards, sample: Sample, folder: Path, notify: Notify = ignore) -> None:
    """Writes the pictures as a folder that ``read_pictures`` reads: ``train.tar``, ``validation.tar``, ``test.tar``.

    Pictures that cannot be read are left out; there are as few as among all.

    Args:
        shards: Where they are read from.
        sample: Which.
        folder: Made where it is missing.
        notify: Told of progress, stage "sample".

    Raises:
        DataError: A shard cannot be read.
        StorageError: The disk does not take them.
    """
    total, done = sum(len(rows) for rows in sample.rows.values()), 0
    for part, rows in sorted(sample.rows.items()):
        if not len(rows):
            continue
        with files.writing(folder / f"{PART_NAMES[part]}.tar") as file, tarfile.open(fileobj=file, mode="w") as archive:
            for number, entry, content in _contents(shards, rows):
                done += 1
                notify(Progress(stage="sample", done=done, total=total))
                if isinstance(content, PictureError):
                    continue
                stem = PurePosixPath(shards.listings[number].place).name.split(".")[0] or "shard"
                name = f"{number:06d}-{stem}/{entry:08d}"
                label = shards.classes[int(shards.labels(number, entry, entry + 1)[0])]
                _add(archive, f"{name}.{_ending(content)}", content)
                _add(archive, f"{name}.cls", label.encode())


def _contents(shards: Shards, rows: NDArray[np.int64]) -> Iterator[tuple[int, int, bytes | PictureError]]:
    """Shard, entry and bytes of each; neighbors are read together."""
    jobs = []
    for number in np.unique(rows[:, 0]).tolist():
        own = rows[rows[:, 0] == number, 1]
        jobs += [(number, each) for each in np.split(own, shards.gaps(number, own))]
    found = map_in_order(lambda job: list(shards.read(*job)), jobs, _READ_AT_ONCE)
    for (number, entries), contents in zip(jobs, found, strict=True):
        yield from zip([number] * len(entries), entries.tolist(), contents, strict=True)


def _ending(content: bytes) -> str:
    return next((ending for start, ending in _ENDINGS.items() if content.startswith(start)), "img")


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(content)
    archive.addfile(member, io.BytesIO(content))
