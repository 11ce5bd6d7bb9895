"""The order of a stream: every picture once in a pass, the same for any number of processes, and how well mixed."""

import itertools

import numpy as np
import pytest

from whyconv.images.shards import Order


def pictures(order, number, rows):
    blocks, places = order.window(number, rows)
    starts = np.concatenate([[0], np.cumsum(order.count)])
    assert ((places >= 0) & (places < order.count[blocks])).all()
    return starts[blocks] + places


def whole_pass(order, number):
    windows = range(number * order.windows, (number + 1) * order.windows)
    return np.concatenate([pictures(order, window, slice(0, order.batch)) for window in windows])


@pytest.mark.parametrize(
    ("count", "batch", "window_steps"),
    [([5, 1, 9, 0, 7], 4, 2), ([3] * 40, 16, 3), ([1], 1, 1), ([100, 3], 7, 100), ([13] * 9, 2, 5), ([50] * 50, 10, 1)],
)
def test_a_pass_sees_no_picture_twice_and_all_but_a_few(count, batch, window_steps):
    order = Order(np.array(count), 3, batch, window_steps)
    assert order.steps == sum(count) // batch
    seen = [whole_pass(order, number) for number in range(3)]
    for found in seen:
        assert found.shape == (order.steps, batch)
        assert len(np.unique(found)) == found.size > sum(count) - batch
    if sum(count) > 1:
        assert not np.array_equal(seen[0], seen[1])
    again, other = Order(np.array(count), 3, batch, window_steps), Order(np.array(count), 4, batch, window_steps)
    assert np.array_equal(whole_pass(again, 2), seen[2])
    if sum(count) > 10:
        assert not np.array_equal(whole_pass(other, 2), seen[2])


@pytest.mark.parametrize("batch", [2, 7, 8, 16, 50])
def test_the_batch_is_the_same_however_it_is_divided(batch):
    order = Order(np.array([11, 30, 2, 60, 25, 40] * 4), 0, batch, 3)
    whole = pictures(order, 1, slice(0, batch))
    for size in range(1, min(batch, 9) + 1):
        ends = [batch * rank // size for rank in range(size + 1)]
        parts = [pictures(order, 1, slice(a, b)) for a, b in itertools.pairwise(ends)]
        assert np.array_equal(np.concatenate(parts, axis=1), whole)


def test_two_processes_read_other_blocks():
    order = Order(np.full(400, 32), 0, 64, 16)
    halves = [set(order.window(0, slice(a, a + 32))[0].ravel().tolist()) for a in (0, 32)]
    # Where the lanes of the two meet, a block may be cut.
    assert len(halves[0] & halves[1]) <= 1
    assert len(halves[0] | halves[1]) < 50


def test_every_window_of_every_lane_is_shuffled_in_its_own_way():
    order = Order(np.array([8000]), 0, 8, 20)
    windows = [order.window(number, slice(lane, lane + 1))[1].ravel() for number in range(3) for lane in range(3)]
    assert len({tuple(np.argsort(places)) for places in windows}) == 9


def test_there_are_lanes_for_as_many_processes_as_blocks_are_small():
    lanes = {size: Order(np.full(40_000 // size, size), 0, 256, 64).lanes for size in (1, 26, 128, 512, 5000)}
    assert lanes == {1: 64, 26: 64, 128: 64, 512: 16, 5000: 8}
    assert Order(np.full(100, 5), 0, 3, 10).lanes == 3


def test_a_window_is_a_uniform_draw():
    """Each picture is as likely at each place of a batch, over seeds."""
    counts = np.zeros((24, 8))
    for seed in range(3000):
        first = pictures(Order(np.full(6, 4), seed, 8, 2), 0, slice(0, 8))[0]
        counts[first, np.arange(8)] += 1
    # Binomial(3000, 1/24): deviation 10.9; of 192 the farthest lies within 4.5 of them but for 1 in 700 tries.
    assert abs(counts - 125).max() < 4.5 * 10.9
