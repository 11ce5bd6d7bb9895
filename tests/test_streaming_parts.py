"""Parts of shards that cannot be used: what is scored in their place is not learned from, and not counted as such."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shard_files import png, write_tar
from whyconv.images.prepare import PicturePolicy, prepare
from whyconv.inspection import inspect
from whyconv.planning.streaming import begin_stream
from whyconv.results import Note, ignore
from whyconv.settings import TrainSettings
from whyconv.training.pictures import Division, divide
from whyconv.training.streamed import Stream, StreamedPictures

POLICY = PicturePolicy(side=8, channels=3)
NOISE = np.random.default_rng(3).integers(0, 256, (300, 8, 8, 3), np.uint8)
HELD = {2: "validation", 3: "test"}


def write(path: Path, rows: Sequence[int], labels: str | None = "abc", size: int | None = None) -> None:
    """Writes rows of the noise; of each picture the first ``size`` bytes."""
    of_row = {row: labels[row % len(labels)] if labels else None for row in rows}
    write_tar(path, [(f"{row:05d}", png(NOISE[row])[:size], of_row[row]) for row in rows])


def begun(folder: Path, **words: Any) -> tuple[Stream, Division, list[Note]]:
    notes = list[Note]()

    def notify(event: object) -> None:
        if isinstance(event, Note):
            notes.append(event)

    asked = TrainSettings(pictures=f"{folder}/s/*.tar", store=str(folder / "cache"), **words)
    settings, drawn = begin_stream(asked, folder / "run", notify)
    assert drawn is not None
    inspection = inspect(settings.pictures, store=folder / "cache", notify=ignore)
    division = divide(inspection, settings, seed=settings.seed, notify=drawn.tells(notify))
    return drawn.stream(division, POLICY, settings.seed), division, notes


def rows_of(pictures: Sequence[np.ndarray]) -> list[int]:
    """Which rows of the noise these are."""
    of_pixels = {pixels.tobytes(): row for row, pixels in enumerate(NOISE)}
    return [of_pixels[picture.tobytes()] for picture in pictures]


def learned(stream: Stream) -> list[int]:
    """What is seen in four passes, for a batch leaves another rest in each."""
    pictures = StreamedPictures(stream, 4, 1, ignore)
    found = [pictures.seen(np.arange(step * 4, step * 4 + 4))[0] for step in range(4 * stream.order(4).steps)]
    pictures.close()
    return rows_of(list(np.concatenate(found)))


def held_back(division: Division) -> dict[int, list[int]]:
    pictures = division.inspection.pictures
    own = {part: np.flatnonzero(division.parts == part).tolist() for part in HELD}
    return {part: rows_of([prepare(pictures.read(row), POLICY) for row in rows]) for part, rows in own.items()}


def require_apart(stream: Stream, division: Division, every: Sequence[int]) -> None:
    """Of ``every`` picture that could be learned from, each is either learned from or scored."""
    seen, held = learned(stream), held_back(division)
    scored = {row for rows in held.values() for row in rows}
    assert all(held.values())
    assert not set(seen) & scored
    assert set(seen) == set(every) - scored
    assert len(stream) == len(set(seen)) == stream.counts().sum()


@pytest.mark.parametrize("part", ["test", "val"])
@pytest.mark.parametrize(
    "how", [{"labels": None}, {"labels": "xyz"}, {"size": 60}], ids=["no labels", "other classes", "damaged"]
)
@pytest.mark.parametrize("other", [False, True])
def test_of_a_part_that_cannot_be_used_others_stand_in_that_are_not_learned_from(
    tmp_path: Path, part: str, how: dict[str, Any], *, other: bool
) -> None:
    write(tmp_path / "s" / "train-0.tar", range(40))
    write(tmp_path / "s" / "train-1.tar", range(40, 80))
    write(tmp_path / "s" / f"{part}-0.tar", range(100, 120), **how)
    if other:
        write(tmp_path / "s" / f"{'val' if part == 'test' else 'test'}-0.tar", range(200, 220))
    stream, division, notes = begun(tmp_path)
    require_apart(stream, division, range(80))
    told = [note for note in notes if note.key == "stream_part_stood_in_for"]
    name = {"val": "validation"}.get(part, part)
    num = str((division.parts == {"test": 3, "validation": 2}[name]).sum())
    assert [(note.level, note.values) for note in told] == [("warning", {"part": name, "n": num})]
    assert not [note for note in notes if note.key.startswith("split_") and note.key != "split_made"]


@pytest.mark.parametrize("words", [{"test_fraction": 0.003}, {"validation_fraction": 0.003}])
def test_of_the_smallest_part_nothing_is_learned_from(tmp_path: Path, words: dict[str, float]) -> None:
    for number in range(2):
        write(tmp_path / "s" / f"p-{number}.tar", range(number * 80, number * 80 + 80))
    stream, division, notes = begun(tmp_path, **words)
    require_apart(stream, division, range(160))
    assert len(held_back(division)[3 if "test_fraction" in words else 2]) == 1
    assert not [note for note in notes if note.key == "stream_part_stood_in_for"]


def test_all_of_rare_classes_is_given_back_and_what_is_scored_in_its_place_is_not_learned_from(tmp_path: Path) -> None:
    """Every class has two pictures, which are learned from; the split of the sample takes some of them for scoring."""
    write(tmp_path / "s" / "p-0.tar", range(52), "abcdefghijklmnopqrstuvwxyz")
    stream, division, notes = begun(tmp_path)
    seen, held = learned(stream), held_back(division)
    assert held[3]
    assert not set(seen) & set(held[2] + held[3])
    assert len(stream) == len(set(seen)) == 52 - len(held[2]) - len(held[3])
    assert [note.values["part"] for note in notes if note.key == "stream_part_stood_in_for"] == ["test"]


def test_where_no_test_part_is_wanted_nothing_is_taken_out_for_it(tmp_path: Path) -> None:
    write(tmp_path / "s" / "train-0.tar", range(80))
    write(tmp_path / "s" / "test-0.tar", range(100, 120), None)
    stream, division, notes = begun(tmp_path, test_fraction=0.0)
    assert not held_back(division)[3]
    assert len(stream) == 80 - 12
    assert not [note for note in notes if note.key == "stream_part_stood_in_for"]


def test_a_shard_named_twice_is_held_back_from_both_times(tmp_path: Path) -> None:
    write(tmp_path / "s" / "train-0.tar", range(80))
    write(tmp_path / "s" / "test-0.tar", range(100, 120), size=60)
    train = tmp_path / "s" / "train-0.tar"
    asked = TrainSettings(pictures=f"{train}::{train}::{tmp_path}/s/test-0.tar", store=str(tmp_path / "cache"))
    settings, drawn = begin_stream(asked, tmp_path / "run", ignore)
    assert drawn is not None
    inspection = inspect(settings.pictures, store=tmp_path / "cache", notify=ignore)
    division = divide(inspection, settings, seed=0, notify=ignore)
    stream, held = drawn.stream(division, POLICY, 0), held_back(division)
    assert len(held[3]) > 5
    assert len(stream) == 2 * (80 - len(held[2]) - len(held[3]))
    assert not set(learned(stream)) & set(held[2] + held[3])
