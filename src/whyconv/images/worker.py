"""The other side of ``isolation``: a process that does nothing but decode, under a limit of memory.

Started by ``isolation``; reads requests from its standard input and answers on its standard output. What C
libraries print goes nowhere.
"""

from __future__ import annotations

import json
import os
import signal
import struct
import sys
import warnings
from dataclasses import asdict
from io import BufferedReader, BufferedWriter
from pathlib import Path
from typing import IO, Any

from PIL import Image

from whyconv.errors import PictureError
from whyconv.images.raster import MAX_PIXELS, read_raster, read_raster_header
from whyconv.images.reasons import explain

READY = b"ready\n"

_LENGTHS = struct.Struct("<IQ")
_BYTES_PER_PIXEL = 32


def send(stream: IO[bytes], head: dict[str, Any], body: bytes | memoryview = b"") -> None:
    """Writes one message: two lengths, a JSON head, a raw body."""
    encoded = json.dumps(head).encode("utf-8")
    stream.write(_LENGTHS.pack(len(encoded), len(body)))
    stream.write(encoded)
    stream.write(body)
    stream.flush()


def receive(stream: IO[bytes]) -> tuple[dict[str, Any], bytearray] | None:
    """Reads one message; None where the other side has closed or died."""
    lengths = stream.read(_LENGTHS.size)
    if len(lengths) < _LENGTHS.size:
        return None
    num_head, num_body = _LENGTHS.unpack(lengths)
    head, body = stream.read(num_head), bytearray(num_body)
    view, filled = memoryview(body), 0
    assert isinstance(stream, BufferedReader)
    while filled < num_body and (num_read := stream.readinto(view[filled:])):
        filled += num_read
    if len(head) < num_head or filled < num_body:
        return None
    return json.loads(head), body


def serve() -> None:
    """Answers requests until the other side closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle; its end is ours too.
    answers = _take_over_streams()
    warnings.simplefilter("ignore")
    warnings.simplefilter("error", Image.DecompressionBombWarning)
    answers.write(READY)
    answers.flush()
    requests = sys.stdin.buffer
    while (message := receive(requests)) is not None:
        request, content = message
        send(answers, *_answer(request, bytes(content)))


def limit_memory(more_bytes: int) -> None:
    """Lets this process grow by so many bytes of address space, where the system can limit that (Linux)."""
    try:
        import resource  # Not there on Windows.

        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    except (ImportError, OSError):
        return
    hard = resource.getrlimit(resource.RLIMIT_AS)[1]
    limit = pages * resource.getpagesize() + more_bytes
    resource.setrlimit(resource.RLIMIT_AS, (limit if hard == resource.RLIM_INFINITY else min(limit, hard), hard))


def _answer(request: dict[str, Any], content: bytes) -> tuple[dict[str, Any], bytes | memoryview]:
    format_name = request["format"]
    spare = request["spare_bytes"] + 2 * len(content)

    def expect(num_pixels: int) -> None:
        limit_memory(spare + _BYTES_PER_PIXEL * num_pixels)

    # Our own limit is checked before any pixel is decoded; but pictures inside these only Pillow sees in time.
    Image.MAX_IMAGE_PIXELS = MAX_PIXELS if format_name in ("gif", "ico") else None
    try:
        limit_memory(spare)
        if request["is_header_only"]:
            return {"header": asdict(read_raster_header(content, format_name, expect))}, b""
        decoded = read_raster(content, format_name, tuple(request["background"]), expect)
    except PictureError as error:
        return {"error": str(error)}, b""
    except MemoryError as error:
        return {"error": explain(error, format_name)}, b""
    return {"facts": asdict(decoded.facts), "shape": decoded.pixels.shape}, decoded.pixels.data.cast("B")


def _take_over_streams() -> BufferedWriter:
    """Keeps standard output for answers alone: whatever else is printed, also by C libraries, is dropped."""
    answers = os.fdopen(os.dup(1), "wb")
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    os.close(nowhere)
    return answers
