"""The digits as files: the folder appears whole or not at all, and nobody's files are changed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from whyconv import demo
from whyconv.errors import StorageError


def test_the_files_hold_the_digits(tmp_path: Path) -> None:
    folder = demo.write_digits(tmp_path / "a" / "digits")
    pixels, labels, is_test = demo.load_digits()
    assert len(list(folder.rglob("*.png"))) == len(pixels) == 1797
    for row in (0, 100, 1796):
        path = folder / ("test" if is_test[row] else "train") / str(labels[row]) / f"{row:04}.png"
        with Image.open(path) as image:
            assert np.array_equal(np.asarray(image), pixels[row])
    assert [each.name for each in folder.parent.iterdir()] == ["digits"]


def test_what_is_there_is_left_and_what_is_missing_is_put_back(tmp_path: Path) -> None:
    folder = demo.write_digits(tmp_path / "digits")
    first, second = sorted(folder.rglob("*.png"))[:2]
    first.write_bytes(b"mine")
    second.unlink()
    demo.write_digits(folder)
    assert first.read_bytes() == b"mine"
    with Image.open(second) as image:
        assert image.size == (8, 8)


def test_an_interruption_leaves_nothing_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    left, write = [100], Image.Image.save

    def save(image: Image.Image, *words: object) -> None:
        left[0] -= 1
        if not left[0]:
            raise KeyboardInterrupt
        write(image, *words)

    monkeypatch.setattr(Image.Image, "save", save)
    with pytest.raises(KeyboardInterrupt):
        demo.write_digits(tmp_path / "digits")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("in_the_way", ["", "train"])
def test_a_file_in_place_of_a_folder_is_named_and_left(tmp_path: Path, in_the_way: str) -> None:
    folder = tmp_path / "digits"
    file = folder / in_the_way
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(b"mine")
    words = r"digits cannot be written: (Not a directory|File exists)\. Move it away, or work in another folder\.$"
    with pytest.raises(StorageError, match=words):
        demo.write_digits(folder)
    assert file.read_bytes() == b"mine"


def test_a_link_to_nothing_and_a_place_that_cannot_be_had_are_named(tmp_path: Path) -> None:
    link = tmp_path / "digits"
    link.symlink_to(tmp_path / "nothing")
    with pytest.raises(StorageError, match=r"digits cannot be written: Not a directory\. Move it away, or work in"):
        demo.write_digits(link)
    assert list(tmp_path.iterdir()) == [link]
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match=r"digits cannot be written: File exists\. Work in another folder\.$"):
        demo.write_digits(tmp_path / "file" / "digits")
