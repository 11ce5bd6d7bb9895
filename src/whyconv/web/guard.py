"""What stands before every route: who may ask at all, which headers go with every answer, and the counting.

A web page that a person visits could ask a server on the same machine, directly or under a name of its own that it
makes point here. Neither is answered: the request must be for a name of this server, and if a page sent it, for the
page's own server. Anything but the loopback address demands a token.
"""

from __future__ import annotations

import asyncio
import hmac
import ipaddress
import re
import time
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import parse_qs

from starlette.datastructures import Headers
from starlette.requests import cookie_parser
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from whyconv.errors import UsageError
from whyconv.web.metrics import Metrics
from whyconv.web.refusals import Refusal, refused
from whyconv.web.room import Room
from whyconv.web.uploads import HELD

ROUTE = "whyconv.route"  # in the scope of a request: the route as the table has it
OPEN = frozenset({"/livez", "/readyz"})  # for those who watch over the process; they tell nothing else

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
        "media-src 'self' blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
}
_HOST = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*|\[[0-9a-f:.]+\]")
_FULL = re.compile(r"https?://([^/]*)(/.*)?", re.IGNORECASE | re.DOTALL)
_NOT_OURS = "This server does not go by that name. Ask for the address that it printed."
_RAW_HEADERS = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]
_SMALL_BODY = 1 << 18
_PIECE_BYTES = 1 << 16  # of an answer: longer ones are counted, and sent in pieces
_MOST_PORT_DIGITS = 5
_DRAIN_BYTES = 1 << 20
_DRAIN_SECONDS = 1.0


def as_hosts(names: Collection[str]) -> frozenset[str]:
    """Names by which a server may be called, as ``Access`` compares them.

    Raises:
        UsageError: One has more or less to it than a host, and no request could be for it.
    """
    hosts = [name.lower().removesuffix(".") for name in names]
    for name, host in zip(names, hosts, strict=True):
        if not _HOST.fullmatch(host):
            raise UsageError(
                f"--name {name!r} is not the name of a host. Expected it alone, such as pets.example, "
                "xn--bcher-kva.example or [fe80::1]: without http://, port and path. It is answered to at any port."
            )
    return frozenset(hosts)


def _name_and_port(host: str) -> tuple[str, int | None]:
    """What a Host header, or an origin behind its scheme, names; None for a port that is none."""
    name, colon, port = host.rpartition(":")
    if not colon or port.endswith("]"):
        name, port = host, "80"
    is_port = port.isascii() and port.isdecimal() and len(port) <= _MOST_PORT_DIGITS
    return name.lower().removesuffix("."), int(port) if is_port else None


@dataclass(frozen=True)
class Access:
    """Who may ask.

    Attributes:
        port: Of this server.
        names: By which it may be called, beside its own addresses; with any port, for they may lead here through
            another server.
        is_local: Whether it listens on the loopback address alone; else every address of a machine is its own.
        token: That a request must bring; None: none is needed.
    """

    port: int
    names: Collection[str] = ()
    is_local: bool = True
    token: str | None = None

    def check(self, scope: Scope, headers: Headers) -> None:
        """Turns away who may not ask.

        Raises:
            Refusal: 400, 421, 403 or 401.
        """
        hosts = headers.getlist("host")
        if len(hosts) != 1:
            raise refused(400, f"The request has {len(hosts)} Host headers. Expected one.", Connection="close")
        if "content-length" in headers and "transfer-encoding" in headers:
            raise refused(400, "The request says its length in two ways. Expected one.", Connection="close")
        if not self.is_ours(hosts[0]):
            raise refused(421, _NOT_OURS)
        self._check_origin(scope, headers, hosts[0])
        if self.token is not None and scope["path"] not in OPEN and not self._has_token(scope, headers, self.token):
            raise refused(401, "A token is needed: Authorization: Bearer TOKEN.", WWW_Authenticate="Bearer")

    @property
    def cookie(self) -> str:
        """What the cookie with the token is called: cookies know no ports, and other servers may run on this machine.

        References:
            RFC 6265, section 8.5.
        """
        return f"whyconv_token_{self.port}"

    def is_ours(self, host: str) -> bool:
        """Whether a Host header names this server."""
        name, port = _name_and_port(host)
        if port is None:
            return False
        return name in self.names or (port == self.port and (name == "localhost" or self._is_address(name)))

    def _is_address(self, name: str) -> bool:
        is_six = name.startswith("[") and name.endswith("]")
        try:
            address = ipaddress.ip_address(name[1:-1] if is_six else name)
        except ValueError:
            return False
        return (address.version == 6) == is_six and (address.is_loopback or not self.is_local)

    def _check_origin(self, scope: Scope, headers: Headers, host: str) -> None:
        origins = headers.getlist("origin")
        if not all(self._is_own(origin.lower(), host.lower()) for origin in origins):
            raise refused(403, "A page of another site sent this request. Open the page of this server instead.")
        is_visit = scope["method"] in ("GET", "HEAD") and scope["path"] == "/"
        if headers.get("sec-fetch-site", "none").lower() in ("cross-site", "same-site") and not is_visit:
            raise refused(403, "A page of another site sent this request. Open the page of this server instead.")

    def _is_own(self, origin: str, host: str) -> bool:
        """Whether a page is of this server: asked by ``host``, or by a name whose server asks here by an address."""
        scheme, _, place = origin.partition("://")
        if scheme not in ("http", "https"):
            return False
        name, port = _name_and_port(place)
        called, at = _name_and_port(host)
        is_direct = called in self.names and at == self.port  # then another port is another server of this machine
        return place == host or (not is_direct and port is not None and name in self.names)

    def _has_token(self, scope: Scope, headers: Headers, token: str) -> bool:
        given = [value[7:] for value in headers.getlist("authorization") if value[:7].lower() == "bearer "]
        given += [value for name, value in cookie_parser(headers.get("cookie", "")).items() if name == self.cookie]
        if scope["path"] == "/":
            given += _asked(scope)
        return any(hmac.compare_digest(one.encode("utf-8", "replace"), token.encode()) for one in given)


