"""Why a request gets no answer, as an HTTP status and as the error that the command line would show."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from whyconv.errors import PictureError, UsageError, WhyconvError

RETRY_SECONDS = 1


class Refusal(Exception):  # noqa: N818 - an answer, not a mistake of the program
    """A request that is not carried out.

    Args:
        status: Of HTTP.
        error: What the command line would raise.
        headers: That go with it.
        extra: What stands in the answer beside the error.
    """

    def __init__(
        self,
        status: int,
        error: WhyconvError,
        headers: Mapping[str, str] | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(str(error))
        self.status, self.error = status, error
        self.headers = dict(headers or {})
        self.extra = dict(extra or {})

    def response(self) -> Response:
        """The answer that says so."""
        content = json.dumps({"error": told(self.error), **self.extra}, ensure_ascii=False)
        return Response(content, self.status, self.headers, "application/json")


class ClientGoneError(Exception):
    """The caller has closed the connection: there is nobody to answer."""


def told(error: Exception) -> dict[str, Any]:
    """An error as JSON: the command line's exit code, the error's class, and what it says."""
    code = error.exit_code if isinstance(error, WhyconvError) else 1
    return {"code": code, "kind": type(error).__name__, "message": str(error)}


def refused(status: int, message: str, **headers: str) -> Refusal:
    """Wrong use: of the address, a parameter, a header, a limit."""
    return Refusal(status, UsageError(message), {name.replace("_", "-"): value for name, value in headers.items()})


def missing(message: str) -> Refusal:
    """What is asked for is not there."""
    return Refusal(404, UsageError(message))


def unreadable(message: str) -> Refusal:
    """The only picture of a request cannot be read."""
    return Refusal(422, PictureError(message))


def busy(message: str, status: int = 503) -> Refusal:
    """There is too much to do; the caller may come again."""
    return Refusal(status, WhyconvError(message), {"Retry-After": str(RETRY_SECONDS)})
