"""What torch does is set while we train, and afterwards as it was."""

from __future__ import annotations

import pytest
import torch
from torch.utils import deterministic as memory

from whyconv.training.torch_habits import torch_habits


def state() -> tuple[object, ...]:
    least = torch.tensor([torch.finfo(torch.float32).tiny])
    return (
        torch.get_num_threads(),
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
        float((least / 2)[0]) > 0,
        memory.fill_uninitialized_memory,
        torch.get_rng_state().tolist(),
    )


@pytest.mark.parametrize(("deterministic", "warns", "flushes"), [(False, False, False), (True, True, True)])
def test_torch_is_left_as_it_was_found(deterministic: bool, warns: bool, flushes: bool) -> None:
    first = state()
    try:
        torch.set_num_threads(2)
        torch.use_deterministic_algorithms(deterministic, warn_only=warns)
        torch.set_flush_denormal(flushes)
        before = state()
        assert before[:5] == (2, deterministic, warns, not flushes, True)
        with pytest.raises(ValueError, match="inside"), torch_habits(1):
            torch.manual_seed(5)
            assert state()[:5] == (1, True, False, False, False)
            raise ValueError("inside")
        assert state() == before
    finally:
        torch.set_num_threads(first[0])
        torch.use_deterministic_algorithms(first[1], warn_only=first[2])
        torch.set_flush_denormal(not first[3])
