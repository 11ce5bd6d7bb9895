"""A server that is told to stop answers every request that was made, and says beforehand that it goes."""

from __future__ import annotations

import asyncio
import io
import signal
import socket
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from PIL import Image

from http_server import FORM, Server, form, serving
from raw_requests import is_whole, taken_apart
from tiny_model import COLORS, write_model

PATIENCE = 30.0
ANSWERED = {200, 422, 429, 503}


def picture(color: tuple[int, int, int], kind: str) -> bytes:
    content = io.BytesIO()
    Image.new("RGB", (40, 30), color).save(content, kind)
    return content.getvalue()


class Callers:
    """Callers who ask without end, half of them over one connection, half over a new one each time.

    Args:
        port: Of the server.
    """

    def __init__(self, port: int) -> None:
        self.port = port
        self.outcomes: Counter[str] = Counter()
        self.under_way = 0
        one = [picture(color, kind) for color in COLORS.values() for kind in ("PNG", "JPEG", "GIF")]
        single = [self._request(content, "image/png") for content in one]
        self.requests = [*single, self._request(form(*one), FORM), self._request(b"no picture", "image/png")]

    def _request(self, body: bytes, kind: str) -> bytes:
        head = f"POST /v1/predict HTTP/1.1\r\nHost: localhost:{self.port}\r\nContent-Type: {kind}\r\n"
        return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body

    async def ask_on(self, number: int) -> None:
        """One caller, until nobody is let in any more."""
        stays, streams = number % 2 == 0, None
        for turn in range(1_000_000):
            request = self.requests[(number + turn) % len(self.requests)]
            try:
                streams = streams or await asyncio.open_connection("127.0.0.1", self.port)
            except ConnectionRefusedError:
                return
            self.under_way += 1
            status, stays_open = await self._exchange(streams, request, halves=number % 5 == 0)
            self.under_way -= 1
            self.outcomes[status] += 1
            if not (stays and stays_open):
                streams[1].close()
                streams = None

    async def _exchange(
        self, streams: tuple[asyncio.StreamReader, asyncio.StreamWriter], request: bytes, *, halves: bool
    ) -> tuple[str, bool]:
        """What became of one request, and whether the connection can be used again; ``halves`` sends in two parts."""
        reader, writer = streams
        received = b""
        try:
            async with asyncio.timeout(PATIENCE):
                writer.write(request[: len(request) // 2] if halves else request)
                if halves:
                    await asyncio.sleep(0.05)
                    writer.write(request[len(request) // 2 :])
                while not is_whole(received):
                    part = await reader.read(1 << 16)
                    if not part:
                        return "ended without an answer", False
                    received += part
        except (OSError, TimeoutError) as error:
            return type(error).__name__, False
        (reply,), _ = taken_apart(received)
        outcome = "answered" if reply.status in ANSWERED else f"status {reply.status}"
        return outcome, reply.headers.get("connection") != "close"


async def health(port: int) -> list[tuple[str, float]]:
    """What /readyz says from now on, and when, until nobody is let in any more."""
    found = []
    while True:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
        except ConnectionRefusedError:
            return [*found, ("refused", time.monotonic())]
        writer.write(f"GET /readyz HTTP/1.1\r\nHost: localhost:{port}\r\nConnection: close\r\n\r\n".encode())
        said = await reader.read()
        found.append((said[9:12].decode() or "nothing", time.monotonic()))
        writer.close()
        await asyncio.sleep(0.02)


async def stopped_under_load(server: Server, num_callers: int) -> tuple[Counter[str], int, list[str]]:
    """What became of all requests, how many were under way at the signal, and what /readyz said, each word once."""
    callers = Callers(server.port)
    tasks = [asyncio.create_task(callers.ask_on(number)) for number in range(num_callers)]
    watching = asyncio.create_task(health(server.port))
    while callers.outcomes.total() < num_callers:
        await asyncio.sleep(0.05)
    under_way = callers.under_way
    server.process.send_signal(signal.SIGTERM)
    await asyncio.gather(*tasks)
    words = [word for word, _ in await watching]
    return callers.outcomes, under_way, [word for at, word in enumerate(words) if word not in words[:at]]


def stop_often(model: Path, times: int, num_callers: int) -> int:
    """Returns how many requests were under way when a server was told to stop; none of them was lost."""
    total = 0
    for _ in range(times):
        with serving(model, "--max-waiting", 10 * num_callers) as server:
            outcomes, under_way, words = asyncio.run(stopped_under_load(server, num_callers))
            assert server.process.wait(timeout=15) == 0
        assert outcomes.keys() == {"answered"}, outcomes
        assert words == ["200", "503", "refused"]
        total += under_way
        sys.stdout.write(f"{under_way} under way at the signal, {outcomes.total()} answered in all\n")
    return total


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return write_model(tmp_path / "colors.onnx")


def test_requests_under_way_are_answered_and_health_goes_first(model: Path) -> None:
    assert stop_often(model, 2, 160) >= 250


@pytest.mark.long
def test_ten_thousand_requests_under_way_are_answered(model: Path) -> None:
    total = 0
    while total < 10_000:
        total += stop_often(model, 10, 200)


def test_who_came_last_and_hesitates_is_heard(model: Path) -> None:
    with serving(model, "--leave", 1) as server:
        request = Callers(server.port).requests[0]
        server.process.send_signal(signal.SIGTERM)
        time.sleep(0.8)
        with socket.create_connection(("127.0.0.1", server.port), timeout=10) as late:
            time.sleep(0.6)  # a tenth of a second after the server let the last caller in it would be too late
            late.sendall(request)
            answer = b""
            while not is_whole(answer):
                part = late.recv(1 << 16)
                assert part, f"ended without an answer after {answer!r}"
                answer += part
        assert b" 200 " in answer[:20]
        assert server.process.wait(timeout=15) == 0


def test_a_second_signal_does_not_wait(model: Path) -> None:
    with serving(model, "--leave", 20) as server:
        server.process.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        assert server.ask("/readyz").status == 503
        started = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(timeout=15) == 0
        assert time.monotonic() - started < 5


@pytest.mark.parametrize(("number", "least"), [(signal.SIGTERM, 0.8), (signal.SIGINT, 0.0)])
def test_a_program_is_given_time_and_a_person_is_not(model: Path, number: int, least: float) -> None:
    with serving(model) as server:
        started = time.monotonic()
        server.process.send_signal(number)
        words = asyncio.run(health(server.port))
        assert words[-1][0] == "refused"
        assert least <= words[-1][1] - started < least + 3
