"""Arrays: .npz, .npy, HDF5 pairs, arrays in memory."""

import io
import pickle
import zipfile

import numpy as np
import pytest

from whyconv.errors import DataError, MissingExtraError, UsageError, WhyconvError
from whyconv.images.array_levels import to_levels
from whyconv.images.decode import decode_array
from whyconv.images.prepare import PicturePolicy, prepare
from whyconv.images.sources import PART_NAMES, pictures_from_arrays, read_pictures
from whyconv.results import Note

RNG = np.random.default_rng(0)


def shots(n, *shape):
    """Returns n random pictures, uint8."""
    return RNG.integers(0, 256, (n, *(shape or (6, 5, 3))), dtype=np.uint8)


def spoken(pictures):
    return [pictures.classes[label] if label >= 0 else None for label in pictures.labels]


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


@pytest.mark.parametrize(
    ("y", "expected"),
    [(np.array([2, 0, 1]), ["2", "0", "1"]), (np.array([[2, 0, 1]]), ["2", "0", "1"]),
     (np.array([-1, 1, 1]), ["-1", "1", "1"]), (np.array([True, False, True]), ["1", "0", "1"]),
     (np.eye(3)[[2, 0, 1]], ["2", "0", "1"]), (np.array(["b", "a ", ""]), ["b", "a", None]),
     (np.array([b"caf\xc3\xa9", b"a", b"a"]), ["caf\u00e9", "a", "a"]),
     (np.array([1.0, np.nan, 0.0]), ["1", None, "0"])],
)  # fmt: skip
def test_labels_as_people_write_them(y, expected):
    assert spoken(pictures_from_arrays(shots(3), y)) == expected


@pytest.mark.parametrize(
    ("y", "classes", "expected"),
    [([-1, 0, 1], (), [None, "0", "1"]), ([-1.0, 0.0, np.nan], (), [None, "0", None]),
     ([-1, 1, 1], (), ["-1", "1", "1"]),
     ([-2, -1, 0], (), ["-2", "-1", "0"]), ([-1, 1, 2], ("a", "b", "c"), [None, "b", "c"]),
     (["-1", "0", "1"], (), ["-1", "0", "1"])],
)  # fmt: skip
def test_minus_one_beside_classes_from_0_up_is_no_label(y, classes, expected):
    pictures = pictures_from_arrays(shots(3), np.array(y), classes=classes)
    assert spoken(pictures) == expected
    told = [note.values["num"] for note in pictures.notes if note.key == "labels_minus_one"]
    assert told == ["1"] * (expected[0] is None)
    assert "-1" in pictures.classes or expected[0] is None


def test_minus_one_means_the_same_in_every_part(tmp_path):
    np.savez(tmp_path / "set.npz", x_train=shots(3), y_train=[0, 1, 2], x_test=shots(3), y_test=[-1, 1, 2])
    assert spoken(read_pictures(tmp_path / "set.npz")) == ["0", "1", "2", None, "1", "2"]


@pytest.mark.parametrize(
    ("person", "groups", "alone"),
    [([np.nan, 1, np.nan, 1], [0, 1, 2, 1], 2), (["", "a", " ", "a"], [0, 1, 2, 1], 2),
     ([3, 3, -1, -1], [0, 0, 1, 1], 0)],
)  # fmt: skip
def test_a_picture_without_a_group_is_one_of_its_own(tmp_path, person, groups, alone):
    np.savez(tmp_path / "set.npz", x=shots(4), y=[0, 1, 1, 0], person=person)
    pictures = read_pictures(tmp_path / "set.npz", group_by="person")
    assert pictures.groups.tolist() == groups
    note = next(note for note in pictures.notes if note.key == "grouped")
    assert (note.values["num_alone"], note.level) == (str(alone), "warning" if alone else "info")
    assert note.values["num_groups"] == str(len(set(groups)) - alone)


def test_order_of_numbered_classes():
    assert pictures_from_arrays(shots(3), np.array([-1, 10, 2])).classes == ("-1", "2", "10")


@pytest.mark.parametrize(
    ("x", "values", "key"),
    [(np.array([[[0.0, 0.5], [1.0, 0.25]]]), [[0.0, 0.5], [1.0, 0.25]], "array_fractions"),
     (np.array([[[0.0, 127.5], [255.0, 1.4]]]), [[0, 128], [255, 1]], "array_eight_bit"),
     (np.array([[[0, 7], [255, 1]]], np.int64), [[0, 7], [255, 1]], "array_eight_bit"),
     (np.array([[[0, 7], [255, 1]]], np.uint16), [[0, 7], [255, 1]], "array_eight_bit"),
     (np.array([[[0, 256], [65535, 1]]], np.int32), [[0, 256], [65535, 1]], "array_sixteen_bit")],
)  # fmt: skip
def test_pixel_values_are_understood_by_the_range_of_the_whole_array(x, values, key):
    pictures = pictures_from_arrays(x, np.array([0]))
    pixels = pictures.read(0)
    assert pixels.tolist() == values
    assert keys(pictures) == [key]
    assert (
        pixels.dtype == {"array_fractions": x.dtype, "array_eight_bit": np.uint8, "array_sixteen_bit": np.uint16}[key]
    )


