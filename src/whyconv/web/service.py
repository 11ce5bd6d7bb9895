"""What the routes share: the recognizer, its files, the room, and the counters."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from starlette.requests import Request

from whyconv.errors import ModelFileError, PictureError
from whyconv.evidence import Explainer
from whyconv.recognizer import Content, Recognizer
from whyconv.untrusted import json_in
from whyconv.web.batching import Answered, Batcher, read_picture
from whyconv.web.inside import Inside, Windows, read_windows
from whyconv.web.limits import Limits
from whyconv.web.metrics import Metrics
from whyconv.web.refusals import busy, missing, refused, unreadable
from whyconv.web.room import Room
from whyconv.web.uploads import Upload, read_uploads

Made = TypeVar("Made")


@dataclass(frozen=True)
class Service:
    """One recognizer and what is needed to answer for it.

    Attributes:
        name: What the model is called: that of the run folder or the file, printable.
        recognizer: Answers a single question; the batcher has sessions of its own.
        batcher: Answers many.
        run: The run folder; None for a lone ONNX file.
        limits: Of callers.
        room: Who is let in.
        metrics: What was counted.
    """

    name: str
    recognizer: Recognizer
    batcher: Batcher
    run: Path | None
    limits: Limits
    room: Room
    metrics: Metrics
    _found: dict[str, Any] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def inside(self) -> Inside | None:
        """The network with every layer's map; None as long as ``why.onnx`` or ``layers.json`` is not there."""
        return self._kept("inside", self._open_inside)

    @cached_property
    def windows(self) -> Windows | None:
        """What the network looks at a picture through; None where it looks at the whole of it."""
        side = self.recognizer.metadata.policy.side
        return None if self.run is None else read_windows(self.run / "network.json", side)

    @property
    def layers(self) -> list[dict[str, Any]]:
        """What ``layers.json`` says; nothing as long as it is not there."""
        return self._kept("layers", self._read_layers)

    @cached_property
    def explainer(self) -> Explainer:
        """Says what answers rest on."""
        return Explainer(self.recognizer, self.run)  # whose folder may have been removed by now

    @property
    def twin(self) -> Recognizer | None:
        """The dense twin; None as long as none was trained: that may be done while the server runs."""
        return self._kept("twin", self._open_twin)

    def file(self, name: str) -> Path | None:
        """A file of the run folder; None where it is not there. ``name`` is never a caller's."""
        path = None if self.run is None else self.run / name
        return path if path is not None and path.is_file() else None

    def json(self, name: str) -> Any:  # noqa: ANN401 - as the file has it
        """What a JSON file of the run folder holds; None where it is not there.

        Raises:
            ModelFileError: It is damaged.
        """
        path = self.file(name)
        if path is None:
            return None
        try:
            return json_in(path)
        except ValueError as error:
            raise ModelFileError(f"{name} of this run is damaged: no JSON.") from error

    def require_inside(self) -> Inside:
        """The network with its maps.

        Raises:
            Refusal: 404; there is none.
        """
        inside = self.inside
        if inside is None:
            raise missing(
                "There are no maps: a lone ONNX file has none. Serve the run folder, with why.onnx and layers.json."
            )
        return inside

    async def answer(self, uploads: Sequence[Upload]) -> list[Answered]:
        """What the network says of pictures, in their order.

        Raises:
            Refusal: 503; it took too long.
        """
        return await self.in_time([self.batcher.ask(upload.content) for upload in uploads])

    async def in_time(self, futures: Sequence[asyncio.Future[Answered]]) -> list[Answered]:
        """Waits for answers, no longer than the limit for one picture, and an eighth of it more for each further one.

        Raises:
            Refusal: 503; it took too long.
        """
        seconds = self.limits.picture_seconds * (1 + (len(futures) - 1) / 8)
        _, late = await asyncio.wait(futures, timeout=seconds)
        for future in late:
            future.cancel()
        if late:
            raise busy(f"{len(late)} of {len(futures)} pictures were not answered in {seconds:g} seconds.")
        return [future.result() for future in futures]

    async def in_thread(self, work: Callable[[], Made]) -> Made:
        """Runs work for one picture in a thread, and waits no longer than the limit; begun, it runs to its end.

        Raises:
            Refusal: 503; it took too long.
        """
        seconds = self.limits.picture_seconds
        try:
            return await asyncio.wait_for(asyncio.to_thread(work), seconds)
        except TimeoutError as error:
            raise busy(f"The picture was not answered in {seconds:g} seconds.") from error

    async def received(self, request: Request) -> list[Upload]:
        """The pictures of a request; turned away before its body is read where there is no room for them.

        Raises:
            Refusal: See ``read_uploads`` and ``Room.require``.
        """
        self.room.require(caller(request))
        return await read_uploads(request, self.room, self.limits, self.recognizer.policy)

    async def one_picture(self, request: Request) -> NDArray[np.uint8]:
        """The one picture of a request as the network sees it.

        Raises:
            Refusal: 422; there are several, or it cannot be read; else as for ``received``.
        """
        uploads = await self.received(request)
        if len(uploads) > 1:
            raise refused(422, f"{len(uploads)} pictures came. Expected one.")
        with self.room.place(caller(request)):
            return await self.in_thread(lambda: self._prepared(uploads[0].content))

    def _kept(self, name: str, find: Callable[[], Made]) -> Made:
        """What ``find`` gives: kept once it is there, else looked for again, as it may come into the run later."""
        found: Made = self._found.get(name) or find()
        self._found[name] = found
        return found

    def _open_inside(self) -> Inside | None:
        path, layers = self.file("why.onnx"), self.layers
        return None if path is None or not layers else Inside(path, self.recognizer.metadata, layers)

    def _read_layers(self) -> list[dict[str, Any]]:
        found = self.json("layers.json")
        return found if isinstance(found, list) else []

    def _open_twin(self) -> Recognizer | None:
        path = self.file("twin_dense.onnx")
        return None if path is None else Recognizer(path, num_threads=1)

    def _prepared(self, content: Content) -> NDArray[np.uint8]:
        if isinstance(content, np.ndarray):
            return content
        try:
            return read_picture(content, self.recognizer.metadata, self.limits)
        except PictureError as error:
            raise unreadable(str(error)) from error


def caller(request: Request) -> str:
    """The address that a request comes from."""
    return request.client.host if request.client else ""
