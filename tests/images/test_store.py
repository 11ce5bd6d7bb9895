"""Prepared pixels on disk: right, found again, made anew where content changed, whole whatever happens."""

import json
import os
import shutil
import subprocess
import sys
import time
import zipfile
from functools import partial

import numpy as np
import pytest

from drawn_pictures import encode
from scenes import jpeg, pictures_of, png, scene
from stored_pictures import POLICY, eight, opened
from whyconv.errors import PictureError
from whyconv.images import decode as decoding
from whyconv.images import store as store_file
from whyconv.images.cache import read_arrays, write_arrays
from whyconv.images.isolation import decode_apart
from whyconv.images.prepare import PicturePolicy, prepare
from whyconv.images.sources import read_pictures


def expected(pictures, policy=POLICY):
    return np.stack([prepare(pictures.read(index), policy) for index in range(len(pictures))])


@pytest.mark.parametrize(
    "policy", [POLICY, PicturePolicy(side=16, channels=1), PicturePolicy(side=9, channels=3, fit="stretch")]
)
@pytest.mark.parametrize("num_threads", [1, 2])
def test_pixels_are_those_that_prepare_gives(tmp_path, policy, num_threads):
    pictures = eight(tmp_path)
    found = opened(tmp_path, pictures, policy, num_threads=num_threads)
    assert np.array_equal(found.pixels, expected(pictures, policy))
    assert found.pixels.dtype == np.uint8
    assert found.readable.all()
    assert found.num_decoded == 8


def test_pixels_are_mapped_and_cannot_be_changed(tmp_path):
    pictures = eight(tmp_path)
    for found in (opened(tmp_path, pictures), opened(tmp_path, pictures)):
        assert isinstance(found.pixels, np.memmap)
        with pytest.raises(ValueError, match="read-only"):
            found.pixels[0] = 0


def test_a_second_opening_reads_no_picture(tmp_path, monkeypatch):
    pictures = eight(tmp_path)
    first = opened(tmp_path, pictures)
    files = {path: path.stat().st_mtime_ns for path in first.path.iterdir()}
    again = read_pictures(tmp_path / "data")
    monkeypatch.setattr(type(again), "read", lambda self, index: pytest.fail("a picture was read"))
    second = opened(tmp_path, again)
    assert second.num_decoded == 0
    assert np.array_equal(first.pixels, second.pixels)
    assert {path: path.stat().st_mtime_ns for path in first.path.iterdir()} == files


def test_a_touched_file_keeps_its_pixels_and_is_read_once(tmp_path, monkeypatch):
    pictures = eight(tmp_path)
    first = opened(tmp_path, pictures)
    os.utime(tmp_path / "data" / "a" / "2.jpg", ns=(5, 5))
    reads = []
    read = type(pictures).read
    monkeypatch.setattr(type(pictures), "read", lambda self, index: reads.append(index) or read(self, index))
    monkeypatch.setattr(store_file, "prepare", lambda *_: pytest.fail("a picture was decoded"))
    second = opened(tmp_path, pictures)
    assert (reads, second.num_decoded) == ([2], 0)
    assert np.array_equal(first.pixels, second.pixels)
    opened(tmp_path, pictures)
    assert reads == [2]


def test_a_changed_file_is_decoded_again_and_no_other(tmp_path):
    opened(tmp_path, eight(tmp_path))
    (tmp_path / "data" / "b" / "1.jpg").write_bytes(jpeg(scene(99)))
    pictures = read_pictures(tmp_path / "data")
    second = opened(tmp_path, pictures)
    assert second.num_decoded == 1
    assert np.array_equal(second.pixels, expected(pictures))
    # The pixels that were replaced take no room any more.
    assert len(list(second.path.iterdir())) == 2


def test_a_change_that_keeps_the_size_is_seen_by_its_time(tmp_path):
    def block(level):
        return png(scene(1)) + bytes([level]) * 10

    pictures = pictures_of(tmp_path / "data", {"a/1.png": block(1), "b/2.png": png(scene(2))})
    opened(tmp_path, pictures)
    path = tmp_path / "data" / "a" / "1.png"
    size = path.stat().st_size
    path.write_bytes(block(2))
    os.utime(path, ns=(7, 7))
    assert path.stat().st_size == size
    assert opened(tmp_path, pictures).num_decoded == 1


