"""From the body of a request to pictures in memory; nothing is written to the disk, and no name is used as a path."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from python_multipart.multipart import parse_options_header
from starlette.requests import ClientDisconnect, Request

from whyconv.images.prepare import PicturePolicy
from whyconv.recognizer import Content
from whyconv.web.limits import Limits
from whyconv.web.refusals import ClientGoneError, Refusal, refused, unreadable
from whyconv.web.room import Room

PIXELS = "application/x-whyconv-pixels"
FIELD = "image"
HELD = "whyconv.held"  # in the scope of a request: bytes that ``Room.hold`` counts for it
_MOST_LETTERS = 255
_LONGEST_BOUNDARY = 70
_LONGEST_PART_HEAD = 1 << 16  # a name of some thousand letters, each of them three bytes or more


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
        return _read_form(body, options.get(b"boundary", b""), limits.max_pictures)
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


def _read_form(body: bytes, boundary: bytes, max_pictures: int) -> list[Upload]:
    if not boundary:
        raise refused(422, "The form has no boundary. Expected multipart/form-data; boundary=...")
    uploads: list[Upload] = []
    for head, content in _parts(body, boundary):
        if len(uploads) == max_pictures:
            raise refused(413, f"More than {max_pictures} pictures in one request. Send them in several.")
        options = _disposition(head)
        field = _shown(options.get(b"name", b"").decode("utf-8", "replace"))
        if field != FIELD:
            raise refused(422, f"The form has a field '{field}'. Expected fields named '{FIELD}' with a picture each.")
        name = _shown(options.get(b"filename", b"").decode("utf-8", "replace"))
        uploads.append(Upload(name or FIELD, content))
    if not uploads:
        raise refused(422, f"The form holds no picture. Expected one or more fields named '{FIELD}'.")
    return uploads


def _parts(body: bytes, boundary: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Head and content of each part of a form.

    A parser that goes byte by byte can be kept busy for seconds by a body made for it, while nobody is answered. This
    one looks for whole boundaries, and gives up at the first that is none.

    References:
        RFC 2046, *MIME Part Two: Media Types*, section 5.1.1.

    Raises:
        Refusal: 422; it is damaged.
    """
    if len(boundary) > _LONGEST_BOUNDARY:
        raise _damaged(f"its boundary has {len(boundary)} letters, and at most {_LONGEST_BOUNDARY} are read")
    edge = b"\r\n--" + boundary
    place = 0 if body.startswith(edge[2:]) else body.find(edge) + 2
    if place == 1:
        raise _damaged("its boundary does not stand in it")
    place += len(edge) - 2
    while body[place : place + 2] != b"--":
        if body[place : place + 2] != b"\r\n":
            raise _damaged("something else stands behind a boundary")
        head_end = body.find(b"\r\n\r\n", place, place + _LONGEST_PART_HEAD)
        if head_end < 0:
            raise _damaged(f"the head of a part does not end, or has over {_LONGEST_PART_HEAD:,} bytes")
        end = body.find(edge, head_end + 2)
        if end < 0:
            raise refused(422, "The form is cut short: its end is missing.")
        yield body[place:head_end], body[head_end + 4 : end]
        place = end + len(edge)


def _disposition(head: bytes) -> dict[bytes, bytes]:
    """What the head of a part says of its field: name and filename."""
    lines = (line.partition(b":") for line in head.split(b"\r\n"))
    values = [value.decode("latin-1") for name, _, value in lines if name.lower() == b"content-disposition"]
    return parse_options_header(values[0])[1] if values else {}


def _damaged(what: str) -> Refusal:
    return refused(422, f"The form is damaged: {what}.")


def _shown(text: str) -> str:
    """A caller's text, made short."""
    return text if len(text) <= _MOST_LETTERS else text[:_MOST_LETTERS] + "..."
