"""Labels in arrays as people write them, those that are none, and what is said of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from whyconv.errors import DataError
from whyconv.images.sources import Pictures, pictures_from_arrays, read_pictures
from whyconv.results import Note


def pictures_of(y: object, classes: tuple[str, ...] = ()) -> Pictures:
    labels = np.asarray(y)
    return pictures_from_arrays(np.full((len(labels), 4, 4), 9, np.uint8), labels, classes=classes)


def noted(pictures: Pictures, key: str) -> list[Note]:
    return [note for note in pictures.notes if note.key == key]


def spoken(pictures: Pictures) -> list[str | None]:
    return [pictures.classes[label] if label >= 0 else None for label in pictures.labels]


@pytest.mark.parametrize(
    ("y", "expected"),
    [(np.array([2, 0, 1]), ["2", "0", "1"]), (np.array([[2, 0, 1]]), ["2", "0", "1"]),
     (np.array([-1, 1, 1]), ["-1", "1", "1"]), (np.array([True, False, True]), ["1", "0", "1"]),
     (np.eye(3)[[2, 0, 1]], ["2", "0", "1"]), (np.array(["b", "a ", ""]), ["b", "a", None]),
     (np.array([b"caf\xc3\xa9", b"a", b"a"]), ["caf\u00e9", "a", "a"]),
     (np.array([1.0, np.nan, 0.0]), ["1", None, "0"])],
)  # fmt: skip
def test_labels_as_people_write_them(y: np.ndarray, expected: list[str | None]) -> None:
    assert spoken(pictures_from_arrays(np.full((3, 4, 4), 9, np.uint8), y)) == expected


@pytest.mark.parametrize(
    ("y", "classes", "expected"),
    [([-1, 0, 1], (), [None, "0", "1"]), ([-1.0, 0.0, np.nan], (), [None, "0", None]),
     ([-1, 1, 1], (), ["-1", "1", "1"]),
     ([-2, -1, 0], (), ["-2", "-1", "0"]), ([-1, 1, 2], ("a", "b", "c"), [None, "b", "c"]),
     (["-1", "0", "1"], (), ["-1", "0", "1"])],
)  # fmt: skip
def test_minus_one_beside_classes_from_0_up_is_no_label(
    y: list[object], classes: tuple[str, ...], expected: list[str | None]
) -> None:
    pictures = pictures_of(y, classes)
    assert spoken(pictures) == expected
    told = [note.values["num"] for note in noted(pictures, "labels_minus_one")]
    assert told == ["1"] * (expected[0] is None)
    assert "-1" in pictures.classes or expected[0] is None


def test_minus_one_means_the_same_in_every_part(tmp_path: Path) -> None:
    x = np.full((3, 4, 4), 9, np.uint8)
    np.savez(tmp_path / "set.npz", x_train=x, y_train=[0, 1, 2], x_test=x, y_test=[-1, 1, 2])
    assert spoken(read_pictures(tmp_path / "set.npz")) == ["0", "1", "2", None, "1", "2"]


def test_order_of_numbered_classes() -> None:
    assert pictures_of([-1, 10, 2]).classes == ("-1", "2", "10")


@pytest.mark.parametrize(
    ("y", "classes", "rows"),
    [([np.nan, 0, 1, np.nan], (), [0, 3]), (["", "a", "  ", "b"], (), [0, 2]), ([b"", b"a", b"b"], (), [0]),
     ([0.0, 1.0], (), []), (["a", "b"], (), []), ([np.nan, 1, 0], ("a", "b"), [0]), ([0, 1, 1], ("", "b"), [0]),
     ([np.nan, -1, 0, 1], (), [0]), ([np.nan, -1, 0, 1], ("a", "b"), [0]), ([np.nan] * 2, (), [0, 1])],
)  # fmt: skip
def test_pictures_without_a_label_are_told(y: list[object], classes: tuple[str, ...], rows: list[int]) -> None:
    pictures = pictures_of(y, classes)
    minus_one = np.flatnonzero(np.asarray(y) == -1).tolist()
    assert np.flatnonzero(pictures.labels < 0).tolist() == sorted([*rows, *minus_one])
    names = ", ".join(f"y[{row}]" for row in rows)
    values = {"array": "y", "num": str(len(rows)), "names": names}
    told = [Note(key="array_labels_empty", values=values, level="warning")] if rows else []
    assert noted(pictures, "array_labels_empty") == told
    assert [note.values["num"] for note in noted(pictures, "labels_minus_one")] == ["1"] * len(minus_one)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("infinity", [np.inf, -np.inf])
@pytest.mark.parametrize("classes", [(), ("a", "b")])
def test_infinity_is_no_label_but_a_mistake(infinity: float, classes: tuple[str, ...]) -> None:
    with pytest.raises(DataError, match=rf"y holds {infinity}, expected whole numbers or texts\.$"):
        pictures_of([np.nan, 0, infinity, 1], classes)


@pytest.mark.parametrize("spelled", ["None", "nan", "NULL"])
def test_classes_called_as_no_label_is_written_are_told(spelled: str) -> None:
    """As ``astype(str)`` writes what is none among objects; some classes really are called so."""
    pictures = pictures_of(np.array(["cat", "dog", spelled], object).astype(str))
    assert set(pictures.classes) == {"cat", "dog", spelled}
    told = Note(key="classes_called_none", values={"classes": spelled}, level="warning")
    assert noted(pictures, "classes_called_none") == [told]
    assert noted(pictures_of(["cat", "dog"]), "classes_called_none") == []


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    ("labels", "dtype"),
    [([2**53 + 1, 2**53, 0], np.int64), ([2**63 + 5, 2**63 + 6, 2**53 + 1], np.uint64),
     ([-(2**63), 2**63 - 1, 0], np.int64), ([2.0**60, 2.0**70, 3.0], np.float64), ([255, 0, 7], np.uint8)],
)  # fmt: skip
def test_numbers_of_any_size_are_labels(labels: list[int | float], dtype: type) -> None:
    pictures = pictures_of(np.array(labels, dtype))
    assert [pictures.classes[label] for label in pictures.labels] == [str(int(label)) for label in labels]


@pytest.mark.parametrize("label", [2**53 + 1, 2**63 + 5])
def test_a_number_beyond_the_named_classes_is_named_whole(label: int) -> None:
    with pytest.raises(DataError, match=rf"y holds label {label}, but 2 classes are named \(0 to 1\)"):
        pictures_of(np.array([0, label], np.uint64), ("a", "b"))