def flat(tmp_path):
    """Two folders of uncompressed pictures, all of one size and, as after unpacking, of one time."""
    levels = {"cat": 20, "dog": 200}
    files = {f"{c}/{i}.bmp": encode(np.full((8, 8, 3), level + i, np.uint8), "BMP") for c, level in levels.items()
             for i in range(3)}  # fmt: skip
    pictures = pictures_of(tmp_path / "data", files)
    for path in (tmp_path / "data").rglob("*.bmp"):
        os.utime(path, (1.6e9, 1.6e9))
    return pictures


def swap(one, other):
    one.rename(one.with_name("between"))
    other.rename(one)
    one.with_name("between").rename(other)


@pytest.mark.parametrize("names", [("cat", "dog"), ("cat/0.bmp", "dog/0.bmp"), ("cat/0.bmp", "cat/2.bmp")])
def test_what_was_renamed_into_each_other_is_another_picture(tmp_path, names):
    """Size and time are kept by a rename; the file behind a name is not."""
    opened(tmp_path, flat(tmp_path))
    swap(*(tmp_path / "data" / name for name in names))
    pictures = read_pictures(tmp_path / "data")
    assert np.array_equal(opened(tmp_path, pictures).pixels, expected(pictures))


@pytest.mark.skipif(os.name == "nt", reason="Windows keeps no time of the last change of any kind")
def test_what_was_changed_in_place_and_set_back_in_time_is_seen(tmp_path):
    pictures = flat(tmp_path)
    opened(tmp_path, pictures)
    path = tmp_path / "data" / "cat" / "0.bmp"
    before = path.stat()
    # Clocks of file systems tick a few hundred times a second.
    while path.stat().st_ctime_ns == before.st_ctime_ns:
        path.write_bytes(encode(np.full((8, 8, 3), 77, np.uint8), "BMP"))
        os.utime(path, (1.6e9, 1.6e9))
    assert opened(tmp_path, pictures).num_decoded == 1
    assert np.array_equal(opened(tmp_path, pictures).pixels, expected(pictures))


def test_an_archive_under_the_name_of_another_is_another(tmp_path):
    for name, level in (("one", 20), ("other", 200)):
        with zipfile.ZipFile(tmp_path / f"{name}.zip", "w") as archive:
            for c in "ab":
                content = encode(np.full((8, 8, 3), level, np.uint8), "BMP")
                archive.writestr(zipfile.ZipInfo(f"{c}/1.bmp"), content)
        os.utime(tmp_path / f"{name}.zip", (1.6e9, 1.6e9))
    opened(tmp_path, read_pictures(tmp_path / "one.zip"))
    (tmp_path / "other.zip").rename(tmp_path / "one.zip")
    assert (opened(tmp_path, read_pictures(tmp_path / "one.zip")).pixels == 200).all()


@pytest.mark.parametrize("older", [{}, {"marks": None}, {"pixel_rules": np.array(1)}])
def test_a_store_that_was_made_by_older_rules_is_made_anew_once(tmp_path, older):
    pictures = eight(tmp_path)
    first = opened(tmp_path, pictures)
    index = read_arrays(first.path / "index.npz")
    kept = {name: values for name, values in (index | older).items() if values is not None}
    write_arrays(first.path / "index.npz", kept)
    again = [opened(tmp_path, pictures) for _ in range(2)]
    assert [found.num_decoded for found in again] == [8 * bool(older), 0]
    assert np.array_equal(again[1].pixels, expected(pictures))


def test_a_copied_set_is_read_once_and_decoded_never(tmp_path):
    first = opened(tmp_path, eight(tmp_path))
    shutil.copytree(tmp_path / "data", tmp_path / "copy")
    shutil.rmtree(tmp_path / "data")
    (tmp_path / "copy").rename(tmp_path / "data")
    second = opened(tmp_path)
    assert second.num_decoded == 0
    assert np.array_equal(first.pixels, second.pixels)


