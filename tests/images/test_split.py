"""Virtual splits: complete, grouped, stratified, and a function of content and seed alone."""

import hashlib
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_digits

from whyconv.errors import DataError, SettingsError
from whyconv.images.split import Material, assign_parts, components
from whyconv.texts import say

TRAIN, VALIDATION, TEST = 1, 2, 3


def digests_of(n, salt=0):
    """Returns n different digests, uint8 (n, 16)."""
    hashes = [hashlib.md5(f"{salt}/{i}".encode()).digest() for i in range(n)]
    return np.frombuffer(b"".join(hashes), np.uint8).reshape(n, 16)


def material(labels, **more):
    labels = np.asarray(labels)
    more.setdefault("digests", digests_of(len(labels)))
    return Material(labels, classes=[f"class {i}" for i in range(max(labels, default=0) + 1)], **more)


def split(labels, seed=0, **more):
    return assign_parts(material(labels, **more), seed=seed)[0]


def keys(notes):
    return [note.key for note in notes]


# A small data set: up to 5 classes, an optional grouping, some pictures without label or unreadable.
@st.composite
def materials(draw, groups_in_class=False):
    n = draw(st.integers(4, 120))
    labels = np.array(draw(st.lists(st.integers(-1, 4), min_size=n, max_size=n)))
    labels[:2] = 0
    groups = np.array(draw(st.lists(st.integers(0, max(1, n // 2)), min_size=n, max_size=n)))
    if groups_in_class:
        groups = groups * 10 + labels
    readable = np.array(draw(st.lists(st.sampled_from([True] * 9 + [False]), min_size=n, max_size=n)))
    readable[:2] = True
    return material(labels, groups=[groups], readable=readable, digests=digests_of(n, draw(st.integers(0, 9))))


@settings(max_examples=60, deadline=None)
@given(materials(), st.integers(0, 3))
def test_every_usable_picture_has_one_part_and_no_group_is_cut(data, seed):
    parts, _ = assign_parts(data, seed=seed)
    usable = (data.labels >= 0) & data.readable
    assert np.array_equal(parts > 0, usable)
    assert (parts[usable] == TRAIN).any()
    for number in np.unique(data.groups[0]):
        assert len(set(parts[usable & (data.groups[0] == number)])) <= 1


@settings(max_examples=60, deadline=None)
@given(materials(), st.randoms(use_true_random=False))
def test_order_of_the_listing_and_numbers_of_the_groups_do_not_matter(data, random):
    order = np.array(random.sample(range(len(data.labels)), len(data.labels)))
    shuffled = Material(
        data.labels[order],
        data.digests[order],
        data.classes,
        data.readable[order],
        None,
        [1_000 - data.groups[0][order]],
    )
    assert np.array_equal(assign_parts(data)[0][order], assign_parts(shuffled)[0])


@settings(max_examples=60, deadline=None)
@given(materials(groups_in_class=True))
def test_quotas_of_a_class_are_missed_by_less_than_its_largest_group(data):
    parts, _ = assign_parts(data)
    for label in np.unique(data.labels[parts > 0]):
        own = (data.labels == label) & (parts > 0)
        sizes = np.bincount(data.groups[0][own])
        for part in (VALIDATION, TEST):
            # Half a picture of rounding, and at least one picture (so at least one group) in each part.
            assert abs((parts[own] == part).sum() - 0.15 * own.sum()) < max(sizes.max(), 1) + 0.5


@settings(max_examples=60, deadline=None)
@given(materials(groups_in_class=True))
def test_a_class_with_three_groups_is_in_every_part(data):
    parts, notes = assign_parts(data)
    lacking = 0
    for label in np.unique(data.labels[parts > 0]):
        own = (data.labels == label) & (parts > 0)
        num_groups = len(np.unique(data.groups[0][own]))
        expected = {1: {TRAIN}, 2: {TRAIN, TEST}}.get(num_groups, {TRAIN, VALIDATION, TEST})
        assert set(parts[own]) == expected
        lacking += num_groups < 3
    found = [note.values["num"] for note in notes if note.key == "split_classes_not_in_every_part"]
    assert found == ([lacking] if lacking else [])


def test_of_a_class_in_one_group_it_is_not_said_that_it_has_too_few_pictures():
    _, notes = assign_parts(material([0] * 20 + [1] * 20, groups=[np.append(np.zeros(20, int), np.arange(20) + 1)]))
    told = say(notes[-1].key, **notes[-1].values)
    assert told.startswith("1 class has too few independent pictures to be in every part: class 0.")
    assert "--group-by" in told


def test_single_pictures_are_split_exactly_in_each_class():
    parts = split([0] * 100 + [1] * 40 + [2] * 3)
    counts = [
        np.bincount(parts[rows], minlength=4).tolist() for rows in (slice(0, 100), slice(100, 140), slice(140, 143))
    ]
    assert counts == [[0, 70, 15, 15], [0, 28, 6, 6], [0, 1, 1, 1]]


def test_small_example_worked_out_by_hand():
    """Sorted BLAKE2b(seed, digest) of 8 single pictures: quota round(1.2) = 1, so first test, then validation."""
    digests = digests_of(8)
    order = sorted(
        range(8),
        key=lambda i: int.from_bytes(
            hashlib.blake2b((7).to_bytes(8, "little") + digests[i].tobytes(), digest_size=8).digest(), "little"
        ),
    )
    expected = np.full(8, TRAIN)
    expected[order[0]], expected[order[1]] = TEST, VALIDATION
    assert split([0] * 8, seed=7, digests=digests).tolist() == expected.tolist()


def test_the_split_is_frozen():
    """Written down once: another result would move pictures of existing users between parts."""
    assert "".join(map(str, split([0] * 12 + [1] * 8))) == "12231111311121111113"


def test_another_seed_is_another_split():
    assert not np.array_equal(split([0] * 100), split([0] * 100, seed=1))
    assert np.array_equal(split([0] * 100, seed=-5), split([0] * 100, seed=-5))


def test_a_class_that_is_added_moves_nothing_of_the_others():
    labels = np.arange(300) % 3
    digests = digests_of(300)
    all_three, two = split(labels, digests=digests), split(labels[labels < 2], digests=digests[labels < 2])
    assert np.array_equal(all_three[labels < 2], two)


def test_equal_content_stays_together_without_being_grouped():
    digests = digests_of(40).copy()
    digests[10:20] = digests[0:10]
    parts = split([0] * 40, digests=digests)
    assert np.array_equal(parts[0:10], parts[10:20])
    assert set(parts) == {1, 2, 3}


def test_groupings_are_joined_in_steps():
    near, by_user = np.array([0, 0, 1, 2, 3]), np.array([5, 6, 6, 7, 7])
    assert components([near, None, by_user], np.ones(5, bool)).tolist() == [0, 0, 0, 3, 3]
    usable = np.array([True, False, True, True, True])
    assert components([near, by_user], usable).tolist() == [0, -1, 2, 3, 3]


def test_persons_who_show_every_class_are_not_cut_and_parts_are_near_their_share():
    rng = np.random.default_rng(0)
    labels, persons = rng.integers(0, 5, 2_000), rng.integers(0, 40, 2_000)
    parts, notes = assign_parts(material(labels, groups=[persons]))
    for person in range(40):
        assert len(set(parts[persons == person])) == 1
    for label in range(5):
        shares = np.bincount(parts[labels == label], minlength=4) / (labels == label).sum()
        assert np.abs(shares - [0, 0.7, 0.15, 0.15]).max() < 0.05
    assert keys(notes) == ["split_made"]


def test_three_persons_who_show_every_class_go_one_to_each_part():
    labels, persons = np.tile([0, 1, 2, 3], 30), np.repeat([0, 1, 2], 40)
    assert sorted(set(split(labels, groups=[persons])[::40])) == [1, 2, 3]


def test_order_does_not_matter_where_groups_span_classes():
    rng = np.random.default_rng(0)
    for salt in range(200):
        labels, groups, order = rng.integers(0, 4, 14), rng.integers(0, 6, 14), rng.permutation(14)
        digests = digests_of(14, salt)
        expected = split(labels, digests=digests, groups=[groups])[order]
        assert np.array_equal(split(labels[order], digests=digests[order], groups=[groups[order]]), expected)


def test_a_large_person_does_not_fill_a_small_part():
    persons = np.concatenate([np.repeat([0, 1, 2], 100), np.repeat(np.arange(3, 15), 5)])
    parts = split(np.arange(360) % 2, groups=[persons])
    assert set(parts[:300]) == {TRAIN}
    assert set(parts[300:]) == {VALIDATION, TEST}


@pytest.mark.parametrize("num_copies", [200, 1_200, 30_000])
@pytest.mark.parametrize("own_test", [False, True])
def test_copies_that_are_most_of_a_class_do_not_take_its_other_pictures_out_of_training(num_copies, own_test):
    """Class 0: 120 pictures and copies of one more; class 1 has as many pictures without copies."""
    labels = np.concatenate([np.zeros(120 + num_copies, int), np.ones(120, int)])
    groups = np.arange(len(labels))
    groups[120 : 120 + num_copies] = 120
    parts, notes = assign_parts(
        material(labels, groups=[groups]), validation_fraction=0.15, test_fraction=0 if own_test else 0.15
    )
    held_out = [0, 18] if own_test else [0, 18, 18]
    expected = [0, 120 - sum(held_out), *held_out[1:]]
    for rows in (slice(0, 120), slice(120 + num_copies, None)):
        assert np.bincount(parts[rows]).tolist() == expected
    assert set(parts[120 : 120 + num_copies]) == {TRAIN}
    assert keys(notes) == ["split_made"]


def test_a_group_that_is_most_of_a_class_is_held_out_where_so_much_is_wanted():
    parts, _ = assign_parts(
        material([0] * 100, groups=[np.maximum(np.arange(100) - 59, 0)]), validation_fraction=0.7, test_fraction=0
    )
    assert abs((parts == VALIDATION).sum() - 70) <= 60


def quotas_of_all(labels, groups, seed=0):
    """The rule for groups of one class as it always was, written anew: quotas are fractions of all pictures."""
    digests = digests_of(len(labels))
    salt = seed.to_bytes(8, "little")
    drawn = [hashlib.blake2b(salt + each.tobytes(), digest_size=8).digest()[::-1] for each in digests]
    parts = np.full(len(labels), TRAIN)
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        left = dict.fromkeys((TEST, VALIDATION), max(1, int(0.15 * len(rows) + 0.5)))
        members = [np.flatnonzero(groups == number) for number in np.unique(groups[rows])]
        for own in sorted(members, key=lambda own: min(drawn[row] for row in own)):
            fits = [part for part in (TEST, VALIDATION) if len(own) <= left[part]]
            if fits:
                parts[own] = fits[0]
                left[fits[0]] -= len(own)
    return parts


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("copies", ["none", "pairs", "a few", "almost half"])
def test_splits_of_ordinary_folders_are_what_they_always_were(copies, seed):
    """The labels of the digits; copies are pairs, groups of up to 9, or a group that is almost half of its class."""
    labels = load_digits().target
    groups = np.arange(len(labels))
    for label in range(10):
        rows = np.flatnonzero(labels == label)
        sizes = {"none": [], "pairs": [2] * 6, "a few": [3, 9, 5], "almost half": [len(rows) // 2]}[copies]
        for size in sizes:
            groups[rows[:size]], rows = rows[0], rows[size:]
    found = split(labels, groups=[groups], seed=seed)
    assert np.array_equal(found, quotas_of_all(labels, groups, seed))


def test_a_class_is_not_taken_out_of_training_to_fill_another_part():
    """Class 1 is only in the small group 0, which is the easiest to move when class 0 lacks a test part."""
    labels, groups = np.array([0, 1] + [0] * 20), np.array([0, 0] + [1] * 10 + [2] * 10)
    parts = split(labels, groups=[groups])
    assert set(parts[:2]) == {TRAIN}
    assert sorted([parts[2], parts[12]]) == [VALIDATION, TEST]


OWN = {
    "train and test": ([TRAIN, TEST], [70, 15, 15], "split_validation_carved"),
    "train and validation": ([TRAIN, VALIDATION], [70, 15, 15], "split_test_carved"),
    "train": ([TRAIN], [70, 15, 15], "split_both_carved"),
    "all three": ([TRAIN, VALIDATION, TEST], None, "split_kept"),
}


@pytest.mark.parametrize(("own", "rule"), [(own, rule) for own, _, rule in OWN.values()], ids=list(OWN))
def test_own_parts_are_kept_and_missing_ones_carved_out_of_training(own, rule):
    own = np.array(own)[np.arange(300) % len(own)]
    parts, notes = assign_parts(material(np.arange(300) // 150, parts=own))
    held_out = own > TRAIN
    assert np.array_equal(parts[held_out], own[held_out])
    num_train = int((~held_out).sum())
    for part in (VALIDATION, TEST):
        if not (own == part).any():
            assert (parts == part).sum() == pytest.approx(0.15 * num_train, abs=1)
    assert keys(notes) == [rule]
    counts = [int((parts == part).sum()) for part in (1, 2, 3)]
    assert [int(value) for value in notes[0].values.values()] == counts


def test_an_unlabeled_test_part_is_none():
    own = np.array([TRAIN] * 100 + [TEST] * 50)
    labels = np.array([0, 1] * 50 + [-1] * 50)
    parts, notes = assign_parts(material(labels, parts=own))
    assert np.bincount(parts[:100]).tolist() == [0, 68, 16, 16]
    assert set(parts[100:]) == {0}
    assert keys(notes) == ["split_both_carved"]


def test_copies_of_own_test_pictures_are_not_drawn_into_validation():
    groups = np.arange(200)
    groups[100:150] = groups[0:50]
    own = np.array([TRAIN] * 100 + [TEST] * 100)
    parts = split([0, 1] * 100, parts=own, groups=[groups])
    assert set(parts[:50]) == {TRAIN}
    assert set(parts[50:100]) == {TRAIN, VALIDATION}


def test_only_held_out_pictures_are_refused():
    with pytest.raises(DataError, match="all 3 usable pictures lie in the validation or test part"):
        split([0, 1, 1], parts=np.array([TEST, TEST, VALIDATION]))
    with pytest.raises(DataError, match="none is both readable and labeled"):
        split([-1, 0], readable=np.array([True, False]))


@pytest.mark.parametrize("fractions", [(1.0, 0.0), (-0.1, 0.1), (0.5, 0.5), (float("nan"), 0.1)])
def test_fractions_out_of_range_are_refused(fractions):
    with pytest.raises(SettingsError, match="less than 1 together"):
        assign_parts(material([0, 1]), validation_fraction=fractions[0], test_fraction=fractions[1])


def test_a_part_that_is_not_wanted_stays_empty():
    parts, _ = assign_parts(material([0] * 20), test_fraction=0)
    assert np.bincount(parts, minlength=4).tolist() == [0, 17, 3, 0]


def test_many_pictures_take_little_time():
    start = time.process_time()
    parts = split(np.arange(50_000) % 10)
    assert time.process_time() - start < 5
    assert np.bincount(parts).tolist() == [0, 35_000, 7_500, 7_500]