def _asked(scope: Scope) -> list[str]:
    return parse_qs(scope["query_string"].decode("latin-1"), max_num_fields=None).get("token", [])[:1]


class Guard:
    """Lets requests through to the routes.

    Args:
        app: The routes.
        access: Who may ask.
        room: Where bodies are counted.
        metrics: Where requests are counted.
    """

    def __init__(self, app: ASGIApp, access: Access, room: Room, metrics: Metrics) -> None:
        self.app, self.access, self.room, self.metrics = app, access, room, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        begun = time.perf_counter()
        exchange = _Exchange(scope, receive, send, self.room)
        try:
            refusal = self._refusal(scope)
            if refusal is None:
                await self.app(scope, exchange.receive, exchange.send)
            else:
                await refusal(scope, exchange.receive, exchange.send)
        finally:
            exchange.let_go()
            self.metrics.request(scope.get(ROUTE, "other"), exchange.status, time.perf_counter() - begun)

    def _refusal(self, scope: Scope) -> Response | None:
        """Why the request does not get through, or what it gets instead; None where it does."""
        headers = Headers(scope=scope)
        try:
            self._cut_host(scope)
            self.access.check(scope, headers)
        except Refusal as refusal:
            return refusal.response()
        if self.access.token is not None and scope["path"] == "/" and _asked(scope):
            # Strict would not be sent on the way from here to the page where a link on another site led here; what
            # such a site could send with Lax beside that, a visit to another path, its Sec-Fetch-Site gives away.
            cookie = f"{self.access.cookie}={self.access.token}; Path=/; HttpOnly; SameSite=Lax"
            return Response(status_code=303, headers={"Location": "/", "Set-Cookie": cookie})
        return None

    def _cut_host(self, scope: Scope) -> None:
        """Makes of an address in full, which a request may be for (RFC 9112, 3.2.2), its path.

        Raises:
            Refusal: 421; it is that of another server.
        """
        full = _FULL.fullmatch(scope["path"])
        if full is None:
            return
        if not self.access.is_ours(full[1]):
            raise refused(421, _NOT_OURS)
        scope["path"] = full[2] or "/"


class _Exchange:
    """One request and its answer on their way through.

    An answer that does not wait for the body takes the rest of it, so that the caller, who may still be sending,
    gets to read the answer; of a long one, some of it, and the connection ends. So it does where the server is being
    stopped: a caller who is told so does not send the next request into a connection that is about to go.

    A long answer is sent in pieces, each when the one before is on its way, so that it is here until it is read, and
    counted for so long.
    """

    def __init__(self, scope: Scope, receive: Receive, send: Send, room: Room) -> None:
        self.status = 0
        self._scope, self._receive, self._send, self._room = scope, receive, send, room
        self._unread = 0
        self._is_refused = False
        headers = Headers(scope=scope)
        length = headers.get("content-length", "0")
        self._is_whole = length == "0" and "transfer-encoding" not in headers
        is_small = length.isdecimal() and int(length) <= _SMALL_BODY and "transfer-encoding" not in headers
        self._ends = not is_small

    async def receive(self) -> Message:
        """Some of the body."""
        message = await self._receive()
        self._is_whole = self._is_whole or not message.get("more_body", False)
        return message

    async def send(self, message: Message) -> None:
        """Some of the answer, or of a refusal in its place."""
        if self._is_refused:
            return
        if message["type"] != "http.response.start":
            await self._send_body(message)
            return
        try:
            self._hold(Headers(raw=message.get("headers", [])))
        except Refusal as refusal:
            await refusal.response()(self._scope, self.receive, self.send)
            self._is_refused = True
        else:
            self.status = message["status"]
            is_last = self._room.is_closing or (self._ends and not self._is_whole)
            closing = [(b"connection", b"close")] if is_last else []
            await self._send({**message, "headers": [*message.get("headers", []), *_RAW_HEADERS, *closing]})

    def let_go(self) -> None:
        """Counts no longer what this exchange held."""
        self._room.hold(-self._scope.pop(HELD, 0))
        self._room.hold_answer(-self._unread)
        self._unread = 0

    def _hold(self, headers: Headers) -> None:
        """Counts a long answer, in place of the body, which nobody needs any more.

        Raises:
            Refusal: 503; too much of other answers waits to be read.
        """
        self.let_go()
        length = int(headers.get("content-length", "0"))
        if length > _PIECE_BYTES:
            self._room.hold_answer(length)
            self._unread = length

    async def _send_body(self, message: Message) -> None:
        body, start = message.get("body", b""), 0
        while len(body) - start > _PIECE_BYTES:
            await self._send({**message, "body": body[start : start + _PIECE_BYTES], "more_body": True})
            start += _PIECE_BYTES
        last = {**message, "body": body[start:]}
        if message.get("more_body", False) or self._is_whole:
            await self._send(last)
        else:
            await self._send({**last, "more_body": True})
            await self._drain()
            await self._send({"type": "http.response.body", "body": b""})

    async def _drain(self) -> None:
        taken = 0
        with suppress(TimeoutError):
            async with asyncio.timeout(_DRAIN_SECONDS):
                while not self._is_whole and taken < _DRAIN_BYTES:
                    taken += len((await self.receive()).get("body", b""))
