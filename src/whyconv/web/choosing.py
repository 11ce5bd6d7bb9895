"""How the network is run here: many sessions of one thread or one of many, and how large batches pay. Measured."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from whyconv.machine import num_cores
from whyconv.recognizer import Recognizer

_SECONDS = 0.25
_BATCHES = (32, 8)


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
    """Tries both ways for a moment and returns the quicker one.

    Args:
        model: The ONNX file.
        seconds: For each of the trials, about.

    Raises:
        ModelFileError: The file cannot be used.
    """
    cores = num_cores()
    layouts = list(dict.fromkeys([(cores, 1), (1, cores)]))
    opened = {
        (sessions, threads): tuple(Recognizer(model, num_threads=threads) for _ in range(sessions))
        for sessions, threads in layouts
    }
    rates = {
        (*layout, batch): _rate(recognizers, batch, seconds)
        for layout, recognizers in opened.items()
        for batch in _BATCHES
    }
    best = max(rates, key=lambda key: rates[key])
    return Choice(opened[best[0], best[1]], best[1], best[2], rates)


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
