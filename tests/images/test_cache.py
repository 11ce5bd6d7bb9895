"""The cache folder: where it is, what is listed, and that only our own is removed."""

from pathlib import Path

import numpy as np
import pytest

from scenes import pictures_of, png, scene
from whyconv.errors import StorageError
from whyconv.images.cache import (
    clear_command,
    default_folder,
    entry_path,
    list_stores,
    pack,
    read_arrays,
    remove_stores,
    unpack,
)
from whyconv.images.duplicates import find
from whyconv.images.prepare import PicturePolicy
from whyconv.images.store import open_store
from whyconv.images.survey import survey


def filled(root, name):
    """A data set whose pixels, survey and copies are kept below ``root``."""
    pictures = pictures_of(root / name, {f"{c}/{i}.png": png(scene(i, 40, 40)) for i in range(2) for c in "ab"})
    open_store(pictures, PicturePolicy(side=8, channels=3), folder=root / "cache")
    find(survey(pictures, store=root / "cache"), pictures)
    return root / "cache"


@pytest.mark.parametrize(
    ("value", "expected"),
    [("/tmp/there", "/tmp/there/whyconv"), ("not/absolute", "HOME/.cache/whyconv"), ("", "HOME/.cache/whyconv")],
)
def test_the_default_folder_follows_xdg(monkeypatch, value, expected):
    monkeypatch.setenv("XDG_CACHE_HOME", value)
    assert default_folder() == Path(expected.replace("HOME", str(Path.home())))


def test_all_that_is_kept_is_listed_with_its_source(tmp_path):
    cache = filled(tmp_path, "data")
    found = list_stores(cache)
    assert sorted(entry.kind for entry in found) == ["pixels", "survey", "survey"]
    assert {entry.where for entry in found} == {str((tmp_path / "data").resolve())}
    pixels = next(entry for entry in found if entry.kind == "pixels")
    assert pixels.num_bytes == sum(file.stat().st_size for file in pixels.path.iterdir())
    assert [entry.num_bytes for entry in found] == sorted((entry.num_bytes for entry in found), reverse=True)


def test_only_our_own_is_removed(tmp_path):
    cache = filled(tmp_path, "data")
    foreign = [cache / "notes.txt", cache / "pixels" / "mine" / "thesis.txt", cache / "surveys" / "letter.npz"]
    for path in foreign:
        path.parent.mkdir(exist_ok=True)
        path.write_text("precious")
    assert len(remove_stores(cache)) == 3
    assert [path.read_text() for path in foreign] == ["precious"] * 3
    assert list_stores(cache) == []


def test_what_a_first_decoding_left_that_was_killed_is_listed_and_removed(tmp_path):
    cache = filled(tmp_path, "data")
    folder = entry_path(cache, "pixels", str(tmp_path / "other"))
    folder.mkdir()
    (folder / ".pixels-0123.u8.x.part").write_bytes(bytes(1_000_000))
    entry = list_stores(cache)[0]
    assert (entry.path, entry.kind, entry.where, entry.num_bytes) == (folder, "pixels", "", 1_000_000)
    assert len(remove_stores(cache)) == 4
    assert not folder.exists()


@pytest.mark.parametrize("name", ["{whole}", ".{whole}.ab12_cd9.part"])
@pytest.mark.parametrize("kind", ["", ".copies"])
def test_a_survey_that_is_damaged_or_was_not_finished_is_listed_and_removed(tmp_path, name, kind):
    surveys = filled(tmp_path, "data") / "surveys"
    whole = entry_path(None, "surveys", str(tmp_path / "a.b")).name + f"{kind}.npz"
    foreign = [surveys / ".letter.npz", surveys / "letter.npz.part", surveys / f".{whole}.swp", surveys / "a.txt"]
    for path in foreign:
        path.write_text("precious")
    left = surveys / name.format(whole=whole)
    left.write_bytes(b"PK")
    entry = next(entry for entry in list_stores(tmp_path / "cache") if entry.path == left)
    assert (entry.kind, entry.where, entry.num_bytes) == ("survey", "", 2)
    assert len(remove_stores(tmp_path / "cache", where=tmp_path / "data")) == 3
    assert left.exists()
    assert [entry.path for entry in remove_stores(tmp_path / "cache")] == [left]
    assert not left.exists()
    assert all(path.read_text() == "precious" for path in foreign)


def test_surveys_of_sources_with_a_dot_in_their_names_are_kept_apart(tmp_path):
    for end in ("v1", "v2"):
        filled(tmp_path, f"data.{end}")
    assert len(list_stores(tmp_path / "cache")) == 6


def test_the_command_that_empties_a_cache_names_it():
    assert clear_command(None) == clear_command(default_folder()) == "whyconv cache --clear"
    assert clear_command(Path("my cache")) == "whyconv cache --clear --store 'my cache'"


def test_one_source_is_removed_and_the_other_stays(tmp_path):
    cache = filled(tmp_path, "one")
    filled(tmp_path, "two")
    assert len(remove_stores(cache, where=tmp_path / "one")) == 3
    assert {entry.where for entry in list_stores(cache)} == {str((tmp_path / "two").resolve())}


def test_a_cache_that_is_not_there_is_empty(tmp_path):
    assert list_stores(tmp_path / "none") == []
    assert remove_stores(tmp_path / "none") == []


def test_a_cache_that_cannot_be_read_is_said(tmp_path):
    with pytest.raises(StorageError, match=r"a{300} cannot be read: [^.]+\. Name another folder: --store DIR"):
        list_stores(tmp_path / ("a" * 300))


def test_two_sources_of_one_name_are_kept_apart(tmp_path):
    assert entry_path(tmp_path, "pixels", "/a/data") != entry_path(tmp_path, "pixels", "/b/data")
    assert entry_path(tmp_path, "pixels", "/a/data").name.startswith("data-")


@pytest.mark.parametrize("texts", [[], [""], ["", ""], ["a", "한글", "b\udcff"]])
def test_texts_are_packed_and_unpacked(texts):
    assert unpack(pack(texts), len(texts)) == texts


def test_another_number_of_texts_is_noticed():
    with pytest.raises(ValueError, match="expected 3 texts, found 2"):
        unpack(pack(["a", "b"]), 3)


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 cut short", b"\x93NUMPY"])
def test_a_damaged_file_is_no_file(tmp_path, content):
    path = tmp_path / "index.npz"
    path.write_bytes(content)
    assert read_arrays(path) is None


def test_a_single_array_is_no_file_of_arrays(tmp_path):
    with (tmp_path / "index.npz").open("wb") as file:
        np.save(file, np.arange(3))
    assert read_arrays(tmp_path / "index.npz") is None


def test_pickled_arrays_are_not_loaded(tmp_path):
    path = tmp_path / "index.npz"
    np.savez(path, where=np.array([{"a": 1}], dtype=object))
    assert read_arrays(path) is None
