"""Heads of Parquet shards: read once, again when the file is another, and few in memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shard_files import picture, write_parquet
from whyconv.images.shards import Shards, open_shards, parquet_heads

parquet = pytest.importorskip("pyarrow.parquet")


@pytest.fixture
def heads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The files whose heads are read, in that order; none is kept from before."""
    monkeypatch.setattr(parquet_heads, "_kept", type(parquet_heads._kept)())
    read, real = list[str](), parquet.ParquetFile

    def counted(file: Any, metadata: Any = None) -> Any:
        if metadata is None:
            read.append(Path(file.name).name)
        return real(file, metadata=metadata)

    monkeypatch.setattr(parquet, "ParquetFile", counted)
    return read


def shards_of(folder: Path, num: int) -> Shards:
    for number in range(num):
        write_parquet(folder / f"p-{number}.parquet", range(number * 30, number * 30 + 30), group=1)
    return open_shards(f"{folder}/p-*.parquet", folder=folder / "cache")


def read_all(shards: Shards, shard: int) -> list[object]:
    return [content for row in range(30) for content in shards.read(shard, np.array([row]))]


def test_the_head_of_a_file_is_read_once_for_all_its_row_groups(tmp_path: Path, heads: list[str]) -> None:
    shards = shards_of(tmp_path, 2)
    heads.clear()
    for shard in (0, 1, 0):
        assert read_all(shards, shard) == [picture(shard * 30 + row) for row in range(30)]
    assert heads == ["p-0.parquet", "p-1.parquet"]


def test_a_file_that_is_another_is_read_anew(tmp_path: Path, heads: list[str]) -> None:
    shards = shards_of(tmp_path, 1)
    read_all(shards, 0)
    heads.clear()
    write_parquet(tmp_path / "p-0.parquet", range(100, 130), group=1)
    assert read_all(shards, 0) == [picture(100 + row) for row in range(30)]
    assert heads == ["p-0.parquet"]


def test_few_heads_are_kept(tmp_path: Path, heads: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    shards = shards_of(tmp_path, 3)
    size = max(parquet.read_metadata(path).serialized_size for path in tmp_path.glob("*.parquet"))
    for most, wanted in ((2 * size, 2), (0, 1)):
        monkeypatch.setattr(parquet_heads, "_MOST_BYTES", most)
        for shard in (0, 1, 2):
            read_all(shards, shard)
        assert [Path(place).name for place, _ in parquet_heads._kept] == ["p-1.parquet", "p-2.parquet"][-wanted:]
    heads.clear()
    read_all(shards, 1)
    assert heads == ["p-1.parquet"]
