"""What is too large, of the wrong kind, or makes no sense is refused before it costs anything, in plain words."""

from __future__ import annotations

import asyncio
import struct
import time
import zlib
from pathlib import Path

import pytest
from starlette.requests import Request
from starlette.types import Message

from http_server import FORM, Server, form, head, serving
from whyconv.images.prepare import PicturePolicy
from whyconv.web.limits import Limits
from whyconv.web.refusals import Refusal
from whyconv.web.room import Room
from whyconv.web.uploads import read_uploads

CHUNKED = (
    b"POST /v1/predict HTTP/1.1\r\nHost: localhost:%d\r\nContent-Type: image/png\r\nTransfer-Encoding: chunked\r\n\r\n"
)


def png_head(width: int, height: int) -> bytes:
    """A PNG that says how large it is, and holds next to nothing."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")


def test_a_long_body_is_refused_from_its_head(server: Server) -> None:
    started = time.monotonic()
    said = server.say(head(length=5_000_000_000).replace(b"{port}", str(server.port).encode()))
    assert said.startswith(b"HTTP/1.1 413 ")
    assert b"connection: close" in said
    assert time.monotonic() - started < 5


def test_a_long_body_without_a_length_is_refused_while_it_comes(server: Server) -> None:
    chunk = b"%x\r\n%s\r\n" % (1 << 20, b"x" * (1 << 20))
    with server.connect() as connection:
        connection.sendall(CHUNKED % server.port)
        try:
            for _ in range(64):
                connection.sendall(chunk)
        except OSError:
            return  # the server has closed: it did not read all of them
        received = connection.recv(1 << 16)
    assert received.startswith(b"HTTP/1.1 413 ")


def test_a_picture_of_many_pixels_is_refused_from_its_head(server: Server) -> None:
    started = time.monotonic()
    reply = server.ask("/v1/predict", png_head(30_000, 30_000), content_type="image/png")
    assert reply.status == 422
    assert "900 megapixels" in reply.error["message"]
    assert time.monotonic() - started < 1


def test_the_limit_of_pixels_is_that_of_the_server(server: Server) -> None:
    reply = server.ask("/v1/predict", png_head(10_000, 4_001), content_type="image/png")
    assert "at most 40 are read" in reply.error["message"]
    reply = server.ask("/v1/predict", png_head(10_000, 4_000), content_type="image/png")
    assert "cut short" in reply.error["message"]


@pytest.mark.parametrize(
    "kind", ["text/html", "image/svg+xml", "application/json", "", "application/x-www-form-urlencoded"]
)
def test_other_types_are_415(server: Server, kind: str) -> None:
    reply = server.ask("/v1/predict", b'{"url": "http://169.254.169.254/"}', content_type=kind)
    assert reply.status == 415
    assert (reply.error["code"], reply.error["kind"]) == (2, "UsageError")


def test_a_body_compressed_as_a_whole_is_415(server: Server, colors: dict[str, bytes]) -> None:
    reply = server.ask("/v1/predict", colors["red"], content_type="image/png", content_encoding="gzip")
    assert reply.status == 415


def test_too_many_pictures_at_once_are_413(server: Server, colors: dict[str, bytes]) -> None:
    assert server.predict(*[colors["red"]] * 32).status == 200
    assert server.predict(*[colors["red"]] * 33).status == 413


@pytest.mark.parametrize(
    ("body", "kind", "words"),
    [
        (form(b"x", field="url"), FORM, "a field 'url'"),
        (form(), FORM, "no picture"),
        (form(b"x")[:-8], FORM, "cut short"),
        (form(b"x"), "multipart/form-data", "no boundary"),
        (form(b"x"), "multipart/form-data; boundary=other", "damaged"),
        (form(b"x"), f"multipart/form-data; boundary={'e' * 300}", "damaged"),
        (b"", "image/png", "empty"),
        (b"123", "application/x-whyconv-pixels", "8 x 8 x 3"),
    ],
)
def test_what_makes_no_sense_is_422(server: Server, body: bytes, kind: str, words: str) -> None:
    reply = server.ask("/v1/predict", body, content_type=kind)
    assert reply.status == 422
    assert words in reply.error["message"]


@pytest.mark.parametrize("query", ["top=0", "top=-1", "top=x", "top=1e9", "top=", "top=99999999999999999999"])
def test_wrong_parameters_are_422(server: Server, colors: dict[str, bytes], query: str) -> None:
    reply = server.ask(f"/v1/predict?{query}", colors["red"], content_type="image/png")
    assert reply.status == 422
    assert reply.error["message"].startswith("top is ")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/predict", 405),
        ("TRACE", "/v1/recognizer", 405),
        ("PUT", "/livez", 405),
        ("GET", "/nothing", 404),
        ("GET", "/page/../guard.py", 404),
        ("GET", "/page/%2e%2e/guard.py", 404),
        ("GET", "/v1/layers/../why", 404),
        ("GET", "/v1/layers", 404),
        ("GET", "/v1/why", 404),
        ("GET", "/v1/texts?lang=de", 422),
        ("GET", "/v1/count?side=x", 422),
        ("GET", "/v1/count?bias=2", 422),
        ("GET", f"/v1/count?side={'9' * 50}", 422),
    ],
)
def test_whatever_is_asked_the_answer_is_json(server: Server, method: str, path: str, status: int) -> None:
    reply = server.ask(path, method=method)
    assert reply.status == status
    assert set(reply.error) == {"code", "kind", "message"}


def test_what_is_not_there_for_a_lone_file_says_what_to_do(server: Server, colors: dict[str, bytes]) -> None:
    for route in ("maps?layer=x", "units?layer=x", "steps?layer=x", "twin"):
        reply = server.ask(f"/v1/{route}", colors["red"], content_type="image/png")
        assert reply.status == 404, route


def test_bytes_that_are_no_http_are_400(server: Server) -> None:
    for noise in (
        b"\x16\x03\x01\x02\x00\r\n\r\n",
        b"GET / HTTP/0.9\r\n\r\n",
        b"POST /v1/predict HTTP/1.1\r\nX y\r\n\r\n",
    ):
        assert server.say(noise).startswith(b"HTTP/1.1 400 ")


def test_a_request_with_two_lengths_is_400_and_the_connection_ends(server: Server) -> None:
    both = head(length="4\r\nTransfer-Encoding: chunked").replace(b"{port}", str(server.port).encode())
    assert server.say(both, b"0\r\n\r\n").startswith(b"HTTP/1.1 400 ")


def test_a_body_of_no_chunks_is_400_and_the_server_has_nothing_to_say(model: Path) -> None:
    with serving(model) as server:
        assert server.say(CHUNKED % server.port, b"z\r\n" * 1365 + b"z", pause=0.2).startswith(b"HTTP/1.1 400 ")
    assert not any("Traceback" in line for line in server.said), server.said


def test_nothing_is_written(server: Server, model: Path) -> None:
    server.predict(b"x" * 2_000_000)
    assert [path.name for path in model.parent.iterdir()] == ["colors.onnx"]


def of_a_form(*headers: bytes) -> int:
    """How many pictures are read from a form whose one part has these headers beside the one that names it."""
    named = b'Content-Disposition: form-data; name="image"'
    body = b"--edge\r\n" + b"\r\n".join([named, *headers]) + b"\r\n\r\nx\r\n--edge--\r\n"

    async def receive() -> Message:
        return {"type": "http.request", "body": body, "more_body": False}

    request = Request({"type": "http", "headers": [(b"content-type", FORM.encode())]}, receive)
    policy = PicturePolicy(side=8, channels=3)
    return len(asyncio.run(read_uploads(request, Room(4, 1_000_000), Limits(), policy)))


def test_the_headers_of_a_part_of_a_form_are_bounded_as_the_docs_say() -> None:
    told = "| headers of a part of a form; bytes of each | 8; 4 kB | |"
    assert told in (Path(__file__).parents[2] / "docs" / "serving.md").read_text(encoding="utf-8")
    most = 4096 + 128  # 4 kB, and room for its name
    assert of_a_form(b"X: " + b"a" * (most - 3)) == 1
    assert of_a_form(*[b"X: " + b"a" * (most - 3)] * 7) == 1
    for too_much in ([b"X: " + b"a" * (most - 2)], [b"X: a"] * 8):
        with pytest.raises(Refusal, match="The form is damaged: Maximum header"):
            of_a_form(*too_much)
