"""The walk: what is passed over, links, odd names, unreadable folders, many files."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from whyconv.errors import DataError, PictureError
from whyconv.images.sources import Names, list_images, read_pictures
from whyconv.images.sources.listing import few, printable, read_file
from whyconv.images.sources.walk import walk

needs_links = pytest.mark.skipif(os.name == "nt", reason="links need rights on Windows")


def touch(root, *paths):
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(b"x")


def below(root):
    return [path.relative_to(root).as_posix() for path in list_images([root])]


def test_what_is_no_picture_is_passed_over_and_listed(tmp_path):
    touch(
        tmp_path, "cat/1.jpg", "cat/noend", "cat/odd.xyz", "cat/a.txt", "cat/.DS_Store", "cat/Thumbs.db", "cat/B.HTML"
    )
    touch(tmp_path, ".git/1.jpg", "__MACOSX/cat/._1.jpg", "dog/.ipynb_checkpoints/1.jpg", "dog/2.jpg", "desktop.ini")
    pictures = read_pictures(tmp_path)
    assert list(pictures.names) == ["cat/1.jpg", "cat/noend", "cat/odd.xyz", "dog/2.jpg"]
    assert set(pictures.skipped) == {
        ".git/", "__MACOSX/", "desktop.ini", "cat/.DS_Store", "cat/Thumbs.db", "dog/.ipynb_checkpoints/", "cat/a.txt",
        "cat/B.HTML"}  # fmt: skip
    assert below(tmp_path) == list(pictures.names)


@pytest.mark.parametrize("second", ["metrics.jsonl", "network.json"])
def test_own_run_folders_are_passed_over_and_no_class(tmp_path, second):
    touch(tmp_path, "cat/1.jpg", "dog/1.jpg", "runs/pets-1/run.toml", f"runs/pets-1/{second}", "runs/pets-1/shown.png")
    pictures = read_pictures(tmp_path)
    assert pictures.classes == ("cat", "dog")
    assert pictures.skipped == ("runs/pets-1/",)
    assert "folders_empty" not in [note.key for note in pictures.notes]
    with pytest.raises(DataError, match="is a run folder of whyconv"):
        read_pictures(tmp_path / "runs" / "pets-1")


def test_run_toml_alone_makes_no_run(tmp_path):
    touch(tmp_path, "cat/1.jpg", "cat/run.toml", "dog/1.jpg")
    assert read_pictures(tmp_path).classes == ("cat", "dog")


@needs_links
def test_links_are_followed_once_and_circles_end(tmp_path):
    touch(tmp_path, "cat/1.jpg", "elsewhere/real/1.jpg")
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "cat").symlink_to(tmp_path / "cat")
    (tmp_path / "set" / "dog").symlink_to(tmp_path / "elsewhere" / "real")
    (tmp_path / "set" / "dog2").symlink_to(tmp_path / "elsewhere" / "real")
    (tmp_path / "cat" / "self").symlink_to(tmp_path / "set")
    (tmp_path / "cat" / "gone.jpg").symlink_to(tmp_path / "nothing.jpg")
    pictures = read_pictures(tmp_path / "set")
    assert list(pictures.names) == ["cat/1.jpg", "cat/gone.jpg", "dog/1.jpg"]
    assert pictures.skipped == ("cat/self/", "dog2/")
    with pytest.raises(PictureError, match="file is missing"):
        pictures.read(1)
    with pytest.raises(PictureError, match="file is missing"):
        pictures.stat(1)


@needs_links
def test_pipes_are_never_opened(tmp_path):
    touch(tmp_path, "cat/1.jpg", "dog/1.jpg")
    os.mkfifo(tmp_path / "cat" / "2.jpg")
    (tmp_path / "dog" / "3.jpg").symlink_to(tmp_path / "cat" / "2.jpg")
    pictures = read_pictures(tmp_path)
    assert "cat/2.jpg" in pictures.skipped
    if "dog/3.jpg" in list(pictures.names):
        with pytest.raises(PictureError, match="not a regular file"):
            pictures.read(list(pictures.names).index("dog/3.jpg"))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux keeps names as bytes")
def test_names_that_are_not_utf8_or_not_printable_are_safe(tmp_path):
    odd = [b"\xff\xfe.jpg", b"line\nbreak.jpg", b"esc\x1b[31m.jpg", "\ud55c\uae00.jpg".encode(), b"\\xff\\xfe.jpg"]
    for folder in (b"cat", b"d\xf6g"):
        inside = tmp_path / os.fsdecode(folder)
        inside.mkdir()
        for name in odd:
            (inside / os.fsdecode(name)).write_bytes(folder + name)
    pictures = read_pictures(tmp_path)
    assert pictures.classes == ("cat", r"d\xf6g")
    assert len(set(pictures.names)) == len(pictures) == 10
    contents = {pictures.read(row) for row in range(len(pictures))}
    assert contents == {folder + name for folder in (b"cat", b"d\xf6g") for name in odd}
    for name in pictures.names:
        assert name.encode("utf-8").decode().isprintable()
    assert {"cat/line\\nbreak.jpg", "cat/esc\\x1b[31m.jpg", "cat/\ud55c\uae00.jpg"} <= set(pictures.names)


@pytest.mark.skipif(os.name == "nt" or not hasattr(os, "geteuid") or os.geteuid() == 0, reason="needs a user's rights")
def test_folders_that_cannot_be_opened_are_told(tmp_path):
    touch(tmp_path, "cat/1.jpg", "dog/1.jpg", "owl/1.jpg")
    (tmp_path / "owl").chmod(0)
    try:
        pictures = read_pictures(tmp_path)
    finally:
        (tmp_path / "owl").chmod(0o700)
    assert [note.values["folders"] for note in pictures.notes if note.key == "folders_closed"] == ["owl"]


def test_folders_that_cannot_be_opened_do_not_end_the_walk(tmp_path, monkeypatch):
    touch(tmp_path, "cat/1.jpg", "dog/1.jpg", "owl/1.jpg")
    scandir = os.scandir

    def refuse(path):
        if os.fspath(path).endswith("owl"):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    tree = walk(tmp_path)
    assert (tree.files, tree.closed) == (["cat/1.jpg", "dog/1.jpg"], ["owl"])
    assert below(tmp_path) == ["cat/1.jpg", "dog/1.jpg", "owl"]
    with pytest.raises(PictureError, match="the folder may not be opened: permission denied"):
        read_file(tmp_path / "owl")
    with pytest.raises(PictureError, match="it is a folder, not a file"):
        read_file(tmp_path / "cat")
    monkeypatch.setattr(os, "scandir", lambda path: (_ for _ in ()).throw(PermissionError(13, "Permission denied")))
    with pytest.raises(DataError, match="cannot be listed: permission denied"):
        walk(tmp_path)


def test_listing_is_sorted_and_streams(tmp_path):
    touch(tmp_path, "b/2.jpg", "b/10.jpg", "a/1.jpg", "c.jpg", "a.jpg")
    assert below(tmp_path) == ["a/1.jpg", "a.jpg", "b/10.jpg", "b/2.jpg", "c.jpg"]
    listed = list_images([tmp_path])
    next(listed)
    (tmp_path / "b" / "10.jpg").unlink()
    touch(tmp_path, "b/3.jpg")
    assert [path.name for path in listed] == ["a.jpg", "2.jpg", "3.jpg", "c.jpg"]


def test_named_files_are_always_listed_and_missing_ones_named(tmp_path):
    touch(tmp_path, "a.txt", ".hidden.jpg", "cat.jpg")
    assert list(list_images(tmp_path / "a.txt")) == [tmp_path / "a.txt"]
    assert list(list_images([tmp_path / ".hidden.jpg"])) == [tmp_path / ".hidden.jpg"]
    with pytest.raises(DataError, match=r"cot\.jpg, .*gone do not exist \(2 paths\).*Did you mean 'cat.jpg'"):
        list_images([tmp_path / "cot.jpg", tmp_path / "a.txt", tmp_path / "gone"])
    lazy = list_images(path for path in [tmp_path / "a.txt", tmp_path / "gone"])
    assert next(lazy) == tmp_path / "a.txt"
    with pytest.raises(DataError, match="gone does not exist"):
        next(lazy)


def test_no_pictures_says_what_was_found(tmp_path):
    touch(tmp_path, "a.txt", "b.txt", "sub/c.pdf")
    with pytest.raises(DataError, match=r"holds no pictures; found 2 \.txt, 1 \.pdf\. Looked for class folders"):
        read_pictures(tmp_path)
    touch(tmp_path, "pets.zip")
    with pytest.raises(DataError, match="Name the archive itself"):
        read_pictures(tmp_path)
    (tmp_path / "pets.zip").rename(tmp_path / "pets.7z")
    with pytest.raises(DataError, match="Unpack the archive first"):
        read_pictures(tmp_path)


def test_too_large_files_and_folders_are_not_read(tmp_path):
    touch(tmp_path, "cat/1.jpg", "dog/1.jpg")
    with (tmp_path / "cat" / "1.jpg").open("r+b") as file:
        file.truncate(100_000_001)
    pictures = read_pictures(tmp_path)
    with pytest.raises(PictureError, match=r"100,000,001 bytes; at most 100,000,000"):
        pictures.read(0)
    (tmp_path / "cat" / "1.jpg").unlink()
    (tmp_path / "cat" / "1.jpg").mkdir()
    with pytest.raises(PictureError, match="it is a folder"):
        pictures.read(0)


def test_names_behave_like_a_list():
    words = ["", "a", "\ud55c\uae00", "\udcff.jpg", "a/b c.jpg"]
    names = Names(words)
    assert list(names) == words
    assert (names[-1], names[2], len(names), list(names[1:3])) == (words[-1], words[2], 5, words[1:3])
    assert words[3] in names
    assert names.index("a") == 1
    with pytest.raises(IndexError):
        names[5]
    assert list(Names()) == []


def test_printing_of_names():
    assert printable("plain \u00e9 \u3000.jpg") == "plain \u00e9 \u3000.jpg"
    assert printable("a\tb\u2028\x9b") == "a\\tb\\u2028\\x9b"
    assert few(["a", "b"]) == "a, b"
    assert few((str(i) for i in range(9)), 2) == "0, 1, ..."


def make_many(root, n):
    for folder in range(10):
        (root / f"c{folder}").mkdir()
    for i in range(n):
        (root / f"c{i % 10}" / f"{i:06d}.jpg").touch()


def test_many_files_are_listed_quickly(tmp_path):
    make_many(tmp_path, 3_000)
    start = time.perf_counter()
    assert len(read_pictures(tmp_path)) == 3_000
    assert time.perf_counter() - start < 1


# Peak memory is measured in a process of its own, so that other tests do not count.
MEASURE = """
import resource, sys, time
from whyconv.images.sources import list_images, read_pictures
start = time.perf_counter()
if sys.argv[2] == "list":
    listed = list_images([sys.argv[1]])
    for _ in range(1000): next(listed)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
