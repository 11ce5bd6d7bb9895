"""One real training step of each corner of the square, timed: forward, backward, Adam."""

from __future__ import annotations

import itertools
import math
import statistics
import time
from collections.abc import Callable

import torch
from torch import nn

from whyconv.counting import Convolution
from whyconv.machine import memory_bytes
from whyconv.measures.corners import build_corner
from whyconv.results.layer import CORNERS, CornerName, StepReport, StepTime
from whyconv.results.record import Note, Notify, Progress, ignore

BATCH = 8
_BYTES = 4
_WARM_UPS = 2
# Of 9 steps, the 2nd and the 8th in order of time hold the median between them with 96 %; of 6, the first and last
# with 97 %: whatever the distribution, where the steps are independent.
_MANY, _MANY_RANK = 9, 1
_FEW, _FEW_RANK = 6, 0
_SLOW_SECONDS = 1.0
_UNKNOWN_MEMORY = 4 * 10**9


def time_steps(layer: Convolution, notify: Notify = ignore, *, num_bytes_allowed: int | None = None) -> StepReport:
    """Runs and times a training step of every corner that fits, the smallest first; the others are not made at all.

    One thread of the processor does the work: with more, a small layer's time is that of waking them.

    Args:
        layer: Of any number of axes; what has no layer with three axes is listed with the reason.
        notify: Hears how many steps are done, of at most so many.
        num_bytes_allowed: What a corner may need; by default half of the memory that this process may use.
    """
    allowed = num_bytes_allowed or (memory_bytes() or _UNKNOWN_MEMORY) // 2
    num_done = itertools.count(1)
    total = len(CORNERS) * (_WARM_UPS + _MANY)

    def tick() -> None:
        notify(Progress(stage="steps", done=min(next(num_done), total - 1), total=total))

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.random.fork_rng(devices=[]):
            times = {name: _time(layer, name, allowed, tick) for name in reversed(CORNERS)}
    finally:
        torch.set_num_threads(threads)
        notify(Progress(stage="steps", done=total, total=total))
    return StepReport(batch=BATCH, threads=1, num_bytes_allowed=allowed, times=[times[name] for name in CORNERS])


def bytes_needed(layer: Convolution, corner: CornerName) -> int:
    """Returns what a step needs, by estimate.

    Parameters with their gradients and both of Adam's moments, two temporaries of that size that the optimizer takes,
    and the batch: inputs and outputs with their gradients, and what is laid beside them, such as padded pictures and
    Fourier transforms, taken as twice as much again.
    """
    weights = {
        "dense": layer.dense_weights,
        "local": layer.local_weights,
        "shared_global": layer.shared_global_weights,
        "convolution": layer.weights,
    }[corner]
    padded = math.prod(axis.length + sum(axis.padding) for axis in layer.axes) * layer.in_channels
    return _BYTES * (6 * weights + 6 * BATCH * (padded + layer.num_outputs))


def _time(layer: Convolution, corner: CornerName, allowed: int, tick: Callable[[], None]) -> StepTime:
    needed = bytes_needed(layer, corner)
    untried = StepTime(corner=corner, num_bytes=needed)
    if needed > allowed:
        reason = Note(key="layer_step_too_large", values={"needed": needed})
        return untried.model_copy(update={"reason": reason})
    if len(layer.axes) > 2 and corner in ("local", "shared_global"):
        reason = Note(key="layer_step_no_layer", values={"needed": needed})
        return untried.model_copy(update={"reason": reason})
    try:
        seconds, rank = _seconds_of_steps(build_corner(layer, corner), layer, tick)
    except (MemoryError, RuntimeError) as error:  # torch raises the second where memory is refused
        if isinstance(error, RuntimeError) and "memory" not in str(error):
            raise
        reason = Note(key="layer_step_failed", values={"needed": needed})
        return untried.model_copy(update={"reason": reason})
    values = {"seconds": statistics.median(seconds), "low": seconds[rank], "high": seconds[-1 - rank]}
    return untried.model_copy(update=values | {"n": len(seconds)})


def _seconds_of_steps(network: nn.Module, layer: Convolution, tick: Callable[[], None]) -> tuple[list[float], int]:
    """Returns the sorted seconds of several steps, and which of them, from either end, bounds the median."""
    pictures = torch.randn(BATCH, *layer.input_shape, generator=torch.Generator().manual_seed(0))
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-4)

    def step() -> float:
        start = time.perf_counter()
        optimizer.zero_grad()
        network(pictures).square().mean().backward()
        optimizer.step()
        seconds = time.perf_counter() - start
        tick()
        return seconds

    if step() > _SLOW_SECONDS:
        return sorted(step() for _ in range(_FEW)), _FEW_RANK
    for _ in range(_WARM_UPS - 1):
        step()
    return sorted(step() for _ in range(_MANY)), _MANY_RANK
