"""Load on a server over sockets that stay open: so many at once, or so many a second whatever becomes of them.

With a fixed number a second, the time of an answer counts from when its request was due, not from when it was sent:
a server that stalls cannot hide how long callers would have waited.
"""

from __future__ import annotations

import re
import selectors
import socket
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

_LAST_SECONDS = 10.0
_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)


@dataclass
class Outcome:
    """What came back, by status: seconds of each answer; and for how long load was put on."""

    seconds: dict[int, list[float]] = field(default_factory=dict)
    lasted: float = 0.0
    unsent: int = 0  # due, but no socket was free
    in_time: dict[int, int] = field(default_factory=dict)  # by status, while load was put on

    def rate(self, status: int = 200) -> float:
        """Answers with this status a second."""
        return self.in_time.get(status, 0) / self.lasted

    def refused(self) -> list[float]:
        """Seconds of the answers that turned a request away."""
        return [one for status in (429, 503) for one in self.seconds.get(status, ())]

    def quantile(self, share: float, values: Sequence[float] | None = None) -> float:
        """In milliseconds; of the answers with a result where ``values`` is not given."""
        ordered = sorted(self.seconds.get(200, ()) if values is None else values)
        return 1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else float("nan")


class Caller:
    """One socket that stays open, with one request on its way at a time."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.due = 0.0
        self.socket = self._connect()

    def _connect(self) -> socket.socket:
        made = socket.create_connection(("127.0.0.1", self.port), timeout=10)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        made.settimeout(10)
        self.received = b""
        return made

    def reopen(self) -> None:
        """Connects anew."""
        self.socket.close()
        self.socket = self._connect()

    def send(self, request: bytes, due: float) -> None:
        """Sends a request; an answer to it counts from ``due``."""
        self.due, self.received = due, b""
        self.socket.sendall(request)

    def answer(self) -> int:
        """Reads; returns the status when the answer is whole, else 0, and -1 where the connection was closed."""
        try:
            part = self.socket.recv(1 << 16)
        except OSError:
            part = b""
        if not part:
            return -1
        self.received += part
        head, found, body = self.received.partition(b"\r\n\r\n")
        if not found:
            return 0
        length = _LENGTH.search(head)
        return int(head[9:12]) if len(body) >= int(length[1] if length else 0) else 0


def request(port: int, content: bytes, kind: str = "image/jpeg") -> bytes:
    """A request that asks what a picture shows."""
    lines = ["POST /v1/predict?top=1 HTTP/1.1", f"Host: 127.0.0.1:{port}", f"Content-Type: {kind}"]
    return "\r\n".join([*lines, f"Content-Length: {len(content)}", "", ""]).encode() + content


class _Load:
    """Callers, what is due, and what came back."""

    def __init__(self, port: int, requests: Sequence[bytes], callers: int, rate: float | None) -> None:
        self.requests = requests
        self.rate = rate
        self.outcome = Outcome()
        self.number = self.pending = 0
        self.chooser = selectors.DefaultSelector()
        self.free = [Caller(port) for _ in range(callers)]
        for caller in self.free:
            self.chooser.register(caller.socket, selectors.EVENT_READ, caller)
        self.begun = time.perf_counter()

    def due(self) -> float:
        """When the next request is due; at once without a fixed rate."""
        return 0.0 if self.rate is None else self.begun + self.number / self.rate

    def send_due(self, now: float) -> None:
        """Sends what is due as far as sockets are free; of the rest it is noted that it was not sent."""
        while self.free and self.due() <= now:
            self.free.pop().send(self.requests[self.number % len(self.requests)], self.due() or now)
            self.number, self.pending = self.number + 1, self.pending + 1
        if self.rate is not None and not self.free:
            missed = max(0, int((now - self.begun) * self.rate) - self.number)
            self.outcome.unsent, self.number = self.outcome.unsent + missed, self.number + missed

    def collect(self, wait: float) -> None:
        """Waits for answers and notes them."""
        for key, _ in self.chooser.select(max(0.0, min(wait, 0.05))):
            caller = key.data
            status = caller.answer()
            if status == 0:
                continue
            self.outcome.seconds.setdefault(status, []).append(time.perf_counter() - caller.due)
            if status == -1:
                self.chooser.unregister(caller.socket)
                caller.reopen()
                self.chooser.register(caller.socket, selectors.EVENT_READ, caller)
            self.free.append(caller)
            self.pending -= 1


def load(port: int, requests: Sequence[bytes], seconds: float, *, callers: int, rate: float | None = None) -> Outcome:
    """Puts load on a server.

    Args:
        port: On this machine.
        requests: Whole, as ``request`` writes them; sent in turn.
        seconds: For so long.
        callers: Sockets.
        rate: Requests a second; None: each caller asks again as soon as it has its answer.
    """
    run = _Load(port, requests, callers, rate)
    end = run.begun + seconds
    while (now := time.perf_counter()) < end or (run.pending and now < end + _LAST_SECONDS):
        if now < end:
            run.send_due(now)
        run.collect(run.due() - now if now < end and rate is not None and run.free else 0.05)
        if now < end:
            run.outcome.lasted = time.perf_counter() - run.begun
            run.outcome.in_time = {status: len(found) for status, found in run.outcome.seconds.items()}
    for key in list(run.chooser.get_map().values()):
        key.data.socket.close()
    run.chooser.close()
    return run.outcome
