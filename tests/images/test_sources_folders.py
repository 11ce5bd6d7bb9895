"""Class folders and part folders, as people make them."""

from pathlib import Path

import numpy as np
import pytest

from whyconv.errors import DataError, UsageError
from whyconv.images.sources import PART_NAMES, read_pictures


@pytest.fixture
def lay(tmp_path):
    """Returns a function that makes empty files by their paths below a folder, and gives the folder."""

    def make(*paths):
        for path in paths:
            file = tmp_path / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(path.encode("utf-8", "surrogateescape"))
        return tmp_path

    return make


def described(pictures):
    """Returns {name: (class or None, part)}."""
    return {
        name: (pictures.classes[label] if label >= 0 else None, PART_NAMES[part])
        for name, label, part in zip(pictures.names, pictures.labels, pictures.parts, strict=True)
    }


def note_keys(pictures):
    return [note.key for note in pictures.notes]


def test_class_folders(lay):
    pictures = read_pictures(lay("cat/1.jpg", "cat/2.jpg", "dog/1.jpg"))
    assert described(pictures) == {"cat/1.jpg": ("cat", ""), "cat/2.jpg": ("cat", ""), "dog/1.jpg": ("dog", "")}
    assert pictures.layout == "class folders"
    assert pictures.groups is None
    assert (pictures.labels.dtype, pictures.parts.dtype) == (np.int32, np.int8)
    assert pictures.read(2) == b"dog/1.jpg"
    assert pictures.stat(2) == (9, (Path(pictures.where) / "dog/1.jpg").stat().st_mtime_ns)


@pytest.mark.parametrize(
    ("alias", "part"),
    [("train", "train"), ("Training", "train"), ("TRAIN", "train"), ("val", "validation"), ("Valid", "validation"),
     ("validation", "validation"), ("DEV", "validation"), ("test", "test"), ("Testing", "test"), ("eval", "test"),
     ("Evaluation", "test")],
)  # fmt: skip
def test_part_folder_aliases(lay, alias, part):
    pictures = read_pictures(lay(f"{alias}/cat/1.jpg", f"{alias}/dog/1.jpg"))
    assert described(pictures) == {f"{alias}/cat/1.jpg": ("cat", part), f"{alias}/dog/1.jpg": ("dog", part)}


def test_only_whole_names_are_parts(lay):
    pictures = read_pictures(lay("train_station/1.jpg", "contest/1.jpg", "my test/1.jpg"))
    assert pictures.classes == ("contest", "my test", "train_station")
    assert set(pictures.parts) == {0}


def test_two_names_of_one_part_are_merged(lay):
    pictures = read_pictures(lay("train/cat/1.jpg", "val/cat/2.jpg", "Valid/cat/3.jpg"))
    assert sorted(PART_NAMES[part] for part in pictures.parts) == ["train", "validation", "validation"]


def test_classes_are_matched_by_name_and_differences_told(lay):
    pictures = read_pictures(lay("train/b/1.jpg", "train/c/1.jpg", "test/a/1.jpg", "test/a/2.jpg", "test/c/1.jpg"))
    assert pictures.classes == ("b", "c")
    assert described(pictures)["test/c/1.jpg"] == ("c", "test")
    assert described(pictures)["test/a/1.jpg"] == (None, "test")
    _, missing, foreign = pictures.notes
    assert (missing.key, missing.values["part"], missing.values["classes"]) == ("classes_missing_in_part", "test", "b")
    assert (foreign.key, foreign.values["num_pictures"], foreign.values["classes"]) == (
        "classes_foreign_in_part",
        "2",
        "a",
    )
    assert {missing.level, foreign.level} == {"warning"}


def test_train_beside_other_classes_is_a_class(lay):
    pictures = read_pictures(lay("train/1.jpg", "bus/1.jpg"))
    assert pictures.classes == ("bus", "train")
    assert note_keys(pictures) == ["read_as_folders", "parts_read_as_classes"]


def test_parts_without_classes_are_refused_unless_they_are_meant(lay):
    root = lay("train/1.jpg", "val/1.jpg")
    with pytest.raises(DataError, match=r"train/, val/ hold pictures directly.*--layout folders"):
        read_pictures(root)
    assert read_pictures(root, layout="folders").classes == ("train", "val")
    assert len(read_pictures(root, require_labels=False)) == 2


def test_one_folder_without_classes_proposes_label_from(lay):
    root = lay(*(f"{name}.{i}.jpg" for name in ("cat", "dog") for i in range(4)))
    with pytest.raises(
        DataError, match=r"no class folders: found 8 files.*--label-from '(.+)' \(labels here: cat, dog\)"
    ) as caught:
        read_pictures(root)
    proposed = str(caught.value).split("--label-from '")[1].split("' (labels")[0]
    pictures = read_pictures(root, label_from=proposed)
    assert described(pictures)["dog.3.jpg"] == ("dog", "")
    assert list(np.bincount(pictures.labels)) == [4, 4]


def test_wrong_layout_names_the_nearest(tmp_path):
    with pytest.raises(UsageError, match="Did you mean 'folders'"):
        read_pictures(tmp_path, layout="folder")
