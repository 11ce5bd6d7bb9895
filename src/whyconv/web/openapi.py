"""The interface described for programs (OpenAPI 3.1): one table of what each route takes and gives."""

from __future__ import annotations

from typing import Any

from whyconv.web.limits import Limits
from whyconv.web.uploads import FIELD, PIXELS

Schema = dict[str, Any]

_TEXT: Schema = {"type": "string"}
_WHOLE: Schema = {"type": "integer", "minimum": 0}
_NUMBER: Schema = {"type": "number"}
_NUMBERS: Schema = {"type": "array", "items": {"type": "number"}}
_ANY: Schema = {}
_BLOCK: Schema = {"type": "array", "items": {"type": "array", "items": _NUMBERS}}

_REASONS = {
    200: "The answer.",
    400: "This is no HTTP, or its Host header is missing.",
    401: "A token is needed.",
    403: "A page of another site sent the request.",
    404: "It is not there.",
    408: "The request did not come in time.",
    413: "The body is too long, or holds too many pictures.",
    415: "The body has a type that is not read.",
    421: "The server does not go by that name.",
    422: "A parameter is wrong, or the only picture cannot be read.",
    429: "This caller has too much in work.",
    431: "The head of the request is too long.",
    500: "A file of the run is damaged, or the program has a mistake.",
    503: "There is too much to do, or the server is being stopped.",
}
_ALWAYS = (400, 401, 403, 408, 421, 429, 431, 500, 503)


def description(version: str, limits: Limits) -> dict[str, Any]:
    """Returns the description.

    Args:
        version: Of whyconv.
        limits: Of this server.
    """
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "whyconv serve",
            "version": version,
            "summary": "A picture recognizer, and the inside of its network.",
            "description": (
                f"A body has at most {limits.max_body:,} bytes, a picture {limits.max_pixels:,} pixels, a request "
                f"{limits.max_pictures} pictures. Where a token is needed: Authorization: Bearer TOKEN."
            ),
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": {path: {method: operation} for path, (method, operation) in _operations().items()},
        "components": {"schemas": _schemas(), "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}},
        "security": [{}, {"token": []}],
    }


def _operations() -> dict[str, tuple[str, Schema]]:
    place = [
        _query("layer", _TEXT, "Name of its map, see /v1/layers.", is_required=True),
        _query("filter", _WHOLE, "Which detector."),
        _query("y", _WHOLE, "Row in the map."),
        _query("x", _WHOLE, "Column in the map."),
    ]
    maps = [
        place[0],
        _query("filters", {"type": "string", "pattern": r"^\d{1,9}(,\d{1,9})*$"}, "Which detectors; all by default."),
        _query("format", {"enum": ["uint8", "float32"], "default": "uint8"}, "Of the numbers in the maps."),
    ]
    filter_path = {"name": "name", "in": "path", "required": True, "schema": _TEXT, "description": "Of the map."}
    number = _query("count", _WHOLE, "How many, 1 to 64.")
    lang = _query("lang", {"enum": ["en", "ko"]}, "Language.")
    return {
        "/v1/recognizer": ("get", _operation("What the recognizer is.", "Recognizer")),
        "/v1/predict": ("post", _taking("Name what pictures show.", "Predictions", [_top()], several=True)),
        "/v1/twin": ("post", _taking("What the dense twin says of a picture.", "Predictions", [_top()])),
        "/v1/prepared": ("post", _taking("The picture as the network sees it.", "image/png", [])),
        "/v1/maps": ("post", _taking("The maps of a layer's detectors.", "Maps", maps)),
        "/v1/units": ("post", _taking("A unit's value, and the pixels that it can depend on.", "Unit", place)),
        "/v1/steps": ("post", _taking("One output of a convolution, taken apart.", "Step", place)),
        "/v1/explain": ("post", _taking("The evidence for one answer.", "Anything", [])),
        "/v1/layers": ("get", _operation("The layers and what they see.", "Layers", failing=(404,))),
        "/v1/layers/{name}/weights": (
            "get",
            _operation("The weights of one detector.", "Weights", [filter_path, place[1]], failing=(404, 422)),
        ),
        "/v1/count": ("get", _operation("What a layer of any size saves.", "LayerReport", _layer(), failing=(422,))),
        "/v1/why": ("get", _operation("What was measured of this run.", "Anything", failing=(404,))),
        "/v1/texts": ("get", _operation("Sentences of the page.", "Texts", [lang], failing=(422,))),
        "/v1/thumbnails": (
            "get",
            _operation("Pictures that training saw.", "Thumbnails", [number], failing=(404, 422)),
        ),
        "/v1/controls": ("get", _operation("The changes of the control square.", "Controls", failing=(404,))),
        **_of_the_process(),
    }


def _of_the_process() -> dict[str, tuple[str, Schema]]:
    return {
        "/livez": ("get", _operation("Whether the process answers.", "Status")),
        "/readyz": ("get", _operation("Whether pictures are taken.", "Status")),
        "/metrics": ("get", _operation("Counters for Prometheus.", "text/plain")),
        "/openapi.json": ("get", _operation("This description.", "Anything")),
    }


