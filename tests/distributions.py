"""What installed distributions ask for."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.metadata import distribution

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name


def needed(requirements: Iterable[str], extra: str) -> set[str]:
    """Returns the names of the distributions that ``requirements`` bring, those of their own included."""
    found: set[str] = set()
    waiting = [(requirement, extra) for requirement in requirements]
    while waiting:
        text, of_extra = waiting.pop()
        requirement = Requirement(text)
        name = canonicalize_name(requirement.name)
        if name in found or (requirement.marker and not requirement.marker.evaluate({"extra": of_extra})):
            continue
        found.add(name)
        for inner in distribution(name).requires or ():
            waiting += [(inner, one) for one in (requirement.extras or {""})]
    return found
