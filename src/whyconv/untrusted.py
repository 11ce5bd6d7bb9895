"""JSON and TOML of files that anybody may have written: within bounds, no key twice, nothing but values.

A file that was passed on may be made to exhaust the machine that reads it, or to say one thing to one reader and
another thing to the next. What is refused here is refused before it costs time or memory.
"""

from __future__ import annotations

import json
import re
import stat
import tomllib
from collections.abc import Iterable
from itertools import zip_longest
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from whyconv.errors import nearest

# A description with 100,000 classes of 100 letters has 10 MB; records of measurements have less than 1 MB.
MOST_JSON_BYTES = 16_000_000
# Twice the classes with some to spare. The dearest kind of value, a key with its own object, takes 400 bytes.
MOST_JSON_VALUES = 250_000
# A summary has 30 values for each class, of up to 10,000 of them.
MOST_SUMMARY_VALUES = 400_000
# Records are nested 8 deep at most.
MOST_JSON_DEPTH = 32
# A plan with 100,000 classes of 20 letters has 4 MB, and Python reads about 2 MB of TOML a second.
MOST_TOML_BYTES = 4_000_000
# Plans have tables of two names. Python's reader takes time with the square of the number of names in one key.
MOST_TOML_KEY_PARTS = 16
# Of brackets in one value; Python's reader calls itself for each.
MOST_TOML_DEPTH = 32
# The history of a training has a line of 30 bytes for each step: 30 million steps; the list of its pictures one of 150
# bytes for each: 6 million pictures.
MOST_HISTORY_BYTES = 1_000_000_000

# Strings and comments of TOML, in which no other character means anything.
_TOML_QUOTED = re.compile(
    r'"""(?:[^\\]|\\.)*?"""'
    r"|'''.*?'''"
    r'|"(?:[^"\\\n]|\\.)*"'
    r"|'[^'\n]*'"
    r"|#[^\n]*",
    re.DOTALL,
)
# Letters of a value that is not as it was to be.
_SHOWN = 200
_LONG_KEY = re.compile(r"(?:[\w-]+[ \t]*\.[ \t]*){" + str(MOST_TOML_KEY_PARTS) + r"}")
_OPENING = re.compile(r"[\[{][\s,\[{]*")


def content_of(path: Path, most_bytes: int) -> bytes:
    """Returns a file's content.

    Raises:
        OSError: It cannot be read.
        ValueError: It is larger than that; nothing was read.
    """
    found = path.stat()
    num_bytes = found.st_size
    if not stat.S_ISREG(found.st_mode):
        raise ValueError("it is no file")  # but a pipe, say, that never ends
    if num_bytes > most_bytes:
        raise ValueError(f"it has {num_bytes:,} bytes, expected at most {most_bytes:,}")
    with path.open("rb") as file:
        # One byte more, in case it grows meanwhile.
        content = file.read(most_bytes + 1)
    if len(content) > most_bytes:
        raise ValueError(f"it has more than {most_bytes:,} bytes")
    return content


def json_in(path: Path) -> Any:  # noqa: ANN401 - as the file has it
    """Returns what a JSON file holds.

    Raises:
        OSError: It cannot be read.
        ValueError: It is no JSON, or out of bounds; the text says which.
    """
    return json_values(content_of(path, MOST_JSON_BYTES))


def json_values(content: bytes | str, most_values: int = MOST_JSON_VALUES) -> Any:  # noqa: ANN401 - as the text has it
    """Returns what a JSON text says.

    Args:
        content: UTF-8, or text.
        most_values: That it may hold.

    Raises:
        ValueError: It is no JSON, or out of bounds; the text says which.
    """
    text = content.decode("utf-8") if isinstance(content, bytes) else content
    if len(text) > MOST_JSON_BYTES:
        raise ValueError(f"it has {len(text):,} characters, expected at most {MOST_JSON_BYTES:,}")
    # Every value but the first stands behind a comma or an opening bracket.
    num_values = 1 + text.count(",") + text.count("[") + text.count("{")
    if num_values > most_values:
        raise ValueError(f"it has up to {num_values:,} values, expected at most {most_values:,}")
    try:
        values = json.loads(text, object_pairs_hook=_each_key_once)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    _require_flat(values)
    return values


def sound_json_in(path: Path, most_values: int = MOST_JSON_VALUES) -> bytes:
    """Returns a JSON file's text as it is, for a reader that checks what it says and not how much.

    Args:
        path: Of the file.
        most_values: That it may hold.

    Raises:
        OSError: It cannot be read.
        ValueError: It is no JSON, or out of bounds; the text says which.
    """
    content = content_of(path, MOST_JSON_BYTES)
    json_values(content, most_values)
    return content


def mistakes_in(error: ValueError) -> str:
    """What is wrong with a file, in a line, whoever found it: the readers here, or pydantic behind them."""
    return f"{error.error_count()} mistake(s)" if isinstance(error, ValidationError) else str(error)


def first_twice(names: Iterable[str]) -> str | None:
    """The first name that was there before; None where all differ."""
    met = set[str]()
    for name in names:
        if name in met:
            return name
        met.add(name)
    return None


def mistake_in(model: type[BaseModel], mistake: ErrorDetails) -> str:
    """What is wrong with a setting of ``model``, in a line: its place, its value in short, and what was expected."""
    place = ".".join(str(part) for part in mistake["loc"])
    if mistake["type"] == "extra_forbidden":
        for part in mistake["loc"][:-1]:
            annotation = model.model_fields[str(part)].annotation
            if isinstance(annotation, type) and issubclass(annotation, BaseModel):
                model = annotation
        return f"{place} is not known.{nearest(str(mistake['loc'][-1]), model.model_fields)}"
    hint, found, said = "", mistake["input"], f"{mistake['msg'][0].lower()}{mistake['msg'][1:]}"
    if mistake["type"] == "literal_error":
        hint = nearest(str(found), re.findall(r"'([^']*)'", str(mistake["ctx"]["expected"])))
    if isinstance(found, dict | BaseModel):
        return f"{place}: {said}.{hint}"
    shown = repr(found)
    return f"{place} = {shown[:_SHOWN]}{'...' * (len(shown) > _SHOWN)}: {said}.{hint}"


def toml_in(path: Path) -> dict[str, Any]:
    """Returns what a TOML file holds; TOML itself forbids a key that stands twice.

    Raises:
        OSError: It cannot be read.
        ValueError: It is no TOML, or out of bounds; the text says which.
    """
    text = content_of(path, MOST_TOML_BYTES).decode("utf-8")
    bare = _TOML_QUOTED.sub("s", text)
    if _LONG_KEY.search(bare):
        raise ValueError(f"a key in it has more than {MOST_TOML_KEY_PARTS} parts")
    if any(sum(map(each.count, "[{")) > MOST_TOML_DEPTH for each in _OPENING.findall(bare)):
        raise ValueError(f"it is nested more than {MOST_TOML_DEPTH} deep")
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _each_key_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        # A dict keeps the order in which keys came first: up to the first that comes again, both are alike.
        twice = next(key for (key, _), first in zip_longest(pairs, found) if key != first)
        raise ValueError(f"the key {twice[:80]!r} stands in it twice")
    return found


def _require_flat(values: Any) -> None:  # noqa: ANN401
    level = [values]
    for _ in range(MOST_JSON_DEPTH):
        objects = [each.values() if isinstance(each, dict) else each for each in level if isinstance(each, dict | list)]
        level = [value for each in objects for value in each]
        if not level:
            return
    raise ValueError(f"it is nested more than {MOST_JSON_DEPTH} deep")
