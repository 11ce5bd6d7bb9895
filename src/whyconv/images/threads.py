"""Work spread over threads, its results in order and its memory bounded."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

from whyconv.machine import num_cores

Item = TypeVar("Item")
Result = TypeVar("Result")

_LOOK_AHEAD = 8


def available_cores() -> int:
    """Returns how many processor cores this process may use, at least 1."""
    return num_cores()


def map_in_order(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    num_threads: int | None = None,
    *,
    look_ahead: int = _LOOK_AHEAD,
) -> Iterator[Result]:
    """Applies ``function`` to every item on several threads; results come in the order of the items.

    At most ``look_ahead`` results a thread wait to be taken, however many items there are. If the consumer
    stops early or an item raises, what has not begun is not begun.

    Args:
        function: Called from the threads.
        items: Taken one by one in the calling thread.
        num_threads: Number of threads; None means one for each core.
        look_ahead: Results a thread may be ahead of the one that takes them.
    """
    num_threads = num_threads or available_cores()
    if num_threads == 1:
        yield from map(function, items)
        return
    waiting: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(num_threads) as pool:
        try:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) >= num_threads * look_ahead:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
