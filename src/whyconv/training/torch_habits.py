"""How torch computes while we train; a caller of ``whyconv.train`` finds it afterwards as it was."""

from __future__ import annotations

import os
import threading
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch.utils import deterministic

_locks = [threading.RLock()]


@contextmanager
def sole_thread() -> Iterator[None]:
    """One thread of this process at a time is in here; others wait, and the same one may come in again.

    A training sets what torch has once for all threads (its habits, its random numbers), and exports by torch's tracer,
    which is not made for two threads: two at once would take each other's numbers, and end in errors.
    """
    with _locks[0]:
        yield


def _free() -> None:
    """In a process that was forked off: the thread that may hold the lock is not in it."""
    _locks[0] = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_free)


@contextmanager
def torch_habits(threads: int) -> Iterator[None]:
    """Sets what the weights' bits depend on, besides the plan, while the block runs.

    The number of threads, deterministic algorithms only, and numbers below 1.2e-38 taken for 0 (they slow a sure
    network down many times). New memory is not filled with NaN, as torch otherwise does where algorithms are to be
    deterministic: nothing here reads what it did not write, and a step would take longer. Gradients are there, also
    where the caller does without; and numbers are float32 on the processor, whatever kind, place or autocast the caller
    has set for those that it makes. All of it, and the state of torch's random numbers, is put back at the end, but for
    a seed that was given to cards alone before their first use; torch's worker threads that were started meanwhile keep
    the last.

    On a graphics card float32 is computed in float32. Torch counts the way back through its pooling as not
    deterministic, and is not heard there: the same bits were seen every time. It warns of what else is not.

    Another thread that comes here waits for the end of the block.

    Args:
        threads: Of the processor, >= 1.
    """
    with sole_thread(), _usual_numbers(), _habits(threads):
        yield


@contextmanager
def _usual_numbers() -> Iterator[None]:
    """Those that are made without a word of their kind and place are float32 on the processor, and stay so."""
    dtype = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)
    try:
        with ExitStack() as stack:
            for kind in ("cpu", "cuda"):
                stack.enter_context(torch.autocast(kind, enabled=False))
            # Only where it is another: inside, every call of torch goes by way of Python.
            if torch.get_default_device() != torch.device("cpu"):
                stack.enter_context(torch.device("cpu"))
            yield
    finally:
        torch.set_default_dtype(dtype)


@contextmanager
def _habits(threads: int) -> Iterator[None]:
    num_threads, random_state = torch.get_num_threads(), torch.get_rng_state()
    is_deterministic = torch.are_deterministic_algorithms_enabled()
    warns_only = torch.is_deterministic_algorithms_warn_only_enabled()
    flushes, fills = _flushes_denormal(), deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True, warn_only=torch.cuda.is_available())
    torch.set_flush_denormal(True)
    deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    try:
        with torch.inference_mode(False), _card_habits():
            yield
    finally:
        torch.set_num_threads(num_threads)
        torch.use_deterministic_algorithms(is_deterministic, warn_only=warns_only)
        torch.set_flush_denormal(flushes)
        deterministic.fill_uninitialized_memory = fills  # type: ignore[attr-defined]
        torch.set_rng_state(random_state)


@contextmanager
def _card_habits() -> Iterator[None]:
    """Those of graphics cards, where there are any."""
    if not torch.cuda.is_available():
        yield
        return
    places: tuple[Any, ...] = (torch.backends.cuda.matmul, torch.backends.cudnn.conv, torch.backends.cudnn.rnn)  # type: ignore[attr-defined]
    before = [place.fp32_precision for place in places]
    states = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else None  # type: ignore[no-untyped-call]
    seed = torch.initial_seed()
    try:
        for place in places:
            place.fp32_precision = "ieee"
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="max_pool2d_with_indices_backward_cuda does not have")
            yield
    finally:
        for place, precision in zip(places, before, strict=True):
            place.fp32_precision = precision
        # A card that nothing had used yet has no state, but a seed that waits for its first use.
        if states is None:
            torch.cuda.manual_seed_all(seed)
        else:
            torch.cuda.set_rng_state_all(states)


def _flushes_denormal() -> bool:
    """Halves the least normal number, since torch does not say."""
    least = torch.tensor([torch.finfo(torch.float32).tiny])
    return float((least / 2)[0]) == 0.0
