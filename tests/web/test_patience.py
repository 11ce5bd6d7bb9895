"""Slow, rude and too many callers: cut off or refused, and nobody else waits for them."""

from __future__ import annotations

import asyncio
import errno
import json
import signal
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import uvicorn
from uvicorn.server import ServerState

from http_server import Server, head, read_all, serving
from whyconv.web.limits import Limits
from whyconv.web.metrics import Metrics
from whyconv.web.protocol import PatientProtocol, protocol_for
from whyconv.web.refusals import Refusal
from whyconv.web.room import Room

SECONDS = 0.5


@pytest.fixture(scope="module")
def hasty(model: Path) -> Iterator[Server]:
    """A server that waits half a second for a head and three times that for a body."""
    with serving(model, "--timeout", SECONDS, "--max-waiting", 4) as found:
        yield found


def cut_after(server: Server, first: bytes, drip: bytes = b"") -> tuple[bytes, float]:
    """What the server says to a caller who sends something and then a byte now and then, and after how long."""
    started = time.monotonic()
    with server.connect() as connection:
        connection.sendall(first)
        connection.settimeout(0.1)
        received = b""
        while time.monotonic() - started < 10:
            try:
                if drip:
                    connection.sendall(drip)
                part = connection.recv(1 << 16)
            except TimeoutError:
                continue
            except OSError:
                break
            received += part
            if not part:
                break
        return received, time.monotonic() - started


def refused_after(server: Server, seconds: float) -> float:
    """Seconds until nobody is let in any more, at most so many."""
    started = time.monotonic()
    while time.monotonic() - started < seconds:
        with socket.socket() as caller:
            if caller.connect_ex(("127.0.0.1", server.port)) == errno.ECONNREFUSED:
                return time.monotonic() - started
        time.sleep(0.02)
    raise AssertionError(f"callers are still let in after {seconds} seconds")


def port_in(server: Server, text: bytes) -> bytes:
    return text.replace(b"{port}", str(server.port).encode())


def test_a_head_that_drips_is_cut(hasty: Server) -> None:
    said, seconds = cut_after(hasty, b"GET /livez HTTP/1.1\r\n", drip=b"X-a: b\r\n")
    assert said.startswith(b"HTTP/1.1 408 ")
    assert seconds < 4


def test_a_caller_who_says_nothing_is_cut(hasty: Server) -> None:
    said, seconds = cut_after(hasty, b"")
    assert said == b""
    assert seconds < 4


def test_a_body_that_drips_is_cut(hasty: Server) -> None:
    said, seconds = cut_after(hasty, port_in(hasty, head(length=1000)), drip=b"x")
    assert said.startswith(b"HTTP/1.1 408 ")
    assert json.loads(said.partition(b"\r\n\r\n")[2])["error"]["message"].startswith("The body of the request")
    assert 3 * SECONDS <= seconds < 6


def test_a_caller_who_does_not_read_is_cut(hasty: Server) -> None:
    question = port_in(hasty, b"GET /openapi.json HTTP/1.1\r\nHost: localhost:{port}\r\n\r\n")
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        connection.connect(("127.0.0.1", hasty.port))
        connection.settimeout(5)
        started = time.monotonic()
        with pytest.raises(OSError):  # noqa: PT011 - a full socket times out, a cut one is reset
            while time.monotonic() - started < 20:
                connection.sendall(question * 100)
    deadline = time.monotonic() + 8
    while b'reason="slow_reading"' not in (text := hasty.ask("/metrics").body) and time.monotonic() < deadline:
        time.sleep(0.2)
    assert b'whyconv_cut_connections_total{reason="slow_reading"}' in text


def test_others_are_answered_at_once_meanwhile(hasty: Server, colors: dict[str, bytes]) -> None:
    slow = [hasty.connect() for _ in range(100)]
    try:
        for connection in slow:
            connection.sendall(port_in(hasty, head(length=1000)))
        worst = 0.0
        for _ in range(20):
            started = time.monotonic()
            assert hasty.ask("/v1/predict", colors["red"], content_type="image/png").status == 200
            worst = max(worst, time.monotonic() - started)
        assert worst < 0.5
    finally:
        for connection in slow:
            connection.close()


def test_more_than_there_is_room_for_are_told_to_come_again(hasty: Server, colors: dict[str, bytes]) -> None:
    def ask(_: int) -> tuple[int, str | None]:
        reply = hasty.ask("/v1/predict?top=1", colors["red"], content_type="image/png")
        return reply.status, reply.headers.get("retry-after")

    with ThreadPoolExecutor(32) as pool:
        found = set(pool.map(ask, range(300)))
    assert (200, None) in found
    assert found <= {(200, None), (503, "1"), (429, "1")}


def test_a_request_that_is_alone_has_room_for_all_of_its_pictures(hasty: Server, colors: dict[str, bytes]) -> None:
    assert hasty.predict(*[colors["red"]] * 20).status == 200


def test_short_answers_leave_at_once(server: Server) -> None:
    question = port_in(server, b"GET /v1/recognizer HTTP/1.1\r\nHost: localhost:{port}\r\n\r\n")
    seconds = []
    with server.connect() as connection:
        for _ in range(20):
            started = time.monotonic()
            connection.sendall(question)
            while b'"limits"' not in connection.recv(1 << 16):
                pass
            seconds.append(time.monotonic() - started)
    assert sorted(seconds)[10] < 0.02  # a part that waits for the receipt of the one before takes 0.04


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_lets_what_is_on_its_way_be_answered(model: Path, colors: dict[str, bytes], number: int) -> None:
    content = colors["blue"]
    with serving(model) as server:
        with server.connect() as idle, server.connect() as connection:
            idle.sendall(b"GET /livez")
            connection.sendall(port_in(server, head(length=len(content))) + content[:10])
            time.sleep(0.2)
            server.process.send_signal(number)
            refused_after(server, 10)
            connection.sendall(content[10:])
            said = read_all(connection)
        assert said.startswith(b"HTTP/1.1 200 ")
        assert b'"label":"blue"' in said
        assert server.process.wait(timeout=15) == 0


