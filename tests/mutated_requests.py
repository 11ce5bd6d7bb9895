"""Requests that nobody would write: good ones, changed by one to four mutations, from one seed."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator, Sequence

from hostile_names import PAYLOADS

_WORDS = (
    b"\0",
    b"\r\n",
    b"\r\n\r\n",
    b"--",
    b": ",
    b"%00",
    b"%2e%2e%2f",
    b"-1",
    b"99999999999999999999",
    b"1e9",
    b"nan",
)
_HEADERS = (
    "Transfer-Encoding: chunked",
    "Transfer-Encoding: gzip, chunked",
    "Transfer-Encoding: identity",
    "Content-Length: 4",
    "Content-Length: -1",
    "Content-Length: 99999999999999999999999999",
    "Content-Length: 4, 4",
    "Content-Encoding: gzip",
    "Content-Type: multipart/form-data",
    "Content-Type: multipart/form-data; boundary=",
    'Content-Type: multipart/form-data; boundary="',
    "Content-Type: text/html",
    "Content-Type: image/svg+xml",
    "Content-Type: application/x-whyconv-pixels",
    "Expect: 100-continue",
    "Expect: 200-ok",
    "Upgrade: websocket\r\nConnection: Upgrade",
    "Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings",
    "Connection: close",
    "Connection: keep-alive, close",
    "Host: evil.example",
    "Host: localhost:" + "1" * 5000,
    "Host: localhost:\u00b2",
    "Host: [::1",
    "Origin: null",
    "Sec-Fetch-Site: cross-site",
    "Authorization: Bearer " + "x" * 3000,
    "Cookie: whyconv_token_8000=\xff; a=b; ;=; c",
    "If-None-Match: *",
    "Range: bytes=0-1,5-",
    "X-Forwarded-For: 127.0.0.1",
    "A: " + "b" * 20_000,
    *(f"X-{k}: {k}" for k in range(3)),
)
_PATHS = (
    "/v1/predict?top=0", "/v1/predict?top=" + "9" * 400, "/v1/predict?top=1&top=2", "/v1/predict?top=%F0%9F%98%80",
    "/v1/maps?layer=first&filters=" + ",".join("0" * 3000), "/v1/maps?layer=first&format=float64", "/v1/maps?layer=",
    "/v1/maps?layer=" + "x" * 9000, "/v1/units?layer=first&y=999999999", "/v1/units?layer=first&filter=-1",
    "/v1/steps?layer=rectified", "/v1/steps?layer=head.weight", "/v1/layers/first/weights?filter=99",
    "/v1/layers/%2e%2e%2fmodel/weights", "/v1/layers//weights", "/v1/layers/first/weights/", "/v1/thumbnails?count=0",
    "/v1/count?side=999999999x999999999&out_channels=999999999&kernel=99999", "/v1/count?side=0", "/v1/count?groups=0",
    "/v1/count?stride=0", "/v1/count?padding=same&stride=2", "/v1/count?dilation=99999&kernel=9999&padding_mode=zeros",
    "/v1/count?side=1&kernel=5", "/v1/count?bias=TRUE", "/v1/texts?lang=%00", "/page/../guard.py", "/page/%2e%2e/x",
    "/page/", "/page//etc/passwd", "//", "/%", "/%zz", "/\x7f", "*", "http://evil.example/", "/?token=" + "x" * 900,
    "/v1/predict;x", "/V1/PREDICT", "/v1/predict/", "/v1/predict?url=http://127.0.0.1:{canary}/x", "/openapi.json?x",
    "/v1/explain?picture=file:///etc/passwd", "/" + "a/" * 3000,
)  # fmt: skip
_METHODS = (
    "GET",
    "POST",
    "HEAD",
    "PUT",
    "DELETE",
    "OPTIONS",
    "TRACE",
    "CONNECT",
    "PATCH",
    "get",
    "X" * 300,
    "G\xe9T",
    "",
)
_VERSIONS = ("HTTP/1.1", "HTTP/1.0", "HTTP/0.9", "HTTP/2.0", "HTTP/1.1 ", "HTCPCP/1.0", "")


class Mutations:
    """An endless stream of changed requests.

    Args:
        seed: Of all that is drawn.
        port: Of the server.
        canary: Port that nobody may ever connect to; it is named wherever an address could be taken for one.
        gets: Addresses to get.
        posts: Addresses that take a picture.
        pictures: Contents of picture files.
    """

    def __init__(
        self, seed: int, port: int, canary: int, gets: Sequence[str], posts: Sequence[str], pictures: Sequence[bytes]
    ) -> None:
        self._draw = random.Random(seed)
        self._port, self._canary = port, canary
        self._gets, self._posts, self._pictures = gets, posts, pictures

    def __iter__(self) -> Iterator[bytes]:
        makers = (self._get, self._picture, self._form, self._chunked, self._address, self._json)
        while True:
            made = self._draw.choice(makers)()
            for _ in range(self._draw.choice((0, 1, 1, 2, 4))):
                made = self._mutated(made)
            yield made

    def request(self, path: str, body: bytes = b"", kind: str = "image/png", method: str = "") -> bytes:
        """A good one."""
        lines = [f"{method or ('POST' if body else 'GET')} {path} HTTP/1.1", f"Host: localhost:{self._port}"]
        lines += [f"Content-Type: {kind}", f"Content-Length: {len(body)}"] if body else []
        return "\r\n".join([*lines, "", ""]).encode() + body

    def _get(self) -> bytes:
        return self.request(self._draw.choice(self._gets), method=self._draw.choice(("GET", "GET", "HEAD")))

    def _picture(self) -> bytes:
        kinds = ("image/png", "image/jpeg", "application/octet-stream", "application/x-whyconv-pixels", "image/x")
        return self.request(self._draw.choice(self._posts), self._content(), self._draw.choice(kinds))

    def _content(self) -> bytes:
        content = self._draw.choice(self._pictures)
        return self._mutated(content) if self._draw.random() < 0.4 else content

    def _form(self) -> bytes:
        edge = self._draw.choice(
            ("edge", "edge", "e" * 70, "e" * 71, "a b", "", "\xe9", "----WebKitFormBoundary7MA4YWxk")
        )
        number = self._draw.choice((0, 1, 1, 2, 3, 33))
        parts = [self._part(edge) for _ in range(number)]
        if number == 33:
            edge = "edge"
            parts = [
                f'--edge\r\nContent-Disposition: form-data; name="image"\r\n\r\n{k}\r\n'.encode() for k in range(33)
            ]
        end = self._draw.choice((f"--{edge}--\r\n", f"--{edge}--\r\n", f"--{edge}--", f"--{edge}\r\n", ""))
        body = b"".join(parts) + end.encode()
        if self._draw.random() < 0.3:
            body = self._mutated(body)
        return self.request("/v1/predict", body, f"multipart/form-data; boundary={edge}")

    def _part(self, edge: str) -> bytes:
        name = self._draw.choice(PAYLOADS)[:3000]
        heads = (
            f'Content-Disposition: form-data; name="image"; filename="{name}"',
            'Content-Disposition: form-data; name="image"',
            f'Content-Disposition: form-data; name="{name}"',
            "Content-Disposition: form-data; name*=utf-8''image; filename*=utf-8''%ff%00",
            "Content-Disposition: form-data; name=image; filename=../../x; name=image",
            "X: " + "y" * 9000,
            "",
            name,
        )
        weights = (12, 3, 1, 1, 2, 1, 1, 1)
        head = self._draw.choices(heads, weights)[0]
        return f"--{edge}\r\n{head}\r\n\r\n".encode("utf-8", "replace") + self._content()[:20_000] + b"\r\n"

    def _chunked(self) -> bytes:
        body, sizes = self._content()[:5000], (1, 7, 100, 4000)
        chunks, place = [], 0
        while place < len(body) and len(chunks) < 300:
            part = body[place : place + self._draw.choice(sizes)]
            chunks.append(b"%x;ext=1\r\n%s\r\n" % (len(part), part))
            place += len(part)
        head = self.request("/v1/predict", b"x").partition(b"Content-Length")[0]
        return head + b"Transfer-Encoding: chunked\r\n\r\n" + b"".join(chunks) + b"0\r\nTrailer: x\r\n\r\n"

    def _address(self) -> bytes:
        path = self._draw.choice(_PATHS).replace("{canary}", str(self._canary))
        method, version = (self._draw.choice(words) for words in (_METHODS[:3], _VERSIONS[:1] * 6 + _VERSIONS))
        if self._draw.random() < 0.2:
            method = self._draw.choice(_METHODS)
        head = f"{method} {path} {version}\r\nHost: localhost:{self._port}\r\nContent-Type: image/png\r\n"
        body = self._content()[:3000] if method == "POST" else b""
        return head.encode("latin-1", "replace") + f"Content-Length: {len(body)}\r\n\r\n".encode() + body

    def _json(self) -> bytes:
        place = f"http://127.0.0.1:{self._canary}/x.png"
        told = self._draw.choice(({"url": place}, {"image": place, "file": "file:///etc/passwd"}, [place], place, None))
        path = self._draw.choice((*self._posts, "/v1/fetch", "/v1/load", "/v1/models"))
        kind = self._draw.choice(
            ("application/json", "image/png", "text/uri-list", "application/x-www-form-urlencoded")
        )
        return self.request(path, json.dumps(told).encode(), kind)

    def _mutated(self, data: bytes) -> bytes:
        draw = self._draw
        at, end = sorted((draw.randrange(len(data) + 1), draw.randrange(len(data) + 1)))
        end = min(end, at + draw.choice((1, 4, 64, 4000)))
        line = draw.choice(_HEADERS).encode("latin-1") + b"\r\n"
        head = data.find(b"\r\n") + 2
        kinds = (
            lambda: data[:at] + bytes([data[at] ^ 1 << draw.randrange(8)]) + data[at + 1 :] if at < len(data) else data,
            lambda: data[:at] + draw.randbytes(draw.choice((1, 3, 50))) + data[at:],
            lambda: data[:at] + draw.choice(_WORDS) + data[at:],
            lambda: data[:at] + data[end:],
            lambda: data[:end] + data[at:end] * draw.choice((1, 2, 30)) + data[end:],
            lambda: data[:at],
            lambda: data[:head] + line + data[head:],
            lambda: data[:head] + line + data[head:],
            lambda: data.replace(b"\r\n", b"\n", draw.choice((1, 3, 99))),
            lambda: data + draw.choice((b"", self._get(), b"\r\n", b"GET / HTTP/1.1\r\n\r\n")),
        )  # fmt: skip
        return draw.choice(kinds)()
