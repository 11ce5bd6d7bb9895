"""The room that decoded pictures take: told before, and what is said where there is none."""

import errno
import os
import shutil
from types import SimpleNamespace

import pytest

from stored_pictures import POLICY, eight, opened
from whyconv.errors import StorageError
from whyconv.images import store as store_file
from whyconv.images.store import open_store


def test_the_size_is_said_before_anything_is_written(tmp_path):
    events = []

    def listen(event):
        events.append((event, (tmp_path / "cache").exists()))

    opened(tmp_path, eight(tmp_path), notify=listen)
    note, was_written = events[0]
    assert note.key == "store_size"
    assert note.values["num_bytes"] == 8 * 24 * 24 * 3
    assert note.values["free_bytes"] > 0
    assert not was_written
    last = events[-1][0]
    assert (last.stage, last.done, last.total) == ("store", 8, 8)


def test_a_full_disk_is_refused_before_anything_is_written(tmp_path, monkeypatch):
    pictures = eight(tmp_path)
    free = store_file.RESERVE_BYTES + 8 * 24 * 24 * 3 - 1
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=free))
    with pytest.raises(StorageError, match=r"13\.8 kB.*only 200\.0 MB.*--store DIR.*--size N \(now 24\)"):
        opened(tmp_path, pictures)
    assert not (tmp_path / "cache").exists()
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=free + 1))
    assert opened(tmp_path, pictures).num_decoded == 8


def test_a_folder_that_cannot_be_written_is_said(tmp_path):
    (tmp_path / "cache").write_text("a file, not a folder")
    with pytest.raises(StorageError, match=r"\(13\.8 kB\) cannot be kept in [^:]+: [^.]+\. Name [^:]+: --store DIR\.$"):
        opened(tmp_path, eight(tmp_path))


def test_a_folder_that_cannot_be_asked_for_is_said(tmp_path):
    with pytest.raises(StorageError, match=r"cannot be kept in [^:]+: [^.]+\. Name another folder: --store DIR\.$"):
        open_store(eight(tmp_path), POLICY, folder=tmp_path / ("a" * 300))


def test_a_disk_that_fills_up_meanwhile_asks_for_smaller_pictures(tmp_path, monkeypatch):
    def fill(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    pictures = eight(tmp_path)
    monkeypatch.setattr(os, "fsync", fill)
    with pytest.raises(StorageError, match=r"pixels: No space left on device\. Name .*--store DIR; or .*: --size N\.$"):
        opened(tmp_path, pictures)
