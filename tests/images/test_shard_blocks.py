"""Runs of neighboring pictures: as many as memory is meant for, each with what is visited of it."""

from pathlib import Path

import numpy as np
import pytest

from shard_files import picture, write_numbered, write_parquet, write_tar
from whyconv.images.shards import open_shards, shards
from whyconv.images.shards.listing import Listing


@pytest.mark.parametrize(("group", "most", "wanted"), [(1, 20, 8), (3, 20, 8), (1, 100, 100), (10, 20, 10), (40, 2, 4)])
def test_small_row_groups_are_joined_where_there_are_too_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, group: int, most: int, wanted: int
) -> None:
    for number in range(2):
        write_parquet(tmp_path / f"p-{number}.parquet", range(50), group=group)
    found = open_shards(f"{tmp_path}/p-*.parquet", folder=tmp_path / "cache")
    monkeypatch.setattr(shards, "_MOST_BLOCKS", most)
    left_out = [np.array([0, 7, 8, 49]), np.array([31])]
    blocks = found.blocks(13, left_out)
    assert len(blocks) == wanted
    for number in range(2):
        own = blocks.shard == number
        # They follow each other without a gap, and none cuts a row group.
        assert (blocks.first[own][0], blocks.last[own][-1]) == (0, 50)
        assert blocks.first[own][1:].tolist() == blocks.last[own][:-1].tolist()
        assert not (blocks.first[own] % group).any()
    ranges = zip(blocks.shard.tolist(), blocks.first.tolist(), blocks.last.tolist(), strict=True)
    counted = [sum(row not in left_out[shard] for row in range(first, last)) for shard, first, last in ranges]
    assert blocks.count.tolist() == counted


def test_blocks_of_tars_are_counted_as_they_are_visited(tmp_path: Path) -> None:
    labels = [None if number % 5 == 0 else "ab"[number % 2] for number in range(43)]
    write_tar(tmp_path / "s-0.tar", [(f"{n:02d}", picture(n), label) for n, label in enumerate(labels)])
    write_numbered(tmp_path, (20,), name="t")
    found = open_shards(f"{tmp_path}/*.tar", folder=tmp_path / "cache")
    left_out = [np.array([1, 2, 20, 42]), np.zeros(0, np.int64)]
    blocks = found.blocks(6, left_out)
    ranges = list(zip(blocks.shard.tolist(), blocks.first.tolist(), blocks.last.tolist(), strict=True))
    assert ranges == [(0, first, min(43, first + 6)) for first in range(0, 43, 6)] + [
        (1, first, min(20, first + 6)) for first in range(0, 20, 6)
    ]
    assert blocks.count.tolist() == [len(found.usable(*each, left_out[each[0]])) for each in ranges]
    assert blocks.count.sum() == 43 - 9 - 3 + 20  # entry 20 has no label


def test_a_listing_is_mapped_once_or_twice_and_not_for_each_block(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = open_shards(f"{write_parquet(tmp_path / 'p-0.parquet', range(90), group=1)}::", folder=tmp_path / "cache")
    mapped = list[str]()
    real = Listing.entries
    monkeypatch.setattr(Listing, "entries", lambda self: (mapped.append(self.place), real(self))[1])
    assert len(found.blocks(8, [np.zeros(0, np.int64)])) == 90
    assert len(mapped) <= 2
