"""Names of classes: their order, and which of them are classes."""

import io
import tarfile

import numpy as np
import pytest

from whyconv.images.sources import read_pictures
from whyconv.images.sources.labels import natural_key, number_classes

ROWS = (("train", "0"), ("train", "1"), ("test", "0"), ("test", "2"))


@pytest.mark.parametrize("sign", ["①", "²", "½", "٣", "Ⅳ"])
def test_signs_of_numbers_that_are_no_digits_are_ordered_as_letters(sign):
    assert sorted([f"a{sign}", "a10", "a2"], key=natural_key) == ["a2", "a10", f"a{sign}"]
    assert sorted([sign, "10", "2"], key=natural_key)[:2] == ["2", "10"]
    labels, classes, _ = number_classes([sign, "1"], np.zeros(2, np.int8))
    assert [classes[label] for label in labels] == [sign, "1"]


def test_numbers_of_any_length_are_in_order():
    names = ["9" * 5_000, "1" + "0" * 5_000, "0", "00", "7", "010", "11"]
    assert sorted(names, key=natural_key) == ["0", "00", "7", "010", "11", names[0], names[1]]


def lay_folders(root):
    for part, label in ROWS:
        (root / part / label).mkdir(parents=True)
        (root / part / label / "1.png").write_bytes(b"")


def lay_table(root):
    rows = "".join(f"{part}{label}.png,{label},{part}\n" for part, label in ROWS)
    (root / "labels.csv").write_text(f"file_name,label,split\n{rows}")
    for part, label in ROWS:
        (root / f"{part}{label}.png").write_bytes(b"")


def lay_arrays(root):
    x = np.zeros((2, 4, 4), np.uint8)
    np.savez(root / "a.npz", x_train=x, y_train=[0, 1], x_test=x, y_test=[0, 2])


def lay_samples(root):
    for part in ("train", "test"):
        with tarfile.open(root / f"{part}-0.tar", "w") as archive:
            for label in (label for own, label in ROWS if own == part):
                for ending, data in (("png", b""), ("cls", label.encode())):
                    info = tarfile.TarInfo(f"{label}.{ending}")
                    info.size = len(data)
                    archive.addfile(info, io.BytesIO(data))


@pytest.mark.parametrize("lay", [lay_folders, lay_table, lay_arrays, lay_samples])
def test_classes_that_cannot_be_learned_are_kept_where_pictures_are_scored(tmp_path, lay):
    lay(tmp_path)
    learned, scored = read_pictures(tmp_path), read_pictures(tmp_path, keep_all_classes=True)
    assert learned.classes == ("0", "1")
    assert sorted(learned.labels.tolist()) == [-1, 0, 0, 1]
    assert "classes_foreign_in_part" in [note.key for note in learned.notes]
    assert scored.classes == ("0", "1", "2")
    assert sorted(scored.labels.tolist()) == [0, 0, 1, 2]
    assert "classes_foreign_in_part" not in [note.key for note in scored.notes]


def test_two_unicode_forms_of_a_label_do_not_contradict_each_other(lay):
    root = lay("a.jpg", "b.jpg")
    rows = "file_name,label\na.jpg,caf\u00e9\na.jpg,cafe\u0301\nb.jpg,dog\n"
    (root / "labels.csv").write_text(rows, encoding="utf-8")
    pictures = read_pictures(root)
    assert (list(pictures.names), pictures.classes) == (["a.jpg", "b.jpg"], ("caf\u00e9", "dog"))
    assert "table_rows_repeated" in [note.key for note in pictures.notes]
