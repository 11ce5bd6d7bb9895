"""Answers as JSON."""

from __future__ import annotations

import json
from typing import Any

from starlette.responses import Response


def json_reply(value: Any) -> Response:  # noqa: ANN401 - whatever JSON can hold
    """A value as JSON in UTF-8."""
    return Response(json.dumps(value, ensure_ascii=False, separators=(",", ":")), media_type="application/json")


def json_text(text: str) -> Response:
    """JSON that is written already."""
    return Response(text, media_type="application/json")