def test_added_removed_and_reordered_pictures_keep_their_own_pixels(tmp_path):
    opened(tmp_path, eight(tmp_path))
    (tmp_path / "data" / "a" / "0.jpg").unlink()
    (tmp_path / "data" / "a" / "00 new.jpg").write_bytes(jpeg(scene(55)))
    pictures = read_pictures(tmp_path / "data")
    second = opened(tmp_path, pictures)
    assert second.num_decoded == 1
    assert np.array_equal(second.pixels, expected(pictures))
    turned = pictures.select(np.array([5, 2, 7]))
    third = opened(tmp_path, turned)
    assert third.num_decoded == 0
    assert np.array_equal(third.pixels, expected(turned))


def test_unreadable_pictures_are_zeros_with_a_reason_and_are_not_tried_in_vain(tmp_path):
    files = {"a/1.png": png(scene(1)), "b/2.png": b"broken", "b/3.png": png(scene(3))}
    first = opened(tmp_path, pictures_of(tmp_path / "data", files))
    second = opened(tmp_path)
    for found in (first, second):
        assert found.readable.tolist() == [True, False, True]
        assert list(found.reasons) == [1]
        assert not found.pixels[1].any()
    assert second.num_decoded == 0
    (tmp_path / "data" / "b" / "2.png").write_bytes(png(scene(2)))
    third = opened(tmp_path)
    assert (third.readable.all(), third.reasons, third.num_decoded) == (True, {}, 1)


def test_a_file_that_may_not_be_read_now_is_tried_again(tmp_path, monkeypatch):
    pictures = eight(tmp_path)

    def refuse(self, index):
        raise PictureError("permission denied")

    with monkeypatch.context() as patched:
        patched.setattr(type(pictures), "read", refuse)
        assert set(opened(tmp_path, pictures).reasons.values()) == {"permission denied"}
    second = opened(tmp_path, pictures)
    assert second.reasons == {}
    assert np.array_equal(second.pixels, expected(pictures))


def test_another_policy_has_a_store_of_its_own(tmp_path):
    pictures = eight(tmp_path)
    other = PicturePolicy(side=24, channels=3, letterbox_fill=0)
    assert opened(tmp_path, pictures).path != opened(tmp_path, pictures, other).path
    assert opened(tmp_path, pictures, other).num_decoded == 0


def test_arrays_changed_in_place_are_noticed(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (6, 24, 24, 3), np.uint8)
    np.savez(tmp_path / "set.npz", x=pixels, y=np.arange(6) % 2)
    assert np.array_equal(opened(tmp_path, read_pictures(tmp_path / "set.npz")).pixels, pixels)
    pixels[3] = 7
    time.sleep(0.01)
    np.savez(tmp_path / "set.npz", x=pixels, y=np.arange(6) % 2)
    second = opened(tmp_path, read_pictures(tmp_path / "set.npz"))
    assert second.num_decoded == 1
    assert np.array_equal(second.pixels, pixels)


def test_no_pictures_make_an_empty_store(tmp_path):
    nothing = eight(tmp_path).select(np.zeros(0, np.int64))
    for _ in range(2):
        assert opened(tmp_path, nothing).pixels.shape == (0, 24, 24, 3)


@pytest.mark.parametrize("damage", ["index cut short", "pixels cut short", "pixels gone", "index gone"])
def test_a_damaged_store_is_made_anew(tmp_path, damage):
    pictures = eight(tmp_path)
    first = opened(tmp_path, pictures)
    pixels = next(first.path.glob("pixels-*"))
    what, _, how = damage.partition(" ")
    target = pixels if what == "pixels" else first.path / "index.npz"
    if how == "gone":
        target.unlink()
    else:
        target.write_bytes(target.read_bytes()[:-100])
    second = opened(tmp_path, pictures)
    assert second.num_decoded == 8
    assert np.array_equal(second.pixels, expected(pictures))


