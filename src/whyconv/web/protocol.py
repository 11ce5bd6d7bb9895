"""HTTP/1.1 over one connection, with what uvicorn leaves out: time-outs for slow callers, and quick refusals.

A caller who takes too long over the head or the body of a request, or over reading the answer, is cut off. Where
there is no room, a request for pictures is refused from its first bytes, before anything is parsed: that costs
so little that many refusals do not take the machine from those who are being answered.
"""

from __future__ import annotations

import asyncio
import math
import re
import time
from collections.abc import Callable, Collection
from itertools import islice
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from whyconv.web.guard import HEADERS
from whyconv.web.limits import Limits
from whyconv.web.metrics import Metrics
from whyconv.web.refusals import Refusal, busy, refused
from whyconv.web.room import Room

_LINE = re.compile(rb"POST (/v1/[a-z]+)(?:\?[!-~]*)? HTTP/1\.1\r\n")
_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d{1,9})[ \t]*(?=\r\n)", re.IGNORECASE)
_UNUSUAL = re.compile(rb"\r\n(?:transfer-encoding|expect|upgrade|connection:[ \t]*close)", re.IGNORECASE)
_LONGEST_HEAD = 1 << 12
_SMALL_BODY = 1 << 18
_FAREWELL_SECONDS = 1.0
_REST_SECONDS = 0.003
_GIVE_WAY = ("silent", "head", "body")
_STALLED_SECONDS = 1.0
_MOST_COMPARED = 32
_READ_BYTES = 1 << 16
_CHUNKED_BYTES = 1 << 12
_CHUNKED = b"transfer-encoding"
_CHUNKED_LINE = re.compile(rb"\r\ntransfer-encoding", re.IGNORECASE)
MOST_OF_A_HEAD = 1 << 14
_REASONS = {
    400: "Bad Request",
    408: "Request Timeout",
    429: "Too Many Requests",
    431: "Request Header Fields Too Large",
    503: "Service Unavailable",
}


