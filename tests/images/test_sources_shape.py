"""Folders under usual names of parts, and folders around folders: what is meant, and what is told otherwise."""

import re

import pytest

from whyconv.errors import DataError
from whyconv.images.sources import PART_NAMES, read_pictures


def below(*folders, classes=("cats", "dogs")):
    return [f"{folder}/{name}/{number}.jpg" for folder in folders for name in classes for number in range(2)]


def spoken(pictures):
    """The set of (class or None, part)."""
    return {
        (pictures.classes[label] if label >= 0 else None, PART_NAMES[part])
        for label, part in zip(pictures.labels, pictures.parts, strict=True)
    }


def keys(pictures):
    return [note.key for note in pictures.notes]


def note(pictures, key):
    (found,) = [each for each in pictures.notes if each.key == key]
    return found


def both(first, second):
    return {(name, part) for name in ("cats", "dogs") for part in (first, second)}


@pytest.mark.parametrize(
    ("folders", "parts"),
    [
        (("training_set", "test_set"), ("train", "test")),
        (("train2017", "val2017"), ("train", "validation")),
        (("trainset", "validation-set"), ("train", "validation")),
        (("Training Data", "Testing Data"), ("train", "test")),
        (("images_train", "images_test"), ("train", "test")),
        (("seg_train", "seg_test"), ("train", "test")),
        (("flowers102-train", "flowers102-valid"), ("train", "validation")),
        (("train", "test1"), ("train", "test")),
    ],
)
def test_usual_additions_to_names_of_parts_are_understood(lay, folders, parts):
    pictures = read_pictures(lay(*below(*folders)))
    assert pictures.classes == ("cats", "dogs")
    assert spoken(pictures) == both(*parts)
    assert "parts_read_as_classes" not in keys(pictures)


def test_a_folder_in_a_part_that_repeats_its_name_is_no_class(lay):
    root = lay(*below("seg_train/seg_train", "seg_test/seg_test"), "seg_pred/seg_pred/1.jpg", "seg_pred/seg_pred/2.jpg")
    pictures = read_pictures(root)
    assert spoken(pictures) == both("train", "test") | {(None, "")}
    assert note(pictures, "pictures_outside_classes").values["num"] == "2"
    assert note(pictures, "folder_looked_through").values["folder"] == "seg_test/seg_test, seg_train/seg_train"


def test_a_folder_of_the_same_classes_that_no_part_is_called_is_told_with_the_names_of_parts(lay):
    pictures = read_pictures(lay(*below("train", "valid", "holdout"), "more/1.jpg", "cover.jpg"))
    assert spoken(pictures) == both("train", "validation") | {(None, "")}
    found = note(pictures, "folders_not_called_parts")
    assert (found.level, found.values["folders"], found.values["num"]) == ("warning", "holdout", 4)
    assert found.values["known"].startswith("train, training, val, valid")
    assert note(pictures, "pictures_outside_classes").values == {"num": "2", "names": "cover.jpg, more/1.jpg"}


@pytest.mark.parametrize("inner", ["train", "pets"])
def test_single_folders_in_parts_are_looked_through(lay, inner):
    other = "test" if inner == "train" else inner
    pictures = read_pictures(lay(*below(f"train/{inner}", f"test/{other}")))
    assert spoken(pictures) == both("train", "test")


def test_parts_without_class_folders_are_refused_under_usual_names_too(lay):
    root = lay(*(f"{name}_images/{number}.jpg" for name in ("train", "test") for number in range(3)))
    with pytest.raises(DataError, match=r"test_images/, train_images/ hold pictures directly.*--layout folders"):
        read_pictures(root)
    assert read_pictures(root, layout="folders").classes == ("test_images", "train_images")
    (root / "train.csv").write_text("file_name,label\n0.jpg,a\n1.jpg,b\n")
    with pytest.raises(DataError, match=r"If train\.csv says the labels, name that file"):
        read_pictures(root)


@pytest.mark.parametrize("folder", ["", "train/"])
def test_names_of_training_pictures_alone_tell_the_label(lay, folder):
    names = [f"train/{folder}{name}.{number}.jpg" for name in ("cat", "dog") for number in range(4)]
    root = lay(*names, *(f"test1/{'test1/' if folder else ''}{number}.jpg" for number in range(5)))
    with pytest.raises(DataError, match=r"hold pictures directly.*labels here: cat, dog") as caught:
        read_pictures(root)
    pattern = re.search(r"--label-from '(.*?)' \(labels", str(caught.value))[1]
    pictures = read_pictures(root, label_from=pattern)
    assert spoken(pictures) == {("cat", "train"), ("dog", "train"), (None, "test")}


