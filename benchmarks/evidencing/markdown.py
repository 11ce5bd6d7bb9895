"""Cells and tables in Markdown, with the names that the page of evidence gives to what was trained."""

from __future__ import annotations

from collections.abc import Sequence

from whyconv.results import ArmName, Estimate, Place

SHOWN = {"still": "as they are", "moved": "moved", "shared_global": "shared-global"}
_ARMS: dict[ArmName, str] = {
    "plain": "",
    "shifts": ", trained on shifts",
    "averaged": ", answers averaged over shifts too",
    "places": ", no mean over places",
    "normalized": ", batch normalization",
}


def table(title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table under its title; "" without rows."""
    if not rows:
        return ""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join([title, "", *(f"| {' | '.join(cells)} |" for cells in lines)])


def join(*parts: str) -> str:
    """Paragraphs, those that are empty left out."""
    return "\n\n".join(part for part in parts if part)


def way(place: Place, arm: ArmName = "plain") -> str:
    """``moved, trained on shifts``: which pictures, and what else was done."""
    return SHOWN[place] + _ARMS[arm]


def name(word: str) -> str:
    """Of a corner or a place, as people write it."""
    return SHOWN.get(word, word)


def percent(one: Estimate) -> str:
    """``84.1 (80.3-87.9)``; ``88.0 (3 alike)`` where repetitions did not differ, which is no interval."""
    if one.has_no_width:
        return f"{100 * one.value:.1f} ({one.n} alike)"
    return f"{100 * one.value:.1f} ({100 * one.low:.1f}-{100 * one.high:.1f})"


def points(one: Estimate) -> str:
    """``+3.1 (+1.2 to +5.0)``; as in ``percent`` where repetitions did not differ."""
    if one.has_no_width:
        return f"{100 * one.value:+.1f} ({one.n} alike)"
    return f"{100 * one.value:+.1f} ({100 * one.low:+.1f} to {100 * one.high:+.1f})"


def number(one: Estimate) -> str:
    """``0.84 (0.80-0.88)``."""
    return f"{one.value:.2f} ({one.low:.2f}-{one.high:.2f})"
