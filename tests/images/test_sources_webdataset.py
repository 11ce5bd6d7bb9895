"""Tar files of samples, as the webdataset library writes them."""

import io
import json
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from made_up_arrays import spoken
from whyconv.errors import DataError, UsageError
from whyconv.images.sources import PART_NAMES, read_pictures


def shard(path: Path, members: dict[str, bytes]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


def test_shards_are_one_set_with_parts_by_their_names(tmp_path):
    shard(tmp_path / "train-000001.tar", {"c.jpg": b"C", "c.cls": b"10", "d.jpg": b"D", "d.cls": b"2"})
    shard(tmp_path / "train-000000.tar", {"a.jpg": b"A", "a.cls": b"2", "b.cls": b"10", "b.jpg": b"B"})
    shard(tmp_path / "val-000000.tar", {"x/e.jpg": b"E", "x/e.cls": b"2\n"})
    pictures = read_pictures(tmp_path)
    assert pictures.notes[0].key == "read_as_webdataset"
    assert list(pictures.names) == [
        "train-000000.tar/a.jpg", "train-000000.tar/b.jpg", "train-000001.tar/c.jpg", "train-000001.tar/d.jpg",
        "val-000000.tar/x/e.jpg",
    ]  # fmt: skip
    assert pictures.classes == ("2", "10")
    assert spoken(pictures) == ["2", "10", "10", "2", "2"]
    assert [PART_NAMES[part] for part in pictures.parts] == ["train"] * 4 + ["validation"]
    assert [pictures.read(row) for row in range(5)] == [b"A", b"B", b"C", b"D", b"E"]
    assert pictures.select(np.array([3])).read(0) == b"D"
    assert pictures.skipped == ()


def test_a_part_without_labels_may_come_first(tmp_path):
    shard(tmp_path / "test.tar", {"a.png": b"A", "b.png": b"B"})
    shard(tmp_path / "train.tar", {"c.png": b"C", "c.cls": b"x", "d.png": b"D", "d.cls": b"y"})
    assert spoken(read_pictures(tmp_path)) == [None, None, "x", "y"]


def test_parts_are_folders_and_one_tar_is_a_set(tmp_path):
    for part in ("train", "test"):
        shard(tmp_path / part / "0.tar", {"a.png": b"A", "a.cls": b"x", "b.png": b"B", "b.cls": b"y"})
    assert [PART_NAMES[part] for part in read_pictures(tmp_path).parts] == ["test"] * 2 + ["train"] * 2
    alone = read_pictures(tmp_path / "train" / "0.tar")
    assert list(alone.names) == ["a.png", "b.png"]


@pytest.mark.parametrize(
    ("members", "labels"),
    [
        ({"a.jpg": b"", "a.json": b'{"label": "owl"}', "b.jpg": b"", "b.json": b'{"class": 3}'}, ["owl", "3"]),
        ({"a.jpg": b"", "a.json": b'{"label": "owl"}', "a.cls": b"cat"}, ["cat"]),
        ({"a.jpg": b"", "a.cls": b"cat", "b.jpg": b"", "b.txt": b"no label"}, ["cat", None]),
        ({"a.jpg": b"", "a.cls": b"cat", "b.cls": b"dog"}, ["cat"]),
        ({"a.b.jpg": b"", "a.cls": b"cat", "c.jpg": b"", "c.cls": b"cat"}, ["cat"]),
        ({"a.JPG": b"", "a.CLS": "고양이".encode()}, ["고양이"]),
        (
            {"a.jpg": b"", "a.cls": b"\xef\xbb\xbfcat", "b.jpg": b"", "b.json": b'\xef\xbb\xbf{"label": "cat"}'},
            ["cat"] * 2,
        ),
        # A second picture of the same name, but not side by side, is another sample.
        ({"a.jpg": b"", "a.cls": b"cat", "b.jpg": b"", "b.cls": b"dog", "a.png": b""}, ["cat", "dog", None]),
    ],
)
def test_what_belongs_to_a_sample(tmp_path, members, labels):
    assert spoken(read_pictures(shard(tmp_path / "a.tar", members))) == labels


def test_labels_that_are_none_are_named_together(tmp_path):
    members = {"a.jpg": b"", "a.cls": b"cat", "b.jpg": b"", "b.json": b"[1]", "c.jpg": b"", "c.cls": b"\xff\xfe"}
    with pytest.raises(DataError, match=r"b\.json is no label: expected an object.*; c\.cls is no label: 'utf-8'"):
        read_pictures(shard(tmp_path / "a.tar", members))


def test_class_folders_in_a_tar_are_no_samples_unless_asked_for(tmp_path):
    path = shard(tmp_path / "a.tar", {"cat/a.jpg": b"", "dog/b.jpg": b""})
    assert read_pictures(path).notes[0].key == "read_as_folders"
    with pytest.raises(DataError, match="none of the 2 pictures has a label"):
        read_pictures(path, layout="webdataset")
    with pytest.raises(UsageError, match="samples carry their labels"):
        read_pictures(path, layout="webdataset", label_from="(.)")


def test_groups_by_name(tmp_path):
    members = {f"{who}_{k}.{ending}": b"1" for who in ("p", "q") for k in (1, 2) for ending in ("jpg", "cls")}
    assert read_pictures(shard(tmp_path / "a.tar", members), group_by="(.)_").groups.tolist() == [0, 0, 1, 1]


def test_labels_that_are_damaged_in_a_zip_are_named(tmp_path):
    path = tmp_path / "set.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in (("a.jpg", b"A"), ("a.cls", b"catfish"), ("b.jpg", b"B"), ("b.cls", b"dog")):
            archive.writestr(name, content)
    content = path.read_bytes()
    path.write_bytes(content.replace(b"catfish", b"catfisn"))
    with pytest.raises(DataError, match=r"set\.zip: a\.cls is no label: Bad CRC-32"):
        read_pictures(path, layout="webdataset")


def test_half_a_character_is_no_label(tmp_path):
    shard(tmp_path / "a.tar", {"a.jpg": b"A", "a.json": rb'{"label": "\ud800"}', "b.jpg": b"B", "b.cls": b"dog"})
    with pytest.raises(DataError, match=r"a\.json is no label: the label is '\\ud800', which holds half a character"):
        read_pictures(tmp_path / "a.tar")


def pets(*, beside: Callable[[str, int], dict[str, bytes]] = lambda stem, k: {}) -> dict[str, bytes]:
    """Pictures in class folders, and what lies beside each."""
    members = {}
    for kind in ("cat", "dog"):
        for k in range(4):
            members |= {f"pets/{kind}/{k}.png": f"{kind}{k}".encode(), **beside(f"pets/{kind}/{k}", k)}
    return members


def packed(path: Path, members: dict[str, bytes]) -> Path:
    if path.suffix == ".tar":
        return shard(path, members)
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def said(stem: str, k: int) -> dict[str, bytes]:
    return {f"{stem}.json": json.dumps({"camera": "x", "label": "indoor" if k % 2 else "outdoor"}).encode()}


def told(pictures) -> list[dict[str, object]]:
    return [note.values for note in pictures.notes if note.key == "two_readings"]


@pytest.mark.parametrize("ending", ["zip", "tar"])
@pytest.mark.parametrize("stray", ["pets/dataset_info.json", "pets/cat/0.json", "pets/cat/notes.cls", "pets/dog/1.cls"])
def test_a_stray_file_beside_class_folders_makes_no_samples(tmp_path, ending, stray):
    pictures = read_pictures(packed(tmp_path / f"pets.{ending}", pets() | {stray: b"{}"}))
    assert pictures.notes[0].key == "read_as_folders"
    assert spoken(pictures) == ["cat"] * 4 + ["dog"] * 4
    assert told(pictures) == []


def test_class_folders_with_a_json_beside_each_picture_are_read_as_their_folder(tmp_path):
    members = pets(beside=said)
    for name, content in members.items():
        (tmp_path / "folder" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "folder" / name).write_bytes(content)
    expected = [(name.removeprefix("pets/"), name.split("/")[1]) for name in members if name.endswith("png")]
    for path in (tmp_path / "folder", packed(tmp_path / "a.zip", members), packed(tmp_path / "a.tar", members)):
        pictures = read_pictures(path)
        names = [name.removeprefix("pets/") for name in pictures.names]
        assert list(zip(names, spoken(pictures), strict=True)) == expected
        # Only a tar may hold samples: there the other reading is named.
        other = {"taken": "folders", "other": "webdataset", "where": str(path)}
        assert told(pictures) == ([other] if path.suffix == ".tar" else [])
    samples = read_pictures(tmp_path / "a.tar", layout="webdataset")
    assert set(spoken(samples)) == {"indoor", "outdoor"}


@pytest.mark.parametrize("content", [b"{}", b"[1]", b'{"label": ""}'], ids=["no label", "no object", "an empty one"])
def test_a_json_that_says_no_label_is_no_second_reading(tmp_path, content):
    path = packed(tmp_path / "a.tar", pets(beside=lambda stem, k: {f"{stem}.json": content}))
    pictures = read_pictures(path)
    assert (pictures.classes, told(pictures)) == (("cat", "dog"), [])


def test_labels_in_cls_go_before_the_folders_that_samples_lie_in(tmp_path):
    members = pets(beside=lambda stem, k: {f"{stem}.cls": str(k).encode()})
    pictures = read_pictures(packed(tmp_path / "a.tar", members))
    assert spoken(pictures) == ["0", "1", "2", "3"] * 2
    assert told(pictures) == [{"taken": "webdataset", "other": "folders", "where": str(tmp_path / "a.tar")}]
    assert read_pictures(tmp_path / "a.tar", layout="folders").classes == ("cat", "dog")
    same = pets(beside=lambda stem, k: {f"{stem}.cls": stem.split("/")[1].encode()})
    assert told(read_pictures(packed(tmp_path / "same.tar", same))) == []


def test_names_that_say_the_class_are_asked_where_that_is_wanted(tmp_path):
    path = packed(tmp_path / "a.tar", pets(beside=said))
    assert read_pictures(path, label_from="/([0-9])").classes == ("0", "1", "2", "3")


def test_samples_in_a_zip_are_read_where_that_is_said(tmp_path):
    path = packed(tmp_path / "a.zip", {"a.jpg": b"A", "a.cls": b"cat", "b.jpg": b"B", "b.cls": b"dog"})
    with pytest.raises(
        DataError, match=r"no class folders.* with a label beside each picture, say --layout webdataset"
    ):
        read_pictures(path)
    assert spoken(read_pictures(path, layout="webdataset")) == ["cat", "dog"]


@pytest.mark.parametrize("names", [("0", "1"), ("train/0", "test/1"), ("x/0", "x/1")])
def test_samples_that_lie_in_no_class_folders_are_samples(tmp_path, names):
    members = {f"{name}.{ending}": content for name in names for ending, content in (("jpg", b"A"), ("json", LABEL))}
    pictures = read_pictures(packed(tmp_path / "a.tar", members))
    assert (spoken(pictures), told(pictures)) == (["owl", "owl"], [])


@pytest.mark.parametrize(("num", "kind"), [(3, "webdataset"), (1, "folders")])
def test_samples_are_what_half_of_the_pictures_have_a_label_for(tmp_path, num, kind):
    members = pets(beside=lambda stem, k: {f"{stem}.cls": b"owl"} if k < num else {})
    assert read_pictures(packed(tmp_path / "a.tar", members)).notes[0].key == f"read_as_{kind}"


LABEL = b'{"label": "owl"}'
