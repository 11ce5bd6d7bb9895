"""MNIST's IDX files and the binary version of CIFAR, written here by their definitions."""

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest

from whyconv.errors import DataError
from whyconv.images.sources import PART_NAMES, read_pictures
from whyconv.images.sources.array_files import StackedRows
from whyconv.images.sources.binary_files import read_idx

RNG = np.random.default_rng(0)
IDX_TYPES = {"u1": 0x08, "i1": 0x09, "i2": 0x0B, "i4": 0x0C, "f4": 0x0D, "f8": 0x0E}


def idx(array: np.ndarray) -> bytes:
    head = bytes([0, 0, IDX_TYPES[array.dtype.str[1:]], array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return head + array.astype(array.dtype.newbyteorder(">")).tobytes()


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


def write_mnist(folder: Path, form: str = "{}-{}-idx{}-ubyte.gz") -> dict[str, np.ndarray]:
    folder.mkdir(exist_ok=True)
    arrays = {}
    for part, n in (("train", 20), ("t10k", 8)):
        x, y = RNG.integers(0, 256, (n, 28, 28), np.uint8), np.arange(n, dtype=np.uint8) % 4
        write(folder / form.format(part, "images", 3), idx(x))
        write(folder / form.format(part, "labels", 1), idx(y))
        arrays |= {f"{part} x": x, f"{part} y": y}
    return arrays


@pytest.mark.parametrize(
    "form",
    ["{}-{}-idx{}-ubyte.gz", "{}-{}-idx{}-ubyte", "{}-{}.idx{}-ubyte", "emnist-digits-{}-{}-idx{}-ubyte.gz"],
)
def test_the_four_files_of_mnist_are_one_set(tmp_path, form):
    arrays = write_mnist(tmp_path / "mnist", form)
    first = form.format("train", "images", 3)
    for where in (tmp_path / "mnist", tmp_path / "mnist" / first):
        pictures = read_pictures(where)
        assert [PART_NAMES[part] for part in pictures.parts] == ["train"] * 20 + ["test"] * 8
        assert pictures.classes == ("0", "1", "2", "3")
        assert pictures.labels.tolist() == [*arrays["train y"].tolist(), *arrays["t10k y"].tolist()]
        assert all(np.array_equal(pictures.read(row), arrays["train x"][row]) for row in range(20))
        assert all(np.array_equal(pictures.read(20 + row), arrays["t10k x"][row]) for row in range(8))
        assert pictures.skipped == ()


def files_read(where):
    return read_pictures(where).layout.values["files"].split(", ")


def test_a_file_that_lies_there_unpacked_too_is_read_once(tmp_path):
    """So torchvision leaves them."""
    write_mnist(tmp_path)
    for path in list(tmp_path.iterdir()):
        path.with_suffix("").write_bytes(gzip.decompress(path.read_bytes()))
    pictures = read_pictures(tmp_path)
    assert np.bincount(pictures.parts).tolist() == [0, 20, 0, 8]
    assert len(pictures.skipped) == 4
    assert all(name.endswith(".gz") for name in pictures.skipped)
    for ending in ("", ".gz"):
        found = files_read(tmp_path / f"t10k-labels-idx1-ubyte{ending}")
        assert f"t10k-labels-idx1-ubyte{ending}" in found
        assert len({name.removesuffix(".gz") for name in found}) == len(found) == 4


def test_of_several_sets_in_one_folder_the_one_is_read_whose_file_is_named(tmp_path):
    folder = tmp_path / "sets"
    cifar(folder, ["train.bin", "test.bin"], num_labels=2)
    for form in ("emnist-letters-{}-{}-idx{}-ubyte.gz", "emnist-digits-{}-{}-idx{}-ubyte.gz", "{}-{}.idx{}-ubyte"):
        write_mnist(folder, form)
    with pytest.raises(DataError, match=r"Two arrays hold the test images: .* Keep one, or name a single file\.$"):
        read_pictures(folder)
    assert files_read(folder / "test.bin") == ["test.bin", "train.bin"]
    for name, other in (("", "emnist"), ("letters", "digits")):
        for path in folder.glob(f"*{name}*-images*") if name else folder.glob("t*-*"):
            found = files_read(path)
            assert (len(found), any(other in each for each in found)) == (4, False)


def test_what_lies_beside_a_file_that_is_named_is_looked_at_as_in_a_folder(tmp_path):
    write_mnist(tmp_path, "{}-{}.idx{}-ubyte")
    (tmp_path / "train-images-idx3-ubyte").mkdir()
    (tmp_path / "._train-images.idx3-ubyte").write_bytes(b"\0\5\x16\7")
    assert files_read(tmp_path / "train-images.idx3-ubyte") == files_read(tmp_path)


@pytest.mark.parametrize("kind", IDX_TYPES)
@pytest.mark.parametrize("ending", ["", ".gz"])
def test_every_type_and_number_of_axes(tmp_path, kind, ending):
    for shape in ((5,), (4, 3), (4, 3, 2), (2, 3, 2, 2), (0, 3, 3)):
        array = RNG.integers(-100, 100, shape).astype(kind)
        _, found = read_idx(write(tmp_path / f"x-idx{array.ndim}-ubyte{ending}", idx(array)))
        assert np.array_equal(found, array)
        assert found.dtype.newbyteorder("=") == array.dtype
        assert isinstance(found, np.memmap) == (not ending and array.size > 0)


WHOLE = idx(np.zeros((3, 4, 5), np.uint8))
DAMAGED = {
    "empty": (b"", "begins with nothing"),
    "another magic": (b"\x89PNG" + WHOLE, "begins with 89 50 4e 47"),
    "unknown type": (b"\0\0\x0a\3" + WHOLE[4:], "begins with 00 00 0a 03"),
    "no axes": (b"\0\0\x08\0", "begins with 00 00 08 00"),
    "cut in its head": (WHOLE[:9], "ends within its head"),
    "cut": (WHOLE[:-1], "speaks of 60 bytes, and only 59 follow"),
    "longer": (WHOLE + b"x", "speaks of 60 bytes, and more than 60 follow"),
    "huge": (b"\0\0\x08\3" + b"\xff" * 12, "speaks of"),
}


@pytest.mark.parametrize("ending", ["", ".gz"])
@pytest.mark.parametrize("name", DAMAGED)
def test_what_is_damaged_is_said(tmp_path, name, ending):
    content, reason = DAMAGED[name]
    path = write(tmp_path / f"train-images-idx3-ubyte{ending}", content)
    with pytest.raises(DataError) as caught:
        read_pictures(path)
    assert f"train-images-idx3-ubyte{ending} cannot be read as IDX: " in str(caught.value)
    assert reason in str(caught.value)


@pytest.mark.parametrize("cut", [1, 15, 25, -1])
def test_zipped_and_cut_short(tmp_path, cut):
    path = tmp_path / "train-images-idx3-ubyte.gz"
    path.write_bytes(gzip.compress(idx(RNG.integers(0, 256, (30, 8, 8), np.uint8)))[:cut])
    with pytest.raises(DataError, match="cannot be read as IDX"):
        read_pictures(path)


def cifar(folder: Path, names: list[str], num_labels: int, n: int = 6) -> tuple[np.ndarray, np.ndarray]:
    folder.mkdir()
    pixels = RNG.integers(0, 256, (len(names), n, 3, 32, 32), np.uint8)
    labels = RNG.integers(0, 4, (len(names), n, num_labels), np.uint8)
    labels[0, :4, -1] = range(4)
    for name, x, y in zip(names, pixels, labels, strict=True):
        (folder / name).write_bytes(b"".join(y[i].tobytes() + x[i].tobytes() for i in range(n)))
    return pixels.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1), labels[..., -1].ravel()


def test_the_batches_of_cifar_10_are_one_set(tmp_path):
    folder = tmp_path / "cifar-10-batches-bin"
    names = [*(f"data_batch_{k}.bin" for k in (1, 2, 10)), "test_batch.bin"]
    pixels, labels = cifar(folder, names, num_labels=1)
    (folder / "batches.meta.txt").write_text("airplane\nautomobile\nbird\ncat\n\n")
    for where in (folder, folder / "data_batch_2.bin", folder / "test_batch.bin"):
        pictures = read_pictures(where)
        assert pictures.classes == ("airplane", "automobile", "bird", "cat")
        assert pictures.labels.tolist() == labels.tolist()
        assert [PART_NAMES[part] for part in pictures.parts] == ["train"] * 18 + ["test"] * 6
        assert all(np.array_equal(pictures.read(row), pixels[row]) for row in range(24))
        assert pictures.skipped == ()


def test_cifar_100_is_told_by_its_fine_labels(tmp_path):
    folder = tmp_path / "cifar-100-binary"
    pixels, labels = cifar(folder, ["train.bin", "test.bin"], num_labels=2)
    (folder / "fine_label_names.txt").write_text("apple\nbear\ncan\ndolphin\n")
    pictures = read_pictures(folder)
    assert pictures.classes == ("apple", "bear", "can", "dolphin")
    assert pictures.labels.tolist() == labels.tolist()
    assert all(np.array_equal(pictures.read(row), pixels[row]) for row in range(12))
    assert any("coarse_labels" in str(note.values) for note in pictures.notes)


def test_a_cut_batch_is_said(tmp_path):
    cifar(tmp_path / "set", ["data_batch_1.bin", "test_batch.bin"], num_labels=1)
    path = tmp_path / "set" / "test_batch.bin"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(
        DataError, match=r"test_batch\.bin cannot be read as CIFAR's rows of bytes: it has 18,437 bytes"
    ):
        read_pictures(tmp_path / "set")


def test_pixels_stay_on_the_disk(tmp_path):
    cifar(tmp_path / "set", ["data_batch_1.bin", "data_batch_2.bin", "test_batch.bin"], num_labels=1)
    rows = read_pictures(tmp_path / "set").contents.containers[0].rows
    assert all(isinstance(part.base, np.memmap) and not part.flags.owndata for part in rows.parts)


def test_stacked_rows_are_those_of_one_array():
    whole = RNG.integers(0, 9, (10, 2))
    rows = StackedRows((whole[:3], whole[3:3], whole[3:7], whole[7:]))
    assert rows.shape == (10, 2)
    assert all(np.array_equal(rows[row], whole[row]) for row in range(-10, 10))
    for row in (10, -11):
        with pytest.raises(IndexError):
            rows[row]
    assert all(np.array_equal(rows[i:j], whole[i:j]) for i in range(12) for j in range(12))


def test_a_row_is_asked_of_the_array_that_has_it_and_of_no_other():
    class Watched(np.ndarray):
        def __getitem__(self, rows):
            asked.append((self.shape[0], rows))
            return super().__getitem__(rows)

    asked = []
    whole = RNG.integers(0, 9, (10, 2))
    rows = StackedRows(tuple(part.view(Watched) for part in (whole[:3], whole[3:7], whole[7:9])))
    assert np.array_equal(rows[5], whole[5])
    assert [each for each in asked if each[0] in (3, 4, 2)] == [(4, 2)]
