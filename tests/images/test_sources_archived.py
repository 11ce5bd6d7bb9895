"""Tables and arrays in archives: read as in the folder that was packed, or refused with a word on what to do."""

import gzip
import io
import os
import pickle
import struct
import zipfile

import numpy as np
import pytest

from archive_files import png, write_tar, write_zip
from whyconv.errors import DataError, PictureError, StorageError
from whyconv.images.cache import list_stores
from whyconv.images.sources import kept, read_pictures
from whyconv.texts import say

RNG = np.random.default_rng(2)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """The default cache, empty, and not the user's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    return tmp_path / "home" / "whyconv"


def write_packed(path, files):
    plain = write_tar(path.with_name("plain"), files)
    path.write_bytes(gzip.compress(plain.read_bytes()))
    return path


WRITERS = {"a.zip": write_zip, "a.tar": write_tar, "a.tar.gz": write_packed}


def laid(folder, files):
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def as_seen(pictures):
    content = [pictures.read(row) for row in range(len(pictures))]
    labels = [pictures.classes[label] if label >= 0 else None for label in pictures.labels]
    shown = [each.tolist() if isinstance(each, np.ndarray) else each for each in content]
    groups = None if pictures.groups is None else pictures.groups.tolist()
    return list(zip(pictures.names, labels, pictures.parts.tolist(), shown, strict=True)), groups, pictures.classes


def said(pictures):
    """The notes, less what is only said of archives."""
    return [note for note in pictures.notes if note.key != "archive_unpacked"]


def npy(values):
    content = io.BytesIO()
    np.save(content, values)
    return content.getvalue()


def npz(save=np.savez, **arrays):
    content = io.BytesIO()
    save(content, **arrays)
    return content.getvalue()


def idx(values):
    head = bytes([0, 0, 8, values.ndim]) + b"".join(size.to_bytes(4, "big") for size in values.shape)
    return head + values.astype(np.uint8).tobytes()


def parquet(**columns):
    pyarrow, writer = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    content = io.BytesIO()
    writer.write_table(pyarrow.table(columns), content)
    return content.getvalue()


X, Y = RNG.integers(0, 256, (6, 4, 5), np.uint8), np.array([0, 1, 2, 0, 1, 2])
CIFAR = {f"data_batch_{k}.bin": b"".join(bytes([label]) + RNG.bytes(3072) for label in (0, 1, 2)) for k in (1, 2)} | {
    "test_batch.bin": bytes([2]) + RNG.bytes(3072),
    "batches.meta.txt": b"plane\ncar\nbird\n\n",
}
IMAGES = {"images/1.png": png(), "images/2.png": png(), "images/고양이.png": png()}
TABLE = "file_name,label,split,who\nimages/1.png,cat,test,a\nimages\\2.png,dog,train,b\nimages/고양이.png,cat,train,a\n"
MNIST = {
    "train-images-idx3-ubyte.gz": gzip.compress(idx(X)),
    "train-labels-idx1-ubyte.gz": gzip.compress(idx(Y)),
    "t10k-images-idx3-ubyte": idx(X[:2]),
    "t10k-labels-idx1-ubyte": idx(Y[:2]),
}
SETS = {
    "csv": ({**IMAGES, "labels.csv": TABLE.encode()}, "table"),
    "tsv": ({**IMAGES, "metadata.tsv": TABLE.replace(",", "\t").encode()}, "table"),
    "jsonl": (
        {**IMAGES, "metadata.jsonl": "".join(f'{{"file_name": "{name}", "label": 3}}\n' for name in IMAGES).encode()},
        "table",
    ),
    "utf-16": ({**IMAGES, "labels.csv": TABLE.encode("utf-16")}, "table"),
    "a file is missing": ({**IMAGES, "labels.csv": TABLE.encode() + b"gone.png,cat,train,a\n"}, "table"),
    "a file is not listed": ({**IMAGES, "other.png": png(), "labels.csv": TABLE.encode()}, "table"),
    "in every part": (
        {
            "train/1.png": png(),
            "train/2.png": png(),
            "test/1.png": png(),
            "train/metadata.csv": b"file_name,label\n1.png,cat\n2.png,dog\n",
            "test/metadata.csv": b"file_name,label\n1.png,dog\n",
        },
        "table",
    ),
    "beside class folders": (
        {
            "cat/1.png": png(),
            "dog/1.png": png(),
            "labels.csv": b"file_name,label\ncat/1.png,tabby\ndog/1.png,poodle\n",
        },
        "table",
    ),
    "around class folders": (
        {
            "pets/cat/1.png": png(),
            "pets/dog/1.png": png(),
            "pets/labels.csv": b"file_name,label\ncat/1.png,tabby\ndog/1.png,poodle\n",
        },
        "table",
    ),
    "of one class folder": (
        {
            **{f"{name}/{k}.png": png() for name in ("cat", "dog") for k in range(3)},
            "labels.csv": b"file_name,label\ncat/1.png,cat\ndog/1.png,dog\n",
        },
        "folders",
    ),
    "names alone": (
        {**IMAGES, "labels.parquet": lambda: parquet(file_name=["images/1.png", "images/2.png"], label=["a", "b"])},
        "table",
    ),
    "bytes": ({"train-0.parquet": lambda: parquet(image=[b"A", b"B"], label=[5, 7]), "dataset.txt": b""}, "table"),
    "shards": (
        {
            "data/train-00000-of-00001.parquet": lambda: parquet(image=[b"A", b"B"], label=["x", "y"]),
            "data/test-00000-of-00001.parquet": lambda: parquet(image=[b"C"], label=["x"]),
        },
        "table",
    ),
    "npz": ({"set.npz": npz(x_train=X, y_train=Y, x_test=X[:2], y_test=Y[:2])}, "arrays"),
    "packed npz": ({"set.npz": npz(np.savez_compressed, x=X, y=Y, who=Y // 2)}, "arrays"),
    "npy": ({"x.npy": npy(X), "y.npy": npy(Y), "LICENSE": b"do what you want"}, "arrays"),
    "MNIST": (MNIST, "arrays"),
    "CIFAR": ({**CIFAR, "readme.html": b"<html>"}, "arrays"),
}


@pytest.mark.parametrize("archive", WRITERS)
@pytest.mark.parametrize("name", SETS)
def test_an_archive_is_read_as_the_folder_that_was_packed(tmp_path, name, archive):
    made, taken = SETS[name]
    files = {path: content() if callable(content) else content for path, content in made.items()}
    folder = read_pictures(laid(tmp_path / "folder", files))
    ours = read_pictures(WRITERS[archive](tmp_path / archive, files))
    assert folder.notes[0].key == f"read_as_{taken}"
    assert _readable(ours) == _readable(folder)
    assert _readable(pickle.loads(pickle.dumps(ours))) == _readable(folder)
    assert [note.key for note in said(ours)] == [note.key for note in said(folder)]
    about = [{key: value for key, value in note.values.items() if key != "where"} for note in said(ours)]
    assert about == [{key: value for key, value in note.values.items() if key != "where"} for note in said(folder)]
    assert ours.skipped == folder.skipped
    assert ours.where == str(tmp_path / archive)
    # Asked again, what was copied before is taken; asked for by name, the reading is the same.
    again = read_pictures(tmp_path / archive, layout=taken)
    assert _readable(again) == _readable(folder)


def _readable(pictures):
    """What is seen of the pictures that are there, and the words on those that are not."""
    reasons = []
    for row in range(len(pictures)):
        try:
            pictures.read(row)
            pictures.stat(row)
        except PictureError as error:
            reasons.append((row, str(error)))
    whole = np.setdiff1d(np.arange(len(pictures)), [row for row, _ in reasons])
    return as_seen(pictures.select(whole)), reasons


@pytest.mark.parametrize("archive", WRITERS)
@pytest.mark.parametrize("name", ["csv", "in every part", "npz", "MNIST", "CIFAR", "shards"])
def test_one_folder_around_everything_is_looked_through(tmp_path, name, archive):
    made, _ = SETS[name]
    files = {path: content() if callable(content) else content for path, content in made.items()}
    folder = read_pictures(laid(tmp_path / "folder", files))
    around = {f"pets/{path}": content for path, content in files.items()} | {"__MACOSX/pets/._x": b"", ".DS_Store": b""}
    ours = read_pictures(WRITERS[archive](tmp_path / archive, around))
    prefix = "pets/" if name == "in every part" else ""
    assert [name.removeprefix(prefix) for name in ours.names] == list(folder.names)
    seen, wanted = as_seen(ours), as_seen(folder)
    assert [each[1:] for each in seen[0]] == [each[1:] for each in wanted[0]]
    assert seen[1:] == wanted[1:]


def test_groups_by_a_column_and_labels_from_names(tmp_path):
    path = write_zip(tmp_path / "a.zip", {**IMAGES, "labels.csv": TABLE.encode()})
    assert read_pictures(path, group_by="who", layout="table").groups.tolist() == [0, 1, 0]
    assert read_pictures(path, label_from=r"(\w)\.png").classes == ("2", "이")  # 1 is in the test part alone
    packed = write_zip(tmp_path / "b.zip", {"set.npz": npz(x=X, y=Y, who=Y // 2)})
    assert read_pictures(packed, group_by="who").groups.tolist() == [0, 0, 1, 0, 0, 1]


def test_layout_takes_the_arrays_beside_pictures(tmp_path):
    files = {**{f"{name}/1.png": png() for name in ("cat", "dog")}, "set.npz": npz(x=X, y=Y)}
    path = write_zip(tmp_path / "a.zip", files)
    pictures = read_pictures(path)
    assert pictures.notes[0].key == "read_as_folders"
    assert pictures.skipped == ("set.npz",)
    assert list_stores() == []
    assert len(read_pictures(path, layout="arrays")) == 6
    assert len(read_pictures(path, layout="folders")) == 2


def test_class_folders_alone_need_no_cache(tmp_path, monkeypatch):
    path = write_zip(tmp_path / "a.zip", {"cat/1.png": png(), "dog/1.png": png(), "notes/labels.md": b"text"})
    (tmp_path / "home").write_bytes(b"a file, no folder")
    assert len(read_pictures(path)) == 2
    with_table = write_zip(tmp_path / "b.zip", {**IMAGES, "labels.csv": TABLE.encode()})
    with pytest.raises(StorageError, match="cannot be written"):
        read_pictures(with_table)
    assert len(read_pictures(with_table, store=tmp_path / "elsewhere")) == 3


def test_whole_paths_in_an_archive_lead_nowhere(tmp_path):
    (tmp_path / "secret.png").write_bytes(png())
    for wrong, reason in ((tmp_path / "secret.png", "is a whole path"), ("../secret.png", "leaves the folder")):
        text = f"file_name,label\n{wrong},cat\nimages/1.png,dog\n"
        with pytest.raises(DataError, match=reason):
            read_pictures(write_zip(tmp_path / "a.zip", {**IMAGES, "labels.csv": text.encode()}))


def test_if_nothing_that_is_named_is_there_the_place_is_told(tmp_path):
    text = b"file_name,label\n1.png,cat\n"
    with pytest.raises(
        DataError, match=r"files named in labels\.csv is there, .* 1\.png\. .* There is images/1\.png\."
    ):
        read_pictures(write_zip(tmp_path / "a.zip", {**IMAGES, "labels.csv": text}), layout="table")
    with pytest.raises(DataError, match=r"There is images/1\.png\."):
        read_pictures(
            write_zip(tmp_path / "a.zip", {**IMAGES, "labels.csv": text.replace(b".png", b"")}), layout="table"
        )


def test_a_table_of_another_name_is_proposed_as_what_can_be_done(tmp_path):
    files = {"1.png": png(), "2.png": png(), "people.csv": b"file_name,label\n1.png,cat\n2.png,dog\n"}
    path = write_zip(tmp_path / "a.zip", files)
    with pytest.raises(
        DataError, match=r"If people\.csv says the labels, call it labels\.csv in the archive, or unpack"
    ):
        read_pictures(path)


@pytest.mark.parametrize("inside", ["b.zip", "b.tar", "b.tar.gz", "b.7z"])
def test_archives_inside_of_archives_are_refused(tmp_path, inside):
    with pytest.raises(DataError, match="Archives inside of an archive are not read: unpack the outer one"):
        read_pictures(write_zip(tmp_path / "a.zip", {f"set/{inside}": b"x", "set/readme.txt": b""}))


def test_nothing_of_use_is_said(tmp_path):
    with pytest.raises(DataError, match=r"a\.zip holds no pictures; found 1 \.txt"):
        read_pictures(write_zip(tmp_path / "a.zip", {"set/readme.txt": b""}))


def test_a_member_that_is_damaged_is_named(tmp_path):
    path = write_zip(tmp_path / "a.zip", {"x.npy": npy(X), "y.npy": npy(Y)}, zipfile.ZIP_STORED)
    content = bytearray(path.read_bytes())
    content[150] ^= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"x\.npy in a\.zip cannot be unpacked: Bad CRC-32.*Is the archive complete"):
        read_pictures(path)
    assert list_stores() == []


def test_a_member_that_is_shorter_than_the_archive_says_is_refused(tmp_path):
    path = write_zip(tmp_path / "a.zip", {"x.npy": npy(X), "y.npy": npy(Y)}, zipfile.ZIP_STORED)
    content = bytearray(path.read_bytes())
    size_at = content.index(b"PK\1\2") + 24
    content[size_at : size_at + 4] = struct.pack("<I", 1000)
    path.write_bytes(content)
    with pytest.raises(
        DataError, match=r"x\.npy in a\.zip cannot be unpacked: it has 248 bytes, and the archive says 1,000"
    ):
        read_pictures(path)


def test_arrays_that_unpack_to_far_too_much_are_refused(tmp_path, cache, monkeypatch):
    monkeypatch.setattr(kept, "ALWAYS_BYTES", 1_000_000)
    path = write_zip(tmp_path / "a.zip", {"x.npy": npy(np.zeros((6, 1000, 1000), np.uint8)), "y.npy": npy(Y)})
    with pytest.raises(DataError, match="is refused: it unpacks to more than 1,000,000 bytes"):
        read_pictures(path)
    assert [each for each in cache.rglob("*") if each.is_file()] == []


def test_a_disk_that_has_no_room_for_arrays_is_left_alone(tmp_path, cache, monkeypatch):
    monkeypatch.setattr(kept, "free_disk_bytes", lambda folder: kept.RESERVE_BYTES + 10)
    with pytest.raises(StorageError, match=r"a\.zip unpacks to more than the 10 bytes"):
        read_pictures(write_zip(tmp_path / "a.zip", {"set.npz": npz(x=X, y=Y)}))
    assert [each for each in cache.rglob("*") if each.is_file()] == []


def test_what_was_copied_follows_the_archive(tmp_path):
    path = write_zip(tmp_path / "a.zip", {**IMAGES, "labels.csv": TABLE.encode()})
    assert read_pictures(path).classes == ("cat", "dog")
    write_zip(path, {**IMAGES, "labels.csv": TABLE.replace("dog", "cow").encode()})
    os.utime(path, ns=(1, 1))
    assert read_pictures(path).classes == ("cat", "cow")
    (entry,) = list_stores()
    assert (entry.kind, entry.where) == ("archive", str(path.resolve()))
    assert len(list(entry.path.rglob("labels.csv"))) == 1


def test_an_array_is_as_old_as_its_archive(tmp_path):
    path = write_zip(tmp_path / "a.zip", {"set.npz": npz(x=X, y=Y)})
    os.utime(path, ns=(5_000_000_000, 5_000_000_000))
    assert read_pictures(path).stat(0)[:2] == (20, 5_000_000_000)


def test_names_that_are_one_file_on_some_disks_are_refused(tmp_path):
    path = write_zip(tmp_path / "a.zip", {"x.npy": npy(X), "y.npy": npy(Y), "X.NPY": npy(X)})
    with pytest.raises(DataError, match="is there twice, but for capital letters or accents"):
        read_pictures(path)


def test_a_table_that_is_not_read_is_to_be_called_a_labels_file_in_an_archive(tmp_path):
    table = b"file_name,label\nimages/1.png,cat\nimages/2.png,dog\n"
    pictures = read_pictures(write_zip(tmp_path / "a.zip", {**IMAGES, "train.csv": table}))
    (note,) = [note for note in pictures.notes if note.key.startswith("table_")]
    assert "call it labels.csv in the archive" in say(note.key, **note.values)
    assert "folder" not in say(note.key, **note.values)
    again = write_zip(tmp_path / "b.zip", {**IMAGES, "labels.csv": table})
    assert read_pictures(again).classes == ("cat", "dog")
