"""The load that benchmarks put on servers: what is counted, and from when."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from open_loop import load, request

ANSWER = b"HTTP/1.1 %d X\r\ncontent-length: 2\r\n\r\nok"


@contextmanager
def answering(statuses: list[int], stall: float = 0.0) -> Iterator[int]:
    """A server of one connection that stalls before its first answer, and gives these statuses in turn."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        connection, _ = listener.accept()
        number = 0
        with connection:
            while data := connection.recv(1 << 16):
                if number == 0:
                    time.sleep(stall)
                assert data.startswith(b"POST /v1/predict?top=1 HTTP/1.1\r\n")
                connection.sendall(ANSWER % statuses[number % len(statuses)])
                number += 1

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        thread.join()
        listener.close()


def test_answers_are_counted_by_status() -> None:
    with answering([200, 503, 429]) as port:
        found = load(port, [request(port, b"picture")], 0.3, callers=1)
    assert set(found.seconds) == {200, 503, 429}
    assert found.rate() == pytest.approx(found.rate(503), rel=0.2)
    assert len(found.refused()) == len(found.seconds[503]) + len(found.seconds[429])


def test_a_fixed_rate_is_kept_and_what_could_not_be_sent_is_told() -> None:
    with answering([200]) as port:
        found = load(port, [request(port, b"picture")], 0.5, callers=1, rate=50)
    assert found.rate() == pytest.approx(50, rel=0.2)
    assert found.unsent == 0
    with answering([200], stall=0.4) as port:
        found = load(port, [request(port, b"picture")], 0.5, callers=1, rate=50)
    assert 15 <= found.unsent <= 25
    assert found.quantile(1.0) >= 400


def test_quantiles_are_in_milliseconds() -> None:
    from open_loop import Outcome

    found = Outcome({200: [0.001 * number for number in range(100)]}, 1.0)
    assert (found.quantile(0.5), found.quantile(0.99)) == (50.0, 99.0)
