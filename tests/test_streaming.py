"""Before a stream: what is refused, what is told of the shards, and which shards a plan goes on with."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from shard_files import picture, write_tar
from whyconv.errors import DataError, ModelFileError, UsageError
from whyconv.images.shards import open_shards
from whyconv.images.sources import read_pictures
from whyconv.planning.streaming import begin_stream, stream_again
from whyconv.results import Note, ignore
from whyconv.settings import StreamPlan, TrainSettings


def write(path: Path, labels: str, first: int = 0) -> Path:
    samples = [(f"{number:03d}", picture(first + number), label) for number, label in enumerate(labels)]
    write_tar(path, samples)
    os.utime(path, (10**9, 10**9))
    return path


def stream_plan(text: str, store: Path, **words: Any) -> StreamPlan:
    shards = open_shards(text, folder=store)
    settled = {"epoch_pictures": 4, "block": 8, "window": 8, "validation_fraction": 0.1, "test_fraction": 0.1}
    asked = {"shards": text, "digest": shards.digest, "listed": shards.listed} | settled | words
    return StreamPlan.model_validate(asked)


@pytest.mark.parametrize("listed", [{}, {"listed": ""}])
def test_shards_that_changed_places_are_not_those_of_the_plan(tmp_path: Path, listed: dict[str, str]) -> None:
    paths = [write(tmp_path / "t-0.tar", "ab" * 20), write(tmp_path / "t-1.tar", "cd" * 20, 40)]
    plan = stream_plan(f"{tmp_path}/t-*.tar", tmp_path / "cache", **listed)
    paths[0].rename(tmp_path / "away")
    paths[1].rename(paths[0])
    (tmp_path / "away").rename(paths[1])
    pictures, network = SimpleNamespace(store=str(tmp_path / "cache")), SimpleNamespace(classes=list("abcd"))
    whole: Any = SimpleNamespace(stream=plan, seed=0, pictures=pictures, network=network)
    division: Any = SimpleNamespace(inspection=SimpleNamespace(pictures=SimpleNamespace(classes=()), survey=None))
    # A plan of before says nothing of this, and is gone on with, up to the sample, which this one has none of.
    said = "the sample has 0 of 4" if listed else "are not the shards of the plan"
    with pytest.raises(DataError, match=said):
        stream_again(whole, division, None, ignore)  # type: ignore[arg-type]


def told_of(text: str, folder: Path, seed: int = 0) -> list[Note]:
    notes = list[Note]()
    settings = TrainSettings(pictures=text, store=str(folder / "cache"), seed=seed)
    begin_stream(settings, folder / "run", lambda event: notes.append(event) if isinstance(event, Note) else None)
    return notes


def test_test_pictures_of_classes_that_training_lacks_are_told_and_counted(tmp_path: Path) -> None:
    write(tmp_path / "train-0.tar", "ab" * 15)
    write(tmp_path / "test-0.tar", "aboaboo", 30)
    write(tmp_path / "test-1.tar", "o" * 5 + "q", 40)
    foreign = [note for note in told_of(f"{tmp_path}/t*.tar", tmp_path) if note.key == "classes_foreign_in_part"]
    assert [note.level for note in foreign] == ["warning"]
    values = {"part": "test", "classes": "o, q", "num_pictures": "9"}
    assert {key: foreign[0].values[key] for key in values} == values
    assert not [each for each in told_of(f"{tmp_path}/train*.tar", tmp_path) if each.key == "classes_foreign_in_part"]


def test_files_without_a_part_are_what_classes_are_learned_from(tmp_path: Path) -> None:
    write(tmp_path / "p-0.tar", "ab" * 15)
    write(tmp_path / "test-0.tar", "abo", 30)
    told = {note.key: note for note in told_of(f"{tmp_path}/*.tar", tmp_path)}
    assert (told["stream_listed"].values["classes"], told["stream_listed"].values["n"]) == (2, 32)
    assert told["classes_foreign_in_part"].values["classes"] == "o"
    assert read_pictures(tmp_path / "run" / "sample").classes == ("a", "b")


def test_what_the_sample_says_itself_is_not_told_twice(tmp_path: Path) -> None:
    """Its classes are those of the shards, but for spellings that were joined."""
    labels = ["Cat", "cat", "e\u0301", "\u00e9"] * 10
    write_tar(tmp_path / "t-0.tar", [(f"{n:02d}", picture(n), label) for n, label in enumerate(labels)])
    told = [note.key for note in told_of(f"{tmp_path}/t-*.tar", tmp_path)]
    sample = [note.key for note in read_pictures(tmp_path / "run" / "sample").notes]
    keys = ["classes_differ_by_case", "classes_normalized"]
    assert [(told + sample).count(key) for key in keys] == [1, 1]


@pytest.mark.parametrize("name", ["run", "run/model.safetensors"])
def test_weights_of_a_run_folder_are_started_from_as_its_file_is(tmp_path: Path, name: str) -> None:
    write(tmp_path / "t-0.tar", "ab" * 15)
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "model.safetensors").write_bytes(bytes(8))
    settings = TrainSettings(pictures=f"{tmp_path}/t-*.tar", store=str(tmp_path / "cache"), start=str(tmp_path / name))
    assert begin_stream(settings, tmp_path / "out", ignore)[0].start == str(tmp_path / "run" / "model.safetensors")


@pytest.mark.parametrize("name", ["empty", "net.onnx", "pretrained", "none"])
def test_other_starts_are_refused_on_shards(tmp_path: Path, name: str) -> None:
    write(tmp_path / "t-0.tar", "ab" * 15)
    (tmp_path / "empty").mkdir()
    (tmp_path / "net.onnx").write_bytes(bytes(8))
    start = name if name == "pretrained" else str(tmp_path / name)
    settings = TrainSettings(pictures=f"{tmp_path}/t-*.tar", store=str(tmp_path / "cache"), start=start)
    with pytest.raises(ModelFileError if name in ("empty", "none") else UsageError, match=name):
        begin_stream(settings, tmp_path / "out", ignore)


def test_which_columns_of_parquet_were_taken_is_told_once_for_all_files(tmp_path: Path) -> None:
    for number in range(3):
        own = range(number * 20, number * 20 + 20)
        columns = {"split": ["test" if each % 4 == 0 else "train" for each in own], "category": ["x"] * 20}
        labels = ["o" if each % 8 == 0 else "ab"[each % 2] for each in own]
        write_table(tmp_path / f"p-{number}.parquet", {"image": list(map(picture, own)), "label": labels, **columns})
    for _ in range(2):  # the second time from what was kept
        told = {note.key: note for note in told_of(f"{tmp_path}/p-*.parquet", tmp_path)}
        named = "p-0.parquet, p-1.parquet, p-2.parquet"
        wanted = {"file": named, "path": "image", "label": "label", "part": "split"}
        assert told["table_columns"].values == wanted
        passed = told["table_columns_passed_over"]
        assert (passed.level, passed.values["file"], passed.values["others"]) == ("warning", named, "category")
        assert told["classes_foreign_in_part"].values["num_pictures"] == "8"
        assert (told["stream_listed"].values["shards"], told["stream_listed"].values["n"]) == (3, 52)


def test_files_without_a_part_are_no_matter_where_rows_say_theirs(tmp_path: Path) -> None:
    columns = {"image": list(map(picture, range(20))), "label": list("ab" * 10)}
    write_table(tmp_path / "train-0.parquet", columns)
    write_table(tmp_path / "p-0.parquet", columns)
    text = f"{tmp_path}/*.parquet"
    assert "files_without_part" in [note.key for note in told_of(text, tmp_path)]
    write_table(tmp_path / "p-0.parquet", columns | {"split": ["train", "test"] * 10})
    assert "files_without_part" not in [note.key for note in told_of(text, tmp_path)]


def write_table(path: Path, columns: dict[str, list[Any]]) -> None:
    import pyarrow
    from pyarrow import parquet

    parquet.write_table(pyarrow.table(columns), path, row_group_size=7)
