"""Before a stream: what is refused, what is told of the shards, and which shards a plan goes on with."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from shard_files import picture, write_tar
from whyconv.errors import DataError
from whyconv.images.shards import open_shards
from whyconv.planning.streaming import stream_again
from whyconv.results import ignore
from whyconv.settings import StreamPlan


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
    whole: Any = SimpleNamespace(stream=plan, seed=0, pictures=SimpleNamespace(store=str(tmp_path / "cache")))
    division: Any = SimpleNamespace(inspection=SimpleNamespace(pictures=SimpleNamespace(classes=()), survey=None))
    # A plan of before says nothing of this, and is gone on with, up to the sample, which this one has none of.
    said = "the sample has 0 of 4" if listed else "are not the shards of the plan"
    with pytest.raises(DataError, match=said):
        stream_again(whole, division, None, ignore)  # type: ignore[arg-type]
