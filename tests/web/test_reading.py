"""Callers who ask for large answers and do not read them: what is kept for them is bounded, and others are answered."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from http_server import Server, serving
from mirrored_model import SIDE, make_model
from server_process import memory
from whyconv.web.guard import Access, Guard
from whyconv.web.metrics import Metrics
from whyconv.web.room import Room
from whyconv.web.uploads import HELD

FILTERS = 27_000  # of 12 x 12 places: 3.9 million values, 21 MB in base64
MOST = 260_000_000
PIXELS = bytes(SIDE * SIDE * 3)
TYPE = "application/x-whyconv-pixels"
PATH = "/v1/maps?layer=wide&format=float32"


def wide_maps() -> bytes:
    """A file whose one layer has very many maps."""
    nodes = [
        helper.make_node("Cast", ["pixels"], ["levels"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["levels"], ["turned"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["turned", "wide.weight"], ["wide"], kernel_shape=[1, 1]),
    ]
    weights = np.random.default_rng(3).normal(size=(FILTERS, 3, 1, 1)).astype(np.float32)
    graph = helper.make_graph(
        nodes,
        "wide",
        [helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["n", SIDE, SIDE, 3])],
        [helper.make_tensor_value_info("wide", TensorProto.FLOAT, ["n", FILTERS, SIDE, SIDE])],
        [numpy_helper.from_array(weights, "wide.weight")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    model.metadata_props.extend(make_model().metadata_props)
    onnx.checker.check_model(model)
    return model.SerializeToString()


@pytest.fixture(scope="module")
def wide_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("wide") / "wide-1"
    run.mkdir()
    (run / "model.onnx").write_bytes(make_model().SerializeToString())
    (run / "why.onnx").write_bytes(wide_maps())
    (run / "layers.json").write_text(json.dumps([{"map": "wide", "output": [FILTERS, SIDE, SIDE]}]))
    return run


@pytest.fixture(scope="module")
def wide(wide_run: Path) -> Iterator[Server]:
    with serving(wide_run) as found:
        yield found


def ask_and_not_read(server: Server) -> socket.socket:
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    connection.settimeout(20)
    connection.connect(("127.0.0.1", server.port))
    lines = [f"POST {PATH} HTTP/1.1", f"Host: localhost:{server.port}", f"Content-Type: {TYPE}"]
    connection.sendall("\r\n".join([*lines, f"Content-Length: {len(PIXELS)}", "", ""]).encode() + PIXELS)
    return connection


def test_answers_that_nobody_reads_are_bounded_and_others_are_answered(wide: Server) -> None:
    size = len(wide.ask(PATH, PIXELS, content_type=TYPE).body)
    assert size > 20_000_000
    before, num_callers = memory(wide.process.pid), MOST // size + 6
    with ExitStack() as stack:
        said = []
        for _ in range(num_callers):
            connection = stack.enter_context(ask_and_not_read(wide))
            said.append(connection.recv(12))
        assert said == [b"HTTP/1.1 200"] * (MOST // size) + [b"HTTP/1.1 503"] * 6
        assert memory(wide.process.pid) - before < MOST + 120_000_000
        refused = wide.ask(PATH, PIXELS, content_type=TYPE)
        assert (refused.status, refused.headers["retry-after"]) == (503, "1")
        assert "answers" in refused.error["message"]
        assert wide.ask("/v1/predict", PIXELS, content_type=TYPE).status == 200
    deadline = time.monotonic() + 10
    while (again := wide.ask(PATH, PIXELS, content_type=TYPE)).status == 503 and time.monotonic() < deadline:
        time.sleep(0.1)
    assert len(again.body) == size


def test_a_server_that_is_stopped_does_not_wait_for_long_and_says_nothing_of_it(wide_run: Path) -> None:
    with serving(wide_run) as server, ask_and_not_read(server) as connection:
        assert connection.recv(12) == b"HTTP/1.1 200"
        server.process.send_signal(signal.SIGINT)
        assert server.process.wait(timeout=15) == 0
    assert "ancel" not in server.said[0]


def through_guard(room: Room, content: bytes, send: Send) -> None:
    """One answer on its way through the guard."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        scope[HELD] = 500
        room.hold(500)
        await Response(content)(scope, receive, send)

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    scope = {"type": "http", "method": "GET", "path": "/", "query_string": b"", "headers": [(b"host", b"localhost:1")]}
    asyncio.run(Guard(app, Access(1), room, Metrics())(scope, receive, send))


@pytest.mark.parametrize("size", [0, 1, 1 << 16, (1 << 16) + 1, 3 << 16, 200_001])
def test_a_long_answer_comes_whole_in_pieces_and_is_counted_until_the_last(size: int) -> None:
    room, content = Room(4, 1000, 1_000_000), bytes(range(256)) * (size // 256) + bytes(size % 256)
    said: list[Message] = []
    unread, held = set(), set()

    async def send(message: Message) -> None:
        said.append(message)
        unread.add(room.unread)
        held.add(room.held)

    through_guard(room, content, send)
    bodies = [message["body"] for message in said[1:]]
    assert b"".join(bodies) == content
    assert max(map(len, bodies)) <= 1 << 16
    assert [message["more_body"] for message in said[1:-1]] == [True] * (len(said) - 2)
    assert not said[-1].get("more_body", False)
    assert (unread, held) == ({size if size > 1 << 16 else 0}, {0})
    assert (room.unread, room.held) == (0, 0)


def test_an_answer_that_nobody_takes_is_let_go_when_its_caller_is() -> None:
    room = Room(4, 1000, 1_000_000)

    async def send(message: Message) -> None:
        if message["type"] == "http.response.body":
            raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        through_guard(room, bytes(200_000), send)
    assert (room.unread, room.held) == (0, 0)


def test_beyond_the_bound_a_long_answer_is_refused_and_a_short_one_is_not() -> None:
    room, statuses = Room(4, 1000, 300_000), []
    room.hold_answer(200_000)

    async def send(message: Message) -> None:
        statuses.append(message.get("status", len(message.get("body", b""))))

    through_guard(room, bytes(100_001), send)
    assert (statuses[0], statuses[1] < 300, len(statuses)) == (503, True, 2)
    through_guard(room, bytes(1000), send)
    through_guard(room, bytes(100_000), send)
    assert statuses[2:] == [200, 1000, 200, 1 << 16, 100_000 - (1 << 16)]
    assert room.unread == 200_000
