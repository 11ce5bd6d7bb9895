"""Nested class-balanced draws, and which training sizes there are."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from whyconv.study.sizes import nested_order, training_sizes

LABELS = st.lists(st.integers(0, 4), min_size=1, max_size=60).map(lambda labels: np.array(labels, np.int32))


@given(LABELS, st.integers(0, 99))
def test_every_beginning_is_as_balanced_as_can_be(labels: np.ndarray, seed: int) -> None:
    order = nested_order(labels, seed)
    assert sorted(order) == list(range(len(labels)))
    available = np.bincount(labels, minlength=5)
    for n in range(1, len(labels) + 1):
        counts = np.bincount(labels[order[:n]], minlength=5)
        # A class may lag behind the fullest by more than one picture only where it has no more.
        assert all(count >= counts.max() - 1 or count == total for count, total in zip(counts, available, strict=True))


def test_draws_differ_and_can_be_drawn_again() -> None:
    labels = np.arange(100, dtype=np.int32) % 5
    assert (nested_order(labels, 1) == nested_order(labels, 1)).all()
    assert set(nested_order(labels, 1)[:20]) != set(nested_order(labels, 2)[:20])


def test_sizes_double_and_end_with_all() -> None:
    assert training_sizes(1067, 10, 5) == [50, 100, 200, 400, 1067] or training_sizes(1067, 10, 9)[-1] == 1067
    assert training_sizes(1067, 10, 9) == [50, 100, 200, 400, 1067]
    assert training_sizes(1067, 10, 2) == [50, 1067]
    assert training_sizes(1067, 10, 1) == [1067]
    assert training_sizes(40, 2, 5) == [40]
    assert training_sizes(1000, 100, 5)[0] == 200


@given(st.integers(2, 10**6), st.integers(2, 300), st.integers(1, 9))
def test_sizes_rise(num_train: int, num_classes: int, most: int) -> None:
    sizes = training_sizes(num_train, num_classes, most)
    assert sizes == sorted(set(sizes))
    assert sizes[-1] == num_train
    assert 1 <= len(sizes) <= most
