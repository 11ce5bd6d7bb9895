"""Results in order, memory bounded, errors passed on."""

import threading
import time

import pytest

from whyconv.images.threads import available_cores, map_in_order


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
