"""Work spread over threads, its results in order and its memory bounded."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from statistics import median
from typing import TypeVar

import numpy as np

from whyconv.errors import PictureError
from whyconv.machine import num_cores

Item = TypeVar("Item")
Result = TypeVar("Result")

_LOOK_AHEAD = 8
# Of smaller pictures nearly all of the time is Python's own.
SMALL_BYTES = 16_000
_SLOW_SECONDS, _TRIED = 3e-4, 16


def available_cores() -> int:
    """Returns how many processor cores this process may use, at least 1."""
    return num_cores()


def decoding_threads(num_threads: int | None, sizes: np.ndarray, read: Callable[[int], object]) -> int:
    """How many threads to decode with: one for small pictures that are quickly read, else as many as may be used.

    Of a small picture nearly all of the time is Python's own, which one thread at a time may run: two threads that wait
    for each other took up to twice as long as one, measured up to a mean of 16 kB. Where a file is long in coming, on
    another machine for instance, threads wait side by side.

    Args:
        num_threads: That may be used; None means one for each core.
        sizes: Of the pictures in bytes, int64 (n,); -1 where it is not known.
        read: Reads the picture of a row; tried on a few.
    """
    allowed = num_threads or available_cores()
    known = np.flatnonzero(sizes >= 0)
    if allowed == 1 or not len(known) or sizes[known].mean() >= SMALL_BYTES:
        return allowed
    seconds = [_seconds_of(read, int(row)) for row in known[:: max(1, len(known) // _TRIED)][:_TRIED]]
    return 1 if median(seconds) < _SLOW_SECONDS else allowed


def _seconds_of(read: Callable[[int], object], row: int) -> float:
    began = time.perf_counter()
    with suppress(PictureError):
        read(row)
    return time.perf_counter() - began


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
