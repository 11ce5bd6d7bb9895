"""The routes that show a picture and the inside of the network: prepared, maps, units, steps, explain."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from starlette.requests import Request
from starlette.responses import Response

from whyconv.errors import UsageError
from whyconv.evidence import as_message
from whyconv.evidence import explain as find_evidence
from whyconv.images.png import as_png
from whyconv.results.evidence_notes import map_notes
from whyconv.web.inside import Inside
from whyconv.web.parameters import one_of, whole, wholes
from whyconv.web.refusals import refused
from whyconv.web.replies import json_reply
from whyconv.web.service import Service, caller

_MOST_VALUES = 4_000_000
Look = Callable[[Inside, NDArray[np.uint8], str, tuple[int, int, int]], dict[str, Any]]


async def prepared(request: Request, service: Service) -> Response:
    """One picture as the network sees it, as PNG."""
    pixels = await service.one_picture(request)
    with service.room.place(caller(request)):
        return Response(await service.in_thread(lambda: as_png(pixels)), media_type="image/png")


async def maps(request: Request, service: Service) -> Response:
    """The maps of a layer's detectors for one picture."""
    inside = service.require_inside()
    name = one_of(request, "layer", inside.names)
    form = one_of(request, "format", ("uint8", "float32"), "uint8")
    shape = _shape(inside, name)
    filters = wholes(request, "filters", shape[0] - 1)
    chosen = list(range(shape[0])) if filters is None else filters
    if len(chosen) * shape[1] * shape[2] > _MOST_VALUES:
        raise refused(422, f"{len(chosen)} maps of {shape[1]} x {shape[2]} are too many at once. Name fewer filters.")
    pixels = await service.one_picture(request)
    with service.room.place(caller(request)):
        return json_reply(await service.in_thread(lambda: _maps(inside, pixels, name, chosen, form)))


async def units(request: Request, service: Service) -> Response:
    """One unit for one picture: its value, and exactly the pixels that it can depend on."""
    return await _of_one_place(request, service, _unit)


async def steps(request: Request, service: Service) -> Response:
    """One output of a convolution for one picture: inputs, weights, products, bias and sum."""
    return await _of_one_place(request, service, _step)


async def explain(request: Request, service: Service) -> Response:
    """What an answer rests on: a map over the picture, what its strongest place sees, near training pictures."""
    pixels = await service.one_picture(request)
    with service.room.place(caller(request)):
        return json_reply(await service.in_thread(lambda: _evidence(service, pixels)))


def _evidence(service: Service, pixels: NDArray[np.uint8]) -> dict[str, Any]:
    found = find_evidence(service.explainer, pixels)
    return as_message(found) | {"notes": [note.model_dump(mode="json") for note in map_notes(found)]}


async def _of_one_place(request: Request, service: Service, look: Look) -> Response:
    inside = service.require_inside()
    name, place = _place(request, inside)
    pixels = await service.one_picture(request)
    with service.room.place(caller(request)):
        return json_reply(await service.in_thread(lambda: look(inside, pixels, name, place)))


def _place(request: Request, inside: Inside) -> tuple[str, tuple[int, int, int]]:
    name = one_of(request, "layer", inside.names)
    depth, height, width = _shape(inside, name)
    filter_number = whole(request, "filter", 0, most=depth - 1)
    return name, (filter_number, whole(request, "y", 0, most=height - 1), whole(request, "x", 0, most=width - 1))


def _shape(inside: Inside, name: str) -> tuple[int, int, int]:
    """Channels, height and width of a map; a dense layer is 1 x 1."""
    shape = [*inside.require_layer(name).get("output", [1]), 1, 1]
    return int(shape[0]), int(shape[1]), int(shape[2])


def _maps(inside: Inside, pixels: NDArray[np.uint8], name: str, chosen: list[int], form: str) -> dict[str, Any]:
    values = inside.maps(pixels, [name])[name]
    values = values.reshape(*values.shape, *(1,) * (3 - values.ndim))
    low, high = float(values.min()), float(values.max())
    taken = values[chosen]
    if form == "uint8":
        data = np.rint((taken - low) * (255 / (high - low) if high > low else 0)).astype(np.uint8)
    else:
        data = taken.astype("<f4")
    return {
        "layer": name,
        "shape": list(values.shape),
        "filters": chosen,
        "low": low,
        "high": high,
        "format": form,
        "maps": [base64.b64encode(one.tobytes()).decode("ascii") for one in data],
    }


def _unit(inside: Inside, pixels: NDArray[np.uint8], name: str, place: tuple[int, int, int]) -> dict[str, Any]:
    filter_number, y, x = place
    values = inside.maps(pixels, [name])[name]
    found = {
        "layer": name,
        "filter": filter_number,
        "place": [y, x],
        "value": float(values.reshape(*values.shape, *(1,) * (3 - values.ndim))[place]),
    }
    try:
        mask, is_bound = inside.seen(name, y, x)
    except UsageError as error:
        return found | {"field": None, "rows": None, "num_pixels": None, "is_bound": None, "reason": str(error)}
    rows, columns = np.nonzero(mask)
    field = [int(rows.min()), int(columns.min()), int(rows.max()), int(columns.max())] if len(rows) else None
    return found | {
        "field": field,
        "rows": [[row, *runs] for row in range(len(mask)) if (runs := _runs(mask[row]))],
        "num_pixels": len(rows),
        "is_bound": is_bound,
        "reason": "",
    }


def _runs(row: NDArray[np.bool_]) -> list[list[int]]:
    """First and last column of each run of pixels in a row."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], row, [False]]).astype(np.int8)))
    return [[int(first), int(last) - 1] for first, last in zip(edges[::2], edges[1::2], strict=True)]


def _step(inside: Inside, pixels: NDArray[np.uint8], name: str, place: tuple[int, int, int]) -> dict[str, Any]:
    try:
        step = inside.step(pixels, name, *place)
    except UsageError as error:
        raise refused(422, str(error)) from error
    products = step.inputs.astype(np.float64) * step.weights
    return {
        "layer": name,
        "filter": place[0],
        "place": list(place[1:]),
        "source": step.source,
        "top": step.top,
        "left": step.left,
        "dilation": list(step.dilation),
        "shape": list(step.weights.shape),
        "inputs": step.inputs.tolist(),
        "weights": step.weights.tolist(),
        "products": products.tolist(),
        "bias": step.bias,
        "sum": float(products.sum() + step.bias),
        "value": step.value,
    }
