"""The server: a socket, the routes behind it, and an end in good order."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import os
import re
import secrets
import signal
import socket
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import uvicorn

from whyconv.errors import UsageError
from whyconv.images.sources.listing import printable
from whyconv.machine import bound_memory_pools, num_cores
from whyconv.model_file import find_model
from whyconv.web.application import WITH_PICTURES, application
from whyconv.web.batching import Batcher
from whyconv.web.choosing import Choice, choose
from whyconv.web.guard import Access, Guard, as_hosts
from whyconv.web.limits import Limits
from whyconv.web.listening import has_callers, listen, stop_listening
from whyconv.web.metrics import Metrics
from whyconv.web.protocol import MOST_OF_A_HEAD, PatientProtocol, Reading, protocol_for
from whyconv.web.room import Room
from whyconv.web.service import Service

_BODIES = 26  # of the longest kind that may be held at once
_BACKLOG = 2048
_SWEEP_TICKS = 5  # of a tenth of a second
_TICK_SECONDS = 0.1
_HANG_UP_SECONDS = 0.5  # before the end of the time that answers on their way have
_TOKEN = re.compile(r"[A-Za-z0-9._~-]+")


@dataclass(frozen=True)
class Ready:
    """What there is to say when the server takes requests.

    Attributes:
        url: Where to open it; with the token where one is needed.
        host: Address that it listens on.
        port: Likewise.
        token: That requests must bring; None: none is needed.
        sessions: Networks at work beside each other.
        threads: Of each.
        batch: Pictures answered together, at most.
        rate: Pictures a second that the network alone answers here.
        pid: Of the process.
    """

    url: str
    host: str
    port: int
    token: str | None
    sessions: int
    threads: int
    batch: int
    rate: float
    pid: int

    def told(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self)


@dataclass(frozen=True)
class Address:
    """Where to listen, and who may ask.

    Attributes:
        host: Address or name of this machine.
        port: 0 takes any that is free.
        token: For other addresses than the loopback one; None makes one there.
        names: Of hosts, by which the server may be called at any port, beside its own addresses.
    """

    host: str = "127.0.0.1"
    port: int = 8000
    token: str | None = None
    names: Collection[str] = ()


def serve(model: Path, address: Address, limits: Limits, on_ready: Callable[[Ready], None]) -> None:
    """Serves a recognizer until the process is told to stop.

    Args:
        model: A run folder or an ONNX file.
        address: Where to listen.
        limits: Of callers.
        on_ready: Called once, when requests are taken.

    Raises:
        ModelFileError: The model cannot be used.
        UsageError: The address cannot be listened on, the token cannot stand in an address, or a name is no host's.
    """
    bound_memory_pools(max(2, num_cores()))
    _check_token(address.token)
    given = as_hosts(address.names)
    path = find_model(model)
    listener = listen(address.host, address.port)
    with listener:
        choice = choose(path)
        host, port = listener.getsockname()[:2]
        is_local = ipaddress.ip_address(host).is_loopback
        token = address.token if is_local else address.token or secrets.token_urlsafe(24)
        names = given | (set() if is_local else {socket.gethostname().lower()})
        room, metrics = Room(limits.max_waiting, _BODIES * limits.max_body), Metrics()
        batcher = Batcher(choice.recognizers, num_readers=num_cores(), most_at_once=choice.most_at_once, limits=limits)
        run = model if model.is_dir() else None
        name = printable(model.resolve().name if model.is_dir() else model.stem)  # JSON has UTF-8 alone
        service = Service(name, choice.recognizers[0], batcher, run, limits, room, metrics)
        app = application(service)
        guard = Guard(app, Access(port, names, is_local, token), room, metrics)
        protocol = protocol_for(room, limits, metrics, WITH_PICTURES)
        server = _Server(_config(guard, protocol, limits), room, limits)
        app.state.connections = lambda: server.server_state.connections
        server.on_ready = lambda: on_ready(_ready(host, port, token, choice))
        try:
            server.run([listener])
        finally:
            batcher.close()


def _check_token(token: str | None) -> None:
    """Takes only what stands as it is in an address, a header and a cookie."""
    if token is not None and not _TOKEN.fullmatch(token):
        raise UsageError("The token is empty or has other signs. Expected letters, digits and -._~ alone (--token).")


def _ready(host: str, port: int, token: str | None, choice: Choice) -> Ready:
    named = socket.gethostname() if ipaddress.ip_address(host).is_unspecified else host  # 0.0.0.0 leads nowhere
    shown = f"[{named}]" if ":" in named else named
    return Ready(
        url=f"http://{shown}:{port}/" + (f"?token={token}" if token else ""),
        host=host,
        port=port,
        token=token,
        sessions=len(choice.recognizers),
        threads=choice.num_threads,
        batch=choice.most_at_once,
        rate=max(choice.rates.values()),
        pid=os.getpid(),
    )


def _config(app: Guard, protocol: Callable[..., Reading], limits: Limits) -> uvicorn.Config:
    for name in ("uvicorn.error", "python_multipart"):  # which else write a line for every odd request
        logging.getLogger(name).setLevel(logging.ERROR)
    return uvicorn.Config(
        app,
        http=protocol,  # type: ignore[arg-type]  # whatever makes one will do
        ws="none",
        lifespan="off",
        loop="auto",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        backlog=_BACKLOG,
        h11_max_incomplete_event_size=MOST_OF_A_HEAD,
        timeout_keep_alive=int(limits.idle_seconds),
        timeout_graceful_shutdown=int(limits.stop_seconds),
    )


class _Server(uvicorn.Server):
    """uvicorn's server, which also says when it is ready, cuts slow callers, and leaves signals to us."""

    def __init__(self, config: uvicorn.Config, room: Room, limits: Limits) -> None:
        super().__init__(config)
        self.room, self.leave_seconds, self.stop_seconds = room, limits.leave_seconds, limits.stop_seconds
        self.leaves_slowly = False
        self.on_ready: Callable[[], None] = lambda: None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.on_ready()

    async def on_tick(self, counter: int) -> bool:
        if counter % _SWEEP_TICKS == 0:
            self._sweep()
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self.room.is_closing = True
        sweeping = asyncio.create_task(self._sweep_on())
        try:
            if self.leaves_slowly:
                await self._linger()
            await self._lock(sockets or [])
            hanging_up = asyncio.get_running_loop().call_later(self.stop_seconds - _HANG_UP_SECONDS, self._hang_up)
            await super().shutdown(sockets)
            hanging_up.cancel()
        finally:
            sweeping.cancel()

    async def _linger(self) -> None:
        """Goes on for a moment with ``/readyz`` at 503, for whoever sends callers here to send them elsewhere."""
        end = time.monotonic() + self.leave_seconds
        while not self.force_exit and time.monotonic() < end:
            await asyncio.sleep(_TICK_SECONDS)

    async def _lock(self, listeners: Sequence[socket.socket]) -> None:
        """Lets nobody in any more; those whose connection is made already still come in, and are heard."""
        for listener in listeners:
            stop_listening(listener)
        while has_callers(listeners):
            await asyncio.sleep(0)
        for server in self.servers:
            server.close()
        await asyncio.sleep(_TICK_SECONDS)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """The first signal to stop lets what is on its way be answered; the second does not wait."""
        numbers = (signal.SIGINT, signal.SIGTERM)
        before = [signal.signal(number, self.handle_exit) for number in numbers]
        try:
            yield
        finally:
            for number, handler in zip(numbers, before, strict=True):
                signal.signal(number, handler)

    def handle_exit(self, sig: int, frame: object) -> None:
        del frame
        self.leaves_slowly = sig == signal.SIGTERM  # of a program; a person at a terminal waits for nobody
        self.force_exit = self.should_exit
        self.should_exit = True

    async def _sweep_on(self) -> None:
        while True:
            await asyncio.sleep(0.5)
            self._sweep()

    def _sweep(self) -> None:
        now = time.monotonic()
        for connection in self._connections():
            connection.cut_if_slow(now)

    def _hang_up(self) -> None:
        for connection in self._connections():
            connection.cut_if_reading()

    def _connections(self) -> list[PatientProtocol]:
        return [one for one in self.server_state.connections if isinstance(one, PatientProtocol)]
