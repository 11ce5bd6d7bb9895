"""What dies in the middle of a request: a caller, the file of the model, a process that decodes. The rest goes on."""

from __future__ import annotations

import io
import os
import shutil
import signal
import socket
import struct
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from PIL import Image

from http_server import FORM, Server, form, head, serving
from mirrored_model import write_run
from server_process import descriptors, in_work, processes

LINGER_RESET = struct.pack("ii", 1, 0)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return write_run(tmp_path / "two-1")


@pytest.fixture
def server(run: Path) -> Iterator[Server]:
    with serving(run) as found:
        yield found


def encoded(kind: str, side: int = 300) -> bytes:
    content = io.BytesIO()
    Image.effect_noise((side, side), 60).convert("RGB").save(content, kind)
    return content.getvalue()


def reset(connection: socket.socket) -> None:
    """Ends a connection as a machine does that goes down: with a reset in place of an end."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_RESET)
    connection.close()


def comes_to_rest(server: Server, files: int) -> bool:
    """Whether nothing is in work and no descriptor is left over, within some seconds."""
    deadline = time.monotonic() + 15
    while time.monotonic() < deadline:
        gauges = in_work(server.ask("/metrics").body)
        if gauges == {"waiting_pictures": 0, "connections": 1} and descriptors(server.process.pid) <= files:
            return True
        time.sleep(0.1)
    return False


def test_callers_who_vanish_leave_nothing_behind(server: Server) -> None:
    picture, body = encoded("PNG"), form(*[encoded("PNG")] * 8)
    multipart = head(length=len(body)).replace(b"image/png", FORM.encode())
    whole = head(length=len(picture)) + picture
    cuts = [
        whole[:20],
        whole[:200],
        whole[: len(whole) // 2],
        whole[:-1],
        whole,
        (multipart + body)[:50_000],
        multipart + body,
    ]
    assert server.ask("/v1/predict", picture, content_type="image/png").status == 200
    files = descriptors(server.process.pid) + 1
    for turn in range(140):
        connection = server.connect()
        connection.sendall(cuts[turn % len(cuts)].replace(b"{port}", str(server.port).encode()))
        time.sleep(0.003 * (turn % 3))
        reset(connection)
    assert comes_to_rest(server, files)
    assert server.ask("/v1/predict", picture, content_type="image/png").status == 200


def test_the_files_of_the_run_may_vanish_while_it_is_served(server: Server, run: Path) -> None:
    picture = encoded("PNG")
    before = server.ask("/v1/predict", picture, content_type="image/png").json
    shutil.rmtree(run)
    for route, status in {
        "predict": 200, "prepared": 200, "explain": 200, "maps?layer=first": 404, "twin": 404, "steps?layer=first": 404
    }.items():  # fmt: skip
        reply = server.ask(f"/v1/{route}", picture, content_type="image/png")
        assert reply.status == status, (route, reply.body[:300])
    assert server.ask("/v1/predict", picture, content_type="image/png").json == before
    assert {path: server.ask(path).status for path in ("/v1/why", "/v1/layers", "/v1/thumbnails", "/readyz")} == {
        "/v1/why": 404, "/v1/layers": 404, "/v1/thumbnails": 404, "/readyz": 200
    }  # fmt: skip


def test_a_file_of_the_run_that_was_damaged_meanwhile_is_no_secret_and_no_trace(server: Server, run: Path) -> None:
    (run / "why.json").write_text("{")
    reply = server.ask("/v1/why")
    assert (reply.status, reply.error["kind"]) == (500, "ModelFileError")
    assert str(run).encode() not in reply.body
    assert server.ask("/v1/predict", encoded("PNG"), content_type="image/png").status == 200


def test_a_decoder_that_is_killed_while_it_works_costs_no_answer(server: Server) -> None:
    """One that dies is replaced, and asked the same again."""
    picture = encoded("GIF", 1500)
    expected = server.ask("/v1/predict", picture, content_type="image/gif").json
    with ThreadPoolExecutor(2) as pool:
        for _ in range(4):
            answers = [pool.submit(server.ask, "/v1/predict", picture, content_type="image/gif") for _ in range(2)]
            time.sleep(0.01)
            (victim, *_) = processes(server.process.pid)[1:]
            os.kill(victim, signal.SIGKILL)
            for answer in answers:
                assert (answer.result().status, answer.result().json) == (200, expected)
    started = time.monotonic()
    assert server.ask("/v1/predict", picture, content_type="image/gif").status == 200
    assert time.monotonic() - started < 5
