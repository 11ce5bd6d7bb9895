"""Who waits for an answer gets one or is told why not, whatever goes wrong behind the routes."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from starlette.requests import Request
from starlette.types import Message

from whyconv.errors import ModelFileError
from whyconv.recognizer import Recognizer
from whyconv.web.application import _endpoint, application
from whyconv.web.batching import Answered, Batcher
from whyconv.web.guard import Access, Guard
from whyconv.web.limits import Limits
from whyconv.web.metrics import Metrics
from whyconv.web.refusals import Refusal
from whyconv.web.room import Room
from whyconv.web.service import Service


@pytest.fixture
def service(model: Path):
    recognizer, limits = Recognizer(model, num_threads=1), Limits(picture_seconds=0.2)
    batcher = Batcher([recognizer], num_readers=1, most_at_once=8, limits=limits)
    yield Service("colors", recognizer, batcher, None, limits, Room(4, 1000), Metrics())
    batcher.close()


def test_work_that_takes_too_long_is_503(service: Service) -> None:
    async def scene() -> None:
        assert await service.in_thread(lambda: 3) == 3
        with pytest.raises(Refusal, match=r"not answered in 0\.2 seconds") as refusal:
            await service.in_thread(lambda: time.sleep(0.5))
        assert refusal.value.status == 503

    asyncio.run(scene())


@pytest.mark.parametrize(("number", "seconds"), [(1, "0.2"), (9, "0.4")])
def test_answers_that_take_too_long_are_503(service: Service, number: int, seconds: str) -> None:
    async def scene() -> None:
        futures: list[asyncio.Future[Answered]] = [asyncio.get_running_loop().create_future() for _ in range(number)]
        with pytest.raises(Refusal, match=rf"{number} of {number} pictures were not answered in {seconds} seconds"):
            await service.in_time(futures)
        assert all(future.cancelled() for future in futures)

    asyncio.run(scene())


def test_a_batch_that_fails_is_told_to_all_of_it_and_the_next_is_answered(service: Service) -> None:
    policy = service.recognizer.policy
    good = np.zeros((policy.side, policy.side, policy.channels), np.uint8)

    async def scene() -> None:
        for _ in range(3):
            with pytest.raises(Exception, match=r"INVALID_ARGUMENT"):
                await asyncio.wait_for(service.batcher.ask(good[:2]), 5)
        answered = await asyncio.wait_for(service.batcher.ask(good), 5)
        assert answered.probabilities is not None

    asyncio.run(scene())


def test_a_mistake_while_judging_answers_is_told_and_the_next_is_answered(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = service.recognizer.policy
    pixels = np.zeros((policy.side, policy.side, policy.channels), np.uint8)

    def broken(*_: object) -> None:
        raise RuntimeError("broken")

    async def scene() -> None:
        with monkeypatch.context() as patched:
            patched.setattr("whyconv.web.batching.are_unsure", broken)
            with pytest.raises(RuntimeError, match="broken"):
                await asyncio.wait_for(service.batcher.ask(pixels), 5)
        assert (await asyncio.wait_for(service.batcher.ask(pixels), 5)).error is None

    asyncio.run(scene())


def test_one_error_for_several_is_logged_whole_each_time(service: Service, caplog: pytest.LogCaptureFixture) -> None:
    error = ModelFileError("/secret/model.onnx is damaged.")

    async def fails(request: Request, service: Service) -> None:
        raise error

    async def scene() -> None:
        for _ in range(2):
            reply = await _endpoint("/v1/x", fails, replace(service))(Request({"type": "http"}))
            assert (reply.status_code, b"secret" in bytes(reply.body)) == (500, False)

    asyncio.run(scene())
    assert [record.getMessage() for record in caplog.records] == ["/v1/x: /secret/model.onnx is damaged."] * 2


@pytest.mark.parametrize(
    ("messages", "status"),
    [
        ([b"no picture"], 422),
        ([b"x" * 600, b"x" * 600], 503),
        ([b"x" * 600, None], 400),
    ],
    ids=["answered", "too much for all bodies together", "caller gone"],
)
def test_what_a_request_held_is_let_go_with_its_answer(
    service: Service, messages: list[bytes | None], status: int
) -> None:
    room = service.room
    guard = Guard(application(service), Access(8000), room, service.metrics)
    headers = [(b"host", b"localhost:8000"), (b"content-type", b"image/png"), (b"transfer-encoding", b"chunked")]
    scope = {"type": "http", "method": "POST", "path": "/v1/predict", "query_string": b"", "headers": headers}
    left, said, held = list(messages), [], []

    async def receive() -> Message:
        held.append(room.held)
        part = left.pop(0)
        if part is None:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": part, "more_body": bool(left)}

    async def send(message: Message) -> None:
        said.append(message.get("status"))

    asyncio.run(guard({**scope, "client": ("127.0.0.1", 5)}, receive, send))
    assert said[0] == status
    assert held == [0, 600][: len(messages)]
    assert (room.held, room.taken) == (0, 0)
