"""Arrays: which of a file's are pictures, labels and parts, in .npz and .npy; what lies beside them."""

import numpy as np
import pytest

from made_up_arrays import shots, spoken
from whyconv.errors import DataError, UsageError
from whyconv.images.sources import PART_NAMES, pictures_from_arrays, read_pictures
from whyconv.results import Note


def keys(pictures):
    return [note.key for note in pictures.notes]


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_x_and_y(tmp_path, save):
    x = shots(4)
    save(tmp_path / "set.npz", x=x, y=[1, 0, 10, 2], classes=["no", "yes", *"abcdefgh", "ten"])
    pictures = read_pictures(tmp_path / "set.npz")
    assert list(pictures.names) == ["x[0]", "x[1]", "x[2]", "x[3]"]
    assert spoken(pictures) == ["yes", "no", "ten", "a"]
    assert pictures.classes == ("no", "yes", "a", "ten")
    assert pictures.layout == Note(key="layout_arrays", values={"files": "set.npz"})
    assert all(np.array_equal(pictures.read(row), x[row]) for row in range(4))
    assert pictures.stat(0)[:2] == (90, (tmp_path / "set.npz").stat().st_mtime_ns)
    some = pictures.select(np.array([3, 1]))
    assert np.array_equal(some.read(0), x[3])
    assert read_pictures(tmp_path).layout.values == {"files": "set.npz"}
    assert read_pictures(tmp_path).skipped == ()


def test_stored_arrays_are_mapped_not_loaded(tmp_path):
    x = shots(50, 32, 32, 3)
    np.savez(tmp_path / "a.npz", y=np.zeros(50, int), x=np.asfortranarray(x))
    pictures = read_pictures(tmp_path / "a.npz")
    assert isinstance(pictures.contents.containers[0].rows, np.memmap)
    assert np.array_equal(pictures.read(7), x[7])


@pytest.mark.parametrize(
    ("train", "val", "test"),
    [("x_train y_train", "x_val y_val", "x_test y_test"), ("X_train Y_train", "X_valid Y_valid", "X_test Y_test"),
     ("train_images train_labels", "val_images val_labels", "test_images test_labels"),
     ("xtrain ytrain", "xdev ydev", "xtest ytest"),
     ("train_set_x train_set_y", "dev_set_x dev_set_y", "test_set_x test_set_y")],
)  # fmt: skip
def test_parts_by_the_names_of_arrays(tmp_path, train, val, test):
    arrays = {}
    for n, names in ((3, train), (1, val), (2, test)):
        x, y = names.split()
        arrays |= {x: shots(n), y: np.arange(n) % 2}
    np.savez(tmp_path / "set.npz", **arrays)
    pictures = read_pictures(tmp_path / "set.npz")
    assert [PART_NAMES[part] for part in pictures.parts] == ["train"] * 3 + ["validation"] + ["test"] * 2
    assert spoken(pictures) == ["0", "1", "0", "0", "0", "1"]
    assert pictures.names[4] == f"{test.split()[0]}[0]"
    assert np.array_equal(pictures.read(5), arrays[test.split()[0]][1])


def test_parts_by_the_names_of_files(tmp_path):
    np.savez(tmp_path / "train.npz", x=shots(3), y=[0, 1, 1])
    np.savez(tmp_path / "my_test.npz", x=shots(2), y=[0, 1])
    pictures = read_pictures(tmp_path)
    assert sorted(pictures.names) == ["test/x[0]", "test/x[1]", "train/x[0]", "train/x[1]", "train/x[2]"]
    np.savez(tmp_path / "training.npz", x=shots(3), y=[0, 1, 1])
    with pytest.raises(DataError, match=r"Two arrays hold the train images: 'x' in train.npz and 'x' in training.npz"):
        read_pictures(tmp_path)


def test_npy_files_beside_each_other(tmp_path):
    x = shots(3, 4, 4)
    np.save(tmp_path / "x_train.npy", x)
    np.save(tmp_path / "y_train.npy", np.array([[1.0], [0.0], [1.0]]))
    for where in (tmp_path, tmp_path / "x_train.npy"):
        pictures = read_pictures(where)
        assert spoken(pictures) == ["1", "0", "1"]
        assert np.array_equal(pictures.read(2), x[2])
    (tmp_path / "._x_train.npy").write_bytes(b"\0\5\x16\7")
    (tmp_path / "x_test.npy").mkdir()
    assert len(read_pictures(tmp_path / "x_train.npy")) == 3