n = 1000 + sum(1 for _ in listed) if sys.argv[2] == "list" else len(read_pictures(sys.argv[1]))
print(n, (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024, time.perf_counter() - start)
"""


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="measures with resource")
def test_a_hundred_thousand_files(tmp_path):
    make_many(tmp_path, 100_000)
    for verb, most_megabytes in (("read", 100), ("list", 20)):
        command = [sys.executable, "-c", MEASURE, str(tmp_path), verb]
        n, megabytes, seconds = map(
            float, subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
        )
        assert n == 100_000
        assert seconds < 10
        assert megabytes < most_megabytes


@needs_links
@pytest.mark.parametrize("link", ["best", "a/deep/er", "zoo"])
def test_a_folder_goes_by_its_own_name_and_links_to_it_are_told(tmp_path, link):
    for name in ("a/deep/1.jpg", "cat/1.jpg", "cat/in/2.jpg", "dog/1.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    (tmp_path / link).symlink_to(tmp_path / "cat")
    pictures = read_pictures(tmp_path)
    assert list(pictures.names) == ["a/deep/1.jpg", "cat/1.jpg", "cat/in/2.jpg", "dog/1.jpg"]
    assert pictures.classes == ("a", "cat", "dog")
    (note,) = [note for note in pictures.notes if note.key == "folders_read_already"]
    assert (note.level, note.values) == ("warning", {"num": "1", "folders": link})


@needs_links
def test_links_stand_in_the_order_of_names(tmp_path):
    """Against a walk that follows every link, where no two lead to the same folder."""
    outside = tmp_path / "outside"
    for name in (
        "set/b/1.jpg",
        "set/d/e/1.jpg",
        "set/d/e.jpg",
        "outside/x/2.jpg",
        "outside/x/y/3.jpg",
        "outside/z/4.jpg",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "set" / "a").symlink_to(outside / "x")
    (tmp_path / "set" / "d" / "c").symlink_to(outside / "z")
    root = tmp_path / "set"
    found = [Path(top, name).relative_to(root) for top, _, names in os.walk(root, followlinks=True) for name in names]
    assert walk(root).files == [path.as_posix() for path in sorted(found)]
    assert "folders_read_already" not in [note.key for note in read_pictures(root).notes]
