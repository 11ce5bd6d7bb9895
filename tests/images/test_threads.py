"""Results in order, memory bounded, errors passed on."""

import threading
import time

import numpy as np
import pytest

from whyconv.errors import PictureError
from whyconv.images.threads import available_cores, decoding_threads, map_in_order


@pytest.mark.parametrize("num_threads", [1, 2, 5])
def test_results_come_in_the_order_of_the_items(num_threads):
    def slow_when_even(item):
        time.sleep(0.002 * (item % 2 == 0))
        return item * item

    assert list(map_in_order(slow_when_even, range(60), num_threads)) == [item * item for item in range(60)]


def test_two_threads_work_at_the_same_time():
    both = threading.Barrier(2, timeout=10)
    assert list(map_in_order(lambda _: both.wait() >= 0, range(4), 2)) == [True] * 4


def test_items_are_taken_only_as_results_are():
    taken = []

    def items():
        for item in range(1000):
            taken.append(item)
            yield item

    results = map_in_order(lambda item: item, items(), 2)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    assert len(taken) < 30
    results.close()
    assert len(taken) < 30


def test_an_error_reaches_the_consumer():
    with pytest.raises(ZeroDivisionError):
        list(map_in_order(lambda item: 1 // (item - 5), range(100), 2))


def test_there_is_at_least_one_core():
    assert available_cores() >= 1


def test_small_pictures_that_come_quickly_are_decoded_by_one_thread():
    def slow(row):
        time.sleep(0.001)

    def broken(row):
        raise PictureError("it is gone")

    small, large = np.full(500, 3000), np.full(500, 30_000)
    assert decoding_threads(4, small, lambda row: b"") == 1
    assert decoding_threads(4, small, broken) == 1
    assert decoding_threads(4, small, slow) == 4
    assert decoding_threads(4, large, lambda row: b"") == 4
    assert decoding_threads(4, np.full(3, -1), lambda row: b"") == 4
    assert decoding_threads(1, small, slow) == 1
    assert decoding_threads(None, large, slow) == available_cores()
    tried = []
    decoding_threads(4, np.where(np.arange(500) % 2, small, -1), tried.append)
    assert len(tried) == 16
    assert all(row % 2 for row in tried)
