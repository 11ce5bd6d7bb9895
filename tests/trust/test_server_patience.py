"""Slow, rude and idle callers, hundreds at once: another one is answered as if they were not there."""

from __future__ import annotations

import io
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from http_server import Reply, Server, serving
from tiny_model import write_model

HELPERS = Path(__file__).parents[1]
MOST_SECONDS = 0.25
TRIES = 3
MOST_REFUSALS = 5


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("model") / "colors.onnx")


@pytest.fixture(scope="module")
def server(model: Path) -> Iterator[Server]:
    with serving(model) as found:
        yield found


@contextmanager
def rude_callers(port: int, kind: str, path: str) -> Iterator[str]:
    command = [sys.executable, str(HELPERS / "rude_callers.py"), str(port), kind, path]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline()
        finally:
            process.kill()


def red() -> bytes:
    content = io.BytesIO()
    Image.fromarray(np.full((9, 7, 3), (250, 5, 5), np.uint8)).save(content, "PNG")
    return content.getvalue()


def asked(server: Server, content: bytes | None) -> Reply:
    """What a polite caller gets in the end: told to come again later, they do. Whatever else is refused fails."""
    path, headers = ("/livez", {}) if content is None else ("/v1/predict?top=1", {"content_type": "image/png"})
    reply = server.ask(path, content, **headers)
    for _ in range(MOST_REFUSALS):
        if reply.status != 503:
            break
        time.sleep(float(reply.headers["retry-after"]))
        reply = server.ask(path, content, **headers)
    assert reply.status == 200, reply
    return reply


def probed(server: Server, number: int) -> np.ndarray:
    """Seconds of each of so many requests of a polite caller, health and pictures in turn."""
    seconds, content = [], red()
    for turn in range(number):
        started = time.monotonic()
        reply = asked(server, None if turn % 2 else content)
        seconds.append(time.monotonic() - started)
        assert turn % 2 or reply.json["predictions"][0]["labels"][0]["label"] == "red"
        time.sleep(0.02)
    return np.array(seconds)


def assert_not_held_up(server: Server, kind: str, number: int) -> str:
    """A quarter of a second, in one of three tries: other work comes and goes, a server that is held up stays so."""
    with rude_callers(server.port, kind, "/v1/predict") as there:
        for _ in range(TRIES):
            seconds = probed(server, number)
            middle, high, worst = np.quantile(seconds, [0.5, 0.99, 1])
            told = f"n={number}, median {1000 * middle:.1f} ms, p99 {1000 * high:.1f} ms, longest {1000 * worst:.1f} ms"
            sys.stdout.write(f"{there.strip()}: {told}\n")
            if high < MOST_SECONDS:
                return there
    raise AssertionError(f"another caller waits: {told}")


def test_five_hundred_idle_and_two_dozen_slow_callers_hold_nobody_up(server: Server) -> None:
    assert assert_not_held_up(server, "500", 200) == "524 callers\n"


def test_whoever_comes_when_all_places_are_taken_by_idle_callers_is_let_in(server: Server) -> None:
    assert_not_held_up(server, "700", 60)
    assert b'whyconv_cut_connections_total{reason="made_way"}' in server.ask("/metrics").body


def test_callers_who_keep_the_server_busy_with_nothing_hold_nobody_up(server: Server) -> None:
    assert_not_held_up(server, "busy", 100)
