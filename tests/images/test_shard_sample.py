"""The sample of many shards: every picture in it once."""

import numpy as np
import pytest

from shard_files import picture, write_numbered, write_tar
from whyconv.images.shards import draw_sample, open_shards
from whyconv.images.shards.sample import write_sample
from whyconv.images.sources import read_pictures


@pytest.mark.parametrize("seed", range(4))
def test_a_rare_picture_that_was_drawn_already_is_not_added_once_more(tmp_path, seed):
    labels = ["c", *("ab"[number % 2] for number in range(1, 40))]
    path = write_tar(tmp_path / "s-0.tar", [(f"{n:02d}", picture(n), label) for n, label in enumerate(labels)])
    shards = open_shards(f"{path}::", folder=tmp_path / "cache")
    sample = draw_sample(shards, seed=seed, validation_fraction=0.1, test_fraction=0.1)
    rows = [tuple(row) for own in sample.rows.values() for row in own.tolist()]
    assert len(set(rows)) == len(rows)
    write_sample(shards, sample, tmp_path / "sample")
    assert len(read_pictures(tmp_path / "sample")) == len(rows)


def test_a_shard_that_is_named_twice_is_drawn_from_as_one(tmp_path):
    path = write_tar(tmp_path / "s-0.tar", [(f"{n:02d}", picture(n), "ab"[n % 2]) for n in range(40)])
    other = write_tar(tmp_path / "s-1.tar", [(f"{n:02d}", picture(n), "ab"[n % 2]) for n in range(40, 60)])
    shards = open_shards(f"{path}::{other}::{path}", folder=tmp_path / "cache")
    sample = draw_sample(shards, seed=1, validation_fraction=0.2, test_fraction=0.2)
    assert {part: len(rows) for part, rows in sample.rows.items()} == {1: 36, 2: 12, 3: 12}
    assert len({tuple(row) for own in sample.rows.values() for row in own.tolist()}) == 60
    left_out = [own.tolist() for own in sample.left_out(shards)]
    assert left_out[0] == left_out[2]
    assert len(left_out[0]) + len(left_out[1]) == 24


@pytest.mark.parametrize("seed", range(3))
def test_fractions_are_of_the_pictures_with_a_label(tmp_path, seed):
    labels = [None if number % 2 else "ab"[number // 2 % 2] for number in range(400)]
    path = write_tar(tmp_path / "s-0.tar", [(f"{n:03d}", picture(n), label) for n, label in enumerate(labels)])
    other = write_tar(tmp_path / "s-1.tar", [(f"{n:03d}", picture(n), "ab"[n % 2]) for n in range(400, 500)])
    shards = open_shards(f"{path}::{other}", folder=tmp_path / "cache")
    sample = draw_sample(shards, seed=seed, validation_fraction=0.15, test_fraction=0.2)
    assert {part: len(rows) for part, rows in sample.rows.items()} == {1: 300 - 45 - 60, 2: 45, 3: 60}
    rows = [tuple(row) for own in sample.rows.values() for row in own.tolist()]
    assert sorted(rows) == [*((0, n) for n in range(0, 400, 2)), *((1, n) for n in range(100))]


def test_every_picture_with_a_label_is_as_likely_to_be_drawn(tmp_path):
    labels = [None if number % 3 else "x" for number in range(90)]
    path = write_tar(tmp_path / "s-0.tar", [(f"{n:03d}", picture(n), label) for n, label in enumerate(labels)])
    other = write_tar(tmp_path / "s-1.tar", [(f"{n:03d}", picture(n), "x") for n in range(10)])
    shards = open_shards(f"{path}::{other}", folder=tmp_path / "cache")
    drawn = np.zeros(100)
    for seed in range(400):
        rows = draw_sample(shards, seed=seed, validation_fraction=0.0, test_fraction=0.25).rows[3]
        drawn[rows[:, 1] + 90 * rows[:, 0]] += 1
    assert drawn.sum() == 400 * 10
    assert not drawn[:90].reshape(30, 3)[:, 1:].any()
    # Binomial(400, 1/4): deviation 8.7; of 40 the farthest lies within 4 of them but for 1 in 390 tries.
    assert abs(drawn[[*range(0, 90, 3), *range(90, 100)]] - 100).max() < 4 * 8.7


@pytest.mark.parametrize("rare", [1, 2, 3])
def test_two_pictures_of_every_class_are_left_to_learn_from(tmp_path, rare):
    """In some of 40 draws all pictures of the rare class would be drawn for validation and test."""
    labels = ["owl" if number in range(7, 7 + rare) else "ab"[number % 2] for number in range(30)]
    path = write_tar(tmp_path / "s-0.tar", [(f"{n:02d}", picture(n), label) for n, label in enumerate(labels)])
    shards = open_shards(f"{path}::", folder=tmp_path / "cache")
    owl = shards.classes.index("owl")
    for seed in range(40):
        rows = draw_sample(shards, seed=seed, validation_fraction=0.3, test_fraction=0.3).rows
        held = [owl in shards.labels(0)[rows[part][:, 1]] for part in (2, 3)]
        assert (shards.labels(0)[rows[1][:, 1]] == owl).sum() >= min(2, rare)
        assert rare > 2 or not any(held)
        assert sorted(entry for own in rows.values() for entry in own[:, 1].tolist()) == list(range(30))
        # Only what is needed comes back: the others are drawn as they would be.
        assert 18 - rare <= len(rows[2]) + len(rows[3]) <= 18


def test_nothing_comes_back_where_enough_is_left(tmp_path):
    shards = open_shards(write_numbered(tmp_path, (40, 20)), folder=tmp_path / "cache")
    for seed in range(20):
        rows = draw_sample(shards, seed=seed, validation_fraction=0.1, test_fraction=0.2).rows
        assert [len(rows[part]) for part in (1, 2, 3)] == [42, 6, 12]
