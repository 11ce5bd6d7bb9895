"""`whyconv serve` in a process of its own, and plain sockets to speak to it."""

from __future__ import annotations

import http.client
import json
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

START = "from whyconv.cli import main; import sys; main(sys.argv[1:])"


@dataclass(frozen=True)
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> dict[str, Any]:
        return self.json["error"]


@dataclass(frozen=True)
class Server:
    """A server that runs; ``ready`` is what it said when it began, ``said`` all that it said to people, in the end."""

    process: subprocess.Popen[str]
    ready: dict[str, Any]
    said: list[str] = field(default_factory=list)

    @property
    def port(self) -> int:
        return self.ready["port"]

    def ask(self, path: str, body: bytes | None = None, method: str = "", **headers: str) -> Reply:
        """One request; ``content_type="..."`` is a header, and so are all others that are named."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        try:
            connection.request(method or ("GET" if body is None else "POST"), path, body, named)
            found = connection.getresponse()
            return Reply(found.status, {k.lower(): v for k, v in found.getheaders()}, found.read())
        finally:
            connection.close()

    def predict(self, *contents: bytes, query: str = "") -> Reply:
        """Several pictures in a form."""
        return self.ask(f"/v1/predict{query}", form(*contents), content_type=FORM)

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=20)

    def say(self, *parts: bytes, pause: float = 0.0) -> bytes:
        """Sends bytes as they are and returns all that comes until the server closes the connection."""
        with self.connect() as connection:
            for part in parts:
                connection.sendall(part)
                time.sleep(pause)
            return read_all(connection)


FORM = "multipart/form-data; boundary=edge"


def form(*contents: bytes, field: str = "image", name: str = "p{}") -> bytes:
    parts = [
        f'--edge\r\nContent-Disposition: form-data; name="{field}"; filename="{name.format(number)}"\r\n\r\n'.encode()
        + content
        for number, content in enumerate(contents)
    ]
    return b"\r\n".join([*parts, b"--edge--\r\n"])


def read_all(connection: socket.socket) -> bytes:
    received = b""
    while part := connection.recv(1 << 16):
        received += part
    return received


def head(path: str = "/v1/predict", length: int | str = 4, *more: str, method: str = "POST") -> bytes:
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost:{port}", "Content-Type: image/png"]
    return "\r\n".join([*lines, f"Content-Length: {length}", *more, "", ""]).encode()


@contextmanager
def serving(model: Path, *words: object, code: str = START, folder: Path | None = None) -> Iterator[Server]:
    """Runs a server while the block runs; it has to end well."""
    command = [sys.executable, "-c", code, "serve", str(model), "--port", "0", "--json", *map(str, words)]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True, cwd=folder
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise AssertionError(process.communicate()[1])
    server = Server(process, json.loads(line))
    try:
        yield server
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)  # which, other than SIGTERM, waits for no new callers
        _, said = process.communicate(timeout=30)
        server.said.append(said)
        assert "Traceback" not in said, said
