"""What sets of pictures are called, and where they lie."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from whyconv.errors import UsageError
from whyconv.images.sources.archive_endings import stem_of


class NamedPlace(NamedTuple):
    """A set of pictures as it was asked for; ``side`` in pixels, None where it was left open."""

    name: str
    where: str
    side: int | None = None


class Reading(NamedTuple):
    """How the pictures of all sets lie, as ``whyconv train`` takes it."""

    layout: str = "auto"
    label_from: str | None = None
    group_by: str | None = None


RECOGNIZED = Reading()


def name_places(sets: Sequence[str]) -> list[NamedPlace]:
    """Takes NAME=PLACE@SIDE apart; a place without a name is called by its last part, without the ending of a file.

    Raises:
        UsageError: Two sets have one name.
    """
    places = [_name_place(one) for one in sets]
    twice = [name for name, count in Counter(place.name for place in places).items() if count > 1]
    if twice:
        last = next(place for place in reversed(places) if place.name == twice[0])
        side = "" if last.side is None else f"@{last.side}"
        raise UsageError(
            f"Two sets are called {', '.join(twice)}. Expected a name for each; give one with  NAME=PLACE, such as "
            f"{twice[0]}-2={last.where}{side}"
        )
    return places


def _name_place(asked: str) -> NamedPlace:
    name, equals, where = asked.partition("=")
    if equals and name and where and "/" not in name and not Path(asked).exists():
        return NamedPlace(name, *_apart(where))
    where, side = _apart(asked)
    path = Path(where).resolve()
    return NamedPlace(path.name if path.is_dir() else stem_of(path), where, side)


def _apart(asked: str) -> tuple[str, int | None]:
    """The place, and the side that is asked for behind it; a place that is there keeps its name."""
    where, at, side = asked.rpartition("@")
    if at and where and side.isascii() and side.isdigit() and not Path(asked).exists():
        return where, int(side)
    return asked, None
