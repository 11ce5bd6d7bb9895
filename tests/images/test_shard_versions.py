"""A listing is found again for the same content alone, whatever tells one content from another."""

import os
from pathlib import Path

import pytest

from shard_files import picture, served, write_tar
from whyconv.images.shards import Shards, listing, open_shards
from whyconv.images.shards import places as module


def write(path: Path, labels: str, second: int) -> None:
    write_tar(path, [(str(number), picture(number), label) for number, label in enumerate(labels)])
    os.utime(path, (second, second))


def labels(shards: Shards, number: int = 0) -> str:
    return "".join(shards.classes[each] for each in shards.labels(number))


@pytest.fixture
def listed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The shards that were gone through."""
    found = list[str]()
    rows = listing._tar_rows
    monkeypatch.setattr(listing, "_tar_rows", lambda place, *rest: (found.append(place), rows(place, *rest))[1])
    return found


@pytest.mark.parametrize("tags", [("ETag",), ("Last-Modified",), ("ETag", "Last-Modified"), ()])
def test_a_shard_of_a_server_that_has_changed_is_listed_anew(
    tmp_path: Path, listed: list[str], tags: tuple[str, ...]
) -> None:
    pytest.importorskip("aiohttp")
    pytest.importorskip("fsspec")
    path = tmp_path / "s" / "a.tar"
    write(path, "xyxy", 10**9)
    with served(tmp_path / "s", tags) as address:
        first = open_shards(f"{address}/a.tar", folder=tmp_path / "cache")
        again = open_shards(f"{address}/a.tar", folder=tmp_path / "cache")
        assert (again.digest, again.listed) == (first.digest, first.listed)
        assert len(listed) == (1 if tags else 2)
        write(path, "yxyx", 10**9 + 5)
        changed = open_shards(f"{address}/a.tar", folder=tmp_path / "cache")
    assert changed.num_bytes == first.num_bytes
    assert (labels(again), labels(changed)) == ("xyxy", "yxyx")
    assert changed.listed != first.listed
    assert (changed.digest != first.digest) == bool(tags)


@pytest.mark.parametrize(
    ("about", "version"),
    [
        ({"ETag": "a", "Last-Modified": "b"}, "a"),
        ({"mtime": 3, "last_modified": 4, "Digest": "c"}, "3"),
        ({"LastModified": "b"}, "b"),
        ({"Last-Modified": "b", "Content-MD5": "c"}, "b c"),
        ({"last_modified": 4}, "4"),
        ({"Digest": "d", "url": "u"}, "d"),
        ({}, ""),
    ],
)
def test_what_was_taken_before_is_the_version_still(
    monkeypatch: pytest.MonkeyPatch, about: dict[str, object], version: str
) -> None:
    class Elsewhere:
        def info(self, path: str) -> dict[str, object]:
            return {"size": 7, **about}

    monkeypatch.setattr(module, "_system", lambda place: (Elsewhere(), place))
    found = module.version_of("s3://b/a.tar")
    assert (found.num_bytes, found.text, found.mark) == (7, version, version)


def test_shards_of_one_size_and_time_that_change_places_are_listed_anew(tmp_path: Path) -> None:
    paths = [tmp_path / "t-0.tar", tmp_path / "t-1.tar"]
    for path, text in zip(paths, ("abab", "cdcd"), strict=True):
        write(path, text, 10**9)
    first = open_shards(f"{tmp_path}/t-*.tar", folder=tmp_path / "cache")
    paths[0].rename(tmp_path / "away")
    paths[1].rename(paths[0])
    (tmp_path / "away").rename(paths[1])
    swapped = open_shards(f"{tmp_path}/t-*.tar", folder=tmp_path / "cache")
    assert [labels(first, number) for number in range(2)] == ["abab", "cdcd"]
    assert [labels(swapped, number) for number in range(2)] == ["cdcd", "abab"]
    assert swapped.listed != first.listed


def test_the_same_shards_copied_elsewhere_with_their_times_are_the_same(tmp_path: Path) -> None:
    """A training goes on where shards were put back, as from a backup: another file, of the same content."""
    path = tmp_path / "t-0.tar"
    write(path, "abab", 10**9)
    first = open_shards(f"{tmp_path}/t-*.tar", folder=tmp_path / "cache")
    path.unlink()
    write(path, "abab", 10**9)
    again = open_shards(f"{tmp_path}/t-*.tar", folder=tmp_path / "cache")
    assert (again.digest, again.listed) == (first.digest, first.listed)
