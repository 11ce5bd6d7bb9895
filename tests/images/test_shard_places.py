"""Names of shards here: only * and ? are patterns, and every other sign is itself."""

import pytest

from shard_files import picture, write_parquet, write_tar
from whyconv.errors import UsageError
from whyconv.images.shards import expand, open_shards
from whyconv.images.shards.places import is_tar_file


@pytest.mark.parametrize("folder", ["plain", "a#b", "s[1]", "[x", "per%20cent", "s 가"])
@pytest.mark.parametrize("name", ["train#0.tar", "train?0.tar", "train[0].tar"])
def test_signs_in_names_here_are_themselves(tmp_path, folder, name):
    path = write_tar(tmp_path / folder / name, [("0", picture(0), "x"), ("1", picture(1), "y")])
    for pattern in ("*.tar", "train?0*.tar", "train*"):
        assert expand(f"{tmp_path / folder}/{pattern}") == [str(path)]
    assert is_tar_file(str(path))
    shards = open_shards(f"{tmp_path / folder}/*.tar", folder=tmp_path / "cache")
    assert [each.count for each in shards.listings] == [2]


def test_a_name_that_only_a_bracket_would_fit_is_another_one(tmp_path):
    for name in ("a1.tar", "a[1].tar"):
        write_tar(tmp_path / name, [])
    assert expand(f"{tmp_path}/a[1]*.tar") == [f"{tmp_path}/a[1].tar"]


def test_patterns_fit_file_urls_as_they_fit_paths(tmp_path):
    folder = tmp_path / "my set"
    names = [str(write_tar(folder / f"train.{number:03d}.tar", [])) for number in range(3)]
    address = folder.as_uri()
    assert "%20" in address
    for pattern in ("train.???.tar", "*.tar", "train.{000..002}.tar", "train.{000,001,002}.t?r"):
        assert expand(f"{address}/{pattern}") == names
    assert expand(f"file://localhost{address.removeprefix('file://')}/train.001.tar") == names[1:2]


def test_endings_are_those_of_names(tmp_path):
    write_parquet(tmp_path / "a#1.parquet", range(4))
    shards = open_shards(f"{tmp_path}/a*.parquet", folder=tmp_path / "cache")
    assert shards.listings[0].column == "image"
    (tmp_path / "b.tar?x").touch()
    with pytest.raises(UsageError, match="is no shard"):
        expand(f"{tmp_path}/b*")
    assert is_tar_file("https://host/a.tar?signed=yes#x")
    assert not is_tar_file("https://host/a.parquet?name=b.tar")