def test_of_several_sets_of_npy_files_the_one_is_read_whose_file_is_named(tmp_path):
    for name in ("x", "images", "X_test"):
        np.save(tmp_path / f"{name}.npy", shots(2))
    for labels in ("y", "labels", "y_test"):
        np.save(tmp_path / f"{labels}.npy", [f"of {labels}"] * 2)
    np.save(tmp_path / "person.npy", [0, 1])
    with pytest.raises(DataError, match=r"hold the images: 'images' in images\.npy and .* or name a single"):
        read_pictures(tmp_path)
    pictures = read_pictures(tmp_path / "x.npy", group_by="person", keep_all_classes=True)
    assert pictures.layout.values["files"] == "X_test.npy, person.npy, x.npy, y.npy, y_test.npy"
    assert spoken(pictures) == ["of y", "of y", "of y_test", "of y_test"]
    assert read_pictures(tmp_path / "labels.npy").classes == ("of labels",)
    np.savez(tmp_path / "both.npz", x=shots(2), images=shots(2), y=[0, 1])
    with pytest.raises(DataError, match=r"both\.npz\. Keep one\.$"):
        read_pictures(tmp_path / "both.npz")


def test_halves_of_other_names_find_each_other_where_there_is_one_set(tmp_path):
    others = [("a_mean", 0), ("a-mean", 0)]
    for name, values in (
        *others, ("x_train", shots(2)), ("labels_train", [0, 1]), ("images_test", shots(1)), ("y_test", [1])
    ):  # fmt: skip
        np.save(tmp_path / f"{name}.npy", values)
    assert np.bincount(read_pictures(tmp_path / "y_test.npy").parts).tolist() == [0, 2, 0, 1]


@pytest.mark.parametrize(
    ("person", "groups", "alone"),
    [([np.nan, 1, np.nan, 1], [0, 1, 2, 1], 2), (["", "a", " ", "a"], [0, 1, 2, 1], 2),
     ([3, 3, -1, -1], [0, 0, 1, 1], 0), (["Zo\u00eb", "Zoe\u0308", "b", "b"], [0, 0, 1, 1], 0)],
)  # fmt: skip
def test_a_picture_without_a_group_is_one_of_its_own(tmp_path, person, groups, alone):
    np.savez(tmp_path / "set.npz", x=shots(4), y=[0, 1, 1, 0], person=person)
    pictures = read_pictures(tmp_path / "set.npz", group_by="person")
    assert pictures.groups.tolist() == groups
    note = next(note for note in pictures.notes if note.key == "grouped")
    assert (note.values["num_alone"], note.level) == (str(alone), "warning" if alone else "info")
    assert note.values["num_groups"] == str(len(set(groups)) - alone)


def test_channels_first_are_moved():
    x = shots(2, 3, 8, 9)
    pictures = pictures_from_arrays(x, np.array([0, 1]))
    assert np.array_equal(pictures.read(1), x[1].transpose(1, 2, 0))
    assert keys(pictures) == ["array_channels_first"]


def test_group_by_an_array_and_what_is_not_used(tmp_path):
    np.savez(tmp_path / "set.npz", x=shots(3), y=[0, 1, 1], person=["a", "b", "a"], extra=[1])
    pictures = read_pictures(tmp_path / "set.npz", group_by="person")
    assert pictures.groups.tolist() == [0, 1, 0]
    assert "arrays_ignored" in keys(pictures)
    with pytest.raises(UsageError, match=r"no array 'persons' to group by. Did you mean 'person'"):
        read_pictures(tmp_path / "set.npz", group_by="persons")
    with pytest.raises(UsageError, match="--label-from reads file names"):
        read_pictures(tmp_path / "set.npz", label_from="(a)")


def test_arrays_beside_class_folders_are_told(tmp_path):
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "1.jpg").write_bytes(b"x")
    np.savez(tmp_path / "weights.npz", kernel=np.ones(3))
    assert keys(read_pictures(tmp_path))[:2] == ["read_as_folders", "skipped"]
    np.savez(tmp_path / "all.npz", x=shots(3), y=[0, 1, 1])
    pictures = read_pictures(tmp_path)
    note = pictures.notes[1]
    assert (note.key, note.level, note.values["taken"], note.values["other"]) == (
        "two_readings",
        "warning",
        "folders",
        "arrays",
    )
    (tmp_path / "weights.npz").unlink()
    assert len(read_pictures(tmp_path, layout="arrays")) == 3
