"""What a section is made of: blocks of figures, tables and sentences, each drawn by the page alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from whyconv.report.curves import Figure, Say
from whyconv.report.page import speaker

_LONGEST = 1000


@dataclass(frozen=True)
class Table:
    """Rows of text.

    Attributes:
        head: Of the columns.
        rows: As many cells each; the first names the row.
        title: Above it; may be empty.
        note: Below it; may be empty.
    """

    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    title: str = ""
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Block:
    """A part of a section.

    Attributes:
        title: What it asks.
        tag: Whether its numbers are counted, measured, or both; then it says so itself.
        about: Sentences above figures and tables.
        figures: Side by side where there is room.
        size: "why" for wide figures, "small" for narrow ones.
        tables: One below the other.
        notes: Sentences below.
    """

    title: str
    tag: Literal["", "exact", "estimated"] = "estimated"
    about: Sequence[str] = ()
    figures: Sequence[Figure] = ()
    size: Literal["why", "small"] = "why"
    tables: Sequence[Table] = ()
    notes: Sequence[str] = ()


def teller(language: str) -> Say:
    """Returns ``texts.say`` in one language, for sentences that hold others: long texts are kept."""
    return speaker(language, _LONGEST)
