"""Tar files of samples, as the webdataset library writes them."""

import io
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest

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


def spoken(pictures):
    return [pictures.classes[label] if label >= 0 else None for label in pictures.labels]


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
        # The same name again, but not side by side, is another sample.
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
        read_pictures(path)


def test_half_a_character_is_no_label(tmp_path):
    shard(tmp_path / "a.tar", {"a.jpg": b"A", "a.json": rb'{"label": "\ud800"}', "b.jpg": b"B", "b.cls": b"dog"})
    with pytest.raises(DataError, match=r"a\.json is no label: the label is '\\ud800', which holds half a character"):
        read_pictures(tmp_path / "a.tar")
