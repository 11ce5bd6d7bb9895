"""What torch does is set while we train, and afterwards as it was."""

from __future__ import annotations

import os
import signal
import threading

import pytest
import torch
from torch.utils import deterministic as memory

from whyconv.training.torch_habits import sole_thread, torch_habits


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


def test_gradients_are_there_whatever_the_caller_does_without() -> None:
    weight = torch.ones(2, requires_grad=True)
    for without in (torch.no_grad, torch.inference_mode):
        with without():
            with torch_habits(1):
                (weight * 3).sum().backward()
            assert not torch.is_grad_enabled()
    assert weight.grad is not None
    assert weight.grad.tolist() == [6, 6]


def test_numbers_are_float32_on_the_processor_whatever_the_caller_computes_in() -> None:
    def kinds() -> tuple[object, ...]:
        made = torch.ones(2, 2, device="cpu", dtype=torch.float32) @ torch.ones(2, 2, device="cpu", dtype=torch.float32)
        return torch.ones(1).dtype, torch.ones(1).device.type, made.dtype, float((_tiny() / 2)[0])

    def _tiny() -> torch.Tensor:
        return torch.tensor([torch.finfo(torch.float32).tiny], device="cpu", dtype=torch.float32)

    usual = torch.get_default_dtype()
    try:
        torch.set_default_dtype(torch.float64)
        with torch.device("meta"), torch.autocast("cpu", dtype=torch.bfloat16):
            before = kinds()
            with torch_habits(1):
                assert kinds() == (torch.float32, "cpu", torch.float32, 0.0)
            assert kinds() == before
            assert before[:3] == (torch.float64, "meta", torch.bfloat16)
            assert before[3] > 0
    finally:
        torch.set_default_dtype(usual)


def test_a_card_that_nothing_has_used_yet_keeps_the_callers_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Torch keeps a seed for such a card until its first use: the last one that was said."""
    seeds: list[int] = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "manual_seed_all", seeds.append)
    state = torch.get_rng_state()
    try:
        torch.manual_seed(1)
        with torch_habits(1):
            torch.manual_seed(77)
        assert seeds == [1, 77, 1]
    finally:
        torch.set_rng_state(state)


def test_a_second_thread_waits_and_the_same_one_does_not() -> None:
    steps: list[str] = []
    waits = threading.Event()

    def second() -> None:
        waits.set()
        with torch_habits(1):
            steps.append("second")

    thread = threading.Thread(target=second)
    with torch_habits(1), sole_thread(), torch_habits(1):
        thread.start()
        waits.wait()
        thread.join(0.2)
        steps.append("first")
    thread.join(60)
    assert steps == ["first", "second"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are not forked here")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_process_forked_beside_a_training_does_not_wait_for_it() -> None:
    begun, end = threading.Event(), threading.Event()

    def train() -> None:
        with sole_thread():
            begun.set()
            end.wait()

    thread = threading.Thread(target=train)
    thread.start()
    begun.wait()
    try:
        if not (child := os.fork()):
            signal.alarm(20)
            with sole_thread():
                os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    finally:
        end.set()
        thread.join()
