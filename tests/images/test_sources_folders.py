"""Class folders and part folders, as people make them."""

from pathlib import Path

import numpy as np
import pytest

from listed_pictures import described
from whyconv.errors import DataError, UsageError
from whyconv.images.sources import PART_NAMES, read_pictures


def note_keys(pictures):
    return [note.key for note in pictures.notes]


def test_class_folders(lay):
    pictures = read_pictures(lay("cat/1.jpg", "cat/2.jpg", "dog/1.jpg"))
    assert described(pictures) == {"cat/1.jpg": ("cat", ""), "cat/2.jpg": ("cat", ""), "dog/1.jpg": ("dog", "")}
    assert pictures.layout.key == "layout_folders"
    assert pictures.groups is None
    assert (pictures.labels.dtype, pictures.parts.dtype) == (np.int32, np.int8)
    assert pictures.read(2) == b"dog/1.jpg"
    assert pictures.stat(2)[:2] == (9, (Path(pictures.where) / "dog/1.jpg").stat().st_mtime_ns)


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
    pictures = read_pictures(lay("train/steam/2.jpg", "bus/2.jpg"))
    assert pictures.classes == ("bus", "train")
    assert read_pictures(lay("train/steam/2.jpg"), layout="splits").classes == ("steam",)


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


def test_a_wrapping_folder_is_looked_through(lay):
    pictures = read_pictures(lay("flowers/Train/rose/1.jpg", "flowers/Train/tulip/1.jpg", "flowers/test/rose/1.jpg"))
    assert described(pictures)["flowers/test/rose/1.jpg"] == ("rose", "test")
    assert note_keys(pictures)[:2] == ["read_as_splits", "folder_looked_through"]
    assert pictures.notes[1].values == {"folder": "flowers"}
    assert read_pictures(lay("flowers/Train/rose/1.jpg"), layout="folders").classes == ("test", "Train")


def test_a_wrapping_folder_around_one_part_is_looked_through(lay):
    pictures = read_pictures(lay("flowers/train/rose/1.jpg", "flowers/train/tulip/1.jpg"))
    assert pictures.classes == ("rose", "tulip")
    assert set(pictures.parts) == {1}


def test_pictures_deeper_inside_belong_to_the_first_folder(lay):
    pictures = read_pictures(lay("cat/1.jpg", "cat/black/old/2.jpg", "dog/a/3.jpg"))
    assert described(pictures)["cat/black/old/2.jpg"] == ("cat", "")
    assert pictures.notes[1].key == "folders_inside_classes"
    assert pictures.notes[1].values["num"] == "2"


def test_parts_inside_class_folders_are_not_parts_but_told(lay):
    pictures = read_pictures(lay("cat/train/1.jpg", "cat/test/2.jpg", "dog/train/3.jpg"))
    assert pictures.classes == ("cat", "dog")
    assert set(pictures.parts) == {0}
    assert "parts_inside_classes" in note_keys(pictures)


def test_pictures_outside_classes_have_no_label(lay):
    pictures = read_pictures(lay("cat/1.jpg", "dog/1.jpg", "cover.jpg"))
    assert described(pictures)["cover.jpg"] == (None, "")
    assert "pictures_outside_classes" in note_keys(pictures)
    pictures = read_pictures(lay("train/cat/1.jpg", "test/7.jpg", "extra/1.jpg"), layout="splits")
    assert described(pictures)["test/7.jpg"] == (None, "test")
    assert described(pictures)["extra/1.jpg"] == (None, "")


def test_empty_class_folders_are_no_classes_but_told(lay):
    root = lay("cat/1.jpg", "dog/1.jpg", "notes/readme.txt")
    (root / "horse").mkdir()
    pictures = read_pictures(root)
    assert pictures.classes == ("cat", "dog")
    (note,) = [note for note in pictures.notes if note.key == "folders_empty"]
    assert (note.level, note.values["folders"]) == ("warning", "horse, notes")
    root = lay("train/cat/1.jpg")
    (root / "train" / "cow").mkdir()
    notes = read_pictures(root, layout="splits").notes
    assert [note.values["folders"] for note in notes if note.key == "folders_empty"] == ["train/cow"]


def test_class_names_are_compared_in_nfc_and_case_is_told(lay):
    pictures = read_pictures(
        lay("train/caf\u00e9/1.jpg", "test/cafe\u0301/2.jpg", "train/Cat/1.jpg", "train/cat/1.jpg")
    )
    assert pictures.classes == ("caf\u00e9", "Cat", "cat")
    assert list(pictures.labels[[0]]) == [0]
    assert {"classes_differ_by_case", "classes_normalized"} <= set(note_keys(pictures))


def test_classes_are_sorted_naturally(lay):
    assert read_pictures(lay("10/1.jpg", "9/1.jpg", "1/1.jpg", "b2/1.jpg", "b10/1.jpg")).classes == (
        "1", "9", "10", "b2", "b10")  # fmt: skip


