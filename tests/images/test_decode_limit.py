"""What bare decoding takes: the same work as `prepare` does on a JPEG, and nothing beside it."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from drawn_pictures import photo
from whyconv.images import decode_limit
from whyconv.images.jpeg import decode_jpeg
from whyconv.images.prepare import PicturePolicy
from whyconv.images.sources import read_pictures

SIDE = 32
COLOR = PicturePolicy(side=SIDE, channels=3)


def written(folder: Path, kinds: dict[str, int]) -> Path:
    for ending, number in kinds.items():
        for seed in range(number):
            path = folder / f"class {seed % 2}" / f"{seed}.{ending}"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(photo(150, 260, seed)).save(path)
    return folder


def test_each_of_the_sample_is_decoded_in_each_round_at_the_size_that_prepare_wants(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures = read_pictures(written(tmp_path, {"jpg": 6}))
    shapes = []

    def noting(*args: object, **words: object) -> object:
        pixels = decode_jpeg(*args, **words)  # type: ignore[arg-type]
        shapes.append(pixels.shape)
        return pixels

    monkeypatch.setattr(decode_limit, "decode_jpeg", noting)
    found = decode_limit.decode_limit(pictures, COLOR, num_threads=1)
    assert found is not None
    assert found.num_sampled == 6
    assert found.seconds_per_picture > 0
    # Once each to see that it can be, then three rounds: 260 is four times twice 32 and a little more.
    assert shapes == [(150, 260, 3)] * 6 + [(38, 65, 3)] * 18


def test_a_few_others_are_left_out_and_many_are_no_answer(tmp_path: Path) -> None:
    few = read_pictures(written(tmp_path / "few", {"jpg": 19, "png": 1}))
    found = decode_limit.decode_limit(few, COLOR, num_threads=2)
    assert found is not None
    assert found.num_sampled == 19
    many = read_pictures(written(tmp_path / "many", {"jpg": 8, "png": 2}))
    assert decode_limit.decode_limit(many, COLOR, num_threads=2) is None


def test_a_damaged_jpeg_is_left_out(tmp_path: Path) -> None:
    folder = written(tmp_path, {"jpg": 20})
    (folder / "class 0" / "0.jpg").write_bytes((folder / "class 0" / "2.jpg").read_bytes()[:900])
    found = decode_limit.decode_limit(read_pictures(folder), COLOR, num_threads=1)
    assert found is not None
    assert found.num_sampled == 19


def test_the_sample_ends_where_it_would_take_too_much_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = written(tmp_path, {"jpg": 6})
    largest = max(path.stat().st_size for path in folder.rglob("*.jpg"))
    monkeypatch.setattr(decode_limit, "_MOST_BYTES", largest + 1)
    found = decode_limit.decode_limit(read_pictures(folder), COLOR, num_threads=1)
    assert found is not None
    assert found.num_sampled == 2
