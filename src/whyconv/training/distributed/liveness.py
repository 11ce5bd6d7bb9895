"""Each process shows that it lives, so that one that hangs or is gone can be named."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Iterable
from contextlib import suppress
from threading import Event, Thread

from torch.distributed.distributed_c10d import Store

from whyconv.untrusted import json_values

_BEAT_SECONDS = 1.0
# Who has not shown in this time that it lives is silent; a process may be busy for some beats.
_LISTENING_SECONDS = 5.0


class Liveness:
    """Counts up in the launcher's store from a thread of its own, until ``end``.

    Args:
        store: That all processes see; of a connection that nothing else uses.
        rank: Of this process.
    """

    def __init__(self, store: Store, rank: int) -> None:
        self._store, self._rank = store, rank
        self._ended = Event()
        self._beat(0)
        self._thread = Thread(target=self._go_on, daemon=True, name="liveness")
        self._thread.start()

    def end(self) -> None:
        """Shows nothing any more."""
        self._ended.set()
        self._thread.join()

    def beat_of(self, rank: int) -> str:
        """What a process has shown last; "" before the first time, and where the store is gone."""
        with suppress(RuntimeError):
            if self._store.check([_key(rank)]):
                return self._store.get(_key(rank)).decode()
        return ""

    def silent(self, ranks: Iterable[int]) -> list[str]:
        """Listens for five seconds; returns those who did not show that they live, as "2 on some-host (process 77)"."""
        before = {rank: self.beat_of(rank) for rank in ranks}
        time.sleep(_LISTENING_SECONDS)
        return [f"{rank}{_place(beat)}" for rank, beat in before.items() if self.beat_of(rank) == beat]

    def _go_on(self) -> None:
        count = 0
        with suppress(RuntimeError):  # the store is gone, and so is the launch
            while not self._ended.wait(_BEAT_SECONDS):
                count += 1
                self._beat(count)

    def _beat(self, count: int) -> None:
        beat = {"count": count, "host": socket.gethostname(), "pid": os.getpid()}
        self._store.set(_key(self._rank), json.dumps(beat))


def _key(rank: int) -> str:
    return f"alive/{rank}"


def _place(beat: str) -> str:
    if not beat:
        return " (never met)"
    told = json_values(beat)
    return f" on {told['host']} (process {told['pid']})"