def written(refusal: Refusal, *, ends: bool) -> bytes:
    """A refusal as it goes over the wire.

    Args:
        refusal: What to say.
        ends: Whether the connection ends with it.
    """
    response = refusal.response()
    headers = {**HEADERS, **dict(response.headers), **({"Connection": "close"} if ends else {})}
    lines = [f"HTTP/1.1 {refusal.status} {_REASONS[refusal.status]}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + bytes(response.body)


class Rest:
    """Holds the event loop still for a moment after a refusal.

    There is nothing to do meanwhile but to refuse more: what comes in that time is then refused together, and the
    processor stays with the threads that answer instead of changing hands for every single request.
    """

    def __init__(self) -> None:
        self._is_due = False

    def call(self, loop: asyncio.AbstractEventLoop) -> None:
        """Rests as soon as what has come already is done."""
        if not self._is_due:
            self._is_due = True
            loop.call_soon(self._sleep)

    def _sleep(self) -> None:
        self._is_due = False
        time.sleep(_REST_SECONDS)


class PatientProtocol(H11Protocol):
    """One connection; made by ``protocol_for``, which sets what all connections share."""

    room: Room
    limits: Limits
    metrics: Metrics
    routes: frozenset[str]  # that take pictures
    ready: dict[int, bytes]  # by status: quick refusals as they go over the wire
    rest: Rest
    buffer: memoryview

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - uvicorn's own
        super().__init__(*args, **kwargs)
        self._phase: tuple[str, object] = ("silent", None)
        self._since = self._made = time.monotonic()
        self._to_skip = 0
        self._num_refused = 0
        self._has_begun = False
        self._is_ending = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Lets a caller in, or says at once that there are too many."""
        super().connection_made(transport)
        if len(self.connections) > self.limits.max_connections and not self._make_way():
            self.metrics.cut["too_many"] += 1
            self._end(busy(f"{self.limits.max_connections} connections are open. Come again in a moment."))

    def take(self, nbytes: int) -> None:
        """Takes what has come into the buffer, less what belongs to a request that was refused already."""
        if self._is_ending:
            return
        skipped = min(self._to_skip, nbytes)
        self._to_skip -= skipped
        if skipped == nbytes or (self.room.is_full and self._is_between() and self._refuse(skipped, nbytes)):
            return
        if nbytes - skipped > MOST_OF_A_HEAD and self._is_in_a_head() and not self._ends_soon(skipped):
            self._end(refused(431, f"The head of the request has over {MOST_OF_A_HEAD:,} bytes."))
            return
        for piece in self._pieces(bytes(self.buffer[skipped:nbytes])):
            if not self._feed(piece):
                return
        self._has_begun = self.conn.their_state is h11.IDLE and bool(self.conn.trailing_data[0])
        if self.takes_chunks:
            self._let_others()

    def _pieces(self, data: bytes) -> list[bytes]:
        """What has come, in pieces where a body in chunks may begin in it."""
        if len(data) <= _CHUNKED_BYTES or not self._is_in_a_head() or not _CHUNKED_LINE.search(data, 0, MOST_OF_A_HEAD):
            return [data]
        return [data[at : at + _CHUNKED_BYTES] for at in range(0, len(data), _CHUNKED_BYTES)]

    def _feed(self, data: bytes) -> bool:
        """Takes some bytes; whether more may follow: not where they are chunks of a byte or so."""
        had_chunks, size = self.takes_chunks, self._body_size
        self.data_received(data)
        if self._is_ending:  # these were no chunks at all
            return False
        if had_chunks and len(data) == _CHUNKED_BYTES and 2 * (self._body_size - size) < len(data):
            self._end(
                refused(400, "The chunks of the body are too small. Expected some hundred bytes in each, or more.")
            )
        return not self._is_ending

    @property
    def takes_chunks(self) -> bool:
        """Whether a body in chunks is on its way: each chunk of a byte costs as much as a large one."""
        exchange = self._exchange
        return exchange is not None and exchange.more_body and any(name == _CHUNKED for name, _ in self.headers)

    @property
    def _body_size(self) -> int:
        """Bytes of a body that the answer has not taken yet."""
        return len(self._exchange.body) if self._exchange is not None else 0

    def _let_others(self) -> None:
        """Reads on only after it was the turn of the others; without that, the loop reads all that there is."""
        self.transport.pause_reading()
        self.loop.call_soon(self._read_on)

    def _read_on(self) -> None:
        if not (self.flow.read_paused or self.transport.is_closing()):
            self.transport.resume_reading()

    def send_400_response(self, msg: str) -> None:
        """Says that this is no HTTP."""
        self._end(refused(400, msg))

    def cut_if_slow(self, now: float) -> None:
        """Ends the connection where the caller has been in one phase for too long; called now and then."""
        phase = self._current()
        if phase != self._phase:
            self._phase, self._since = phase, now
            return
        has_asked = self._exchange is not None or self._num_refused > 0
        longest = _FAREWELL_SECONDS if self.room.is_closing else math.inf
        limits = {
            "silent": min(longest, self.limits.idle_seconds if has_asked else self.limits.header_seconds),
            "head": min(longest, self.limits.header_seconds),
            "body": self.limits.body_seconds,
            "reading": self.limits.write_seconds,
            "ending": _FAREWELL_SECONDS,
        }
        name = phase[0]
        if name not in limits or now - self._since < limits[name]:
            return
        if name in ("head", "body", "reading"):
            self.metrics.cut[f"slow_{name}"] += 1
        if name in ("head", "body") and not (name == "body" and self.cycle.response_started):
            self._end(refused(408, f"The {name} of the request did not come in {limits[name]:g} seconds."))
        else:
            self.transport.abort()

    def cut_if_reading(self) -> None:
        """Ends the connection where the caller has not read its answer yet."""
        if self._current()[0] == "reading":
            self.metrics.cut["slow_reading"] += 1
            self.transport.abort()

    def shutdown(self) -> None:
        """The server is being stopped: ends now where nothing is on its way, else with the answer.

        Who has just come and said nothing yet is waited for: a busy machine may take long over the first word.
        """
        has_asked = self._exchange is not None or self._num_refused > 0
        is_new = not has_asked and time.monotonic() - self._made < _FAREWELL_SECONDS
        if not (self._has_begun or self._to_skip or is_new):
            super().shutdown()

    def _make_way(self) -> bool:
        """Ends another connection in favor of this one: of those that have stalled, a silent one first."""
        now = time.monotonic()
        others = (one for one in self.connections if isinstance(one, PatientProtocol) and one is not self)
        stalled = list(islice((one for one in others if one.has_stalled(now)), _MOST_COMPARED))
        if not stalled:
            return False
        worst = min(stalled, key=lambda one: (_GIVE_WAY.index(one._phase[0]), one._since))
        self.metrics.cut["made_way"] += 1
        worst.transport.abort()
        return True

    def has_stalled(self, now: float) -> bool:
        """Whether the caller lets the server wait, and has for a moment."""
        return self._phase[0] in _GIVE_WAY and now - self._since >= _STALLED_SECONDS and self._phase == self._current()

    def _current(self) -> tuple[str, object]:
        """What is being waited for, and in which exchange."""
        exchange = self._exchange
        key = (exchange, self._num_refused)
        if self._is_ending:
            return "ending", None
        if self.transport.get_write_buffer_size():
            return "reading", key
        if exchange is not None and not exchange.response_complete:
            return ("body" if exchange.more_body else "answer"), key
        return ("head" if self._has_begun or self._to_skip else "silent"), key

    @property
    def _exchange(self) -> RequestResponseCycle | None:
        """The last request; None before the first."""
        return self.cycle

    def _is_in_a_head(self) -> bool:
        return self.conn.their_state is h11.IDLE

    def _ends_soon(self, start: int) -> bool:
        """Whether a head ends in what has come, early enough: what is longer takes the server's time from others."""
        return b"\r\n\r\n" in bytes(self.buffer[start : start + MOST_OF_A_HEAD])

    def _is_between(self) -> bool:
        """Whether the last request is answered and nothing of the next has come."""
        exchange = self._exchange
        is_answered = exchange is None or exchange.response_complete
        is_idle = self.conn.our_state is h11.IDLE and self.conn.their_state is h11.IDLE
        return is_answered and is_idle and not self._has_begun

    def _refuse(self, start: int, stop: int) -> bool:
        """Refuses a request for want of room, from the bytes of its head; whether that was possible."""
        begun = bytes(self.buffer[start : min(stop, start + _LONGEST_HEAD)])
        end = begun.find(b"\r\n\r\n") + 4
        head = begun[:end]
        lengths, line = _LENGTH.findall(head), _LINE.match(head)
        if end < 4 or len(lengths) != 1 or line is None or _UNUSUAL.search(head):
            return False
        path, rest = line[1].decode(), int(lengths[0]) - (stop - start - end)
        if path not in self.routes or not 0 <= rest <= _SMALL_BODY:
            return False
        self._unset_keepalive_if_required()
        self._to_skip = rest
        self._num_refused += 1
        status = 429 if self.room.takes_most(self.client[0] if self.client else "") else 503
        self.metrics.request(path, status, 0.0)
        self.transport.write(self.ready[status])
        self.rest.call(self.loop)
        return True

    def _end(self, refusal: Refusal) -> None:
        """Says why and ends; what still comes is thrown away, so that the caller gets to read it."""
        self._is_ending = True
        self._phase, self._since = ("ending", None), time.monotonic()
        exchange = self._exchange
        if exchange is not None and not exchange.response_complete:
            # Whoever works on the answer has nobody to give it to, and is not to ask for the body.
            exchange.disconnected, exchange.waiting_for_100_continue = True, False
            exchange.message_event.set()
            if exchange.response_started:
                self.transport.close()
                return
        self.transport.write(written(refusal, ends=True))
        if self.transport.can_write_eof():
            self.transport.write_eof()


class Reading(asyncio.BufferedProtocol):
    """Reads for a connection into one piece of memory that all connections share.

    Only what is not thrown away is copied: the bodies of refused requests would cost a new piece each.
    """

    def __init__(self, connection: PatientProtocol) -> None:
        self.connection = connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A caller is there; this and what else does not read is the connection's."""
        self.connection.connection_made(transport)  # type: ignore[arg-type]

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self.connection.connection_lost(exc)

    def pause_writing(self) -> None:
        """The caller reads too slowly."""
        self.connection.pause_writing()

    def resume_writing(self) -> None:
        """The caller reads again."""
        self.connection.resume_writing()

    def eof_received(self) -> None:
        """The caller sends no more."""
        self.connection.eof_received()

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where the next bytes are put."""
        del sizehint
        return self.connection.buffer[: _CHUNKED_BYTES if self.connection.takes_chunks else _READ_BYTES]

    def buffer_updated(self, nbytes: int) -> None:
        """So many have come."""
        self.connection.take(nbytes)


def protocol_for(room: Room, limits: Limits, metrics: Metrics, routes: Collection[str]) -> Callable[..., Reading]:
    """Returns what makes the connections of one server, with uvicorn's arguments.

    Args:
        room: Who is let in.
        limits: Of callers.
        metrics: Where refusals are counted.
        routes: That take pictures: whoever asks for one of them while the room is full is refused at once.
    """
    ready = {
        429: written(
            busy("More than half of what the server can do is yours. Wait for your answers.", 429), ends=False
        ),
        503: written(busy(f"{room.size} pictures are in work. Come again in a moment."), ends=False),
    }
    shared = {"room": room, "limits": limits, "metrics": metrics, "routes": frozenset(routes)}
    shared |= {"ready": ready, "rest": Rest(), "buffer": memoryview(bytearray(_READ_BYTES))}
    kind = type("Protocol", (PatientProtocol,), shared)
    return lambda *args, **kwargs: Reading(kind(*args, **kwargs))
