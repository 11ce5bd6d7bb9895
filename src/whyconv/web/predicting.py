"""The routes that name pictures: /v1/predict, /v1/twin."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import numpy as np
from starlette.requests import Request
from starlette.responses import Response

from whyconv.errors import PictureError
from whyconv.recognizer import TOP
from whyconv.web.batching import Answered
from whyconv.web.parameters import whole
from whyconv.web.refusals import Refusal, missing
from whyconv.web.replies import json_reply
from whyconv.web.service import Service, caller
from whyconv.web.uploads import Upload


async def predict(request: Request, service: Service) -> Response:
    """Names what the pictures show; those that cannot be read have ``error`` set.

    Raises:
        Refusal: 422 where the only picture cannot be read; else as for ``Service.received``.
    """
    top = _top(request, service)
    uploads = await service.received(request)
    with service.room.place(caller(request), len(uploads)):
        answers = await service.answer(uploads)
    predictions = as_predictions(uploads, answers, service.recognizer.classes, top)
    for answer in answers:
        service.metrics.pictures["unreadable" if answer.error else "answered"] += 1
    if len(answers) == 1 and answers[0].error is not None:
        raise Refusal(422, PictureError(answers[0].error), extra={"predictions": predictions})
    return json_reply({"predictions": predictions})


async def twin(request: Request, service: Service) -> Response:
    """What the dense twin of the network says of one picture.

    Raises:
        Refusal: 404; there is none.
    """
    top = _top(request, service)
    recognizer = await asyncio.to_thread(lambda: service.twin)
    if recognizer is None:
        raise missing("There is no dense twin. whyconv why RUN trains one and leaves twin_dense.onnx in the run.")
    pixels = await service.one_picture(request)
    with service.room.place(caller(request)):
        found = await service.in_thread(lambda: recognizer.run(pixels[None]))
    answers = [Answered(found.probabilities[0])]
    return json_reply({"predictions": as_predictions([Upload("pixels", b"")], answers, recognizer.classes, top)})


def as_predictions(
    uploads: Sequence[Upload], answers: Sequence[Answered], classes: Sequence[str], top: int
) -> list[dict[str, Any]]:
    """The answers as JSON has them, in the order of the pictures."""
    return [
        {
            "name": upload.name,
            "labels": _ranked(answer, classes, top),
            "is_unsure": answer.is_unsure,
            "error": answer.error,
        }
        for upload, answer in zip(uploads, answers, strict=True)
    ]


def _ranked(answer: Answered, classes: Sequence[str], top: int) -> list[dict[str, Any]]:
    if answer.probabilities is None:
        return []
    order = np.argsort(-answer.probabilities, kind="stable")[:top]
    return [{"label": classes[k], "probability": float(answer.probabilities[k])} for k in order]


def _top(request: Request, service: Service) -> int:
    return min(whole(request, "top", TOP, least=1), len(service.recognizer.classes))