def test_group_by_puts_names_together(lay):
    pictures = read_pictures(
        lay("cat/anna_1.jpg", "cat/ben_1.jpg", "dog/anna_2.jpg", "dog/x.jpg"), group_by="([a-z]+)_"
    )
    anna, ben, again, alone = pictures.groups
    assert anna == again
    assert len({anna, ben, alone}) == 3
    (note,) = [note for note in pictures.notes if note.key == "grouped"]
    assert (note.level, note.values) == ("warning", {"num_groups": "2", "num_alone": "1"})


def test_a_group_has_one_spelling(lay):
    composed, apart = "Zo\u00eb", "Zoe\u0308"
    where = lay(f"cat/{composed}_1.jpg", f"dog/{apart}_2.jpg", "cat/a_1.jpg")
    assert read_pictures(where, group_by="([^/0-9]+)_").groups.tolist() == [0, 1, 0]


def test_label_from_uses_a_named_group_and_tells_what_does_not_fit(lay):
    root = lay("train/001-cat.jpg", "train/002-dog.jpg", "test/003-cat.jpg", "test/cover.jpg")
    pictures = read_pictures(root, label_from=r"(\d+)-(?P<label>[a-z]+)")
    assert described(pictures)["test/003-cat.jpg"] == ("cat", "test")
    assert described(pictures)["test/cover.jpg"] == (None, "test")
    assert "label_from_unmatched" in note_keys(pictures)


@pytest.mark.parametrize(
    ("option", "pattern", "error", "text"),
    [("label_from", "(cat", UsageError, "not a regular expression: missing \\)"),
     ("label_from", "cat", UsageError, "marks nothing"),
     ("label_from", "(horse)", DataError, r"fits none of the 2 names, for example cat\.0\.jpg"),
     ("group_by", "[", UsageError, "--group-by"),
     ("group_by", "(horse)", DataError, "fits none")],
)  # fmt: skip
def test_wrong_patterns_are_refused(lay, option, pattern, error, text):
    with pytest.raises(error, match=text):
        read_pictures(lay("cat.0.jpg", "dog.0.jpg"), **{"label_from": "([a-z]+)", option: pattern})


@pytest.mark.parametrize(
    ("names", "labels"),
    [(["cat.0.jpg", "cat.1.jpg", "dog.0.jpg", "dog.1.jpg"], "cat, dog"),
     (["Siamese_12.png", "Siamese_3.png", "Birman (1).png", "Birman (22).png"], "Siamese, Birman"),
     (["001_cat.jpg", "002_dog.jpg", "3-cat.jpg", "4-dog.jpg"], "cat, dog")],
)  # fmt: skip
def test_the_proposed_pattern_fits_the_names(names, labels):
    from whyconv.images.sources.suggest import suggest_pattern

    assert f"(labels here: {labels})" in suggest_pattern(names)


def test_no_pattern_is_proposed_where_none_fits():
    from whyconv.images.sources.suggest import suggest_pattern

    assert "labels here" not in suggest_pattern([f"IMG_{i}.jpg" for i in range(50)])
    assert "labels here" not in suggest_pattern([f"{i:032x}.jpg" for i in range(50)])


def test_select_keeps_names_labels_and_contents_together(lay):
    pictures = read_pictures(lay("cat/1.jpg", "cat/2.jpg", "dog/1.jpg"), group_by="([0-9])")
    for some in (
        pictures.select(np.array([2, 0])),
        pictures.select(np.array([False, True, True])).select(np.array([1])),
    ):
        assert some.names[0] == "dog/1.jpg"
        assert some.read(0) == b"dog/1.jpg"
        assert some.classes[some.labels[0]] == "dog"
        assert len(some) == len(some.labels) == len(some.parts) == len(some.groups)
    assert pictures.select(np.array([2, 0])).groups[0] == pictures.groups[2]


def test_only_unlabeled_pictures_are_refused_unless_allowed(lay):
    root = lay("a.jpg", "b.jpg")
    assert read_pictures(root, require_labels=False).classes == ()
    with pytest.raises(DataError, match=r"does not exist.*Did you mean"):
        read_pictures(lay("cats/1.jpg") / "cat")
    with pytest.raises(DataError, match="is a single file"):
        read_pictures(root / "a.jpg")


def test_real_photos(shared_data):
    pictures = read_pictures(shared_data("flowers"))
    assert pictures.classes == ("daisy", "dandelion", "roses", "sunflowers", "tulips")
    assert np.bincount(pictures.parts).tolist() == [0, 2_934, 0, 736]
    assert (pictures.labels >= 0).all()
    assert read_pictures(shared_data("sign_digits")).classes == tuple("0123456789")
    with pytest.raises(DataError, match="no class folders: found 556 files"):
        read_pictures(shared_data("zoo"))
