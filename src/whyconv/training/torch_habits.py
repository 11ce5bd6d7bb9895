"""How torch computes while we train; a caller of ``whyconv.train`` finds it afterwards as it was."""

from __future__ import annotations

import warnings
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

    On a graphics card float32 is computed in float32. Its pooling counts as not deterministic, as windows that overlap
    add up in any order; what has no overlap is the same every time. Torch warns of what else is not.

    Args:
        threads: Of the processor, >= 1.
    """
    num_threads, random_state = torch.get_num_threads(), torch.get_rng_state()
    is_deterministic = torch.are_deterministic_algorithms_enabled()
    warns_only = torch.is_deterministic_algorithms_warn_only_enabled()
    flushes, fills = _flushes_denormal(), deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]
    torch.set_num_threads(threads)
    has_card = torch.cuda.is_available()
    torch.use_deterministic_algorithms(True, warn_only=has_card)
    torch.set_flush_denormal(True)
    deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    rounds = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    card_state = torch.cuda.get_rng_state() if torch.cuda.is_initialized() else None  # type: ignore[no-untyped-call]
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="max_pool2d_with_indices_backward_cuda does not have")
            yield
    finally:
        if card_state is not None:
            torch.cuda.set_rng_state(card_state)
        torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = rounds
        torch.set_num_threads(num_threads)
        torch.use_deterministic_algorithms(is_deterministic, warn_only=warns_only)
        torch.set_flush_denormal(flushes)
        deterministic.fill_uninitialized_memory = fills  # type: ignore[attr-defined]
        torch.set_rng_state(random_state)


def _flushes_denormal() -> bool:
    """Halves the least normal number, since torch does not say."""
    least = torch.tensor([torch.finfo(torch.float32).tiny])
    return float((least / 2)[0]) == 0.0
