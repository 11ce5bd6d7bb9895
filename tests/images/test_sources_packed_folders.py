"""A folder that was packed with its own name around everything is read as that folder, also where it lacks classes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from archive_files import png, write_tar, write_zip
from whyconv.errors import DataError
from whyconv.images.sources import Pictures, read_pictures

FLAT = tuple(f"{name}_{number}.png" for number in range(3) for name in ("cat", "dog"))
FOLDERS = {
    "flat": FLAT,
    "one class": tuple(f"all/{name}" for name in FLAT),
    "one class and more": ("cat/1.png", "cat/2.png", "x.png"),
    "one class, deeper": ("a/b/cat/1.png", "a/b/cat/2.png", "a/x.png"),
    "parts without classes": tuple(f"{part}/{name}" for part in ("train", "test") for name in FLAT),
    "classes": ("cat/1.png", "dog/1.png", "x.png"),
    "parts": ("train/cat/1.png", "train/dog/1.png", "test/cat/2.png"),
    "around classes": ("in/cat/1.png", "in/dog/1.png"),
}
WRITERS = {".zip": write_zip, ".tar": write_tar}


def lay(root: Path, names: tuple[str, ...], beside: dict[str, bytes] | None = None) -> dict[str, bytes]:
    files = {name: png() for name in names} | (beside or {})
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return files


def seen(where: Path, around: str, label_from: str | None = None, layout: str = "auto") -> object:
    """Label, part and content of each picture by its name in the folder; or what is wrong, as of that folder."""
    try:
        pictures = read_pictures(where, label_from=label_from, layout=layout)
    except DataError as error:
        told = str(error).removesuffix(f" If {around} is a class, say --layout folders.")
        return told.replace(str(where), "HERE").replace(around, "")
    return {name.removeprefix(around): told for name, told in described(pictures).items()}


def described(pictures: Pictures) -> dict[str, tuple[str | None, int, object]]:
    labels = [pictures.classes[label] if label >= 0 else None for label in pictures.labels.tolist()]
    contents = [pictures.read(row) for row in range(len(pictures))]
    return {each[0]: each[1:] for each in zip(pictures.names, labels, pictures.parts.tolist(), contents, strict=True)}


@pytest.mark.parametrize("ending", WRITERS)
@pytest.mark.parametrize("shape", FOLDERS)
@pytest.mark.parametrize("label_from", [None, "([a-z]+)_[0-9]+"])
def test_a_packed_folder_is_read_as_it_is(tmp_path: Path, ending: str, shape: str, label_from: str | None) -> None:
    files = lay(tmp_path / "set", FOLDERS[shape])
    where = WRITERS[ending](tmp_path / f"set{ending}", {f"set/{name}": data for name, data in files.items()})
    wanted = seen(tmp_path / "set", "", label_from)
    assert seen(where, "set/", label_from) == wanted
    if label_from is None:
        assert isinstance(wanted, str) == (shape in ("flat", "parts without classes"))


@pytest.mark.parametrize("ending", WRITERS)
def test_pictures_without_classes_are_told_how_names_can_say_them(tmp_path: Path, ending: str) -> None:
    files = {f"set/{name}": png() for name in FLAT}
    where = WRITERS[ending](tmp_path / f"set{ending}", files)
    with pytest.raises(
        DataError, match=r"has no class folders: found 6 files.*--label-from .*labels here: cat, dog.*layout folders\.$"
    ):
        read_pictures(where)
    assert read_pictures(where, layout="folders").classes == ("set",)
    assert (read_pictures(where, require_labels=False).labels == -1).all()


@pytest.mark.parametrize("order", [sorted, list])
@pytest.mark.parametrize("around", ["", "set/"])
def test_members_of_a_sample_need_not_follow_each_other(
    tmp_path: Path, order: Callable[[list[str]], list[str]], around: str
) -> None:
    """As ``tar`` packs a folder: in the order in which the disk has its files."""
    files = {f"{around}{number:03}.png": png() for number in range(6)}
    labels = {f"{around}{number:03}.cls": b"ab"[number % 2 :][:1] for number in range(6)}
    names = order([*files, *labels])
    where = write_tar(tmp_path / "set.tar", {name: (files | labels)[name] for name in names})
    pictures = read_pictures(where)
    assert pictures.notes[0].key == "read_as_webdataset"
    assert described(pictures) == {
        name: ("ab"[number % 2], 0, content) for number, (name, content) in enumerate(files.items())
    }
