"""Which pictures are in which part: copies and groups across parts, sizes as asked, pixels in memory or on disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from scenes import png, scene
from tiny_training import bars
from whyconv import workflow
from whyconv.errors import DataError
from whyconv.images.prepare import PicturePolicy
from whyconv.images.split import TEST, TRAIN, VALIDATION
from whyconv.images.store import open_store
from whyconv.inspection import inspect
from whyconv.pretrained import choose_start
from whyconv.results import Event, Note
from whyconv.settings import TrainSettings
from whyconv.training import pictures as module
from whyconv.training.pictures import channel_statistics, divide, load_parts, side_for
from whyconv.training.run_folder import environment, new_run_folder


def write(path: Path, seed: int) -> Path:
    """One picture of noise: like no other."""
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(seed).integers(0, 256, (16, 16), np.uint8)
    Image.fromarray(noise).resize((48, 48)).save(path)
    return path


@pytest.fixture
def own_split(tmp_path: Path) -> Path:
    """Five pictures a class and part, named <part of the name>_<number>."""
    folder = tmp_path / "own"
    for part_number, part in enumerate(("train", "val", "test")):
        for class_number, name in enumerate(("a", "b")):
            for number in range(5):
                write(folder / part / name / f"s{number}_{part}.png", 100 * part_number + 10 * class_number + number)
    return folder


def divided(folder: Path, store: Path, **asked: object):
    settings = TrainSettings.of({"pictures": str(folder), **asked})
    inspection = inspect(folder, group_by=settings.group_by, store=store, num_threads=1)
    events: list[Event] = []
    division = divide(inspection, settings, seed=0, notify=events.append)
    return division, {event.key: event for event in events if isinstance(event, Note)}


def test_copies_of_training_and_of_validation_pictures_are_not_scored(own_split: Path, tmp_path: Path) -> None:
    for part in ("train", "val"):
        content = (own_split / part / "a" / f"s1_{part}.png").read_bytes()
        (own_split / "test" / "a" / f"copy_{part}.png").write_bytes(content)
    division, notes = divided(own_split, tmp_path / "store")
    assert {Path(each.name).name: each.reason for each in division.left_out} == {
        "copy_train.png": "a copy of it is among the training pictures",
        "copy_val.png": "a copy of it is among the validation pictures",
    }
    assert notes["train_leaks_left_out"].values == {"n": 2}
    assert [int((division.parts == part).sum()) for part in (TRAIN, VALIDATION, TEST)] == [10, 10, 10]


def test_validation_pictures_with_a_copy_in_training_decide_nothing(own_split: Path, tmp_path: Path) -> None:
    content = (own_split / "train" / "a" / "s1_train.png").read_bytes()
    (own_split / "val" / "a" / "copy.png").write_bytes(content)
    (own_split / "test" / "a" / "copy.png").write_bytes(content)
    division, notes = divided(own_split, tmp_path / "store")
    assert notes["train_known_validation"].values == {"n": 1, "left": 10}
    assert notes["train_known_validation"].level == "warning"
    assert [each.reason for each in division.left_out] == ["a copy of it is among the training pictures"]
    assert [int((division.parts == part).sum()) for part in (TRAIN, VALIDATION, TEST)] == [10, 10, 10]


def test_a_validation_part_of_copies_alone_is_none(tmp_path: Path) -> None:
    for number in range(12):
        for part in ("train", "val"):
            write(tmp_path / "own" / part / "ab"[number % 2] / f"{number}.png", number)
    division, notes = divided(tmp_path / "own", tmp_path / "store", test_fraction=0.0)
    assert notes["train_known_validation"].values == {"n": 12, "left": 0}
    assert [int((division.parts == part).sum()) for part in (TRAIN, VALIDATION, TEST)] == [12, 0, 0]
    words = {"network": "lesson", "epochs": 1, "threads": 1, "store": str(tmp_path), "out": str(tmp_path / "runs")}
    summary = workflow.train(str(tmp_path / "own"), only_model=True, test_fraction=0.0, **words)
    assert summary.validation is None


def test_copies_within_a_part_are_one_independent_picture(own_split: Path, tmp_path: Path) -> None:
    """Two files of the same bytes, and what a name says belongs together; everything else is on its own."""
    test = own_split / "test"
    (test / "a" / "t0_test.png").write_bytes((test / "a" / "s1_test.png").read_bytes())
    (test / "b" / "t0_test.png").write_bytes((test / "b" / "s2_test.png").read_bytes())
    division, _ = divided(own_split, tmp_path / "store")
    part = load_parts(division, PicturePolicy(side=16, channels=1), store=tmp_path / "store", notify=lambda _: None)[2]
    assert len(part) == 12
    assert [Path(part.names[row]).name for row in part.independent].count("t0_test.png") <= 2
    groups = {frozenset(np.flatnonzero(part.groups == number).tolist()) for number in part.groups}
    together = {frozenset(Path(part.names[row]).name for row in group) for group in groups if len(group) > 1}
    assert together == {frozenset({"s1_test.png", "t0_test.png"}), frozenset({"s2_test.png", "t0_test.png"})}
    assert len(part.independent) == len(groups) == 10
    by_name, _ = divided(own_split, tmp_path / "store", group_by=r"(s\d)_")
    assert len(set(by_name.groups[by_name.indices(TEST)].tolist())) < 10


def test_groups_that_the_users_own_parts_tear_apart_are_told(own_split: Path, tmp_path: Path) -> None:
    _, notes = divided(own_split, tmp_path / "store", group_by=r"(s\d)_")
    assert notes["train_groups_torn"].level == "warning"
    assert notes["train_groups_torn"].values["n"] == 5
    _, notes = divided(own_split, tmp_path / "store", group_by=r"(s\d_\w+)\.")
    assert "train_groups_torn" not in notes


@pytest.mark.parametrize(("validation", "test"), [(0.15, 0.15), (0.0, 0.0), (0.2, 0.0), (0.0, 0.4)])
def test_the_parts_are_as_large_as_asked(tmp_path: Path, validation: float, test: float) -> None:
    for number in range(40):
        write(tmp_path / "all" / "ab"[number % 2] / f"{number}.png", number)
    division, _ = divided(tmp_path / "all", tmp_path / "store", validation_fraction=validation, test_fraction=test)
    counts = [int((division.parts == part).sum()) for part in (VALIDATION, TEST)]
    assert counts == [2 * round(20 * validation), 2 * round(20 * test)]


def test_the_validation_part_is_no_larger_than_it_need_be(tmp_path: Path, monkeypatch) -> None:
    for number in range(40):
        write(tmp_path / "all" / "ab"[number % 2] / f"{number}.png", number)
    division, _ = divided(tmp_path / "all", tmp_path / "store")
    assert (division.parts == VALIDATION).sum() == 6
    monkeypatch.setattr(module, "_MOST_VALIDATION", 4)
    division, _ = divided(tmp_path / "all", tmp_path / "store")
    assert (division.parts == VALIDATION).sum() == 4
    assert division.validation_fraction == 0.1
    asked = TrainSettings(pictures="", validation_fraction=division.validation_fraction)
    again = divide(division.inspection, asked, seed=0, notify=lambda note: None)
    assert (again.parts == division.parts).all()


def test_pixels_that_do_not_fit_into_memory_are_the_same_from_disk(
    own_split: Path, tmp_path: Path, monkeypatch
) -> None:
    division, _ = divided(own_split, tmp_path / "store")
    policy = PicturePolicy(side=8, channels=1)
    small = load_parts(division, policy, store=tmp_path / "store", notify=lambda event: None)
    monkeypatch.setattr(module, "memory_bytes", lambda: 100)
    large = load_parts(division, policy, store=tmp_path / "store", notify=lambda event: None)
    for one, other in zip(small, large, strict=True):
        assert isinstance(one.data.pixels, np.ndarray)
        assert not isinstance(other.data.pixels, np.ndarray)
        assert one.data.pixels.shape == other.data.pixels.shape
        for index in (0, slice(2, 7), slice(None, None, 3), np.array([4, 1])):
            read = other.data.pixels[index]
            assert np.array_equal(one.data.pixels[index], read)
            # In memory, not the map: writing to it would write to the store, or fail.
            assert read.flags.writeable
            assert not np.shares_memory(read, other.data.pixels.source)
        assert channel_statistics(one.data.pixels) == channel_statistics(other.data.pixels)


def test_a_training_from_disk_gives_the_same_bits(tmp_path: Path, monkeypatch) -> None:
    data = bars(40)
    np.savez(tmp_path / "bars.npz", x=data.pixels, y=data.labels)
    weights = []
    for memory in (None, 100):
        monkeypatch.setattr(module, "memory_bytes", lambda memory=memory: memory)
        words = {"network": "lesson", "epochs": 1, "threads": 1, "store": str(tmp_path), "out": str(tmp_path / "runs")}
        run = workflow.train(str(tmp_path / "bars.npz"), only_model=memory is None, **words).run
        weights.append((Path(run) / "model.safetensors").read_bytes())
    assert weights[0] == weights[1]


def test_a_run_is_named_after_the_whole_folder_and_the_files_stem(tmp_path: Path) -> None:
    (tmp_path / "v1.2").mkdir()
    (tmp_path / "x.npz").touch()
    runs = str(tmp_path / "runs")
    assert new_run_folder(runs, str(tmp_path / "v1.2")).name == "v1.2-1"
    assert new_run_folder(runs, str(tmp_path / "v1.2")).name == "v1.2-2"
    assert new_run_folder(runs, str(tmp_path / "x.npz")).name == "x-1"


def test_the_cores_told_are_those_that_may_be_used(monkeypatch) -> None:
    monkeypatch.setattr("whyconv.training.run_folder.num_cores", lambda: 77)
    assert environment(1)["cores"] == 77


def test_files_left_out_and_pictures_under_two_labels_are_told(tmp_path: Path) -> None:
    folder = tmp_path / "my set"
    for number in range(12):
        write(folder / "ab"[number % 2] / f"{number:02}.png", number)
    for number in range(5):
        (folder / "a" / f"bad{number}.png").write_bytes(b"")
    for copy in ("b/twin.png", "c 00.png"):  # the second without a label
        (folder / copy).write_bytes((folder / "a" / "00.png").read_bytes())
    _, notes = divided(folder, tmp_path / "store", label_from="(a|b)/")
    command = f"whyconv check '{folder}' --label-from '(a|b)/'"
    told = [notes[key] for key in ("train_unreadable_left_out", "train_under_two_labels")]
    assert [note.level for note in told] == ["warning", "warning"]
    assert told[0].values == {
        "n": 5,
        "names": "a/bad0.png: empty file; a/bad1.png: empty file; a/bad2.png: empty file; ...",
        "command": command,
    }
    twins = {"n": 1, "pictures": 2, "first": "a/00.png", "one": "a", "second": "b/twin.png", "other": "b"}
    assert told[1].values == {**twins, "command": command}


def test_pictures_without_a_label_decide_nothing_and_are_not_prepared(tmp_path: Path, monkeypatch) -> None:
    """As a contest has them: small pictures to learn from in class folders, beside others that nobody has labelled."""
    folder, store = tmp_path / "contest", tmp_path / "store"
    for number in range(12):
        path = folder / "train" / "ab"[number % 2] / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png(scene(number, 16, 16)))
    (folder / "test").mkdir()
    for number in range(20):
        (folder / "test" / f"{number}.png").write_bytes(png(scene(100 + number, 200, 200)))
    division, notes = divided(folder, store)
    assert not {"train_unreadable_left_out", "train_under_two_labels"} & notes.keys()
    inspection = division.inspection
    monkeypatch.setattr("whyconv.pretrained.choosing.has_published_weights", lambda: True)
    assert side_for(inspection) == 16
    assert choose_start(TrainSettings(pictures=str(folder)), inspection, lambda event: None).start is None
    policy, events = PicturePolicy(side=8, channels=3), list[Event]()
    parts = load_parts(division, policy, store=store / "new", notify=events.append)
    assert [event.values["num_bytes"] for event in events if isinstance(event, Note)] == [12 * 8 * 8 * 3]
    # Pixels kept by an earlier version, of all pictures, are taken over.
    kept = open_store(inspection.pictures, policy, folder=store / "old")
    events.clear()
    again = load_parts(division, policy, store=store / "old", notify=events.append)
    assert [event for event in events if not isinstance(event, Note)] == []
    for number, (one, other) in enumerate(zip(parts, again, strict=True), 1):
        assert one.names == other.names
        assert np.array_equal(one.data.pixels[:], other.data.pixels[:])
        assert np.array_equal(one.data.pixels[:], kept.pixels[division.indices(number)])


def test_where_nothing_labelled_can_be_read_the_side_is_no_error(tmp_path: Path) -> None:
    for name in "ab":
        write(tmp_path / "all" / name / "1.png", 1).write_bytes(b"")
    with pytest.raises(DataError, match="None of the 2 files"):
        divided(tmp_path / "all", tmp_path / "store")
    assert side_for(inspect(tmp_path / "all", store=tmp_path / "store")) == 8
