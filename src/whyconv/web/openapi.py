"""The interface described for programs (OpenAPI 3.1)."""

from __future__ import annotations

from typing import Any

from whyconv.web.limits import Limits


def description(version: str, limits: Limits) -> dict[str, Any]:
    """Returns the description.

    Args:
        version: Of whyconv.
        limits: Of this server.
    """
    del limits
    return {"openapi": "3.1.0", "info": {"title": "whyconv", "version": version}, "paths": {}}