@pytest.mark.parametrize(
    "paths",
    [
        ("train_station/1.jpg", "test_tube/1.jpg"),
        (*below("train_station", "test_tube", classes=("day", "night")),),
        ("test1/1.jpg", "test2/1.jpg", "test3/1.jpg"),
        ("train_model/1.jpg", "bus/1.jpg"),
        ("train_model/steam/1.jpg", "train_model/2.jpg", "test_image/3.jpg", "bus/1.jpg"),
        ("image_train/steam/1.jpg", "image_train/ice/1.jpg", "image_bus/1.jpg"),
        ("seg_train/1.jpg", "seg_test/2.jpg"),
        ("seg_train/a/1.jpg", "seg_test/b/2.jpg"),
    ],
)
def test_classes_that_are_called_like_parts_stay_classes(lay, paths):
    pictures = read_pictures(lay(*paths))
    assert set(pictures.classes) == {path.partition("/")[0] for path in paths}
    assert set(pictures.parts) == {0}


def test_two_parts_of_one_name_are_told_and_can_be_asked_for(lay):
    root = lay("seg_train/a/1.jpg", "seg_test/b/2.jpg")
    assert note(read_pictures(root), "parts_read_as_classes").values["folders"] == "seg_test, seg_train"
    assert read_pictures(root, layout="splits", keep_all_classes=True).classes == ("a", "b")


def test_the_same_folders_in_every_class_are_told_with_the_other_reading(lay):
    root = lay(*below("images", "masks"))
    pictures = read_pictures(root)
    assert pictures.classes == ("images", "masks")
    found = note(pictures, "folders_alike_inside")
    assert (found.level, found.values["inside"], found.values["one"]) == ("warning", "cats, dogs", "images")
    assert read_pictures(root, label_from=found.values["pattern"]).classes == ("cats", "dogs")
    assert read_pictures(root / found.values["one"]).classes == ("cats", "dogs")


def test_classes_that_each_hold_a_folder_of_their_own_name_are_told(lay):
    root = lay(*below("up/old/old"), *below("up/new/new", classes=("owls", "rats")))
    pictures = read_pictures(root)
    found = note(pictures, "folders_alike_inside")
    assert found.values["one"] == "up/new/new"
    assert read_pictures(root, label_from=found.values["pattern"]).classes == ("cats", "dogs", "owls", "rats")
    assert "folders_alike_inside" not in keys(read_pictures(lay("x/a/a/1.jpg", "x/b/b/1.jpg") / "x"))


def test_a_table_at_the_top_that_is_not_read_is_told(lay):
    root = lay("a/1.jpg", "b/2.jpg")
    (root / "train.csv").write_text("file_name,label\na/1.jpg,cat\nb/2.jpg,dog\n")
    found = note(read_pictures(root), "table_not_read")
    assert (found.level, found.values) == ("warning", {"file": "train.csv", "columns": "file_name, label"})
    assert read_pictures(root / found.values["file"]).classes == ("cat", "dog")
    assert "table_not_read" not in keys(read_pictures(root, layout="folders"))
    (root / "train.csv").write_text("a,b\n1,2\n")
    assert "table_not_read" not in keys(read_pictures(root))


@pytest.mark.parametrize("around", ["archive/PetImages", "a/b/c/d/e", "train2017"])
def test_single_folders_are_looked_through_however_deep(lay, around):
    pictures = read_pictures(lay(*below(around)))
    assert spoken(pictures) == {("cats", ""), ("dogs", "")}
    assert note(pictures, "folder_looked_through").values["folder"] == around


def test_a_labels_file_on_the_way_down_is_read(lay):
    root = lay(*below("archive/PetImages", classes=("x", "y")))
    names = [f"PetImages/{name}/{number}.jpg" for name in "xy" for number in range(2)]
    rows = "".join(f"{name},{'dc'[number % 2]}\n" for number, name in enumerate(names))
    (root / "archive" / "labels.csv").write_text(f"file_name,label\n{rows}")
    assert read_pictures(root).classes == ("c", "d")


def test_one_class_around_folders_is_told(lay):
    root = lay(*below("pets"), "pets/cover.jpg")
    pictures = read_pictures(root)
    assert pictures.classes == ("pets",)
    assert note(pictures, "only_class_holds_folders").values == {"folder": "pets", "inside": "cats, dogs"}
    assert read_pictures(root / "pets").classes == ("cats", "dogs")
    pictures = read_pictures(lay(*below("one/train/pets")) / "one")
    assert pictures.classes == ("pets",)
    assert note(pictures, "only_class_holds_folders").values["folder"] == "train/pets"


def test_a_table_beside_one_class_is_told_whatever_its_columns(lay):
    root = lay("images/1.jpg", "images/2.jpg")
    (root / "train.csv").write_text("image_id,label\n1,cat\n2,dog\n")
    assert note(read_pictures(root), "table_without_labels").values == {
        "file": "train.csv",
        "columns": "image_id, label",
    }
