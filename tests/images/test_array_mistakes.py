"""Mistakes in arrays are named, all at once, and no damage gets past the errors of whyconv."""

import io
import zipfile

import numpy as np
import pytest

from made_up_arrays import shots
from whyconv.errors import DataError, WhyconvError
from whyconv.images.sources import read_pictures


@pytest.mark.parametrize(
    ("arrays", "text"),
    [({"x": shots(4), "y": [0, 1]}, "x has 4 pictures but y has 2 labels"),
     ({"x": shots(4)}, "x has no labels beside it"),
     ({"x": np.zeros((4, 784)), "y": [0] * 4}, r"shape \(4, 784\).*save them as x.reshape\(-1, 28, 28\)"),
     ({"x": np.zeros((4, 6, 6, 2)), "y": [0] * 4}, r"expected \(n, h, w\) or \(n, h, w, 1, 3 or 4\)"),
     ({"x": np.full((2, 2, 2), -1.0), "y": [0, 1]}, r"values from -1 to -1.*before any normalization"),
     ({"x": np.full((2, 2, 2), "a"), "y": [0, 1]}, "expected numbers"),
     ({"x": shots(2), "y": [0.5, 1]}, "y holds 0.5, expected whole numbers or texts"),
     ({"x": shots(2), "y": [0, 2], "classes": ["a", "b"]}, "y holds label 2, but 2 classes are named"),
     ({"x": shots(2), "y": [[0, 2], [1, 1]]}, "is not one-hot"),
     ({"x": shots(2), "y": [0, 1], "classes": ["a", "a"]}, "names a class twice"),
     ({"arr_0": shots(2), "arr_1": [0, 1]}, r"no pictures under a known name. Found the arrays: arr_0 \(2, 6, 5, 3\)"),
     ({"x": np.array([{}, 1], object), "y": [0, 1]}, r"x holds Python objects.*: save .* x = np.stack\(x\)\.$"),
     ({"x": shots(2), "y": np.array(["a", "b"], object)}, r"y holds Python objects.*, y = y.astype\(str\)\.$"),
     ({"x": shots(2), "y": [0, 1], "classes": np.array(["a", "b"], object)}, r"classes = classes.astype\(str\)\.$")],
)  # fmt: skip
@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_mistakes_are_named(tmp_path, arrays, text, save):
    save(tmp_path / "set.npz", **arrays)
    with pytest.raises(DataError, match=text):
        read_pictures(tmp_path / "set.npz")


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_objects_that_nobody_needs_are_passed_over(tmp_path, save):
    x = shots(2)
    save(tmp_path / "set.npz", x=x, y=[0, 1], meta=np.array({"a": 1}, object), notes=np.array(["a", None], object))
    pictures = read_pictures(tmp_path / "set.npz")
    assert np.array_equal(pictures.read(1), x[1])
    ignored = next(note for note in pictures.notes if note.key == "arrays_ignored")
    assert ignored.values["arrays"] == "meta, notes"


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_no_damage_gets_past_the_errors_of_whyconv(tmp_path, save):
    path = tmp_path / "set.npz"
    save(path, x=shots(20) // 8, y=np.arange(20))
    whole = path.read_bytes()
    refused = 0
    for place in range(0, len(whole), 7):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        try:
            pictures = read_pictures(path)
        except WhyconvError:
            refused += 1
        else:
            assert len(pictures) == 20
    assert refused > 40


@pytest.mark.parametrize("packing", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA])
@pytest.mark.parametrize("shape", [(10**6, 1000, 1000), (3, 20, 20), (-1, 20, 20)])
def test_an_array_that_claims_more_than_is_there_is_refused_unread(tmp_path, packing, shape):
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(head, {"descr": "|u1", "fortran_order": False, "shape": shape})
    with zipfile.ZipFile(tmp_path / "set.npz", "w", packing) as archive:
        archive.writestr("x.npy", head.getvalue() + bytes(1199))
        archive.writestr("y.npy", bytes(10_000))
    with pytest.raises(DataError, match=r"set.npz cannot be read as .npz: array 'x' is said to have shape .*1,199 are"):
        read_pictures(tmp_path / "set.npz")


@pytest.mark.parametrize("ending", ["npz", "h5"])
@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("classes", "classes is a single value, expected one name a class"),
        ("groups", "groups is a single value, expected one value a picture"),
        ("y", "y is a single value, expected one label a picture"),
    ],
)
def test_a_single_value_where_there_should_be_many_is_named(tmp_path, ending, key, said):
    arrays = {"x": shots(3), "y": np.arange(3), "groups": np.arange(3), "classes": np.array([1, 2, 3])}
    arrays[key] = np.array(7)
    path = tmp_path / f"set.{ending}"
    if ending == "npz":
        np.savez(path, **arrays)
    else:
        with pytest.importorskip("h5py").File(path, "w") as file:
            for name, values in arrays.items():
                file[name] = values
    with pytest.raises(DataError) as told:
        read_pictures(path, group_by="groups")
    assert str(told.value) == f"{path} cannot be used: {said}."


def test_all_mistakes_at_once(tmp_path):
    np.savez(tmp_path / "set.npz", x_train=shots(4), y_train=[0, 1], x_test=shots(2, 5), y_test=[0, 0.5])
    with pytest.raises(DataError, match=r"x_train has 4 pictures.*; x_test has shape \(2, 5\).*; y_test holds 0.5"):
        read_pictures(tmp_path / "set.npz")


@pytest.mark.parametrize("ending", ["npz", "npy", "h5"])
def test_damaged_files_are_named(tmp_path, ending):
    path = tmp_path / f"x.{ending}"
    path.write_bytes(b"PK\x03\x04 no such thing")
    with pytest.raises(DataError, match=rf"x.{ending} cannot be read as"):
        read_pictures(path)
    if ending == "npz":
        np.savez(path, x=shots(100), y=np.zeros(100))
        path.write_bytes(path.read_bytes()[:4_000])
        with pytest.raises(DataError, match="Is the file complete"):
            read_pictures(path)
