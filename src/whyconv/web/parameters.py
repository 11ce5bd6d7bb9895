"""What stands behind the question mark of an address, checked."""

from __future__ import annotations

from collections.abc import Collection

from starlette.requests import Request

from whyconv.errors import nearest
from whyconv.web.refusals import refused

_MOST_DIGITS = 9


def whole(request: Request, name: str, default: int | None, *, least: int = 0, most: int | None = None) -> int:
    """Returns a whole number.

    Raises:
        Refusal: 422; it is missing and has no default, or is no whole number in the range.
    """
    text = request.query_params.get(name)
    if text is None and default is not None:
        return default
    if text is not None and text.isascii() and text.isdecimal() and len(text) <= _MOST_DIGITS:
        number = int(text)
        if least <= number and (most is None or number <= most):
            return number
    upper = "" if most is None else f" to {most}"
    raise refused(422, f"{name} is '{(text or '')[:40]}'. Expected a whole number from {least}{upper}.")


def wholes(request: Request, name: str, most: int) -> list[int] | None:
    """Returns whole numbers from 0 to ``most`` with commas between them; None where they are not given.

    Raises:
        Refusal: 422; there is something else.
    """
    text = request.query_params.get(name)
    if text is None:
        return None
    parts = text.split(",")
    if len(parts) <= most + 1 and all(
        part.isascii() and part.isdecimal() and len(part) <= _MOST_DIGITS for part in parts
    ):
        numbers = [int(part) for part in parts]
        if max(numbers) <= most:
            return numbers
    raise refused(422, f"{name} is '{text[:40]}'. Expected whole numbers from 0 to {most} with commas between them.")


def one_of(request: Request, name: str, options: Collection[str], default: str | None = None) -> str:
    """Returns one of some words.

    Raises:
        Refusal: 422; it is another one, or missing and has no default.
    """
    text = request.query_params.get(name, default)
    if text is None or text not in options:
        near = nearest(text or "", options)
        known = ", ".join(list(options)[:20])
        raise refused(422, f"{name} is '{(text or '')[:40]}'.{near} Expected one of: {known}.")
    return text
