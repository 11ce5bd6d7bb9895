"""From the body of a request to pictures in memory; nothing is written to the disk, and no name is used as a path."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect, Request

from whyconv.images.prepare import PicturePolicy
from whyconv.recognizer import Content
from whyconv.web.limits import Limits
from whyconv.web.refusals import ClientGoneError, Refusal, refused, unreadable
from whyconv.web.room import Room

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

PIXELS = "application/x-whyconv-pixels"
FIELD = "image"
HELD = "whyconv.held"  # in the scope of a request: bytes that ``Room.hold`` counts for it
_MOST_LETTERS = 255
_PIECE_BYTES = 1 << 16


@dataclass(frozen=True)
class Upload:
    """One picture that came in.

    Attributes:
        name: What the caller calls it; only ever text.
        content: A file's content, or pixels uint8 (side, side, channels) that are prepared already.
    """

    name: str
    content: Content


async def read_uploads(request: Request, room: Room, limits: Limits, policy: PicturePolicy) -> list[Upload]:
    """Returns the pictures of a request, at least one.

    Raises:
        Refusal: 413 for too many bytes or pictures, 415 for a type or encoding that is not read, 422 for a form
            without pictures or with something else in it, or for pixels that are not those of a prepared picture.
        ClientGoneError: The caller has gone.
    """
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    is_form = kind == b"multipart/form-data"
    if not is_form and not _is_picture(kind):
        raise refused(
            415,
            f"The body is of type '{_shown(kind.decode('latin-1')) or 'unknown'}'. Expected image/*, "
            f"application/octet-stream, {PIXELS}, or multipart/form-data with fields named '{FIELD}'.",
        )
    body = await read_body(request, room, limits.max_body)
    if is_form:
        return await _read_form(body, options.get(b"boundary", b""), limits.max_pictures)
    if not body:
        raise unreadable("empty: the body holds no picture")
    if kind == PIXELS.encode():
        return [Upload("pixels", _as_pixels(body, policy))]
    return [Upload(FIELD, body)]


async def read_body(request: Request, room: Room, max_body: int) -> bytes:
    """Returns the body of a request, no longer than ``max_body``; what it holds is let go when it is answered.

    Raises:
        Refusal: 413, before anything is read where the head tells the length; 415 for a compressed body; 503 where
            all bodies together are too much.
        ClientGoneError: The caller has gone.
    """
    if request.headers.get("content-encoding", "identity").lower() != "identity":
        raise refused(415, "The body is compressed as a whole. Send pictures as their files are.")
    length = request.headers.get("content-length", "")
    if length.isdecimal() and int(length) > max_body:
        raise _too_long(max_body)
    parts, size = [], 0
    try:
        async for part in request.stream():
            size += len(part)
            if size > max_body:
                raise _too_long(max_body)
            room.hold(len(part))
            request.scope[HELD] = size
            parts.append(part)
    except ClientDisconnect as error:
        raise ClientGoneError from error
    return b"".join(parts)


def _too_long(max_body: int) -> Refusal:
    return refused(413, f"The body is longer than {max_body:,} bytes. Send fewer or smaller pictures.")


def _is_picture(kind: bytes) -> bool:
    if kind in (b"application/octet-stream", PIXELS.encode()):
        return True
    return kind.startswith(b"image/") and kind not in (b"image/svg+xml", b"image/svg")


def _as_pixels(body: bytes, policy: PicturePolicy) -> NDArray[np.uint8]:
    shape = (policy.side, policy.side, policy.channels)
    if len(body) != np.prod(shape):
        raise refused(
            422,
            f"{len(body):,} bytes are no prepared picture. Expected {' x '.join(map(str, shape))} bytes, row by row.",
        )
    return np.frombuffer(body, np.uint8).reshape(shape)


async def _read_form(body: bytes, boundary: bytes, max_pictures: int) -> list[Upload]:
    if not boundary:
        raise refused(422, "The form has no boundary. Expected multipart/form-data; boundary=...")
    form = _Form(max_pictures)
    try:
        parser = MultipartParser(boundary, form.callbacks())
        for start in range(0, len(body), _PIECE_BYTES):
            parser.write(body[start : start + _PIECE_BYTES])
            # A body that is made for it keeps the parser busy for a second: others are answered meanwhile.
            await asyncio.sleep(0)
        parser.finalize()
    except (FormParserError, ValueError) as error:
        raise refused(422, f"The form is damaged: {_shown(str(error))}.") from error
    if not form.is_whole:
        raise refused(422, "The form is cut short: its end is missing.")
    if not form.uploads:
        raise refused(422, f"The form holds no picture. Expected one or more fields named '{FIELD}'.")
    return form.uploads


class _Form:
    """Collects the parts of a form while it is parsed."""

    def __init__(self, max_pictures: int) -> None:
        self.uploads: list[Upload] = []
        self.is_whole = False
        self._max_pictures = max_pictures
        self._field, self._value, self._disposition = b"", b"", b""
        self._data: list[bytes] = []

    def callbacks(self) -> MultipartCallbacks:
        """What the parser calls, by its names."""
        return {
            "on_part_begin": self.on_part_begin,
            "on_part_data": self.on_part_data,
            "on_part_end": self.on_part_end,
            "on_header_field": self.on_header_field,
            "on_header_value": self.on_header_value,
            "on_header_end": self.on_header_end,
            "on_end": self.on_end,
        }

    def on_part_begin(self) -> None:
        """A part begins."""
        if len(self.uploads) >= self._max_pictures:
            raise refused(413, f"More than {self._max_pictures} pictures in one request. Send them in several.")
        self._disposition, self._data = b"", []

    def on_header_field(self, data: bytes, start: int, end: int) -> None:
        """Some of a header's name."""
        self._field += data[start:end]

    def on_header_value(self, data: bytes, start: int, end: int) -> None:
        """Some of a header's value."""
        self._value += data[start:end]

    def on_header_end(self) -> None:
        """A header is whole."""
        if self._field.lower() == b"content-disposition":
            self._disposition = self._value
        self._field, self._value = b"", b""

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        """Some of a part's content."""
        self._data.append(data[start:end])

    def on_part_end(self) -> None:
        """A part is whole."""
        _, options = parse_options_header(self._disposition)
        field = _shown(options.get(b"name", b"").decode("utf-8", "replace"))
        if field != FIELD:
            raise refused(422, f"The form has a field '{field}'. Expected fields named '{FIELD}' with a picture each.")
        name = _shown(options.get(b"filename", b"").decode("utf-8", "replace"))
        self.uploads.append(Upload(name or FIELD, b"".join(self._data)))

    def on_end(self) -> None:
        """The form is whole."""
        self.is_whole = True


def _shown(text: str) -> str:
    """A caller's text, made short."""
    return text if len(text) <= _MOST_LETTERS else text[:_MOST_LETTERS] + "..."
