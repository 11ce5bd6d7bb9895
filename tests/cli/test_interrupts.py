"""Ctrl-C and other signals that ask to end: told as such, with their exit codes, and with how to go on."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from command_line import Outcome
from whyconv.errors import StoppedError
from whyconv.training import stopping
from whyconv.training.stopping import stops_say_how_to_go_on


@pytest.fixture(autouse=True)
def _hearing() -> Iterator[None]:
    """Ctrl-C is heard, also where a shell began these tests in the background, without it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_ctrl_c_is_130(run: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(_: Path) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("whyconv.doctor.diagnose", interrupted)
    assert run("doctor") == (130, "", "Error: Stopped by Ctrl-C.\n")


def test_a_second_ctrl_c_on_the_way_out_does_not_swallow_how_to_go_on(
    run: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: object) -> None:
        try:
            raise StoppedError("Stopped by SIGTERM. Go on with:  whyconv train --resume runs/a-1", exit_code=143)
        finally:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr("whyconv.doctor.diagnose", stopped)
    outcome = run("doctor")
    assert outcome.code == 143
    assert outcome.text == "Error: Stopped by SIGTERM. Go on with:  whyconv train --resume runs/a-1\n"


def test_a_second_ctrl_c_before_the_first_is_told_does_not_swallow_how_to_go_on(
    run: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(_: KeyboardInterrupt) -> StoppedError:
        raise KeyboardInterrupt

    def stopped(*_: object) -> None:
        monkeypatch.setattr(stopping, "stopped_by", interrupted)
        with stops_say_how_to_go_on("whyconv train --resume runs/a-1"):
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(5)

    monkeypatch.setattr("whyconv.doctor.diagnose", stopped)
    assert run("doctor") == (130, "", "Error: Stopped by Ctrl-C. Go on with:  whyconv train --resume runs/a-1\n")
    monkeypatch.setattr("whyconv.doctor.diagnose", lambda _: signal.raise_signal(signal.SIGINT))
    assert run("doctor") == (130, "", "Error: Stopped by Ctrl-C.\n")  # another command


def test_an_interrupt_after_a_block_that_ended_well_has_nothing_to_go_on_with(
    run: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: object) -> None:
        with stops_say_how_to_go_on("whyconv train --resume runs/a-1"):
            pass
        raise KeyboardInterrupt

    monkeypatch.setattr("whyconv.doctor.diagnose", stopped)
    assert run("doctor") == (130, "", "Error: Stopped by Ctrl-C.\n")


def test_an_error_that_others_made_of_ctrl_c_says_how_to_go_on(
    run: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def stopped(*_: object) -> None:
        again = f"whyconv train --resume {tmp_path}"
        with stops_say_how_to_go_on(again), stops_say_how_to_go_on(again):
            try:
                os.kill(os.getpid(), signal.SIGINT)
                time.sleep(5)
            except KeyboardInterrupt:
                raise ValueError("could not determine the shape") from None

    monkeypatch.setattr("whyconv.doctor.diagnose", stopped)
    outcome = run("doctor")
    assert outcome.code == 130
    assert outcome.text == f"Error: Stopped by Ctrl-C. Go on with:  whyconv train --resume {tmp_path}\n"


def test_sigterm_is_143(run: Callable[..., Outcome], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("whyconv.doctor.diagnose", lambda _: signal.raise_signal(signal.SIGTERM))
    assert run("doctor").code == 143
