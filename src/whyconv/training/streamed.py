"""Training pictures that are read from shards while the network learns, window by window."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from threading import Event

import numpy as np
from numpy.typing import NDArray

from whyconv.errors import DataError, PictureError
from whyconv.images.content import content_digest
from whyconv.images.prepare import PicturePolicy, prepare
from whyconv.images.shards import Blocks, Order, Shards
from whyconv.images.sources.listing import printable
from whyconv.images.threads import map_in_order
from whyconv.results import Note, Notify, ignore
from whyconv.settings import StreamPlan
from whyconv.training.augment import NUM_DRAWS
from whyconv.training.distributed import ALONE, Group
from whyconv.training.visits import Visits

# After so many pictures at most validation is asked, and the state saved.
MOST_OF_AN_EPOCH = 1 << 16
_WINDOW_BYTES = 1 << 28
_MOST_OF_A_WINDOW = 1 << 14
_VARIATION = 14
_BLOCKS_AHEAD = 2
_MOST_NAMED = 5
_TIMED = 512


@dataclass(frozen=True, eq=False)
class Stream:
    """What is read, in which order, and what is passed over.

    Attributes:
        shards: Where pictures lie.
        blocks: Runs of them.
        left_out: For each shard the entries that are not visited, in ascending order.
        held: Digests of contents that are not learned from, wherever they are met.
        policy: How pictures are prepared.
        seed: Of the order.
        plan: How it is cut into blocks, windows and epochs.
    """

    shards: Shards
    blocks: Blocks
    left_out: Sequence[NDArray[np.int64]]
    held: frozenset[bytes]
    policy: PicturePolicy
    seed: int
    plan: StreamPlan

    def __len__(self) -> int:
        return int(self.blocks.count.sum())

    def counts(self) -> NDArray[np.int64]:
        """Of each class, the pictures that are visited."""
        shards, learned = self.shards, self.shards.learned_shards()
        counts = shards.counts[learned].sum(axis=0)
        for number in learned:
            labels = shards.labels(number)[self.left_out[number]] if len(self.left_out[number]) else np.zeros(0, int)
            counts -= np.bincount(labels[labels >= 0], minlength=len(counts))
        return counts

    def order(self, batch: int) -> Order:
        """In which pictures are visited."""
        return Order(self.blocks.count, self.seed, batch, max(1, min(self.plan.window, len(self)) // batch))

    def entries(self, block: int, places: NDArray[np.int64]) -> tuple[int, NDArray[np.int64]]:
        """The shard of a block, and the entries there of some of its pictures."""
        shard = int(self.blocks.shard[block])
        first, last = int(self.blocks.first[block]), int(self.blocks.last[block])
        return shard, self.shards.usable(shard, first, last, self.left_out[shard])[places]

    def name(self, shard: int, entry: int) -> str:
        """What a picture is called in messages."""
        return f"{printable(self.shards.listings[shard].place)}[{entry}]"


def window_for(policy: PicturePolicy) -> int:
    """Pictures of a window: 16,384, or what takes a quarter of a gigabyte."""
    return max(1, min(_MOST_OF_A_WINDOW, _WINDOW_BYTES // (policy.side**2 * policy.channels)))


@dataclass(frozen=True, eq=False)
class _Window:
    pixels: NDArray[np.uint8]
    labels: NDArray[np.int32]
    unread: dict[tuple[int, int], str]  # by shard and entry: the reason
    num_copies: int


# Pixels, label, shard and entry, and why there are no pixels.
_Prepared = tuple[NDArray[np.uint8] | None, int, tuple[int, int], str]


class StreamedPictures:
    """Pictures of a stream, as a training visits them.

    A picture that cannot be read, and a copy of one that is held back, is left out: the one before it in the window is
    seen in its place, so that a batch stays whole. Both are told: each of the former once, visits of the latter.

    Memory: twice the window's pixels, and the bytes of a few blocks.

    Args:
        stream: What is read.
        batch: Pictures of a step.
        num_threads: That decode, where they are of use.
        notify: Told of what was left out.
        steps: Of the training: nothing is read for later ones.
        group: The processes that train together, each of which visits its rows of every step.
    """

    def __init__(
        self,
        stream: Stream,
        batch: int,
        num_threads: int,
        notify: Notify,
        *,
        steps: int = sys.maxsize,
        group: Group = ALONE,
    ) -> None:
        self.stream, self.batch, self._steps, self._group = stream, batch, steps, group
        self._order = stream.order(batch)
        self._num_threads, self._notify = num_threads if stream.shards.gains_by_threads() else 1, notify
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="whyconv-stream")
        self._now: tuple[tuple[int, int, int], _Window] | None = None
        self._next: tuple[tuple[int, int, int], Future[_Window]] | None = None
        self._is_closed = Event()
        # A shard that is named twice is the same.
        self._first_named = stream.shards.first_named()
        self._unread = set[tuple[int, int]]()
        self._num_copies = 0
        self._placed: tuple[int, tuple[NDArray[np.int64], NDArray[np.int64]]] | None = None

    def steps_per_epoch(self, batch: int) -> int:
        """Steps after which validation is asked; at most a pass."""
        return max(1, self.stream.plan.epoch_pictures // batch)

    def visits(self, seed: int, epoch: int, batch: int) -> Visits:
        """The steps of an epoch; rows are numbers of visits, from the beginning of the training on."""
        assert batch == self.batch
        count = self.steps_per_epoch(batch)
        return _Part(seed, (epoch - 1) * count, count, batch)

    def seen(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
        """Pixels and labels of some visits of one step, that follow each other; waits until their window is read."""
        step, start = divmod(int(rows[0]), self.batch)
        own = (start, start + len(rows))
        number, step_of_window = self._place(step)
        window = self._window(number, own)
        at = step_of_window * len(rows)
        return window.pixels[at : at + len(rows)], window.labels[at : at + len(rows)]

    def name_of(self, row: int) -> str:
        """The picture of a visit, in its shard; of one that could not be read, not what was seen in its place."""
        step, at = divmod(row, self.batch)
        number, step_of_window = self._place(step)
        if self._placed is None or self._placed[0] != number:
            self._placed = number, self._order.window(number, slice(0, self.batch))
        blocks, places = (each[step_of_window, at] for each in self._placed[1])
        shard, entry = self.stream.entries(int(blocks), places)
        return self.stream.name(shard, int(entry))

    def close(self) -> None:
        """Stops reading ahead, after the blocks that are being read."""
        self._is_closed.set()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _place(self, step: int) -> tuple[int, int]:
        """Number of the window that a step is in, and of the step there."""
        number_of_pass, step_of_pass = divmod(step, self._order.steps)
        window, at = divmod(step_of_pass, self._order.window_steps)
        return number_of_pass * self._order.windows + window, at

    def _first_step(self, window: int) -> int:
        number_of_pass, number = divmod(window, self._order.windows)
        return number_of_pass * self._order.steps + number * self._order.window_steps

    def _window(self, number: int, own: tuple[int, int]) -> _Window:
        key = (number, *own)
        if self._now is not None and self._now[0] == key:
            return self._now[1]
        is_ahead = self._next is not None and self._next[0] == key
        if self._next is not None and not is_ahead:
            self._next[1].cancel()
        self._now = None  # its memory is free before the next is waited for
        future = self._next[1] if self._next is not None and is_ahead else self._pool.submit(self._read, *key)
        window = self._waited_for(future)
        self._now = key, window
        self._next = None
        if self._first_step(number + 1) < self._steps:
            ahead = (number + 1, *own)
            self._next = ahead, self._pool.submit(self._read, *ahead)
        self._tell(window)
        return window

    def _waited_for(self, future: Future[_Window]) -> _Window:
        """What was read, once each process has its own: where one of them cannot read, all end before the same step.

        Raises:
            DataError: A process cannot read.
        """
        if self._group.size == 1:
            return future.result()
        # The windows of all processes begin at the same steps.
        error = future.exception()
        for rank, reason in enumerate(self._group.said_by_each(str(error) if isinstance(error, DataError) else "")):
            if reason:
                raise DataError(f"Process {rank} of {self._group.size}: {reason}")
        return future.result()

    def _read(self, number: int, first: int, last: int) -> _Window:
        """Reads the rows ``first`` up to ``last`` of every batch of a window, block by block."""
        blocks, places = (each.ravel() for each in self._order.window(number, slice(first, last)))
        policy = self.stream.policy
        pixels = np.empty((len(blocks), policy.side, policy.side, policy.channels), np.uint8)
        labels, is_read = np.zeros(len(blocks), np.int32), np.zeros(len(blocks), bool)
        unread, num_copies = dict[tuple[int, int], str](), 0
        by_block = np.lexsort((places, blocks))
        jobs = np.split(by_block, np.flatnonzero(np.diff(blocks[by_block])) + 1)
        prepared = map_in_order(
            lambda rows: list(self._prepared(int(blocks[rows[0]]), places[rows])),
            jobs,
            self._num_threads,
            look_ahead=_BLOCKS_AHEAD,
        )
        for rows, found in zip(jobs, prepared, strict=True):
            if self._is_closed.is_set():
                raise CancelledError
            for row, (picture, label, which, reason) in zip(rows.tolist(), found, strict=True):
                labels[row] = label
                if picture is not None:
                    pixels[row], is_read[row] = picture, True
                elif reason:
                    unread[which] = reason
                else:
                    num_copies += 1
        _fill(pixels, labels, is_read, self.stream.shards.asked)
        return _Window(pixels, labels, unread, num_copies)

    def _prepared(self, block: int, places: NDArray[np.int64]) -> Iterator[_Prepared]:
        """Pixels, label and place of each, or why there are no pixels; "" for a copy of what is held back."""
        stream = self.stream
        shard, entries = stream.entries(block, places)
        first = int(entries[0])
        labels = stream.shards.labels(shard, first, int(entries[-1]) + 1)[entries - first]
        for entry, label, content in zip(
            entries.tolist(), labels.tolist(), stream.shards.read(shard, entries), strict=True
        ):
            which = self._first_named[shard], entry
            try:
                if isinstance(content, PictureError):
                    raise content
                if content_digest(content).tobytes() in stream.held:
                    yield None, label, which, ""
                    continue
                yield prepare(content, stream.policy), label, which, ""
            except PictureError as error:
                yield None, label, which, f"{stream.name(shard, entry)}: {error}"

    def _tell(self, window: _Window) -> None:
        # The others of several processes tell nobody what they could not read.
        is_alone = self._group.size == 1
        processes = {} if is_alone else {"processes": self._group.size}
        new = [reason for which, reason in window.unread.items() if which not in self._unread]
        if new:
            self._unread |= set(window.unread)
            named = "; ".join(new[:_MOST_NAMED]) + "; ..." * (len(new) > _MOST_NAMED)
            values = {"n": len(self._unread), "named": named} | processes
            key = "stream_unread" if is_alone else "stream_unread_by_first"
            self._notify(Note(key=key, values=values, level="warning"))
        if window.num_copies:
            self._num_copies += window.num_copies
            key = "stream_copies" if is_alone else "stream_copies_by_first"
            self._notify(Note(key=key, values={"n": self._num_copies} | processes))


def seconds_to_read(stream: Stream, num_threads: int) -> float:
    """Of one picture, while nothing else is done: reads a few hundred of the first window."""
    few = min(_TIMED, len(stream))
    plan = stream.plan.model_copy(update={"window": few})
    pictures = StreamedPictures(replace(stream, plan=plan), few, num_threads, ignore, steps=1)
    began = time.perf_counter()
    pictures.seen(np.arange(few))
    seconds = time.perf_counter() - began
    pictures.close()
    return seconds / few


class _Part:
    """The steps of a stream from one on."""

    def __init__(self, seed: int, first: int, count: int, batch: int) -> None:
        self._seed, self._first, self._batch = seed, first, batch
        self.sizes = [batch] * count

    def rows(self, step: int) -> NDArray[np.int64]:
        start = (self._first + step) * self._batch
        return np.arange(start, start + self._batch)

    def draws(self, step: int) -> NDArray[np.float32]:
        words = np.random.SeedSequence([self._seed, self._first + step, _VARIATION])
        return np.random.Generator(np.random.Philox(words)).random((self._batch, NUM_DRAWS), dtype=np.float32)


def _fill(pixels: NDArray[np.uint8], labels: NDArray[np.int32], is_read: NDArray[np.bool_], asked: str) -> None:
    """Puts the picture before it in place of each that there is none of; of the first ones, the last."""
    if is_read.all():
        return
    if not is_read.any():
        raise DataError(f"{printable(asked)}: none of {len(pixels):,} pictures that come next can be learned from.")
    good = np.flatnonzero(is_read)
    empty = np.flatnonzero(~is_read)
    source = good[np.searchsorted(good, empty) - 1]
    pixels[empty], labels[empty] = pixels[source], labels[source]
