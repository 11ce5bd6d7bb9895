"""How many pictures are in work and how many bytes are held, and who is turned away."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from whyconv.web.refusals import Refusal, busy

_MOST_ANSWER_BYTES = 260_000_000


class Room:
    """What all callers together may take.

    Args:
        size: Pictures that may be in work at once.
        most_bytes: Of bodies that are being received or answered.
        most_answer_bytes: Of large answers that callers have not read to the end.

    Attributes:
        taken: Pictures in work.
        held: Bytes of bodies.
        unread: Bytes of answers.
        is_closing: Whether the server is being stopped.
    """

    def __init__(self, size: int, most_bytes: int, most_answer_bytes: int = _MOST_ANSWER_BYTES) -> None:
        self.size, self.most_bytes, self.most_answer_bytes = size, most_bytes, most_answer_bytes
        self.taken = self.held = self.unread = 0
        self.is_closing = False
        self._by_caller: Counter[str] = Counter()

    @property
    def is_full(self) -> bool:
        """Whether the next picture is turned away."""
        return self.taken >= self.size

    def require(self, caller: str) -> None:
        """Turns a request away before its body is read, where there is no room.

        Raises:
            Refusal: 503 where there is no room, 429 where this caller takes more than half of it.
        """
        if self.is_full:
            raise self.refusal(caller)

    @contextmanager
    def place(self, caller: str, size: int = 1) -> Iterator[None]:
        """Holds room for ``size`` pictures while the block runs; the first request to come always has it.

        Raises:
            Refusal: As for ``require``.
        """
        if self.taken and self.taken + size > self.size:
            raise self.refusal(caller)
        self._move(caller, size)
        try:
            yield
        finally:
            self._move(caller, -size)

    def hold(self, num_bytes: int) -> None:
        """Counts bytes of a body; negative where they are let go.

        Raises:
            Refusal: 503; that would be too many.
        """
        if num_bytes > 0 and self.held + num_bytes > self.most_bytes:
            raise busy(f"{self.held:,} bytes of other requests are held. Come again in a moment.")
        self.held += num_bytes

    def hold_answer(self, num_bytes: int) -> None:
        """Counts bytes of a large answer; negative where it was read. Apart from bodies, which still come in.

        Raises:
            Refusal: 503; that would be too many.
        """
        if num_bytes > 0 and self.unread + num_bytes > self.most_answer_bytes:
            raise busy(f"{self.unread:,} bytes of other answers wait to be read. Come again in a moment.")
        self.unread += num_bytes

    def takes_most(self, caller: str) -> bool:
        """Whether more than half of the room is this caller's."""
        return 2 * self._by_caller[caller] > self.size

    def refusal(self, caller: str) -> Refusal:
        """What the caller is told when there is no room."""
        if self.takes_most(caller):
            return busy(f"You have {self._by_caller[caller]} pictures in work. Wait for their answers.", 429)
        return busy(f"{self.taken} pictures are in work, and at most {self.size} at once. Come again in a moment.")

    def _move(self, caller: str, number: int) -> None:
        self.taken += number
        self._by_caller[caller] += number
        if not self._by_caller[caller]:
            del self._by_caller[caller]
