"""Parts of files by their names: one word in any place, and warnings where names do not say."""

import shutil
from pathlib import Path

import pytest

from shard_files import picture, write_parquet, write_tar
from whyconv.errors import DataError
from whyconv.images.sources import PART_NAMES, read_pictures


def write(root, names):
    """Makes each file with two pictures of two classes."""
    for number, name in enumerate(names):
        if name.endswith(".tar"):
            write_tar(root / name, [(f"{number}{each}", picture(number), each) for each in "ab"])
        else:
            write_parquet(root / name, range(2), num_classes=2)
    return root


def found(pictures):
    """The part of each file."""
    return {
        name.rpartition("/")[0].split("[")[0] or name.split("[")[0]: PART_NAMES[part]
        for name, part in zip(pictures.names, pictures.parts.tolist(), strict=True)
    }


def warned(pictures):
    return {note.key: note.values["names"] for note in pictures.notes if note.key.startswith("files_")}


@pytest.mark.parametrize("ending", ["tar", "parquet"])
def test_a_part_in_any_place_of_the_name_is_one(tmp_path, ending):
    pytest.importorskip("pyarrow")
    pictures = read_pictures(write(tmp_path, [f"imagenet1k-{part}-0000.{ending}" for part in ("train", "test")]))
    assert found(pictures) == {f"imagenet1k-{part}-0000.{ending}": part for part in ("train", "test")}
    assert warned(pictures) == {}


@pytest.mark.parametrize("ending", ["tar", "parquet"])
def test_files_that_do_not_say_are_told(tmp_path, ending):
    pytest.importorskip("pyarrow")
    names = [f"{name}.{ending}" for name in ("a-train-0", "a-test-0", "a-extra-0", "a-train-val-0")]
    pictures = read_pictures(write(tmp_path, names))
    assert found(pictures) == {names[0]: "train", names[1]: "test", names[2]: "", names[3]: ""}
    assert warned(pictures) == {"files_of_two_parts": names[3], "files_without_part": names[2]}
    assert {note.level for note in pictures.notes if note.key in warned(pictures)} == {"warning"}


def test_a_word_in_all_names_is_that_of_the_set(tmp_path):
    pictures = read_pictures(write(tmp_path, ["lab-test-0.tar", "lab-test-1.tar"]))
    assert set(found(pictures).values()) == {""}
    pictures = read_pictures(write(tmp_path / "own", ["test-0.tar"]))
    assert set(found(pictures).values()) == {"test"}


@pytest.mark.parametrize("around", ["", "data/", "default/"])
@pytest.mark.parametrize("is_packed", [False, True])
def test_parquet_files_in_part_folders_are_found(tmp_path, around, is_packed):
    pytest.importorskip("pyarrow")
    names = [f"{around}{part}/000{number}.parquet" for part in ("train", "val", "test") for number in range(2)]
    root = write(tmp_path / "set", names)
    if is_packed:
        root = Path(shutil.make_archive(str(tmp_path / "packed"), "zip", root))
    pictures = read_pictures(root, store=tmp_path / "cache")
    assert len(pictures) == 12
    parts = [{"train": "train", "val": "validation", "test": "test"}[name.split("/")[-2]] for name in pictures.names]
    assert [PART_NAMES[part] for part in pictures.parts.tolist()] == parts


def test_two_sets_of_part_folders_are_not_put_together(tmp_path):
    pytest.importorskip("pyarrow")
    write(tmp_path, ["easy/train/0.parquet", "hard/train/0.parquet"])
    with pytest.raises(DataError, match=r"holds no pictures; found 2 \.parquet"):
        read_pictures(tmp_path)
