"""Who keeps what was found, part by part, so that it need not be found twice."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeVar

from whyconv.results.record import Record

Part = TypeVar("Part", bound=Record)


class Keep(Protocol):
    """Gives the answer to a question, from before where it was answered before."""

    def __call__(self, name: str, kind: type[Part], question: Callable[[], Part]) -> Part:
        """Returns the answer.

        Args:
            name: Of the question.
            kind: Of the answer.
            question: Answers; what it raises is raised, and nothing is kept then.
        """


def anew(name: str, kind: type[Part], question: Callable[[], Part]) -> Part:
    """Keeps nothing: every question is asked."""
    return question()
