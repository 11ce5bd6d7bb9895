"""How much one caller, and all callers together, may ask of the server."""

from __future__ import annotations

from dataclasses import dataclass

# What cameras, phones and drawing programs write; the rest of what can be read is not read for strangers.
FORMATS = ("jpeg", "png", "gif", "bmp", "webp", "tiff", "ppm", "avif", "heic")


@dataclass(frozen=True)
class Limits:
    """The limits of a server; all of them are checked before the work that they bound.

    Attributes:
        max_body: Bytes of one request, 10 MB.
        max_pixels: Of one picture, told by the head of its file: 40 megapixels.
        max_pictures: In one request.
        max_waiting: Pictures that are being read or wait for the network, all callers together; more are refused.
        max_connections: Open at once; more are closed with an answer of a few bytes.
        header_seconds: For the head of a request, from its first byte, or from the connection on.
        body_seconds: For its body.
        write_seconds: For a caller to take its answer.
        idle_seconds: Between two requests over one connection.
        picture_seconds: For the answer to one picture, waiting included.
        leave_seconds: After SIGTERM, how long callers are still let in while ``/readyz`` says that the server goes.
        stop_seconds: For answers that are on their way when nobody is let in any more.
        formats: Of pictures, told by their content.
    """

    max_body: int = 10_000_000
    max_pixels: int = 40_000_000
    max_pictures: int = 32
    max_waiting: int = 64
    max_connections: int = 512
    header_seconds: float = 10.0
    body_seconds: float = 30.0
    write_seconds: float = 30.0
    idle_seconds: float = 30.0
    picture_seconds: float = 10.0
    leave_seconds: float = 1.0
    stop_seconds: float = 10.0
    formats: tuple[str, ...] = FORMATS

    def told(self) -> dict[str, object]:
        """What a caller should know of them, for JSON."""
        names = ("max_body", "max_pixels", "max_pictures", "max_waiting", "picture_seconds", "formats")
        return {name: getattr(self, name) for name in names}
