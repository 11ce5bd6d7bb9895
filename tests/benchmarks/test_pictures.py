from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from racing.pictures import ready, resized
from racing.raw_cifar import read_cifar

from whyconv.images.sources import PART_NAMES, read_pictures

Folders = Callable[..., Path]


def test_a_set_without_a_test_part_is_split_by_the_seed_and_class_by_class(
    class_folders: Folders, tmp_path: Path
) -> None:
    raw = class_folders(num=10)
    first, again, other = (ready(tmp_path / f"sets{k}", "pets", seed, raw) for k, seed in enumerate((0, 0, 1)))
    test, train = first.listing("test"), first.listing("train")
    assert [label for _, label in test] == [0, 0, 1, 1]
    assert len(train) == 16
    assert not {name for name, _ in test} & {name for name, _ in train}
    assert again.listing("test") == test
    assert other.listing("test") != test
    assert first.folder.name == "pets-0"


def test_a_test_part_is_kept_whatever_the_seed_and_validation_goes_with_training(
    class_folders: Folders, tmp_path: Path
) -> None:
    raw = class_folders(parts=("train", "validation", "test"), num=3)
    found = ready(tmp_path / "sets", "pets", 5, raw)
    assert found.folder.name == "pets"
    assert (len(found.listing("train")), len(found.listing("test"))) == (12, 6)
    assert ready(tmp_path / "sets", "pets", 6, None) == found


def test_whyconv_reads_the_set_with_its_parts(class_folders: Folders, tmp_path: Path) -> None:
    found = ready(tmp_path / "sets", "pets", 0, class_folders(num=10))
    pictures = read_pictures(found.for_whyconv)
    parts = [PART_NAMES[part] for part in pictures.parts.tolist()]
    assert (parts.count("train"), parts.count("test")) == (16, 4)
    assert pictures.classes == found.classes == ("cat", "dog")


def test_settings_are_chosen_on_training_pictures_only(class_folders: Folders, tmp_path: Path) -> None:
    place = tmp_path / "sets"
    whole = ready(place, "pets", 0, class_folders(parts=("train", "test"), num=10))
    tuning = ready(place, "pets-tune", 0, None)
    contents = {
        part: {(whole.files / part / name).read_bytes() for name, _ in whole.listing(part)}
        for part in ("train", "test")
    }
    seen = {(tuning.files / part / name).read_bytes() for part in ("train", "test") for name, _ in tuning.listing(part)}
    assert seen == contents["train"]
    assert len(tuning.listing("test")) == 4
    assert not seen & contents["test"]


def test_an_unreadable_picture_is_left_out_for_all(class_folders: Folders, tmp_path: Path) -> None:
    raw = class_folders(num=10)
    (raw / "cat" / "3.png").write_bytes(b"no picture")
    found = ready(tmp_path / "sets", "pets", 0, raw)
    assert len(found.listing("train")) + len(found.listing("test")) == 19


def test_an_absent_set_says_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="--data pets:FOLDER"):
        ready(tmp_path, "pets", 0, None)


def test_copies_of_small_pictures_are_their_pixels_in_the_order_of_the_names(
    class_folders: Folders, tmp_path: Path
) -> None:
    found = ready(tmp_path / "sets", "pets", 0, class_folders(num=10))
    folder = resized(found, 12)
    names = (folder / "test_names.txt").read_text().splitlines()
    x, y = np.load(folder / "test_x.npy"), np.load(folder / "test_y.npy")
    for name, pixels, label in zip(names, x, y, strict=True):
        assert np.array_equal(pixels, np.asarray(Image.open(found.files / "test" / name)))
        assert name.startswith(found.classes[label])
    assert resized(found, 12) == folder


def test_copies_of_photos_have_a_margin_for_crops(class_folders: Folders, tmp_path: Path) -> None:
    found = ready(tmp_path / "sets", "pets", 0, class_folders(num=5, side=100))
    assert found.is_photos
    assert np.load(resized(found, 64) / "train_x.npy").shape == (8, 72, 72, 3)


def test_other_pictures_than_cifar_are_refused(tmp_path: Path) -> None:
    for name in ("data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5", "test_batch"):
        Image.fromarray(np.zeros((10, 1024, 3), np.uint8)).save(tmp_path / f"{name}.png")
    for name in ("train", "test"):
        (tmp_path / f"{name}_lables.json").write_text("[1, 2]")
    with pytest.raises(ValueError, match="not CIFAR-10"):
        read_cifar(tmp_path)
