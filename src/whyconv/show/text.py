"""Text that is safe and fits a terminal: names spelled out, columns aligned, lines wrapped at 80."""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterable, Sequence

from rich.cells import cell_len

from whyconv.results import Estimate, Note
from whyconv.texts import say

WIDTH = 80
PART_NAMES = ("train", "validation", "test")
_JOINERS = "\u200c\u200d"  # of Persian and of emoji: harmless, and names look broken without them


def printable(text: str) -> str:
    r"""Returns ``text`` with everything that could steer a terminal spelled out, such as ``\x1b``.

    Control characters, separators of lines, marks that turn the direction of writing, and bytes of a file
    name that are no UTF-8.
    """
    if text.isprintable():
        return text
    return "".join(_spell(letter) if _steers(letter) else letter for letter in text)


def printable_json(text: str, *, only_ascii: bool = False) -> str:
    r"""Returns JSON that says the same, with everything that could steer a terminal as ``\u001b``.

    Args:
        text: JSON.
        only_ascii: For a stream that may not have other letters: these are spelled out as well.
    """
    if text.isprintable() and (text.isascii() or not only_ascii):
        return text
    spelled = [letter != "\n" and (_steers(letter) or (only_ascii and not letter.isascii())) for letter in text]
    return "".join(json.dumps(letter)[1:-1] if is_one else letter for letter, is_one in zip(text, spelled, strict=True))


def note_lines(note: Note, language: str) -> list[str]:
    """Returns a note as wrapped lines, warnings with a ``!`` in front."""
    return wrap(sentence(note, language), "! " if note.level == "warning" else "  ")


def sentence(note: Note, language: str) -> str:
    """Returns what a note says, on one line."""
    values = {name: _printable_value(value, language) for name, value in note.values.items()}
    if note.values.get("part") in PART_NAMES:
        values["part"] = say(f"part_{note.values['part']}", language)
    return say(note.key, language, **values)


def interval(estimate: Estimate) -> str:
    """Returns ``84.1 % (79.9-88.0)``: a fraction and its 95 % interval in percent."""
    return f"{100 * estimate.value:.1f} % ({100 * estimate.low:.1f}-{100 * estimate.high:.1f})"


def table(rows: Iterable[Sequence[str]]) -> list[str]:
    """Returns rows with their columns aligned by width on the screen, where Hangul counts double."""
    rows = list(rows)
    widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
    return [
        "  "
        + "  ".join(cell + " " * (width - cell_len(cell)) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def facts(rows: Iterable[tuple[str, str]]) -> list[str]:
    """Returns a name and a value a line, the values in one column; a long value goes on below itself."""
    rows = list(rows)
    names = table([(name, "") for name, _ in rows])
    width = max(map(cell_len, names), default=0) + 2
    lines = []
    for name, (_, value) in zip(names, rows, strict=True):
        first, *more = wrap(value, " " * width) or [""]
        lines += [(name + first[cell_len(name) :]).rstrip(), *more]
    return lines


def listed(head: str, names: Sequence[str]) -> list[str]:
    """Returns names behind a head with commas between, in lines of at most 80 columns; none is cut at its blanks."""
    lines = [f"  {head}".rstrip()]
    for name in [*(f"{each}," for each in names[:-1]), *names[-1:]]:
        gap = " " * (2 if not lines[-1] else 1)
        if cell_len(lines[-1] + gap + name) > WIDTH:
            lines.append("   ")
            gap = " "
        lines[-1] += gap + name
    return lines


def wrap(text: str, indent: str) -> list[str]:
    """Returns ``text`` in lines of at most 80 columns; long names and commands are never cut."""
    lines, line = [], ""
    for gap, word in re.findall(r"( *)([^ ]+)", re.sub(r"\s", " ", text)):
        longer = line + gap + word if line else word
        if line and cell_len(indent + longer) > WIDTH:
            lines.append(line)
            longer = word
        line = longer
    lines += [line] if line else []
    return [(indent if place == 0 else " " * len(indent)) + one for place, one in enumerate(lines)]


def _printable_value(value: object, language: str) -> object:
    if isinstance(value, Note):
        return sentence(value, language)
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, list | tuple):
        return ", ".join(printable(str(one)) for one in value)
    return value


def _steers(letter: str) -> bool:
    return unicodedata.category(letter) in ("Cc", "Cf", "Cs", "Zl", "Zp") and letter not in _JOINERS


def _spell(letter: str) -> str:
    code = ord(letter)
    if 0xDC80 <= code <= 0xDCFF:  # a byte of a file name that is no UTF-8
        return f"\\x{code - 0xDC00:02x}"
    return letter.encode("unicode_escape", "surrogatepass").decode("ascii")
