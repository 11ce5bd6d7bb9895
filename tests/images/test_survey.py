"""Every picture looked at once: what is found, what is quarantined, what is not read again."""

import io
import os
import tracemalloc
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
from PIL import Image

from drawn_pictures import encode, exif_block
from scenes import jpeg, pictures_of, png, resized, scene
from whyconv.errors import PictureError
from whyconv.images import decode as decoding
from whyconv.images.cache import read_arrays, write_arrays
from whyconv.images.isolation import decode_apart
from whyconv.images.sources import pictures_from_arrays, read_pictures
from whyconv.images.survey import survey


def of(tmp_path, files, **options):
    pictures = pictures_of(tmp_path / "data", {f"class/{name}": content for name, content in files.items()})
    return survey(pictures, store=tmp_path / "cache", **options), [name.split("/")[-1] for name in pictures.names]


def one(tmp_path, name, content):
    found, _ = of(tmp_path, {name: content})
    assert found.readable[0], found.reasons
    return found


def test_size_format_and_color_are_found(tmp_path):
    found, names = of(tmp_path, {"a.jpg": jpeg(scene(1, 90, 60)), "b.png": png(scene(2, 33, 47).convert("L"))})
    assert names == ["a.jpg", "b.png"]
    assert found.widths.tolist() == [90, 33]
    assert found.heights.tolist() == [60, 47]
    assert found.formats.tolist() == ["jpeg", "png"]
    assert found.is_gray.tolist() == [False, True]
    assert found.readable.all()
    assert found.reasons == {}


def test_gray_in_three_channels_is_gray(tmp_path):
    assert one(tmp_path, "a.png", png(scene(1).convert("L").convert("RGB"))).is_gray[0]


def test_a_turned_picture_is_measured_upright(tmp_path):
    content = encode(scene(1, 80, 50), "JPEG", exif=exif_block(6))
    found = one(tmp_path, "a.jpg", content)
    assert (found.widths[0], found.heights[0]) == (50, 80)
    assert found.is_turned[0]


def test_deep_transparent_and_animated_pictures_are_marked(tmp_path):
    deep = encode(np.linspace(0, 65535, 40 * 40, dtype=np.uint16).reshape(40, 40), "PNG")
    see_through = scene(1).convert("RGBA")
    see_through.putalpha(100)
    file = io.BytesIO()
    scene(2).save(file, "GIF", save_all=True, append_images=[scene(3)])
    found, names = of(tmp_path, {"deep.png": deep, "alpha.png": png(see_through), "moving.gif": file.getvalue()})
    marks = {
        name: (bool(found.is_scaled[i]), bool(found.has_alpha[i]), bool(found.is_animated[i]))
        for i, name in enumerate(names)
    }
    assert marks == {
        "deep.png": (True, False, False),
        "alpha.png": (False, True, False),
        "moving.gif": (False, False, True),
    }


