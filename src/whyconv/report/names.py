"""Names from outside, made safe to look at.

Escaping for HTML is left to the template; what is done here is what escaping cannot do: a file name may
hold line ends, NUL, terminal codes, or marks that turn the reading direction of all that follows.
"""

from __future__ import annotations

import unicodedata

MAX_NAME_LENGTH = 80
_JOINERS = "\u200c\u200d"
_WIDE = 1.8


def shown(name: str, limit: int = MAX_NAME_LENGTH) -> str:
    """Returns ``name`` with invisible characters spelled out and the middle cut out where it is long.

    Control characters, marks of direction, zero-width characters and lone surrogates become their
    number, as in ``\u27e8202E\u27e9``; joiners stay, as emoji and Indic scripts need them.

    Args:
        name: Any text.
        limit: Greatest number of characters kept; beginning and end stay, so that the extension is seen.
    """
    if len(name) > limit:
        tail = limit // 2 - 1
        name = f"{name[: limit - tail - 1]}…{name[-tail:]}"
    return "".join(_spelled(character) for character in name)


def shown_value(value: object, limit: int = MAX_NAME_LENGTH) -> object:
    """Returns text as ``shown`` gives it, each text of a list too, and anything else as it is."""
    if isinstance(value, str):
        return shown(value, limit)
    if isinstance(value, list | tuple):
        return ", ".join(str(shown_value(item, limit)) for item in value)
    return value


def text_width(text: str, size: float) -> float:
    """Returns about how wide ``text`` is in pixels at a font size: a Hangul letter counts 1.8 Latin ones."""
    units = sum(_WIDE if unicodedata.east_asian_width(character) in "WF" else 1.0 for character in text)
    return units * size * 0.56


def _spelled(character: str) -> str:
    hidden = unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp") and character not in _JOINERS
    return f"⟨{ord(character):04X}⟩" if hidden else character
