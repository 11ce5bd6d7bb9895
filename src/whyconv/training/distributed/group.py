"""The processes of one training: what each computes, and how they agree."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import TypeVar

import torch
from torch import Tensor, distributed, nn
from torch.distributed.distributed_c10d import PrefixStore, Store
from torch.distributed.rendezvous import rendezvous
from torch.nn.parallel import DistributedDataParallel

from whyconv.errors import LostProcessError
from whyconv.training.device import has_card
from whyconv.training.distributed.launch import Launch
from whyconv.training.distributed.liveness import Liveness
from whyconv.training.distributed.normalization import normalizing_together
from whyconv.training.precision import Forward

# After so long without a word another process is taken for frozen.
PATIENCE_SECONDS = 60.0
Result = TypeVar("Result")
_LOOK_SECONDS, _FAREWELL_SECONDS = 0.2, 10.0
_SAID_BYTES = 500


class Group:
    """A single process, which leads and has nobody to agree with; what ``Together`` has in common with it.

    Attributes:
        rank: Of this process, from 0.
        size: Number of processes.
    """

    rank = 0
    size = 1

    @property
    def have_cards(self) -> bool:
        """Whether torch can compute on a graphics card in each process."""
        return has_card()

    @property
    def leads(self) -> bool:
        """Whether this process decides, tells and writes."""
        return self.rank == 0

    def part(self, count: int) -> slice:
        """Which of ``count`` rows are this process': those of all follow each other and differ by at most one."""
        each, more = divmod(count, self.size)
        start = self.rank * each + min(self.rank, more)
        return slice(start, start + each + (self.rank < more))

    def total(self, values: Tensor) -> Tensor:
        """The sum over all processes, the same in each; may be ``values`` itself."""
        return values

    def begin_total(self, values: Tensor) -> Callable[[], Tensor]:
        """Begins a sum over all processes, and gives what waits for it; until then ``values`` are not to be used."""
        return lambda: values

    def greatest(self, numbers: Sequence[int]) -> list[int]:
        """The greatest over all processes, number by number."""
        return list(numbers)

    def greatest_lately(self, numbers: Sequence[int]) -> list[int]:
        """As ``greatest``; of several processes that of the call before, at first zeros, so that nobody waits."""
        return list(numbers)

    def whole(self, own: Tensor, count: int) -> Tensor:
        """All ``count`` rows, of which this process has computed its ``part``."""
        return own

    def told(self, text: str = "") -> str:
        """What the leader says, in each process; the others wait for it, however long it works."""
        return text

    def content(self, data: bytes = b"") -> bytes:
        """As ``told``, for many bytes and processes that are all there."""
        return data

    def said_by_each(self, text: str) -> list[str]:
        """What each process says, by rank, up to 500 bytes of it; all of them call this at the same point."""
        return [text]

    def meet(self) -> None:
        """Waits until all processes are here, however long each works."""

    @contextmanager
    def machine_by_machine(self) -> Iterator[None]:
        """Inside, the first process of a machine works alone; its others come when it has ended."""
        yield

    @contextmanager
    def computing(self, network: nn.Module, ask: Forward) -> Iterator[Forward]:
        """Gives the function that asks ``network`` about this process' share while it trains, as ``ask`` would."""
        yield ask

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Inside, a connection that breaks is an error that names who is gone."""
        yield


ALONE = Group()


class Together(Group):
    """Several processes, connected.

    Args:
        launch: Which one this is.
        store: That all processes see.
        liveness: Shows that this one lives.
    """

    def __init__(self, launch: Launch, store: Store, liveness: Liveness) -> None:
        self.rank, self.size = launch.rank, launch.size
        self._local_rank = launch.local_rank
        self._store, self._liveness = store, liveness
        self._num_told = self._num_met = 0
        self._asked: Callable[[], list[int]] | None = None
        self._have_cards = False

    def count_cards(self) -> None:
        """Finds out whether each process has a card; all of them call this once they are connected."""
        self._have_cards = not self.greatest([not has_card()])[0]

    @property
    def have_cards(self) -> bool:
        """Whether torch can compute on a graphics card in each process."""
        return self._have_cards

    def total(self, values: Tensor) -> Tensor:
        """The sum over all processes."""
        values = values.contiguous()
        distributed.all_reduce(values)
        return values

    def begin_total(self, values: Tensor) -> Callable[[], Tensor]:
        """Begins a sum over all processes; others may be begun meanwhile, in the same order in each process."""
        values = values.contiguous()
        return _waiting(distributed.all_reduce(values, async_op=True), lambda: values)

    def greatest(self, numbers: Sequence[int]) -> list[int]:
        """The greatest over all processes, number by number."""
        return self._begin_greatest(numbers)()

    def greatest_lately(self, numbers: Sequence[int]) -> list[int]:
        """The greatest of the numbers of the call before."""
        before, self._asked = self._asked, self._begin_greatest(numbers)
        return [0] * len(numbers) if before is None else before()

    def _begin_greatest(self, numbers: Sequence[int]) -> Callable[[], list[int]]:
        values = torch.tensor(numbers, dtype=torch.int64)
        work = distributed.all_reduce(values, distributed.ReduceOp.MAX, async_op=True)
        return _waiting(work, lambda: [int(each) for each in values])

    def whole(self, own: Tensor, count: int) -> Tensor:
        """All rows: zeros where others have computed them are added up."""
        rows = torch.zeros(count, *own.shape[1:], dtype=own.dtype)
        rows[self.part(count)] = own
        return self.total(rows)

    def told(self, text: str = "") -> str:
        """What the leader says, through the store, which knows no time limit.

        Raises:
            LostProcessError: The leader has not shown for a minute that it lives.
        """
        key = f"told/{self._num_told}"
        self._num_told += 1
        if self.leads:
            self._store.set(key, text)
            return text
        return self._said(key, 0)

    def content(self, data: bytes = b"") -> bytes:
        """The leader's bytes."""
        count = torch.tensor([len(data)])
        distributed.broadcast(count, 0)
        values = (
            torch.frombuffer(bytearray(data), dtype=torch.uint8) if data else torch.zeros(int(count), dtype=torch.uint8)
        )
        if len(values):
            distributed.broadcast(values, 0)
        return values.numpy().tobytes()

    def said_by_each(self, text: str) -> list[str]:
        """What each process says, by rank."""
        said, own = torch.zeros(self.size, _SAID_BYTES, dtype=torch.uint8), text.encode()[:_SAID_BYTES]
        said[self.rank, : len(own)] = torch.tensor(list(own), dtype=torch.uint8)
        # What is cut in the middle of a letter ends before it.
        return [row.numpy().tobytes().rstrip(b"\0").decode(errors="ignore") for row in self.total(said)]

    def meet(self) -> None:
        """Waits until all processes are here.

        Raises:
            LostProcessError: One of them has not shown for a minute that it lives.
        """
        self._num_met += 1
        if self.leads:
            for rank in range(1, self.size):
                self._said(f"met/{self._num_met}/{rank}", rank)
        else:
            self._store.set(f"met/{self._num_met}/{self.rank}", "")
        self.told()

    def see_off(self) -> None:
        """The leader, in whose memory what is said may lie, goes last; but nobody is waited for longer than 10 s."""
        if not self.leads:
            self._store.set(f"left/{self.rank}", "")
            return
        others, until = [f"left/{rank}" for rank in range(1, self.size)], time.monotonic() + _FAREWELL_SECONDS
        while not self._store.check(others) and time.monotonic() < until:
            time.sleep(_LOOK_SECONDS)

    @contextmanager
    def machine_by_machine(self) -> Iterator[None]:
        """The others of a machine wait for its first, whose rank is by as much lower as theirs is on the machine."""
        first = self.rank - self._local_rank
        if self._local_rank:
            self._said(f"machine/{first}", first)
        yield
        if not self._local_rank:
            self._store.set(f"machine/{first}", "")

    def _said(self, key: str, rank: int) -> str:
        """Waits for what another process says, as long as that process lives."""
        beat, since = "", time.monotonic()
        while not self._store.check([key]):
            if (now := self._liveness.beat_of(rank)) != beat:
                beat, since = now, time.monotonic()
            elif time.monotonic() - since > PATIENCE_SECONDS:
                raise self._lost()
            time.sleep(_LOOK_SECONDS)
        return self._store.get(key).decode()

    @contextmanager
    def computing(self, network: nn.Module, ask: Forward) -> Iterator[Forward]:
        """Gradients are gathered in buckets while others are still computed."""
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="`broadcast_buffers` is deprecated")  # torch 2.11 knows no other
            # With unused parameters looked for, buckets stay as they are: after a restart sums are added up in the
            # same order. Buffers need no broadcast, for each process finds the same.
            asked = DistributedDataParallel(_Asked(network, ask), broadcast_buffers=False, find_unused_parameters=True)
        with normalizing_together(network, self.total):
            yield asked

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Names who is gone.

        Raises:
            LostProcessError: A connection broke.
        """
        try:
            yield
        except RuntimeError as error:
            if not _is_of_a_connection(error):
                raise
            raise self._lost(str(error)) from error

    def _lost(self, reason: str = "") -> LostProcessError:
        silent = self._liveness.silent(rank for rank in range(self.size) if rank != self.rank)
        who = (
            f"Process {', '.join(silent)} of {self.size} is gone or frozen"
            if silent
            else f"A connection broke ({reason})"
        )
        return LostProcessError(
            f"{who}, says process {self.rank}. The training cannot go on without it; a launcher with restarts left, "
            "such as torchrun --max-restarts 3, goes on from the last state."
        )


class _Asked(nn.Module):
    """A network with the function that asks it, so that its gradients can be gathered."""

    def __init__(self, network: nn.Module, ask: Forward) -> None:
        super().__init__()
        self.network = network
        self._ask: Callable[[Tensor], Tensor] = ask

    def forward(self, x: Tensor) -> Tensor:
        return self._ask(x)


def _waiting(work: distributed.Work, found: Callable[[], Result]) -> Callable[[], Result]:
    def wait() -> Result:
        work.wait()
        return found()

    return wait


def _backend(launch: Launch) -> str:
    """What processes talk through: those with a graphics card each let the cards talk; gloo knows cards, but slowly."""
    have_own = distributed.is_nccl_available() and torch.cuda.device_count() >= launch.num_local
    return "cpu:gloo,cuda:nccl" if have_own else "gloo"


def _is_of_a_connection(error: RuntimeError) -> bool:
    # What gloo throws in the backward pass arrives as a plain RuntimeError that names its source files.
    return isinstance(error, distributed.DistError) or "gloo" in str(error).lower()


@contextmanager
def joined(launch: Launch | None) -> Iterator[Group]:
    """Connects the processes of a launch while the block runs.

    Args:
        launch: What the launcher says; None, or one process of one: nobody to connect with.

    Raises:
        LostProcessError: Not all of them come within a minute.
    """
    if launch is None or launch.size == 1:
        yield ALONE
        return
    patience = timedelta(seconds=PATIENCE_SECONDS)
    try:
        found, rank, size = next(rendezvous("env://", timeout=patience))
        # The launcher's store still holds what an earlier attempt has said.
        attempt = f"whyconv/{launch.attempt}"
        store = PrefixStore(attempt, found)
        distributed.init_process_group(_backend(launch), store=store, rank=rank, world_size=size, timeout=patience)
    except (RuntimeError, ValueError) as error:
        raise LostProcessError(
            f"Process {launch.rank} of {launch.size} did not meet the others: {error}. Check that MASTER_ADDR and "
            "MASTER_PORT can be reached from every machine, and that all of them were started."
        ) from error
    liveness = Liveness(PrefixStore(f"{attempt}/beats", found.clone()), launch.rank)
    try:
        group = Together(launch, PrefixStore("told", store), liveness)
        with group.watched():
            group.count_cards()
            yield group
            group.see_off()
    finally:
        liveness.end()
        distributed.destroy_process_group()
