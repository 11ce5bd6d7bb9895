"""An ONNX file made ready to be asked, and asked, within bounds of memory and time.

What a file from anybody computes cannot be told from its size: a node of a few bytes can ask for any amount of memory.
The bounds are those of the machine, far above what networks for pictures need.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, TypeAlias

# From version 1.29 on the packages report to their maker what they run, from when they are loaded: this alone stops it.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import onnxruntime
from numpy.typing import NDArray

from whyconv.errors import ModelFileError
from whyconv.machine import memory_bytes

# Of the memory that this process may use: what the networks of all sessions may take together.
MOST_MEMORY_FRACTION = 0.75
# For each picture of a batch: the largest networks of the catalogue take some seconds on a slow core.
MOST_SECONDS_A_PICTURE = 60.0
# Of one value that is computed when a file is opened, in place of each time that it is asked.
_MOST_FOLDED_BYTES = 64_000_000
_WATCH_SECONDS = 0.5
_SPIN_MICROSECONDS = 10
_ARENA_IS_FULL = "Available memory of"

Session: TypeAlias = onnxruntime.InferenceSession
# Session calls on their way: when each is to be stopped, and what stops it.
_running: dict[int, tuple[float, onnxruntime.RunOptions]] = {}
_watch = threading.Thread()
_watch_lock = threading.Lock()


def open_session(content: bytes, num_threads: int, where: str) -> Session:
    """Makes an ONNX file ready to be asked; its threads wait awake for moments only.

    Args:
        content: The whole file, which ``admission`` has let in.
        num_threads: For the network.
        where: What it is called in errors.

    Raises:
        ModelFileError: It cannot be run.
    """
    onnxruntime.disable_telemetry_events()  # on Windows, and where others loaded it before
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = num_threads, 1
    options.log_severity_level = 4  # what goes wrong is said by the exception
    # Threads that spin for long take the cores from the threads that decode, and from other processes; threads that
    # sleep between any two layers take longer to wake than a small layer does.
    options.add_session_config_entry("session.intra_op.spin_duration_us", str(_SPIN_MICROSECONDS))
    options.add_session_config_entry("session.force_spinning_stop", "1")
    options.add_session_config_entry("optimization.constant_folding_max_output_size_in_bytes", str(_MOST_FOLDED_BYTES))
    if _bound_memory():
        options.add_session_config_entry("session.use_env_allocators", "1")
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own errors share no nearer class
        raise ModelFileError(
            f"{where} cannot be run: {_reason(error)}. Export it again, or update onnxruntime."
        ) from error


def run_session(
    session: Session,
    outputs: Sequence[str] | None,
    inputs: Mapping[str, NDArray[Any]],
    where: str,
) -> list[NDArray[Any]]:
    """Asks for outputs by name; None for all.

    Args:
        session: As opened.
        outputs: Their names.
        inputs: Arrays whose first axis counts pictures.
        where: What the file is called in errors.

    Raises:
        ModelFileError: It fails, or takes more memory or time than any network for pictures.
    """
    count = max((len(each) for each in inputs.values()), default=1)
    seconds = MOST_SECONDS_A_PICTURE * max(1, count)
    options = onnxruntime.RunOptions()
    _require_watch()
    end = time.monotonic() + seconds
    _running[id(options)] = end, options
    try:
        found: list[NDArray[Any]] = session.run(outputs, inputs, options)
        return found
    except Exception as error:  # onnxruntime's own errors share no nearer class
        if time.monotonic() > end:
            raise ModelFileError(
                f"{where} has not answered about {count} picture(s) in {seconds:g} seconds, and was stopped."
            ) from error
        shapes = ", ".join(" x ".join(map(str, each.shape)) for each in inputs.values())
        raise ModelFileError(f"{where} fails on pictures of shape {shapes}: {_reason(error)}.") from error
    finally:
        del _running[id(options)]


@cache
def _bound_memory() -> bool:
    """Bounds what onnxruntime takes in this process; whether that could be done."""
    there = memory_bytes()
    if there is None:
        return False
    kinds = onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, onnxruntime.OrtMemType.DEFAULT
    limit = onnxruntime.OrtArenaCfg({"max_mem": int(MOST_MEMORY_FRACTION * there)})
    try:
        onnxruntime.create_and_register_allocator(onnxruntime.OrtMemoryInfo("Cpu", *kinds), limit)
    except Exception:  # noqa: BLE001 - another part of this process has bounded it already
        return False
    return True


def _require_watch() -> None:
    """Makes sure that there is a thread that looks at the clock, also in a process that was forked."""
    global _watch  # noqa: PLW0603 - one thread for all sessions of a process
    if _watch.is_alive():
        return
    with _watch_lock:
        if not _watch.is_alive():
            _watch = threading.Thread(target=_stop_late_ones, name="whyconv-clock", daemon=True)
            _watch.start()


def _stop_late_ones() -> None:
    while True:
        time.sleep(_WATCH_SECONDS)
        now = time.monotonic()
        for end, options in list(_running.values()):
            if now > end:
                options.terminate = True


def _reason(error: Exception) -> str:
    if _ARENA_IS_FULL in str(error):
        return "it needs more memory than this process may use"
    return (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
