"""Callers who take their time, in a process of their own: it says when they are all there, and ends with its input.

python rude_callers.py PORT NUM_IDLE|busy PATH
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import threading
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress

Caller = Callable[[int, str], Awaitable[None]]


async def idle(port: int, path: str) -> None:
    """Comes and says nothing; sent away, comes again a second later."""
    await _talk(port, b"", b"")
    await asyncio.sleep(1)


async def slow_head(port: int, path: str) -> None:
    await _talk(port, f"GET /livez HTTP/1.1\r\nHost: localhost:{port}\r\n".encode(), b"X-a: b\r\n")


async def slow_body(port: int, path: str) -> None:
    head = (
        f"POST {path} HTTP/1.1\r\nHost: localhost:{port}\r\nContent-Type: image/png\r\nContent-Length: 100000\r\n\r\n"
    )
    await _talk(port, head.encode(), b"x")


async def never_reads(port: int, path: str) -> None:
    """Asks for more than fits between the two, and takes nothing."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    connection.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(connection, ("127.0.0.1", port))
    question = f"GET /openapi.json HTTP/1.1\r\nHost: localhost:{port}\r\n\r\n".encode() * 200
    try:
        while True:
            await loop.sock_sendall(connection, question)
    except OSError:
        connection.close()
        await asyncio.sleep(0.5)


async def half_closed(port: int, path: str) -> None:
    """Says that nothing more comes, in the middle of a head."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /livez HTTP/1.1\r\n")
    writer.write_eof()
    await reader.read()
    writer.close()
    await asyncio.sleep(0.2)


async def tiny_chunks(port: int, path: str) -> None:
    """A body in chunks of one byte, as fast as they are taken."""
    head = f"POST {path} HTTP/1.1\r\nHost: localhost:{port}\r\nContent-Type: image/png\r\n"
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(head.encode() + b"Transfer-Encoding: chunked\r\n\r\n")
    while True:
        writer.write(b"1\r\nx\r\n" * 2000)
        await writer.drain()


async def hostile_form(port: int, path: str) -> None:
    """Nine megabytes that are nearly all boundaries."""
    start = b'--edge\r\nContent-Disposition: form-data; name="image"\r\n\r\n'
    body = start + b"\r\n--edgeX" * ((9_000_000 - len(start)) // 9)
    head = f"POST {path} HTTP/1.1\r\nHost: localhost:{port}\r\nContent-Type: multipart/form-data; boundary=edge\r\n"
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
    await reader.read(1000)
    writer.close()


async def long_heads(port: int, path: str) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET /livez HTTP/1.1\r\nHost: localhost:{port}\r\n".encode() + b"a:b\r\n" * 12_000 + b"\r\n")
    await reader.read(1000)
    writer.close()


async def _talk(port: int, first: bytes, drip: bytes) -> None:
    """Says something, and a little more now and then, until the server ends it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(first)
    while not reader.at_eof():
        try:
            async with asyncio.timeout(0.4):
                await reader.read(1000)
        except TimeoutError:
            writer.write(drip)
    writer.close()


SLOW = ((slow_head, 8), (slow_body, 8), (never_reads, 4), (half_closed, 4))
BUSY = ((tiny_chunks, 2), (hostile_form, 1), (long_heads, 2))


async def crowd(port: int, path: str, kinds: Iterable[tuple[Caller, int]]) -> None:
    """All at once, for as long as they are let."""

    async def again(make: Caller) -> None:
        while True:
            with suppress(OSError):
                await make(port, path)
            await asyncio.sleep(0.05)

    tasks = [asyncio.create_task(again(make)) for make, number in kinds for _ in range(number)]
    await asyncio.sleep(1.5)
    sys.stdout.write(f"{len(tasks)} callers\n")
    sys.stdout.flush()
    await asyncio.gather(*tasks)


def _end_with_input() -> None:
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    threading.Thread(target=_end_with_input, daemon=True).start()
    wanted = BUSY if sys.argv[2] == "busy" else ((idle, int(sys.argv[2])), *SLOW)
    asyncio.run(crowd(int(sys.argv[1]), sys.argv[3], wanted))
