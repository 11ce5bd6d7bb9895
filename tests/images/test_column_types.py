"""Columns as programs write them: dictionary-encoded, as pandas writes categories, and names of files as bytes."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shard_files import picture
from whyconv.errors import DataError
from whyconv.images.shards import open_shards
from whyconv.images.sources import Pictures, read_pictures

pa = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")

NUMBER = 7
LABELS = ["cat", "dog", "cat", None, "owl", "dog", "cat"]
SPLITS = ["train", "test", "train", "train", "train", "train", "train"]
SHOTS = [picture(row) for row in range(NUMBER)]
NAMES = [f"{row}.png" for row in range(NUMBER)]


def write(path: Path, columns: dict[str, Any]) -> Path:
    """Writes a table in several row groups or batches, each with a dictionary of its own."""
    table = pa.table(columns)
    if path.suffix == ".arrow":
        pieces = [table.slice(start, 3) for start in range(0, table.num_rows, 3)]
        with pa.ipc.new_stream(str(path), table.schema) as writer:
            for piece in pieces:
                writer.write_table(piece)
    else:
        parquet.write_table(table, path, row_group_size=3)
    return path


def spoken(pictures: Pictures) -> list[str | None]:
    return [pictures.classes[label] if label >= 0 else None for label in pictures.labels.tolist()]


def encoded(values: list[Any], kind: Any = None) -> Any:
    return pa.array(values, kind).dictionary_encode()


def as_categories(values: list[Any]) -> Any:
    """As pandas writes a categorical column: small numbers of texts that are in order."""
    texts = sorted({value for value in values if value is not None})
    places = [None if value is None else texts.index(value) for value in values]
    return pa.DictionaryArray.from_arrays(pa.array(places, pa.int8()), pa.array(texts), ordered=True)


@pytest.mark.parametrize("ending", ["parquet", "arrow"])
@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary()])
def test_pictures_may_be_dictionary_encoded(tmp_path: Path, ending: str, kind: Any) -> None:
    shots = SHOTS[:-1] + SHOTS[:1]
    columns = {"image": encoded(shots, kind), "label": as_categories(LABELS), "split": as_categories(SPLITS)}
    pictures = read_pictures(write(tmp_path / f"set.{ending}", columns))
    assert spoken(pictures) == LABELS
    assert pictures.parts.tolist() == [{"train": 1, "test": 3}[each] for each in SPLITS]
    assert [pictures.read(row) for row in range(NUMBER)] == shots
    assert pickle.loads(pickle.dumps(pictures)).read(4) == shots[4]


@pytest.mark.parametrize("ending", ["parquet", "arrow"])
@pytest.mark.parametrize("labels", [[0, -1, 1, 2, 0, 1, 2], [0.0, -1.0, 1.0, None, 0.0, 1.0, 1.0]])
def test_numbers_may_be_dictionary_encoded(tmp_path: Path, ending: str, labels: list[float | None]) -> None:
    kind = pa.int64() if None not in labels else pa.float64()
    plain = read_pictures(write(tmp_path / f"plain.{ending}", {"image": SHOTS, "label": pa.array(labels, kind)}))
    found = read_pictures(write(tmp_path / f"set.{ending}", {"image": SHOTS, "label": encoded(labels, kind)}))
    assert spoken(found) == spoken(plain)
    assert spoken(found)[:3] == ["0", None, "1"]


def test_shards_may_be_dictionary_encoded(tmp_path: Path) -> None:
    labels = [0, -1, 1, 2, 0, 1, 2]
    for number, kind in enumerate([pa.binary(), pa.large_binary()]):
        columns = {"image": encoded(SHOTS, kind), "label": encoded(labels, pa.int64())}
        write(tmp_path / f"a-{number}.parquet", columns)
    shards = open_shards(f"{tmp_path}/a-*.parquet", folder=tmp_path / "cache")
    assert shards.classes == ("0", "1", "2")
    for shard in (0, 1):
        assert shards.labels(shard).tolist() == labels
        assert list(shards.read(shard, np.arange(NUMBER))) == SHOTS


def test_a_group_at_a_time_is_held_of_dictionaries_too(tmp_path: Path) -> None:
    pictures = read_pictures(write(tmp_path / "set.parquet", {"image": encoded(SHOTS, pa.binary()), "label": LABELS}))
    (column,) = pictures.contents.containers
    assert [pictures.read(row) for row in range(NUMBER)] == SHOTS
    assert [len(group) for group in column._groups.values()] == [3, 1]


@pytest.mark.parametrize("ending", ["parquet", "arrow"])
@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary(), pa.string()])
@pytest.mark.parametrize("is_encoded", [False, True])
@pytest.mark.parametrize("name", ["file_name", "path"])
def test_names_of_files_may_be_bytes(tmp_path: Path, ending: str, kind: Any, is_encoded: bool, name: str) -> None:
    names = [*NAMES[:-1], "고양이 é.png"]
    for each, shot in zip(names, SHOTS, strict=True):
        (tmp_path / each).write_bytes(shot)
    column = pa.array([each.encode() for each in names], pa.binary()).cast(kind)
    column = column.dictionary_encode() if is_encoded else column
    pictures = read_pictures(write(tmp_path / f"labels.{ending}", {name: column, "label": LABELS}))
    assert (list(pictures.names), spoken(pictures)) == (names, LABELS)
    assert [pictures.read(row) for row in range(NUMBER)] == SHOTS


def test_a_name_that_is_no_text_is_that_of_a_file(tmp_path: Path) -> None:
    name = b"caf\xe9.png"
    Path(tmp_path, name.decode("utf-8", "surrogateescape")).write_bytes(SHOTS[0])
    where = write(tmp_path / "labels.parquet", {"file_name": pa.array([name], pa.binary()), "label": ["cat"]})
    pictures = read_pictures(where)
    assert list(pictures.names) == ["caf\\xe9.png"]
    assert pictures.read(0) == SHOTS[0]


@pytest.mark.parametrize("ending", ["parquet", "arrow"])
@pytest.mark.parametrize("name", ["file", "path"])
def test_pictures_in_a_column_called_as_names_are_stay_pictures(tmp_path: Path, ending: str, name: str) -> None:
    where = write(tmp_path / f"set.{ending}", {name: pa.array([None, *SHOTS[1:]], pa.binary()), "label": LABELS})
    pictures = read_pictures(where)
    assert spoken(pictures) == LABELS
    assert [pictures.read(row) for row in range(1, NUMBER)] == SHOTS[1:]


def test_names_beside_pictures_are_no_second_column_of_pictures(tmp_path: Path) -> None:
    names = pa.array([each.encode() for each in NAMES], pa.binary())
    for pictures_in in ("image", "scan"):
        where = write(tmp_path / "set.parquet", {"file_name": names, pictures_in: SHOTS, "label": LABELS})
        pictures = read_pictures(where)
        assert [pictures.read(row) for row in range(NUMBER)] == SHOTS


def test_shards_of_names_hold_no_pictures(tmp_path: Path) -> None:
    names = pa.array([each.encode() for each in NAMES], pa.binary())
    write(tmp_path / "a-0.parquet", {"file_name": names, "label": LABELS})
    with pytest.raises(DataError, match=r"a-0\.parquet holds paths and no pictures"):
        open_shards(f"{tmp_path}/a-*.parquet", folder=tmp_path / "cache")
