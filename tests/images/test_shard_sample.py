"""The sample of many shards: every picture in it once."""

import pytest

from shard_files import picture, write_tar
from whyconv.images.shards import draw_sample, open_shards
from whyconv.images.shards.sample import write_sample
from whyconv.images.sources import read_pictures


@pytest.mark.parametrize("seed", range(4))
def test_a_rare_picture_that_was_drawn_already_is_not_added_once_more(tmp_path, seed):
    labels = ["c", *("ab"[number % 2] for number in range(1, 40))]
    path = write_tar(tmp_path / "s-0.tar", [(f"{n:02d}", picture(n), label) for n, label in enumerate(labels)])
    shards = open_shards(f"{path}::", folder=tmp_path / "cache")
    sample = draw_sample(shards, seed=seed, validation_fraction=0.1, test_fraction=0.1)
    rows = [tuple(row) for own in sample.rows.values() for row in own.tolist()]
    assert len(set(rows)) == len(rows)
    write_sample(shards, sample, tmp_path / "sample")
    assert len(read_pictures(tmp_path / "sample")) == len(rows)


def test_a_shard_that_is_named_twice_is_drawn_from_as_one(tmp_path):
    path = write_tar(tmp_path / "s-0.tar", [(f"{n:02d}", picture(n), "ab"[n % 2]) for n in range(40)])
    other = write_tar(tmp_path / "s-1.tar", [(f"{n:02d}", picture(n), "ab"[n % 2]) for n in range(40, 60)])
    shards = open_shards(f"{path}::{other}::{path}", folder=tmp_path / "cache")
    sample = draw_sample(shards, seed=1, validation_fraction=0.2, test_fraction=0.2)
    assert {part: len(rows) for part, rows in sample.rows.items()} == {1: 36, 2: 12, 3: 12}
    assert len({tuple(row) for own in sample.rows.values() for row in own.tolist()}) == 60
    left_out = [own.tolist() for own in sample.left_out(shards)]
    assert left_out[0] == left_out[2]
    assert len(left_out[0]) + len(left_out[1]) == 24