@pytest.mark.parametrize(
    ("dtype", "low", "high"),
    [(np.float32, 0, np.nextafter(np.float32(1), np.float32(2))), (np.float64, -1e-9, 1), (np.float16, 0, 1.02),
     (np.float32, -0.04, 1.05)],
)  # fmt: skip
def test_fractions_that_overshoot_by_a_hair_are_clipped(dtype, low, high):
    """As rounding and resizing leave them; levels up to 255 with nothing above this would be black."""
    x = RNG.uniform(0, 1, (3, 8, 8)).astype(dtype)
    x[0, 0, 0], x[0, 0, 1], x[1] = low, high, x[1] / 10
    x[1, 0, 0] = low
    pictures = pictures_from_arrays(x, np.arange(3))
    assert keys(pictures) == ["array_clipped"]
    assert pictures.contents.white == 1
    for row in range(3):
        expected = np.rint(np.clip(x[row].astype(np.float64), 0, 1) * 255)
        assert np.array_equal(decode_array(pictures.read(row)).pixels[:, :, 0], expected)
        assert np.array_equal(to_levels(x[row], 1), expected)


def test_the_note_tells_the_greatest_value_from_1():
    x = np.array([[[0, np.nextafter(np.float32(1), np.float32(2))]]], np.float32)
    assert pictures_from_arrays(x, np.array([0])).notes[0].values["high"] == "1.0000001"


@pytest.mark.parametrize("high", [1.06, 1.3, 1.999])
def test_values_between_fractions_and_levels_are_refused(high):
    x = RNG.uniform(0, 1, (3, 8, 8)) * high
    x[0, 0, 0] = high
    with pytest.raises(DataError, match=rf"to {high}, too much for fractions.*too little for levels.*divide by"):
        pictures_from_arrays(x, np.arange(3))


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.uint16])
def test_zeros_and_ones_alone_are_read_as_bool(dtype):
    mask = RNG.random((3, 64, 64)) > 0.5
    pictures = pictures_from_arrays(mask.astype(dtype), np.arange(3))
    assert keys(pictures) == ["array_binary"]
    assert pictures.contents.white == 1
    policy = PicturePolicy(side=24, channels=1)
    expected = prepare(mask[1].astype(np.uint8) * 255, policy)
    assert len(np.unique(expected)) > 50
    assert np.array_equal(prepare(pictures.read(1), policy), expected)
    # As a network that was trained on them is asked.
    assert np.array_equal(prepare(mask[1].astype(dtype), policy, white=1), expected)


def test_one_value_above_1_is_enough_for_levels():
    x = np.ones((3, 4, 4), np.uint8)
    x[2, 3, 3] = 2
    pictures = pictures_from_arrays(x, np.arange(3))
    assert (keys(pictures), pictures.contents.white) == ([], 255)
    assert np.array_equal(pictures.read(2), x[2])
    assert pictures_from_arrays(x * 0, np.arange(3)).contents.white == 255


def test_a_dark_picture_among_bright_ones_stays_dark():
    x = np.zeros((2, 2, 2), np.float32)
    x[0], x[1] = 1, 200
    assert pictures_from_arrays(x, np.array([0, 1])).read(0).tolist() == [[1, 1], [1, 1]]


def test_channels_first_are_moved():
    x = shots(2, 3, 8, 9)
    pictures = pictures_from_arrays(x, np.array([0, 1]))
    assert np.array_equal(pictures.read(1), x[1].transpose(1, 2, 0))
    assert keys(pictures) == ["array_channels_first"]


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


def test_arrays_of_one_type_are_read_by_one_rule(tmp_path) -> None:
    """A dark test part of 16-bit pictures is dark, and not a part of 8-bit pictures."""
    bright, dark = np.full((2, 4, 4), 40_000, np.uint16), np.full((2, 4, 4), 200, np.uint16)
    np.savez(tmp_path / "p.npz", x_train=bright, y_train=[0, 1], x_test=dark, y_test=[0, 1])
    pictures = read_pictures(tmp_path / "p.npz")
    assert {pictures.read(row).dtype for row in range(4)} == {np.dtype(np.uint16)}
    assert pictures.contents.white == 65535
    assert [key for key in keys(pictures) if key.startswith("array_")] == ["array_sixteen_bit"] * 2


@pytest.mark.parametrize(("train", "test"), [(1, 255), (255, 1), (1.02, 3)])
def test_fractions_beside_levels_of_one_type_are_refused(tmp_path, train, test) -> None:
    x = {
        f"x_{part}": (shots(3) / np.float32(255) * np.float32(high))
        for part, high in (("train", train), ("test", test))
    }
    for part, high in (("train", train), ("test", test)):
        x[f"x_{part}"][0, 0, 0] = high, 0, 0
    np.savez(tmp_path / "p.npz", **x, y_train=np.arange(3), y_test=np.arange(3))
    least, most = ("train", "test") if train < test else ("test", "train")
    said = (
        rf"x_{least} \(float32\) holds values from 0 to {min(train, test)} and x_{most} from 0 to {max(train, test)}: "
    )
    with pytest.raises(DataError, match=said + "one is on another scale") as told:
        read_pictures(tmp_path / "p.npz")
    assert str(told.value).count("another scale") == 1


def test_a_black_part_is_on_every_scale(tmp_path) -> None:
    bright = shots(2).astype(np.float32)
    bright[0, 0, 0] = 255
    np.savez(tmp_path / "p.npz", x_train=bright, y_train=[0, 1], x_test=bright * 0, y_test=[0, 1])
    pictures = read_pictures(tmp_path / "p.npz")
    assert pictures.contents.white == 255
    assert {pictures.read(row).dtype for row in range(4)} == {np.dtype(np.uint8)}


def test_arrays_of_several_types_are_read_each_by_its_own(tmp_path) -> None:
    x = shots(2)
    np.savez(tmp_path / "p.npz", x_train=x, y_train=[0, 1], x_test=x / 255, y_test=[0, 1])
    pictures = read_pictures(tmp_path / "p.npz")
    assert all(np.array_equal(decode_array(pictures.read(row)).pixels, x[row % 2]) for row in range(4))