# --- the quick refusal, on a transport that only remembers


class Remembering(asyncio.Transport):
    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.is_closed = False

    def write(self, data: bytes) -> None:
        self.written += data

    def write_eof(self) -> None:
        self.is_closed = True

    def can_write_eof(self) -> bool:
        return True

    def get_write_buffer_size(self) -> int:
        return 0

    def is_closing(self) -> bool:
        return self.is_closed

    def close(self) -> None:
        self.is_closed = True

    abort = close

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass


def connected(room: Room, loop: asyncio.AbstractEventLoop, **limits: int) -> tuple[PatientProtocol, Remembering]:
    async def app(scope: object, receive: object, send: object) -> None:
        del scope, receive
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})

    kind = protocol_for(room, Limits(**limits), Metrics(), ["/v1/predict"])
    config = uvicorn.Config(app, http=kind, ws="none", log_config=None)  # type: ignore[arg-type]  # any callable will do
    protocol = kind(config, ServerState(), {}, loop).connection
    transport = Remembering()
    protocol.connection_made(transport)
    return protocol, transport


def receive(protocol: PatientProtocol, data: bytes) -> None:
    """As the event loop does it."""
    protocol.buffer[: len(data)] = data
    protocol.take(len(data))


def test_a_full_room_refuses_from_the_first_bytes_and_the_connection_goes_on() -> None:
    async def scene() -> bytes:
        room = Room(1, 1000)
        protocol, transport = connected(room, asyncio.get_running_loop())
        with room.place("someone"):
            receive(protocol, head(length=10) + b"12345")
            assert protocol.metrics.text(waiting=0, connections=0).count('route="/v1/predict",status="503"} 1') == 1
            receive(protocol, b"67890" + head(length=3) + b"abc")
        receive(protocol, head(length=3) + b"abc")
        await asyncio.sleep(0.05)
        return transport.written

    written = asyncio.run(scene())
    answers = [int(part[:3]) for part in written.split(b"HTTP/1.1 ")[1:]]
    assert answers == [503, 503, 204]
    assert b"Retry-After: 1\r\n" in written or b"retry-after: 1\r\n" in written


UNUSUAL = [
    head("/v1/nothing", 0),
    head(length=0).replace(b"HTTP/1.1", b"HTTP/1.0"),
    head("/v1/predict", 0, "Transfer-Encoding: chunked"),
    head(length="0\r\nContent-Length: 9"),
    head(length=1 << 19),
    head("/v1/predict", 0, "Connection: close"),
    head("/v1/predict", 0, "Expect: 100-continue"),
]


@pytest.mark.parametrize("question", UNUSUAL)
def test_what_is_not_plainly_a_picture_is_parsed_also_when_the_room_is_full(question: bytes) -> None:
    async def scene() -> str:
        room = Room(1, 1000)
        protocol, _ = connected(room, asyncio.get_running_loop())
        with room.place("someone"):
            receive(protocol, question)
            await asyncio.sleep(0)
        return protocol.metrics.text(waiting=0, connections=0)

    assert "whyconv_requests_total{" not in asyncio.run(scene())


def test_the_end_of_a_body_after_its_answer_is_no_next_request() -> None:
    async def scene() -> tuple[bytes, str]:
        protocol, transport = connected(Room(1, 1000), asyncio.get_running_loop())
        receive(protocol, head(length=5) + b"ab")
        await asyncio.sleep(0.05)
        receive(protocol, b"cde")
        idle, _ = protocol._current()
        receive(protocol, b"GET /l")
        begun, _ = protocol._current()
        return transport.written, f"{idle} {begun}"

    written, phases = asyncio.run(scene())
    assert written.startswith(b"HTTP/1.1 204 ")
    assert phases == "silent head"


def test_health_is_told_when_the_room_is_full() -> None:
    async def scene() -> bytes:
        room = Room(1, 1000)
        protocol, transport = connected(room, asyncio.get_running_loop())
        with room.place("someone"):
            receive(protocol, b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
            await asyncio.sleep(0.05)
        return transport.written

    assert asyncio.run(scene()).startswith(b"HTTP/1.1 204 ")


def test_one_connection_too_many_is_told_so() -> None:
    async def scene() -> tuple[bytes, bool]:
        _, transport = connected(Room(1, 1000), asyncio.get_running_loop(), max_connections=0)
        return transport.written, transport.is_closed

    written, is_closed = asyncio.run(scene())
    assert written.startswith(b"HTTP/1.1 503 ")
    assert is_closed


def test_bytes_of_all_bodies_together_are_bounded() -> None:
    room = Room(4, 1000)
    room.hold(600)
    with pytest.raises(Refusal) as refusal:
        room.hold(401)
    assert refusal.value.status == 503
    room.hold(-600)
    room.hold(1000)


def test_who_takes_most_of_the_room_is_told_that_it_is_them() -> None:
    room = Room(4, 1000)
    with room.place("greedy", 3), room.place("modest"):
        assert room.is_full
        assert room.refusal("greedy").status == 429
        assert room.refusal("modest").status == room.refusal("new").status == 503
    assert (room.taken, room.takes_most("greedy")) == (0, False)
