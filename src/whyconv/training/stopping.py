"""Ctrl-C, SIGTERM and SIGHUP as a question that the loop asks between two steps; and how to go on, as a sentence."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from whyconv.errors import StoppedError, stopped_by

# Of a terminal that is closed, or a connection that is cut; not on every system.
_HANGUP = getattr(signal, "SIGHUP", None)
_GO_ON = "Go on with:"
# Of the blocks that this process is in, or was thrown out of: a second Ctrl-C may come before an error has it.
_to_go_on: list[str] = []


def signals_to_end() -> list[int]:
    """The signals that ask a process to end; not SIGHUP where it is ignored, as under ``nohup``."""
    heeds_hangup = _HANGUP is not None and signal.getsignal(_HANGUP) is not signal.SIG_IGN
    return [signal.SIGINT, signal.SIGTERM, *([_HANGUP] if _HANGUP is not None and heeds_hangup else [])]


@contextmanager
def stop_requests() -> Iterator[Callable[[], int]]:
    """Gives a function that returns 0, or 130 after Ctrl-C, 143 after SIGTERM, 129 after SIGHUP.

    A second Ctrl-C interrupts at once, and is told as such even where code in C makes another error of it. Outside
    the main thread, where signals cannot be caught, the function always returns 0. The handlers found are put back at
    the end.
    """
    received: list[int] = []
    was_interrupted = False

    def note(number: int, frame: FrameType | None) -> None:
        nonlocal was_interrupted
        if received and number == signal.SIGINT:
            was_interrupted = True
            raise KeyboardInterrupt
        received.append(number)

    if threading.current_thread() is not threading.main_thread():
        yield lambda: 0
        return
    before = {number: signal.signal(number, note) for number in signals_to_end()}
    try:
        yield lambda: 128 + received[0] if received else 0
    except StoppedError:
        raise
    except Exception as error:
        if was_interrupted:  # reading a tensor, for one: "could not determine the shape of object type"
            raise KeyboardInterrupt from error
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Inside, signals that ask to end wait: for what must not be left half done, and takes a moment only.

    What has come is raised again at the end. To block signals would not do: another thread would take them, and Python
    acts on them in the main thread all the same.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    waiting: list[int] = []
    # The command line's own alarm repeats a signal.
    numbers = [*signals_to_end(), *([signal.SIGALRM] if hasattr(signal, "SIGALRM") else [])]
    before = {number: signal.signal(number, lambda number, _: waiting.append(number)) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for number in dict.fromkeys(waiting):
            signal.raise_signal(number)


@contextmanager
def stops_say_how_to_go_on(command: str) -> Iterator[None]:
    """Gives every stop inside the block the sentence that its own stop may have already.

    Any other error gets it as a note: code of others makes errors of its own out of an interrupt, and who knows that
    there was one can then say how to go on. ``how_to_go_on`` has it where no error got so far.

    Args:
        command: That goes on.

    Raises:
        StoppedError: Of the block, or for its Ctrl-C or other signal.
    """
    going_on = f"{_GO_ON}  {command}"
    _to_go_on.append(going_on)
    try:
        yield
    except KeyboardInterrupt as stop:
        error = stopped_by(stop)
        raise StoppedError(f"{error} {going_on}", exit_code=error.exit_code) from stop
    except StoppedError as stop:
        if _GO_ON in str(stop):
            raise
        raise StoppedError(f"{stop} {going_on}", exit_code=stop.exit_code) from stop
    except Exception as error:
        if going_on not in getattr(error, "__notes__", []):  # a run that goes on has a block in a block
            error.add_note(going_on)
        raise
    else:
        _to_go_on.pop()


def how_to_go_on() -> str:
    """The sentence of the innermost block that has not ended well; "" where there is none."""
    return _to_go_on[-1] if _to_go_on else ""


def forget_how_to_go_on() -> None:
    """For a new command, which has nothing to do with the blocks before."""
    _to_go_on.clear()
