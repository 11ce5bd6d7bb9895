"""What a shard says of itself: its part by its name, its labels by the names that it holds."""

import pytest

from whyconv.images.shards.listing import Listing
from whyconv.images.sources import PART_NAMES


@pytest.mark.parametrize(
    ("place", "part"),
    [
        ("s/test.000.tar", "test"),
        ("s/val_000.tar", "validation"),
        ("s/train-000.tar", "train"),
        ("s/test.tar", "test"),
        ("https://host/test.000.tar?signed=yes", "test"),
        ("test/a.000.tar", "test"),
        ("s/tested.000.tar", PART_NAMES[0]),
        ("s/a.test.tar", "test"),
        ("s/imagenet1k-train-0000.tar", "train"),
        ("s/imgs-test-0.parquet", "test"),
        ("s/train-val-0.tar", PART_NAMES[0]),
        ("train/imgs-test-0.tar", "train"),
        ("s/latest-contest_0.tar", PART_NAMES[0]),
        ("https://host/pics-0.tar?part=test", PART_NAMES[0]),
        ("https://host/pics-0.tar?from=/test/a", PART_NAMES[0]),
    ],
)
def test_the_part_is_the_folder_or_a_word_of_the_name(tmp_path, place, part):
    assert PART_NAMES[Listing(place, tmp_path, 0, (), 0, "", "").part] == part