def test_an_error_while_building_leaves_the_old_store_whole(tmp_path, monkeypatch):
    first = opened(tmp_path, eight(tmp_path))
    before = first.pixels.copy()
    (tmp_path / "data" / "b" / "0.jpg").write_bytes(jpeg(scene(99)))
    os.utime(tmp_path / "data" / "b" / "0.jpg", ns=(9, 9))
    monkeypatch.setattr(store_file, "prepare", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        opened(tmp_path)
    assert len(list(first.path.iterdir())) == 2
    assert np.array_equal(first.pixels, before)
    monkeypatch.undo()
    assert opened(tmp_path).num_decoded == 1


BUILD = """
import sys, json, time
from pathlib import Path
import numpy as np
from whyconv.images import store
from whyconv.images.prepare import PicturePolicy
from whyconv.images.sources import read_pictures
data, cache, pause = sys.argv[1], Path(sys.argv[2]), float(sys.argv[3])
decode = store._decode
store._decode = lambda job, row: (time.sleep(pause), decode(job, row))[1]
found = store.open_store(read_pictures(data), PicturePolicy(side=24, channels=3), folder=cache, num_threads=1)
print(json.dumps([found.num_decoded, int(found.pixels.astype(np.int64).sum())]))
"""


def start_building(tmp_path, pause):
    command = [sys.executable, "-c", BUILD, str(tmp_path / "data"), str(tmp_path / "cache"), str(pause)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def test_a_process_killed_while_building_leaves_no_half_store(tmp_path):
    pictures = eight(tmp_path)
    process = start_building(tmp_path, 0.5)
    folder = tmp_path / "cache" / "pixels"
    deadline = time.monotonic() + 30
    while not (folder.exists() and list(folder.glob("*/.pixels-*"))) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.kill()
    process.wait()
    process.stdout.close()
    leftovers = list(folder.glob("*/.pixels-*"))
    assert leftovers
    assert not list(folder.glob("*/index.npz"))
    found = opened(tmp_path, pictures)
    assert np.array_equal(found.pixels, expected(pictures))
    assert leftovers[0].exists()
    # Nobody has written to it for two hours: the next that builds here removes it.
    os.utime(leftovers[0], (time.time() - 7200, time.time() - 7200))
    (tmp_path / "data" / "a" / "0.jpg").write_bytes(jpeg(scene(70)))
    opened(tmp_path)
    assert not leftovers[0].exists()


def test_two_processes_at_once_build_the_same_store(tmp_path):
    pictures = eight(tmp_path)
    processes = [start_building(tmp_path, 0.03) for _ in range(3)]
    results = [json.loads(process.communicate(timeout=60)[0]) for process in processes]
    total = int(expected(pictures).astype(np.int64).sum())
    assert [result[1] for result in results] == [total] * 3
    assert opened(tmp_path, pictures).num_decoded == 0
    assert np.array_equal(opened(tmp_path, pictures).pixels, expected(pictures))


def test_an_open_store_outlives_its_replacement(tmp_path):
    first = opened(tmp_path, eight(tmp_path))
    before = first.pixels.copy()
    (tmp_path / "data" / "a" / "0.jpg").write_bytes(jpeg(scene(99)))
    opened(tmp_path)
    assert np.array_equal(first.pixels, before)


def test_a_store_of_thousands_opens_at_once(shared_data, tmp_path):
    pictures = read_pictures(shared_data("flowers"))
    opened(tmp_path, pictures, PicturePolicy(side=8, channels=3))
    start = time.perf_counter()
    found = opened(tmp_path, pictures, PicturePolicy(side=8, channels=3))
    assert time.perf_counter() - start < 0.5
    assert (len(found.pixels), found.num_decoded) == (3670, 0)


def test_a_picture_that_was_not_decoded_in_time_is_tried_again(tmp_path, monkeypatch):
    slow = encode(np.tile(scene(1), (40, 40, 1)), "TIFF", compression="tiff_lzw")
    pictures = pictures_of(tmp_path / "data", {"a/1.tif": slow, "b/2.png": png(scene(2))})
    with monkeypatch.context() as patched:
        patched.setattr(decoding, "decode_apart", partial(decode_apart, seconds=0.001))
        first = opened(tmp_path, pictures)
    assert first.reasons == {0: "takes too long: this TIFF was not decoded in 0.001 seconds"}
    second = opened(tmp_path, pictures)
    assert (second.reasons, second.num_decoded) == ({}, 1)
    assert np.array_equal(second.pixels, expected(pictures))
