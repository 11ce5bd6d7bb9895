"""The routes that tell what is there: recognizer, layers, weights, count, why, texts, health, metrics."""

from __future__ import annotations

import asyncio
import json
from dataclasses import asdict
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from whyconv import __version__
from whyconv.counting.layer import count_layer
from whyconv.counting.words import LayerWords
from whyconv.errors import UsageError
from whyconv.results.fields import ReceptiveField
from whyconv.texts import language, sentences
from whyconv.web.metrics import CONTENT_TYPE
from whyconv.web.openapi import description
from whyconv.web.parameters import whole
from whyconv.web.refusals import busy, missing, refused
from whyconv.web.replies import json_reply, json_text
from whyconv.web.service import Service

_MOST_LETTERS = 40
# Parameter of the address -> the word of LayerWords, and its default.
_WORDS = {
    "out_channels": ("filters", "1"),
    "kernel": ("kernel", "3"),
    "stride": ("stride", "1"),
    "padding": ("padding", "0"),
    "dilation": ("dilation", "1"),
    "groups": ("groups", "1"),
    "padding_mode": ("padding_mode", "zeros"),
}


async def recognizer(request: Request, service: Service) -> Response:
    """What the recognizer is."""
    del request
    metadata = service.recognizer.metadata
    return json_reply(
        {
            "name": service.name,
            "classes": metadata.classes,
            "policy": metadata.policy.model_dump(),
            "side": metadata.policy.side,
            "channels": metadata.policy.channels,
            "network": metadata.network,
            "views": metadata.views,
            "window": None if service.windows is None else asdict(service.windows),
            "temperature": metadata.temperature,
            "version": metadata.version,
            "parts": metadata.parts,
            "has": _parts_there(service),
            "limits": service.limits.told(),
        }
    )


def _parts_there(service: Service) -> dict[str, bool]:
    has_neighbors = all(service.file(name) for name in ("features.npy", "thumbnails.npy", "digests.txt"))
    return {
        "maps": service.file("why.onnx") is not None and bool(service.layers),
        "layers": bool(service.layers),
        "why": service.file("why.json") is not None,
        "dense_twin": service.file("twin_dense.onnx") is not None,
        "nearest": has_neighbors,
        "thumbnails": service.file("thumbnails.npy") is not None,
        "evidence": True,
        "unsure": service.recognizer.tells_unsure,
    }


async def layers(request: Request, service: Service) -> Response:
    """The layers, with what each output can depend on."""
    del request
    if not service.layers:
        raise missing("There is no layers.json: serve a run folder to see its layers.")
    return json_reply({"layers": await asyncio.to_thread(_layers, service)})


def _layers(service: Service) -> list[dict[str, Any]]:
    inside = service.inside
    fields = inside.fields if inside is not None else {}
    return [row | _field(fields.get(row["map"])) for row in service.layers]


def _field(field: ReceptiveField | None) -> dict[str, Any]:
    if field is None or field.reason:
        return {"field": None, "jump": None, "start": None, "sees_all": None}
    found = json.loads(field.model_dump_json())["axes"]
    return {
        "field": [axis["size"] for axis in found] or None,
        "jump": [axis["jump"] for axis in found] or None,
        "start": [axis["start"] for axis in found] or None,
        "sees_all": field.is_whole,
    }


async def weights(request: Request, service: Service) -> Response:
    """The weights of one detector of a layer."""
    inside = service.require_inside()
    name = request.path_params["name"]
    try:
        inside.require_layer(name)
        found = inside.weights(name)
    except UsageError as error:
        raise missing(str(error)) from error
    number = whole(request, "filter", 0, most=len(found) - 1)
    bias = inside.bias(name)
    one = found[number]
    return json_reply(
        {
            "layer": name,
            "filter": number,
            "filters": len(found),
            "shape": list(one.shape),
            "values": one.tolist(),
            "bias": None if bias is None else float(bias[number]),
        }
    )


async def count(request: Request, service: Service) -> Response:
    """The lecture's table for a layer of any size."""
    del service
    values = {name: request.query_params.get(name, default) for name, (_, default) in _WORDS.items()}
    values |= {
        name: request.query_params.get(name, default) for name, default in (("side", "32"), ("in_channels", "3"))
    }
    for name, text in values.items():
        if len(text) > _MOST_LETTERS:
            raise refused(422, f"{name} has {len(text)} letters; at most {_MOST_LETTERS} are read.")
    side = values["side"] if "x" in values["side"] else f"{values['side']}x{values['side']}"
    words = {word: values[name] for name, (word, _) in _WORDS.items()}
    bias = request.query_params.get("bias", "true")
    if bias not in ("true", "false"):
        raise refused(422, f"bias is '{bias[:_MOST_LETTERS]}'. Expected true or false.")
    asked = LayerWords(f"{side}x{values['in_channels']}", has_bias=bias == "true", **words)
    try:
        return json_text(await asyncio.to_thread(lambda: count_layer(asked.convolution()).model_dump_json()))
    except UsageError as error:
        raise refused(422, str(error)) from error


async def why(request: Request, service: Service) -> Response:
    """What ``whyconv why`` measured of this run."""
    del request
    found = service.json("why.json")
    if found is None:
        raise missing("There is no why.json. Make it with:  whyconv why RUN")
    return json_reply(found)


async def texts(request: Request, service: Service) -> Response:
    """The sentences of the page in one language."""
    del service
    try:
        chosen = language(request.query_params.get("lang"))
    except UsageError as error:
        raise refused(422, str(error)) from error
    keys = [key for key in sentences() if key.startswith("page_")]
    return json_reply({key: sentences()[key][chosen] for key in keys})


async def livez(request: Request, service: Service) -> Response:
    """The process answers."""
    del request, service
    return json_reply({"status": "ok"})


async def readyz(request: Request, service: Service) -> Response:
    """The server takes pictures.

    Raises:
        Refusal: 503; it is being stopped.
    """
    del request
    if service.room.is_closing:
        raise busy("The server is being stopped.")
    return json_reply({"status": "ok", "waiting": service.room.taken})


async def metrics(request: Request, service: Service) -> Response:
    """Counters for Prometheus."""
    connections = len(request.app.state.connections())
    text = service.metrics.text(waiting=service.room.taken, connections=connections)
    return Response(text, headers={"Content-Type": CONTENT_TYPE})


async def openapi(request: Request, service: Service) -> Response:
    """This interface, for programs."""
    del request
    return json_reply(description(__version__, service.limits))
