"""Pictures of many callers, answered together: whatever waits when the network is free is its next batch.

There is no timer. A picture that comes alone is answered alone and at once; under load, batches grow by themselves.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from whyconv.errors import PictureError
from whyconv.images.decode import read_header
from whyconv.images.prepare import prepare
from whyconv.model_file import Metadata
from whyconv.recognizer import Answers, Content, Recognizer
from whyconv.web.limits import Limits


@dataclass(frozen=True)
class Answered:
    """What became of one picture.

    Attributes:
        probabilities: float32 (classes,); None where it could not be read.
        is_unsure: Whether the picture is unlike those that the recognizer knows; None where the file cannot tell.
        error: Why it could not be read, else None.
    """

    probabilities: NDArray[np.float32] | None = None
    is_unsure: bool | None = None
    error: str | None = None


@dataclass(frozen=True)
class _Waiting:
    pixels: NDArray[np.uint8]
    future: asyncio.Future[Answered]


class Batcher:
    """Reads pictures in threads and hands them to the network in batches.

    Args:
        recognizers: One for each thread that runs the network; equal but for their sessions.
        num_readers: Threads that read and prepare pictures.
        most_at_once: Pictures in a batch, at most.
        limits: Of a single picture.
    """

    def __init__(
        self, recognizers: Sequence[Recognizer], *, num_readers: int, most_at_once: int, limits: Limits
    ) -> None:
        self._metadata = recognizers[0].metadata
        self._limits = limits
        self._most_at_once = most_at_once
        self._waiting: deque[_Waiting] = deque()
        self._has_changed = threading.Condition()
        self._is_closed = False
        self._readers = ThreadPoolExecutor(num_readers, thread_name_prefix="reader")
        self._runners = [
            threading.Thread(target=self._run, args=(one,), name=f"network-{number}", daemon=True)
            for number, one in enumerate(recognizers)
        ]
        for runner in self._runners:
            runner.start()

    def ask(self, content: Content) -> asyncio.Future[Answered]:
        """Returns the answer to come for one picture: a file's content, or prepared pixels."""
        future: asyncio.Future[Answered] = asyncio.get_running_loop().create_future()
        if isinstance(content, np.ndarray):
            self._put(_Waiting(content, future))
        else:
            self._readers.submit(self._read, content, future)
        return future

    def close(self) -> None:
        """Ends the threads once what waits is answered."""
        self._readers.shutdown(wait=True, cancel_futures=True)
        with self._has_changed:
            self._is_closed = True
            self._has_changed.notify_all()
        for runner in self._runners:
            runner.join()

    def _read(self, content: bytes, future: asyncio.Future[Answered]) -> None:
        if future.cancelled():
            return
        try:
            pixels = read_picture(content, self._metadata, self._limits)
        except PictureError as error:
            _deliver([future], [Answered(error=str(error))])
        except Exception as error:  # noqa: BLE001 - handed to the one who waits for it
            _fail([future], error)
        else:
            self._put(_Waiting(pixels, future))

    def _put(self, waiting: _Waiting) -> None:
        with self._has_changed:
            self._waiting.append(waiting)
            self._has_changed.notify()

    def _run(self, recognizer: Recognizer) -> None:
        while batch := self._take():
            futures = [one.future for one in batch]
            try:
                answers = recognizer.run(np.stack([one.pixels for one in batch]))
                pairs = zip(answers.probabilities, are_unsure(recognizer, answers), strict=True)
                answered = [Answered(probabilities, is_unsure) for probabilities, is_unsure in pairs]
            except Exception as error:  # noqa: BLE001 - handed to those who wait for it
                _fail(futures, error)
            else:
                _deliver(futures, answered)

    def _take(self) -> list[_Waiting]:
        """Waits for pictures and returns all of them, as far as they fit in a batch; none when closed."""
        with self._has_changed:
            while True:
                taken = [self._waiting.popleft() for _ in range(min(len(self._waiting), self._most_at_once))]
                # Whoever no longer waits is not answered.
                batch = [one for one in taken if not one.future.cancelled()]
                if batch or (self._is_closed and not self._waiting):
                    return batch
                if not self._waiting:
                    self._has_changed.wait()


def are_unsure(recognizer: Recognizer, answers: Answers) -> list[bool | None]:
    """Whether each picture is unlike those that the recognizer knows; None where its file does not tell."""
    limits = recognizer.metadata.unsure
    if limits is None or answers.novelty is None:
        return [None] * len(answers.probabilities)
    # What is not a number is surely not known.
    return [not one <= limits.threshold for one in answers.novelty.tolist()]


def read_picture(content: bytes, metadata: Metadata, limits: Limits) -> NDArray[np.uint8]:
    """Returns a picture as the network sees it; formats and pixels are told from the head of the file.

    Raises:
        PictureError: It cannot be read, has another format, or too many pixels.
    """
    header = read_header(content)
    if header.format not in limits.formats:
        raise PictureError(f"a {header.format} file; the server reads {', '.join(limits.formats)}")
    if header.width * header.height > limits.max_pixels:
        raise PictureError(
            f"too large: {header.width} x {header.height} is {header.width * header.height / 1e6:,.0f} megapixels, "
            f"and at most {limits.max_pixels / 1e6:,.0f} are read. Make it smaller first"
        )
    return prepare(content, metadata.policy, white=metadata.array_white)


def _deliver(futures: Sequence[asyncio.Future[Answered]], answers: Sequence[Answered]) -> None:
    def give() -> None:
        for future, answer in zip(futures, answers, strict=True):
            if not future.done():
                future.set_result(answer)

    _in_their_loop(futures, give)


def _fail(futures: Sequence[asyncio.Future[Answered]], error: Exception) -> None:
    def give() -> None:
        for future in futures:
            if not future.done():
                future.set_exception(error)

    _in_their_loop(futures, give)


def _in_their_loop(futures: Sequence[asyncio.Future[Answered]], give: Callable[[], None]) -> None:
    loop = futures[0].get_loop()
    if not loop.is_closed():
        loop.call_soon_threadsafe(give)
