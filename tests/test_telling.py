"""What is told of the reading of pictures: read now, read before, or of a kind that no limit is known for."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from drawn_pictures import photo
from whyconv.images.prepare import PicturePolicy
from whyconv.images.sources import read_pictures
from whyconv.images.store import open_store
from whyconv.results import Note, Progress
from whyconv.telling import reading_profiled
from whyconv.texts import say

POLICY = PicturePolicy(side=32, channels=3)


def told_of(folder: Path, store: Path) -> Note:
    events: list[object] = []
    pictures = read_pictures(folder)
    with reading_profiled(pictures, POLICY, 1, events.append) as listener:
        open_store(pictures, POLICY, folder=store, notify=listener, num_threads=1)
    if any(isinstance(each, Progress) for each in events):
        assert next(each.key for each in events if isinstance(each, Note)) == "store_size"
    last = events[-1]
    assert isinstance(last, Note)
    return last


def pictures_of(folder: Path, ending: str) -> Path:
    for seed in range(12):
        path = folder / "class" / f"{seed}.{ending}"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(photo(300, 400, seed)).save(path)
    return folder


def test_what_is_read_now_is_compared_with_bare_decoding_and_what_lay_there_is_not(tmp_path: Path) -> None:
    folder = pictures_of(tmp_path / "photos", "jpg")
    first = told_of(folder, tmp_path / "store")
    assert first.key == "profile_read"
    assert (first.values["n"], first.values["sampled"]) == (12, 12)
    assert first.values["fraction"] == pytest.approx(first.values["bare"] / first.values["seconds"])
    assert 0 < first.values["fraction"] < 1.5  # the same work and more; a busy machine moves both
    assert told_of(folder, tmp_path / "store").key == "profile_read_before"


def test_of_other_formats_only_the_seconds_are_told(tmp_path: Path) -> None:
    told = told_of(pictures_of(tmp_path / "drawings", "png"), tmp_path / "store")
    assert told.key == "profile_read_other"
    assert "12 pictures were read" in say(told.key, "en", **told.values)
