"""Every sentence of results, notes, report and page, in English and Korean.

The sentences themselves lie in ``sentences/*.toml``, tables a translator can read without reading code.
Besides Python's own format specifications, fields know four more::

    {share:percent}          0.841 -> "84.1 %"
    picture{n:plural}        "s" unless n is 1;  cop{n:plural:y|ies} for other endings
    {num_bytes:size}         115_008 -> "115.0 kB"
    {seconds:brief}          0.1234 -> "0.12", 118.6 -> "119"
"""

from __future__ import annotations

import os
import re
import shlex
import string
import tomllib
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Literal, SupportsFloat, get_args

from whyconv.errors import UsageError

Language = Literal["en", "ko"]


def say(key: str, language: str = "en", **values: object) -> str:
    """Returns the sentence ``key`` in ``language`` with its fields filled in.

    Args:
        key: Name of the sentence, as in ``Note.key``.
        language: "en" or "ko".
        **values: One for each field of the sentence; more are allowed and ignored.

    Raises:
        KeyError: There is no such sentence, or a field of it has no value: a mistake in the program.
    """
    return _FORMATTER.vformat(_sentence(key)[language], (), values)


def size(num_bytes: int) -> str:
    """Returns ``15.3 GB``: a number of bytes in the decimal unit that leaves one to three digits before the point."""
    amount, unit = float(num_bytes), "B"
    for larger in ("kB", "MB", "GB", "TB", "PB", "EB"):
        if amount < 999.95:
            break
        amount, unit = amount / 1000, larger
    if amount >= 1e6:  # there is no unit for more
        return f"{amount:.2e} {unit}"
    return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"


def as_typed(*words: object) -> str:
    """Returns words of a command as they are typed into a shell, such as ``'my runs/pets-1'`` in quotes.

    A word alone is a place: one that begins with a dash gets ``./`` before it, or it would be taken for an option.
    """
    if len(words) == 1 and str(words[0]).startswith("-"):
        words = (f"./{words[0]}",)
    return shlex.join(map(str, words))


def clock(seconds: float) -> str:
    """Returns ``2:31``, or ``1:02:31`` from an hour on."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def language(option: str | None, environment: Mapping[str, str] | None = None) -> Language:
    """Returns the language to speak: what was asked for, else that of the locale, else English.

    Args:
        option: The value of ``--lang``, or None.
        environment: Where ``LC_ALL``, ``LC_MESSAGES`` and ``LANG`` are looked up; the process' own by default.

    Raises:
        UsageError: ``option`` is a language that whyconv does not speak.
    """
    if option is not None and option not in get_args(Language):
        raise UsageError(f"There are no texts in '{option}'. Expected --lang en or --lang ko.")
    environment = os.environ if environment is None else environment
    locales = (environment.get(name) for name in ("LC_ALL", "LC_MESSAGES", "LANG"))
    spoken = option or next(filter(None, locales), "en")
    return "ko" if re.match(r"ko([._@-]|$)", spoken, re.IGNORECASE) else "en"


@cache
def sentences() -> Mapping[str, Mapping[str, str]]:
    """Returns all sentences: key -> {"en": ..., "ko": ...}."""
    return {key: sentence for path in _files() for key, sentence in _read(path).items()}


def _sentence(key: str) -> Mapping[str, str]:
    """One sentence; of the files only that one is parsed: all of them take as long as answering a picture."""
    for path in _files():
        if f"[{key}]" in _text(path) and key in (found := _read(path)):
            return found[key]
    raise KeyError(key)


@cache
def _files() -> list[Path]:
    return sorted(Path(__file__).with_name("sentences").glob("*.toml"))


@cache
def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


@cache
def _read(path: Path) -> Mapping[str, Mapping[str, str]]:
    return tomllib.loads(_text(path))


def fields(sentence: str) -> set[str]:
    """Returns the names of the fields of one sentence."""
    return {name for _, name, _, _ in _FORMATTER.parse(sentence) if name}


class _Formatter(string.Formatter):
    """``str.format`` with the specifications ``percent``, ``size``, ``brief`` and ``plural``."""

    def format_field(self, value: object, format_spec: str) -> str:
        if format_spec == "percent" and isinstance(value, SupportsFloat):
            return f"{round(100 * float(value), 1) + 0.0:.1f} %"  # no -0.0
        if format_spec == "size" and isinstance(value, int):
            return size(value)
        if format_spec == "brief" and isinstance(value, SupportsFloat):
            number = float(value)
            return f"{number:.2g}" if number < 10 else f"{number:,.0f}"
        if format_spec.startswith("plural"):
            one, many = format_spec.partition(":")[2].split("|") if ":" in format_spec else ("", "s")
            return one if value == 1 else many
        return str(super().format_field(value, format_spec))


_FORMATTER = _Formatter()
