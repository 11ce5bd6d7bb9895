"""HDF5: the course's pair of files, groups, what holds no values, and the extra that reads it."""

import pickle

import numpy as np
import pytest

from made_up_arrays import shots, spoken
from whyconv.errors import DataError, MissingExtraError
from whyconv.images.sources import read_pictures

h5py = pytest.importorskip("h5py")


def write_pair(folder):
    x = {"train": shots(5, 4, 4, 3), "test": shots(3, 4, 4, 3)}
    for part, y in (("train", [0, 1, 0, 1, 1]), ("test", [1, 0, 0])):
        with h5py.File(folder / f"{part}_cats.h5", "w") as file:
            file[f"{part}_set_x"], file[f"{part}_set_y"] = x[part], y
            file["list_classes"] = np.array([b"non-cat", b"cat"])
    return x


def test_the_courses_pair_from_folder_or_either_file(tmp_path):
    x = write_pair(tmp_path)
    with h5py.File(tmp_path / "unrelated_test.h5", "w") as file:
        file["test_set_x"], file["test_set_y"] = shots(1, 4, 4, 3), [0]
    for where in (tmp_path / "train_cats.h5", tmp_path / "test_cats.h5"):
        pictures = read_pictures(where)
        assert pictures.classes == ("non-cat", "cat")
        assert np.bincount(pictures.parts).tolist() == [0, 5, 0, 3]
        assert spoken(pictures)[:2] == ["non-cat", "cat"]
        assert np.array_equal(pictures.read(6), x["test"][1])
        assert pictures.names[6] == "test_set_x[1]"
    (tmp_path / "unrelated_test.h5").unlink()
    assert len(read_pictures(tmp_path)) == 8


def test_contents_can_be_sent_to_another_process(tmp_path):
    x = write_pair(tmp_path)
    pictures = read_pictures(tmp_path)
    pictures.read(0)
    again = pickle.loads(pickle.dumps(pictures))
    assert np.array_equal(again.read(4), x["train"][4])


def test_hdf5_groups_and_outside_data(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["train/x"], file["train/y"] = shots(2), [0, 1]
        file["test/images"], file["test/labels"] = shots(1), [1]
    assert np.bincount(read_pictures(tmp_path / "a.h5").parts).tolist() == [0, 2, 0, 1]
    layout = h5py.VirtualLayout((2, 6, 5, 3), np.uint8)
    layout[:] = h5py.VirtualSource(tmp_path / "a.h5", "train/x", (2, 6, 5, 3))
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file.create_virtual_dataset("x", layout)
        file["y"] = [0, 1]
    with pytest.raises(DataError, match="lies in other files"):
        read_pictures(tmp_path / "b.h5")


@pytest.mark.parametrize(
    ("empty", "said"),
    [("x", r"x has shape \(0,\), expected \(n, h, w\)"), ("y", "x has 3 pictures but y has 0 labels"),
     ("person", "x has 3 pictures but person has 0 values"), ("other", ""), ("classes", "")],
)  # fmt: skip
def test_hdf5_datasets_without_any_values(tmp_path, empty, said):
    arrays = {"x": shots(3), "y": np.array([0, 1, 1]), "person": np.array([0, 0, 1])}
    with h5py.File(tmp_path / "set.h5", "w") as file:
        for key, values in arrays.items():
            if key != empty:
                file[key] = values
        file[empty] = h5py.Empty(np.float32)
    if said:
        with pytest.raises(DataError, match=said):
            read_pictures(tmp_path / "set.h5", group_by="person")
    else:
        pictures = read_pictures(tmp_path / "set.h5", group_by="person")
        assert spoken(pictures) == ["0", "1", "1"]
        assert np.array_equal(pictures.read(2), arrays["x"][2])


def test_without_h5py_the_extra_is_named(tmp_path, monkeypatch):
    write_pair(tmp_path)
    monkeypatch.setitem(__import__("sys").modules, "h5py", None)
    with pytest.raises(MissingExtraError, match=r"Reading HDF5 needs.*whyconv\[tables\]"):
        read_pictures(tmp_path)
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "1.jpg").write_bytes(b"x")
    assert read_pictures(tmp_path).classes == ("cat", "dog")


def test_the_courses_own_pair(shared_data):
    pictures = read_pictures(shared_data("catvnoncat") / "test_catvnoncat.h5")
    assert np.bincount(pictures.parts).tolist() == [0, 209, 0, 50]
    assert pictures.classes == ("non-cat", "cat")
    with h5py.File(shared_data("catvnoncat") / "test_catvnoncat.h5") as file:
        assert np.array_equal(pictures.read(258), file["test_set_x"][49])
        assert pictures.labels[209:].tolist() == file["test_set_y"][:].tolist()
    assert pictures.read(0).shape == (64, 64, 3)
