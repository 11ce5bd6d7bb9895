"""A column of parts in Parquet shards: each row is of the part that it says, as in a folder of the same files."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shard_files import number_of, picture
from whyconv.errors import DataError
from whyconv.images.prepare import PicturePolicy, prepare
from whyconv.images.shards import Shards, draw_sample, open_shards
from whyconv.images.sources import read_pictures

PARTS = ["train", "val", "test", None, "Training", "TEST", "dev"]
WORDS = {"validation_fraction": 0.2, "test_fraction": 0.2}


def write(path: Path, numbers: Sequence[int], *, group: int = 7, **columns: list[Any]) -> None:
    import pyarrow
    from pyarrow import parquet

    path.parent.mkdir(parents=True, exist_ok=True)
    labels = [f"c{number % 3}" for number in numbers]
    table = {"image": [picture(number) for number in numbers], "label": labels, **columns}
    parquet.write_table(pyarrow.table(table), path, row_group_size=group)


def numbers(shards: Shards, rows: np.ndarray) -> list[int]:
    """Of the pictures of some rows, as they are read."""
    contents = [next(shards.read(shard, np.array([entry]))) for shard, entry in rows.tolist()]
    assert all(isinstance(content, bytes) for content in contents)
    policy = PicturePolicy(side=4, channels=3)
    return [int(number_of(prepare(content, policy)[None])[0]) for content in contents if isinstance(content, bytes)]


def learned(shards: Shards, seed: int = 0) -> list[int]:
    """Numbers of all pictures that are visited."""
    left_out = draw_sample(shards, seed=seed, **WORDS).left_out(shards)
    blocks = shards.blocks(5, left_out)
    found = []
    for shard, first, last in zip(blocks.shard.tolist(), blocks.first.tolist(), blocks.last.tolist(), strict=True):
        found += [(shard, entry) for entry in shards.usable(shard, first, last, left_out[shard]).tolist()]
    assert len(found) == blocks.count.sum()
    return sorted(numbers(shards, np.array(found)))


@pytest.mark.parametrize("column", ["split", "Part", "subset", "set", "data_set"])
def test_rows_are_of_the_part_that_they_say(tmp_path: Path, column: str) -> None:
    for file in range(2):
        own = range(file * 40, file * 40 + 40)
        write(tmp_path / "s" / f"p-{file}.parquet", own, **{column: [PARTS[number % 7] for number in own]})
    shards = open_shards(f"{tmp_path}/s/p-*.parquet", folder=tmp_path / "cache")
    sample = draw_sample(shards, seed=0, **WORDS)
    wanted = {1: [0, 3, 4], 2: [1, 6], 3: [2, 5]}
    for part, rests in wanted.items():
        assert sorted(numbers(shards, sample.rows[part])) == [n for n in range(80) if n % 7 in rests]
    assert learned(shards) == [number for number in range(80) if number % 7 in wanted[1]]
    read = read_pictures(tmp_path / "s")
    assert [sorted(np.flatnonzero(np.isin(read.parts, each)).tolist()) for each in ([0, 1], [2], [3])] == [
        [n for n in range(80) if n % 7 in rests] for rests in wanted.values()
    ]
    assert (shards.classes, shards.counts.sum()) == (read.classes, 80)
    assert (shards.num_shards, shards.num_pictures) == (2, 80)
    assert shards.num_bytes == sum(path.stat().st_size for path in (tmp_path / "s").glob("*.parquet"))
    again = open_shards(f"{tmp_path}/s/p-*.parquet", folder=tmp_path / "cache")
    assert (again.digest, again.listed, learned(again)) == (shards.digest, shards.listed, learned(shards))


def test_what_rows_say_comes_before_the_name_of_the_file(tmp_path: Path) -> None:
    write(tmp_path / "train-0.parquet", range(30), split=["test"] * 10 + [None] * 20)
    write(tmp_path / "test-0.parquet", range(30, 60), split=["train"] * 10 + [None] * 20)
    shards = open_shards(f"{tmp_path}/t*.parquet", folder=tmp_path / "cache")
    rows = draw_sample(shards, seed=0, **WORDS).rows
    assert sorted(numbers(shards, rows[3])) == [*range(10), *range(40, 60)]
    assert len(rows[2]) == 6
    assert sorted([*learned(shards), *numbers(shards, rows[2])]) == list(range(10, 40))


def test_validation_is_drawn_from_training_rows_where_none_says_so(tmp_path: Path) -> None:
    write(tmp_path / "p-0.parquet", range(100), split=["test" if n < 30 else "train" for n in range(100)])
    shards = open_shards(f"{tmp_path}/p-*.parquet", folder=tmp_path / "cache")
    sample = draw_sample(shards, seed=1, **WORDS)
    assert {part: len(rows) for part, rows in sample.rows.items()} == {1: 56, 2: 14, 3: 30}
    assert sorted(numbers(shards, sample.rows[3])) == list(range(30))
    drawn = numbers(shards, np.concatenate([sample.rows[1], sample.rows[2]]))
    assert sorted(drawn) == list(range(30, 100))
    assert learned(shards, 1) == sorted(numbers(shards, sample.rows[1]))


def test_a_shard_that_is_named_twice_is_visited_twice_and_drawn_from_once(tmp_path: Path) -> None:
    write(tmp_path / "p-0.parquet", range(40), split=["test" if n % 4 == 0 else "train" for n in range(40)])
    shards = open_shards(f"{tmp_path}/p-0.parquet::{tmp_path}/p-*.parquet", folder=tmp_path / "cache")
    sample = draw_sample(shards, seed=0, **WORDS)
    assert {part: len(rows) for part, rows in sample.rows.items()} == {1: 24, 2: 6, 3: 10}
    assert learned(shards) == sorted(numbers(shards, sample.rows[1]) * 2)
    assert (shards.num_shards, shards.num_pictures) == (2, 80)


def test_a_part_that_is_none_is_refused_with_its_row(tmp_path: Path) -> None:
    write(tmp_path / "p-0.parquet", range(20), split=["train"] * 12 + ["tset"] + ["test"] * 7)
    with pytest.raises(DataError, match=r"row 6 of row group 2: part 'tset' is unknown, expected one of train"):
        open_shards(f"{tmp_path}/p-*.parquet", folder=tmp_path / "cache")


def test_where_no_row_is_to_be_learned_from_it_says_so(tmp_path: Path) -> None:
    write(tmp_path / "p-0.parquet", range(20), split=["test"] * 20)
    shards = open_shards(f"{tmp_path}/p-*.parquet", folder=tmp_path / "cache")
    with pytest.raises(DataError, match="too few pictures with a label are left to train on"):
        draw_sample(shards, seed=0, **WORDS)


def test_other_texts_are_no_parts(tmp_path: Path) -> None:
    write(tmp_path / "p-0.parquet", range(30), dataset=["test", *["pets"] * 29], phase=["train"] * 30)
    shards = open_shards(f"{tmp_path}/p-*.parquet", folder=tmp_path / "cache")
    assert {part: len(rows) for part, rows in draw_sample(shards, seed=0, **WORDS).rows.items()} == {1: 18, 2: 6, 3: 6}
    assert len(shards.listings) == 1
