"""Requests as bytes, sent many at a time, and their answers taken apart again."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from http_server import Reply

PATIENCE = 20.0  # seconds, for a server that waits half a second for a head and three times that for a body
_STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) ?[^\r\n]*\r\n")


@dataclass(frozen=True)
class Exchange:
    """What was sent, what came back, and whether the server left the caller waiting."""

    sent: bytes
    replies: list[Reply]
    rest: bytes
    has_hung: bool


async def send_all(port: int, requests: Iterable[bytes], at_once: int = 48) -> list[Exchange]:
    """Sends each request over a connection of its own; no more of them to a server that hangs."""
    left, done = iter(requests), []

    async def work() -> None:
        for data in left:
            done.append(await exchange(port, data))
            if done[-1].has_hung:
                return

    await asyncio.gather(*(work() for _ in range(at_once)))
    return done


async def exchange(port: int, data: bytes) -> Exchange:
    """One request; the connection is ended as soon as an answer is whole, or by the server."""
    received, has_hung = b"", False
    try:
        async with asyncio.timeout(PATIENCE):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                writer.write(data)
                while not is_whole(received, is_bare=b"HEAD " in data):
                    part = await reader.read(1 << 16)
                    if not part:
                        break
                    received += part
            finally:
                writer.transport.abort()
    except TimeoutError:
        has_hung = True
    except OSError:
        pass  # the server has ended it: that is an answer too
    replies, rest = taken_apart(received, is_bare=b"HEAD " in data)
    return Exchange(data, replies, rest, has_hung)


def is_whole(received: bytes, *, is_bare: bool = False) -> bool:
    """Whether there is an answer, and nothing of a further one is missing."""
    replies, rest = taken_apart(received, is_bare=is_bare)
    return not rest and any(reply.status >= 200 for reply in replies)


def taken_apart(received: bytes, *, is_bare: bool = False) -> tuple[list[Reply], bytes]:
    """The whole answers in what was received, and the rest; ``is_bare`` where bodies are left out."""
    replies = []
    while found := _STATUS.match(received):
        head, blank, after = received.partition(b"\r\n\r\n")
        if not blank:
            break
        lines = [line.decode("latin-1").partition(":") for line in head.split(b"\r\n")[1:]]
        headers = {name.lower(): value.strip() for name, _, value in lines}
        status = int(found[1])
        has_none = status < 200 or status in (204, 304) or (is_bare and (not after or _STATUS.match(after)))
        length = 0 if has_none else int(headers.get("content-length", 0))
        if len(after) < length:
            break
        replies.append(Reply(status, headers, after[:length]))
        received = after[length:]
    return replies, received


def complaints(reply: Reply, planned: Iterable[int], secrets: re.Pattern[bytes]) -> Iterator[str]:
    """What is wrong with an answer: its status, its form, or something that is nobody's business."""
    if reply.status not in planned:
        yield f"status {reply.status}"
    if found := secrets.search(reply.body):
        yield f"tells {found[0]!r}"
    if reply.status >= 400 and reply.body:
        try:
            error = json.loads(reply.body)["error"]
        except (ValueError, KeyError, TypeError):
            yield "no error as JSON"
        else:
            if set(error) != {"code", "kind", "message"}:
                yield f"an error with {sorted(error)}"
    if reply.status in (429, 503) and "retry-after" not in reply.headers:
        yield "no Retry-After"
