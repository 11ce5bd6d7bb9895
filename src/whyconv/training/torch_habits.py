"""How torch computes while we train; a caller of ``whyconv.train`` finds it afterwards as it was."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch.utils import deterministic


@contextmanager
def torch_habits(threads: int) -> Iterator[None]:
    """Sets what the weights' bits depend on, besides the plan, while the block runs.

    The number of threads, deterministic algorithms only, and numbers below 1.2e-38 taken for 0 (they slow a sure
    network down many times). New memory is not filled with NaN, as torch otherwise does where algorithms are to be
    deterministic: nothing here reads what it did not write, and a step would take longer. All of it, and the state of
    torch's random numbers, is put back at the end; torch's worker threads that were started meanwhile keep the last.

    Args:
        threads: Of the processor, >= 1.
    """
    num_threads, random_state = torch.get_num_threads(), torch.get_rng_state()
    is_deterministic = torch.are_deterministic_algorithms_enabled()
    warns_only = torch.is_deterministic_algorithms_warn_only_enabled()
    flushes, fills = _flushes_denormal(), deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True)
    torch.set_flush_denormal(True)
    deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    try:
        yield
    finally:
        torch.set_num_threads(num_threads)
        torch.use_deterministic_algorithms(is_deterministic, warn_only=warns_only)
        torch.set_flush_denormal(flushes)
        deterministic.fill_uninitialized_memory = fills  # type: ignore[attr-defined]
        torch.set_rng_state(random_state)


def _flushes_denormal() -> bool:
    """Halves the least normal number, since torch does not say."""
    least = torch.tensor([torch.finfo(torch.float32).tiny])
    return float((least / 2)[0]) == 0.0