def _operation(
    summary: str, answer: str, parameters: list[Schema] | None = None, failing: tuple[int, ...] = ()
) -> Schema:
    content = {answer: {"schema": _TEXT}} if "/" in answer else _json({"$ref": f"#/components/schemas/{answer}"})
    error = _json({"$ref": "#/components/schemas/Failure"})
    responses = {"200": {"description": _REASONS[200], "content": content}}
    for status in sorted({*_ALWAYS, *failing}):
        later = {"Retry-After": {"schema": {"type": "integer"}, "description": "Seconds."}}
        headers = {"headers": later} if status in (429, 503) else {}
        responses[str(status)] = {"description": _REASONS[status], "content": error, **headers}
    return {"summary": summary, "parameters": parameters or [], "responses": responses}


def _taking(summary: str, answer: str, parameters: list[Schema], *, several: bool = False) -> Schema:
    """An operation that takes a picture."""
    binary = {"type": "string", "contentMediaType": "application/octet-stream"}
    most = {} if several else {"maxItems": 1}
    form = {
        "type": "object",
        "properties": {FIELD: {"type": "array", "items": binary, "minItems": 1, **most}},
        "required": [FIELD],
        "additionalProperties": False,
    }
    kinds = ("image/*", "application/octet-stream", PIXELS)
    content = {kind: {"schema": _ANY} for kind in kinds} | {"multipart/form-data": {"schema": form}}
    found = _operation(summary, answer, parameters, failing=(404, 413, 415, 422))
    return found | {"requestBody": {"required": True, "content": content}}


def _query(name: str, schema: Schema, meaning: str, *, is_required: bool = False) -> Schema:
    return {"name": name, "in": "query", "required": is_required, "schema": schema, "description": meaning}


def _top() -> Schema:
    return _query("top", {"type": "integer", "minimum": 1, "maximum": 999_999_999, "default": 5}, "How many labels.")


def _layer() -> list[Schema]:
    size = {"type": "string", "pattern": r"^\d{1,9}$"}
    each = {"type": "string", "pattern": r"^\d{1,5}(x\d{1,5})?$"}
    modes = {"enum": ["zeros", "reflect", "replicate", "circular"], "default": "zeros"}
    return [
        _query("side", {"type": "string", "pattern": r"^\d{1,9}(x\d{1,9})?$"}, "Of the input: S or HxW."),
        _query("in_channels", size, "Of the input."),
        _query("out_channels", size, "Filters."),
        _query("kernel", each, "K or KxK."),
        _query("stride", each, "S or SxS."),
        _query("padding", {"type": "string", "pattern": r"^(same|valid|\d{1,5}(x\d{1,5})?)$"}, "P, same or valid."),
        _query("dilation", each, "D or DxD."),
        _query("groups", size, "Of channels."),
        _query("padding_mode", modes, "What lies in the padding."),
        _query("bias", {"type": "boolean", "default": True}, "Whether there is one for each filter."),
    ]


def _json(schema: Schema) -> Schema:
    return {"application/json": {"schema": schema}}


def _object(**properties: Schema) -> Schema:
    return {"type": "object", "properties": properties, "required": list(properties)}


def _list(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def _or_null(schema: Schema) -> Schema:
    return {"anyOf": [schema, {"type": "null"}]}


def _recognizer() -> Schema:
    return _object(
        name=_TEXT,
        classes=_list(_TEXT),
        policy={"type": "object"},
        side=_WHOLE,
        channels={"enum": [1, 3]},
        network=_TEXT,
        views=_list(_TEXT),
        window=_or_null(_object(side=_WHOLE, number=_WHOLE)),
        temperature=_NUMBER,
        version=_TEXT,
        parts={"type": "object"},
        has={"type": "object", "additionalProperties": {"type": "boolean"}},
        limits={"type": "object"},
    )


def _schemas() -> dict[str, Schema]:
    label = _object(label=_TEXT, probability={"type": "number", "minimum": 0, "maximum": 1})
    unsure = _or_null({"type": "boolean"})
    prediction = _object(name=_TEXT, labels=_list(label), is_unsure=unsure, error=_or_null(_TEXT))
    error = _object(code=_WHOLE, kind=_TEXT, message=_TEXT)
    size = _list(_WHOLE)
    spot = {"layer": _TEXT, "filter": _WHOLE, "place": size, "value": _NUMBER}
    return {
        "Anything": _ANY,
        "Failure": _object(error=error),
        "Status": _object(status=_TEXT),
        "Texts": {"type": "object", "additionalProperties": _TEXT},
        "Prediction": prediction,
        "Predictions": _object(predictions=_list({"$ref": "#/components/schemas/Prediction"})),
        "Recognizer": _recognizer(),
        "Layers": _object(
            layers=_list(_object(map=_TEXT, kind=_TEXT, field=_or_null(_NUMBERS), jump=_ANY, start=_ANY))
        ),
        "Thumbnails": _object(side=_WHOLE, pngs=_list(_TEXT)),
        "Controls": _object(
            side=_WHOLE, multiplier=_WHOLE, permuted=size, signs=_list({"enum": [1, -1]}), multiplied=size
        ),
        "Weights": _object(layer=_TEXT, filter=_WHOLE, filters=_WHOLE, shape=size, values=_ANY, bias=_or_null(_NUMBER)),
        "LayerReport": {"type": "object"},
        "Maps": _object(
            layer=_TEXT, shape=size, filters=size, low=_NUMBER, high=_NUMBER, format=_TEXT, maps=_list(_TEXT)
        ),
        "Unit": _object(**spot, field=_or_null(size), rows=_or_null(_list({"type": "array"})), reason=_TEXT),
        "Step": _object(
            **spot, source=_TEXT, inputs=_BLOCK, weights=_BLOCK, products=_BLOCK, bias=_NUMBER, sum=_NUMBER
        ),
    }
