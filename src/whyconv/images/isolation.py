"""Decoding in a process apart, for formats whose decoders may hang, crash, print, or eat the memory.

Worker processes are started when first needed, kept for the next picture, ended when they take too long, and
replaced. Any number of threads may ask; each gets a worker of its own, up to one a processor core.
"""

from __future__ import annotations

import atexit
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import IO, Any

import numpy as np

from whyconv.errors import DecodeTimeoutError, PictureError, WhyconvError
from whyconv.images.facts import Decoded, PictureFacts
from whyconv.images.formats import Header
from whyconv.images.modes import Background
from whyconv.images.reasons import say_format
from whyconv.images.worker import READY, receive, send

DECODE_SECONDS = 5.0
SPARE_BYTES = 256 << 20

_START_SECONDS = 60.0
# No "-m": it would warn where the package has imported the module already. The parent's path is handed on,
# so that what it can import, the worker can; "-P" keeps the current folder out.
_PROGRAM = (
    "import sys; sys.path += [p for p in sys.argv[1:] if p not in sys.path]; "
    "from whyconv.images.worker import serve; serve()"
)
_QUIET_LIBRARIES = {"MALLOC_ARENA_MAX": "1", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


def decode_apart(
    content: bytes,
    format_name: str,
    background: Background,
    *,
    seconds: float = DECODE_SECONDS,
    spare_bytes: int = SPARE_BYTES,
) -> Decoded:
    """Decodes the first frame of a file in a worker process.

    Args:
        content: The whole file.
        format_name: What ``sniff`` called it.
        background: Red, green, blue, 0-255, seen through transparent pixels.
        seconds: The worker is ended after so long.
        spare_bytes: Memory it may take beyond what the size of the file and of its picture explain.

    Raises:
        PictureError: The file cannot be decoded, or not in that time or memory, or its decoder dies of it.
        WhyconvError: No worker process can be started here.
    """
    request = {"format": format_name, "is_header_only": False, "background": background, "spare_bytes": spare_bytes}
    reply, body = _ask(content, request, seconds)
    pixels = np.frombuffer(body, np.uint8).reshape(reply["shape"])
    return Decoded(pixels, PictureFacts(**reply["facts"]))


def read_header_apart(content: bytes, format_name: str, *, seconds: float = DECODE_SECONDS) -> Header:
    """Reads the head of a file in a worker process; arguments and errors as for ``decode_apart``."""
    request = {"format": format_name, "is_header_only": True, "spare_bytes": SPARE_BYTES}
    reply, _ = _ask(content, request, seconds)
    return Header(**reply["header"])


class _DiedError(Exception):
    """The worker is gone, and nobody ended it on purpose."""


class _Worker:
    """One worker process, which answers one request at a time."""

    def __init__(self) -> None:
        command = [sys.executable, "-P", "-c", _PROGRAM, *filter(None, sys.path)]
        try:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=os.environ | _QUIET_LIBRARIES,
                creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
            )
        except OSError as error:
            raise _cannot_start(str(error)) from error
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.requests: IO[bytes] = self.process.stdin
        self.answers: IO[bytes] = self.process.stdout
        self.is_late = False
        with self._ended_after(_START_SECONDS):
            is_ready = self.answers.read(len(READY)) == READY
        if not is_ready:
            self.end()
            raise _cannot_start(f"it ended with code {self.process.returncode}")

    def ask(self, head: dict[str, Any], content: bytes, seconds: float) -> tuple[dict[str, Any], bytearray]:
        """Sends one request and waits for its answer; raises TimeoutError or _DiedError."""
        with self._ended_after(seconds):
            try:
                send(self.requests, head, content)
                answer = receive(self.answers)
            except OSError:
                answer = None
        if answer is not None:
            return answer
        raise TimeoutError if self.is_late else _DiedError

    def end(self) -> None:
        """Ends the process and lets go of its pipes."""
        self.process.kill()
        self.process.wait()
        for pipe in (self.requests, self.answers):
            with suppress(OSError):  # An unsent rest of a request cannot be flushed any more.
                pipe.close()

    @contextmanager
    def _ended_after(self, seconds: float) -> Iterator[None]:
        timer = threading.Timer(seconds, self._end_late)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _end_late(self) -> None:
        self.is_late = True
        self.process.kill()


class _Pool:
    """Idle workers, and room for as many as there are processor cores."""

    def __init__(self) -> None:
        self.idle: list[_Worker] = []
        self.room = threading.BoundedSemaphore(os.cpu_count() or 1)

    @contextmanager
    def lent(self) -> Iterator[_Worker]:
        """Lends a worker; it comes back to the idle ones only if all went well with it."""
        with self.room:
            try:
                worker = self.idle.pop()
            except IndexError:
                worker = _Worker()
            try:
                yield worker
            except BaseException:
                worker.end()
                raise
            if worker.is_late:
                worker.end()
            else:
                self.idle.append(worker)

    def end_all(self) -> None:
        """Ends the idle workers."""
        while self.idle:
            self.idle.pop().end()


_pool = _Pool()
_parents_pools: list[_Pool] = []


def end_workers() -> None:
    """Ends all idle worker processes; the next picture starts a new one."""
    _pool.end_all()


def _ask(content: bytes, request: dict[str, Any], seconds: float) -> tuple[dict[str, Any], bytearray]:
    """Asks a worker, and a second one if the first dies: it may have been ended from outside."""
    title = say_format(request["format"])
    for _ in range(2):
        try:
            with _pool.lent() as worker:
                reply, body = worker.ask(request, content, seconds)
        except TimeoutError as error:
            raise DecodeTimeoutError(f"takes too long: this {title} was not decoded in {seconds:g} seconds") from error
        except _DiedError:
            continue
        if "error" in reply:
            raise PictureError(reply["error"])
        return reply, body
    raise PictureError(f"damaged or hostile: the decoder of {title} crashes on it")


def _cannot_start(why: str) -> WhyconvError:
    return WhyconvError(
        f"The process that decodes pictures other than JPEG and PNG could not be started: {why}. "
        f"Check that '{sys.executable} -c \"import whyconv\"' works, or convert the pictures to JPEG or PNG"
    )


def _forget_parents_workers() -> None:
    """After a fork: the pipes of the parent's workers are not ours to use."""
    global _pool  # noqa: PLW0603 - one pool a process
    _parents_pools.append(_pool)  # Kept, for to let go of it would wait for processes that are not its children.
    _pool = _Pool()


atexit.register(end_workers)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_parents_workers)