def test_broken_files_are_quarantined_with_a_reason_each(tmp_path):
    good = jpeg(scene(1, 300, 200))
    files = {"empty.jpg": b"", "cut.jpg": good[: len(good) // 2], "text.png": b"hello, world", "good.jpg": good}
    found, names = of(tmp_path, files)
    assert {names[index] for index in found.reasons} == {"empty.jpg", "cut.jpg", "text.png"}
    assert all(found.reasons.values())
    assert found.readable[names.index("good.jpg")]


@pytest.mark.parametrize("lost", [0.5, 0.1, 0.02])
def test_a_large_photo_that_ends_too_early_is_found_although_it_is_looked_at_in_part(tmp_path, lost):
    whole = jpeg(scene(1, 2400, 1800), 80)
    found, names = of(tmp_path, {"cut.jpg": whole[: int(len(whole) * (1 - lost))], "whole.jpg": whole})
    assert found.readable.tolist() == [False, True], names
    assert found.widths.tolist() == [0, 2400]


def test_a_file_that_cannot_be_opened_is_quarantined_and_tried_again(tmp_path):
    pictures = pictures_of(tmp_path / "data", {"class/a.png": png(scene(1)), "class/b.png": png(scene(2))})
    (tmp_path / "data" / "class" / "a.png").rename(tmp_path / "elsewhere.png")
    found = survey(pictures, store=tmp_path / "cache")
    assert list(found.reasons) == [0]
    (tmp_path / "elsewhere.png").rename(tmp_path / "data" / "class" / "a.png")
    assert survey(pictures, store=tmp_path / "cache").reasons == {}


def test_a_file_that_may_not_be_read_now_is_tried_again(tmp_path, monkeypatch):
    """Its size and time are known and stay the same, but what is in it was never seen."""
    pictures = pictures_of(tmp_path / "data", {"class/a.png": png(scene(1)), "class/b.png": png(scene(2))})

    def refuse(self, index):
        raise PictureError("permission denied")

    with monkeypatch.context() as patched:
        patched.setattr(type(pictures), "read", refuse)
        assert survey(pictures, store=tmp_path / "cache").reasons == dict.fromkeys(range(2), "permission denied")
    assert survey(pictures, store=tmp_path / "cache").reasons == {}


def test_a_picture_that_was_not_decoded_in_time_is_tried_again(tmp_path, monkeypatch):
    slow = encode(np.tile(scene(1), (40, 40, 1)), "TIFF", compression="tiff_lzw")
    pictures = pictures_of(tmp_path / "data", {"class/a.tif": slow, "class/b.png": png(scene(2))})
    with monkeypatch.context() as patched:
        patched.setattr(decoding, "decode_apart", partial(decode_apart, seconds=0.001))
        found = survey(pictures, store=tmp_path / "cache")
    assert found.reasons == {0: "takes too long: this TIFF was not decoded in 0.001 seconds"}
    again = survey(pictures, store=tmp_path / "cache")
    assert (again.reasons, again.num_read) == ({}, 1)


def test_a_change_that_keeps_the_time_is_seen_by_its_size(tmp_path):
    first, _ = of(tmp_path, {"a.png": png(scene(1))})
    path = tmp_path / "data" / "class" / "a.png"
    time = path.stat().st_mtime_ns
    path.write_bytes(png(scene(2)))
    os.utime(path, ns=(time, time))
    second = survey(read_pictures(tmp_path / "data"), store=tmp_path / "cache")
    assert not np.array_equal(first.pixel_digests, second.pixel_digests)


@pytest.mark.parametrize("names", [("a", "b"), ("a/1.bmp", "b/1.bmp")])
def test_what_was_renamed_into_each_other_is_looked_at_again(tmp_path, names):
    """Uncompressed pictures are of one size, those unpacked together of one time; a rename keeps both."""
    files = {f"{c}/1.bmp": encode(np.full((8, 8, 3), level, np.uint8), "BMP") for c, level in (("a", 20), ("b", 200))}
    pictures = pictures_of(tmp_path / "data", files)
    for path in (tmp_path / "data").rglob("*.bmp"):
        os.utime(path, (1.6e9, 1.6e9))
    assert survey(pictures, store=tmp_path / "cache").thumbnails[:, 0, 0].tolist() == [20, 200]
    one, other = (tmp_path / "data" / name for name in names)
    one.rename(tmp_path / "between")
    other.rename(one)
    (tmp_path / "between").rename(other)
    assert survey(pictures, store=tmp_path / "cache").thumbnails[:, 0, 0].tolist() == [200, 20]
    assert survey(pictures, store=tmp_path / "cache").num_read == 0


@pytest.mark.parametrize("older", [{}, {"marks": None}, {"pixel_rules": np.array(1)}])
def test_a_survey_that_was_made_by_older_rules_is_made_anew_once(tmp_path, older):
    first, _ = of(tmp_path, {"a.png": png(scene(1)), "b.png": png(scene(2))})
    kept = read_arrays(first.path)
    write_arrays(first.path, {name: values for name, values in (kept | older).items() if values is not None})
    again = [survey(read_pictures(tmp_path / "data"), store=tmp_path / "cache") for _ in range(2)]
    assert [found.num_read for found in again] == [2 * bool(older), 0]
    assert np.array_equal(again[1].rows, first.rows)


def test_pixel_digests_are_equal_exactly_where_pixels_are(tmp_path):
    image, other = scene(1), scene(1)
    other.putpixel((5, 5), (1, 2, 3))
    gray = image.convert("L")
    files = {
        "1.png": png(image),
        "2.bmp": encode(image, "BMP"),
        "3.png": png(other),
        "4.png": png(gray),
        "5.png": png(gray.convert("RGB")),
        "6.png": png(image.transpose(Image.Transpose.ROTATE_90)),
    }
    found, _ = of(tmp_path, files)
    digests = [digest.tobytes() for digest in found.pixel_digests]
    assert digests[0] == digests[1]
    assert digests[3] == digests[4]
    assert len(set(digests)) == 4
    assert len({digest.tobytes() for digest in found.digests}) == 6


def test_thumbnails_are_the_mean_gray_of_each_cell(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (64, 96), np.uint8)
    found = one(tmp_path, "a.png", encode(pixels, "PNG"))
    expected = pixels.reshape(32, 2, 32, 3).mean((1, 3))
    assert np.abs(found.thumbnails[0] - expected).max() <= 1


def test_a_second_survey_reads_nothing(tmp_path):
    files = {"a.jpg": jpeg(scene(1)), "b.png": png(scene(2)), "broken.png": b"\x89PNG\r\n\x1a\n"}
    first, _ = of(tmp_path, files)
    pictures = read_pictures(tmp_path / "data")
    second = survey(pictures, store=tmp_path / "cache")
    assert (first.num_read, second.num_read) == (3, 0)
    assert np.array_equal(first.rows, second.rows)
    assert first.reasons == second.reasons
    assert list(first.reasons) == [2]


def test_only_what_changed_is_read_again(tmp_path):
    files = {name: png(scene(seed)) for seed, name in enumerate(["a.png", "b.png", "c.png", "d.png"])}
    first, _ = of(tmp_path, files)
    folder = tmp_path / "data" / "class"
    (folder / "b.png").write_bytes(png(scene(77)))
    os.utime(folder / "c.png", ns=(1, 1))
    (folder / "d.png").unlink()
    (folder / "e.png").write_bytes(png(scene(5)))
    second = survey(read_pictures(tmp_path / "data"), store=tmp_path / "cache")
    assert second.num_read == 3
    same = [(first.pixel_digests[i] == second.pixel_digests[i]).all() for i in range(4)]
    assert same == [True, False, True, False]
    assert survey(read_pictures(tmp_path / "data"), store=tmp_path / "cache").num_read == 0


def test_a_mended_file_loses_its_reason(tmp_path):
    first, _ = of(tmp_path, {"a.png": b"broken", "b.png": png(scene(1))})
    assert list(first.reasons) == [0]
    (tmp_path / "data" / "class" / "a.png").write_bytes(png(scene(2)))
    second = survey(read_pictures(tmp_path / "data"), store=tmp_path / "cache")
    assert second.reasons == {}
    assert second.readable.all()


def test_pictures_in_another_order_keep_their_own_rows(tmp_path):
    pictures = pictures_of(tmp_path / "data", {f"class/{i}.png": png(scene(i, 40 + i, 30)) for i in range(5)})
    first = survey(pictures, store=tmp_path / "cache")
    order = np.array([3, 0, 4])
    second = survey(pictures.select(order), store=tmp_path / "cache")
    assert second.num_read == 0
    assert np.array_equal(second.rows, first.rows[order])


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04", b"no survey"])
def test_a_damaged_survey_is_made_anew(tmp_path, damage):
    first, _ = of(tmp_path, {"a.png": png(scene(1))})
    first.path.write_bytes(damage)
    second = survey(read_pictures(tmp_path / "data"), store=tmp_path / "cache")
    assert second.num_read == 1
    assert np.array_equal(first.rows, second.rows)


def test_a_cache_that_cannot_be_written_is_said_and_does_no_harm(tmp_path):
    (tmp_path / "cache").write_text("a file, not a folder")
    events = []
    found, _ = of(tmp_path, {"a.png": png(scene(1))}, notify=events.append)
    assert found.readable.all()
    assert [event.key for event in events if hasattr(event, "key")] == ["cache_not_kept"]


def test_progress_ends_at_the_total(tmp_path):
    events = []
    of(tmp_path, {f"{i}.png": png(scene(i, 40, 40)) for i in range(7)}, notify=events.append)
    assert (events[-1].stage, events[-1].done, events[-1].total) == ("check", 7, 7)
    assert [event.done for event in events] == sorted(event.done for event in events)


def test_threads_change_nothing(tmp_path):
    pictures = pictures_of(tmp_path / "data", {f"class/{i}.jpg": jpeg(scene(i)) for i in range(12)})
    found = [survey(pictures, store=tmp_path / f"cache{n}", num_threads=n).rows for n in (1, 2, 4)]
    assert np.array_equal(found[0], found[1])
    assert np.array_equal(found[0], found[2])


def test_no_pixels_are_kept(tmp_path):
    content = jpeg(scene(1, 800, 600))
    pictures = pictures_of(tmp_path / "data", {f"class/{i}.jpg": content + bytes([i]) for i in range(40)})
    tracemalloc.start()
    try:
        survey(pictures, store=tmp_path / "cache", num_threads=2)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    # One decoded picture is 1.4 MB: two at work and some waiting, but never all forty.
    assert peak < 15e6


def test_what_was_taken_for_white_is_kept_where_files_do_not_say(tmp_path):
    """Against the range of the values."""
    tops = {"a": np.float32(1.02), "b": np.float32(200), "c": np.int32(250), "d": np.int32(260), "e": np.float32(300),
            "f": np.uint16(9), "g": np.int32(70000), "h": np.uint8(3)}  # fmt: skip
    ramp = np.linspace(0, 1, 64).reshape(8, 8)
    files = {f"{name}.tif": encode((ramp * top).astype(top.dtype), "TIFF") for name, top in tops.items()}
    found, _ = of(tmp_path, files)
    assert found.readable.all()
    assert found.whites.tolist() == [1, 255, 255, 65535, -1, 0, -1, 0]


@pytest.mark.slow
def test_memory_is_that_of_the_rows(tmp_path):
    """Once, and 16 MB for what is on its way to disk; twice where names have moved."""
    num = 20_000
    pictures = pictures_from_arrays(np.arange(num * 4).reshape(num, 2, 2) % 251, np.arange(num) % 2)
    pictures = replace(pictures, where=str(tmp_path / "data"))
    survey(pictures.select(np.arange(8)), store=tmp_path / "warm", num_threads=1)
    turned = pictures.select(np.arange(num)[::-1])
    for given, times in ((pictures, 1), (pictures, 1), (turned, 2)):
        tracemalloc.start()
        try:
            survey(given, store=tmp_path / "cache", num_threads=1)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert peak < num * (1150 * times + 300) + 18e6


def test_arrays_are_pictures_too(tmp_path):
    pixels = np.stack([np.asarray(resized(scene(seed, 64, 64), 0.5)) for seed in range(3)])
    np.savez(tmp_path / "set.npz", x=pixels, y=np.array([0, 1, 0]))
    found = survey(read_pictures(tmp_path / "set.npz"), store=tmp_path / "cache")
    assert found.readable.all()
    assert found.widths.tolist() == [32, 32, 32]
    assert survey(read_pictures(tmp_path / "set.npz"), store=tmp_path / "cache").num_read == 0
