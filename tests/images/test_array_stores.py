"""What is kept of pictures in arrays holds as long as a new cache would hold the same."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from whyconv.images.index import read_index, write_index
from whyconv.images.prepare import PicturePolicy
from whyconv.images.sources import read_pictures
from whyconv.images.sources.listing import stat_file
from whyconv.images.store import PixelStore, open_store
from whyconv.images.survey import survey

RNG = np.random.default_rng(0)
COLOR, GRAY = PicturePolicy(side=32, channels=3), PicturePolicy(side=8, channels=1)


def opened(folder: Path, policy: PicturePolicy) -> PixelStore:
    """Opens store and survey of a folder and compares them with new ones."""
    pictures = read_pictures(folder)
    new = folder.parent / f"new-{os.urandom(4).hex()}"
    found, expected = (open_store(pictures, policy, folder=cache) for cache in (folder.parent / "cache", new))
    assert np.array_equal(found.pixels, expected.pixels)
    assert np.array_equal(found.digests, expected.digests)
    looked, anew = (survey(pictures, store=cache).rows.copy() for cache in (folder.parent / "cache", new))
    assert np.array_equal(looked, anew)
    return found


def batch(path: Path, label: int, n: int) -> np.ndarray:
    """Writes a batch of CIFAR-10; returns its pixels (n, 32, 32, 3)."""
    path.parent.mkdir(exist_ok=True)
    rows = RNG.integers(0, 256, (n, 3073), np.uint8)
    rows[:, 0] = label
    rows.tofile(path)
    return rows[:, 1:].reshape(n, 3, 32, 32).transpose(0, 2, 3, 1)


@pytest.fixture
def cifar(tmp_path: Path) -> Path:
    """A folder of batches 1, 3 and the test batch, of 4, 8 and 3 pictures, which a cache holds."""
    folder = tmp_path / "cifar"
    for name, label, n in (("data_batch_1", 0, 4), ("data_batch_3", 1, 8), ("test_batch", 0, 3)):
        batch(folder / f"{name}.bin", label, n)
    assert opened(folder, COLOR).num_decoded == 15
    assert opened(folder, COLOR).num_decoded == 0
    return folder


def test_a_batch_that_is_added_or_replaced_is_noticed(cifar: Path) -> None:
    """Half of the rows of batch 3 move to where other rows of the same file were."""
    added = batch(cifar / "data_batch_2.bin", 0, 4)
    found = opened(cifar, COLOR)
    assert found.num_decoded == 12
    assert np.array_equal(found.pixels[4:8], added)
    replaced = batch(cifar / "data_batch_2.bin", 1, 4)
    found = opened(cifar, COLOR)
    assert found.num_decoded == 4
    assert np.array_equal(found.pixels[4:8], replaced)
    assert opened(cifar, COLOR).num_decoded == 0


def test_a_batch_that_is_touched_is_read_but_not_decoded_again(cifar: Path) -> None:
    os.utime(cifar / "data_batch_3.bin")
    assert survey(read_pictures(cifar), store=cifar.parent / "cache").num_read == 8
    assert opened(cifar, COLOR).num_decoded == 0


def test_the_mark_of_a_picture_is_of_the_file_it_lies_in(cifar: Path) -> None:
    pictures = read_pictures(cifar)
    times = [(cifar / f"{name}.bin").stat().st_mtime_ns for name in ("data_batch_1", "data_batch_3", "test_batch")]
    assert [pictures.stat(row)[:2] for row in range(15)] == [
        (3072, time) for time, n in zip(times, (4, 8, 3), strict=True) for _ in range(n)
    ]
    assert len({pictures.stat(row).mark for row in range(15)}) == 3


def test_what_was_kept_by_the_mark_of_the_first_batch_is_looked_at_again(cifar: Path) -> None:
    """As earlier versions left it behind: marks of batch 1 with all rows, and pixels of batches that are gone."""
    (path,) = (cifar.parent / "cache" / "pixels").iterdir()
    batch(cifar / "data_batch_3.bin", 1, 8)
    index, first = read_index(path), stat_file(cifar / "data_batch_1.bin")
    assert index is not None
    index.stats.times[:12], index.stats.marks[:12] = first.time, first.mark
    write_index(path, str(cifar), index)
    assert opened(cifar, COLOR).num_decoded == 8


@pytest.mark.parametrize(
    ("dtype", "train", "before", "after"),
    [(np.uint16, 255, 199, 60_000), (np.uint16, 60_000, 60_000, 199), (np.int64, 255, 199, 60_000),
     (np.uint16, 199, 60_000, 199)],
)  # fmt: skip
def test_an_array_of_another_range_changes_how_those_beside_it_are_read(
    tmp_path: Path, dtype: type, train: int, before: int, after: int
) -> None:
    """One rule holds for all of a type, so that of a file that did not change may."""
    folder = tmp_path / "set"
    folder.mkdir()
    for part, high, n in (("train", train, 6), ("test", before, 3)):
        np.save(folder / f"x_{part}.npy", levels(n, high).astype(dtype))
        np.save(folder / f"y_{part}.npy", np.arange(n) % 2)
    assert opened(folder, GRAY).num_decoded == 9
    assert opened(folder, GRAY).num_decoded == 0
    np.save(folder / "x_test.npy", levels(3, after).astype(dtype))
    is_read_anew = (max(train, before) > 255) != (max(train, after) > 255)
    found = opened(folder, GRAY)
    assert found.num_decoded == (9 if is_read_anew else 3)
    x = np.load(folder / "x_train.npy").astype(float)
    white = 65535 if max(train, after) > 255 else 255
    of_train = read_pictures(folder).parts == 1
    assert np.array_equal(found.pixels[of_train][..., 0], np.rint(x / white * 255))


def levels(n: int, high: int) -> np.ndarray:
    x = RNG.integers(0, high, (n, 8, 8))
    x[:, 0, 0] = high
    return x
