"""How the network is run here: many sessions of one thread or one of many, and how large batches pay. Measured."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from whyconv.machine import memory_bytes, num_cores
from whyconv.recognizer import Recognizer

_SECONDS = 0.25
_BATCHES = (32, 8)
_MEMORY_FRACTION = 0.25  # of what there is: more than that is not spent on a session a core


@dataclass(frozen=True)
class Choice:
    """How the network is run.

    Attributes:
        recognizers: One for each session.
        num_threads: Of each session.
        most_at_once: Pictures in a batch.
        rates: Pictures a second of everything that was tried: (sessions, threads, batch) -> rate.
    """

    recognizers: tuple[Recognizer, ...]
    num_threads: int
    most_at_once: int
    rates: dict[tuple[int, int, int], float]


def choose(model: Path, *, seconds: float = _SECONDS) -> Choice:
    """Tries both ways for a moment, one after the other, and returns the quicker one.

    Args:
        model: The ONNX file.
        seconds: For each of the trials, about.

    Raises:
        ModelFileError: The file cannot be used.
    """
    cores, memory = num_cores(), memory_bytes()
    opened = [Recognizer(model, num_threads=cores)]
    rates = _rates(opened, seconds)
    # Each session holds the weights once more.
    if cores > 1 and (memory is None or cores * len(opened[0].content) <= _MEMORY_FRACTION * memory):
        _reopen(opened, cores, 1)
        rates |= _rates(opened, seconds)
    sessions, threads, batch = max(rates, key=lambda key: rates[key])
    if sessions != len(opened):
        _reopen(opened, sessions, threads)
    return Choice(tuple(opened), threads, batch, rates)


def _reopen(opened: list[Recognizer], sessions: int, threads: int) -> None:
    """Puts other sessions over the same content in place of these, which go as soon as they can."""
    del opened[1:]
    opened[0] = opened[0].with_threads(threads)
    opened += [opened[0].with_threads(threads) for _ in range(sessions - 1)]


def _rates(opened: Sequence[Recognizer], seconds: float) -> dict[tuple[int, int, int], float]:
    """Pictures a second of one way, with batches of each size."""
    return {(len(opened), opened[0].num_threads, batch): _rate(opened, batch, seconds) for batch in _BATCHES}


def _rate(recognizers: Sequence[Recognizer], batch: int, seconds: float) -> float:
    """Pictures a second, all sessions at work."""
    policy = recognizers[0].policy
    pixels = np.zeros((batch, policy.side, policy.side, policy.channels), np.uint8)
    counts = [0] * len(recognizers)
    for recognizer in recognizers:
        recognizer.run(pixels[:1])
    begun = time.perf_counter()

    def work(number: int) -> None:
        while time.perf_counter() - begun < seconds:
            recognizers[number].run(pixels)
            counts[number] += batch

    workers = [threading.Thread(target=work, args=(number,)) for number in range(len(recognizers))]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return sum(counts) / (time.perf_counter() - begun)
