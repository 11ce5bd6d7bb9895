"""That circular moves of the picture change no answer: shown on the graph, then tried."""

from __future__ import annotations

from whyconv.results.record import Estimate, Note, Record


class CertificateProtocol(Record):
    """How it was tried.

    Attributes:
        side: Of the pictures (high, wide), in pixels.
        num_shifts: Circular shifts that there are, none at all not counted: high x wide - 1.
        n: Pictures.
        n_every: Of these, asked about under every shift.
        n_one: Asked about under one shift, drawn anew for each.
        dtype: Of the numbers that the network was given.
        temperature: What logits are divided by.
        delta: A picture is certified where every choice of a phase is farther than this from being another one, as a
            part of the best score.
        tolerance: By which a probability of a certified picture may change.
        seed: Of which pictures, and which shift.
        seconds: Time asked for.
    """

    side: tuple[int, int]
    num_shifts: int
    n: int
    n_every: int
    n_one: int
    dtype: str
    temperature: float
    delta: float
    tolerance: float
    seed: int
    seconds: float


class Certificate(Record):
    """A network whose graph allows no change, and what was seen of its answers.

    Attributes:
        protocol: How it was tried.
        stride: Pixels from place to place of the coarsest map.
        num_choices: Phases that are picked on the way.
        n_certified: Pictures whose smallest margin is above delta.
        smallest_margin: Of any picture and choice; None where nothing is chosen.
        largest_change: Of any probability of a certified picture, under any shift tried; None where none is certified.
        num_changed: Certified pictures whose first answer a shift has changed.
        n_counted: Pictures that are too near to a tie to be certified.
        largest_change_counted: Of any probability of these; None where there are none.
        num_changed_counted: Pictures of these whose first answer a shift has changed.
        accuracy: Of the unmoved pictures; None without labels.
    """

    protocol: CertificateProtocol
    stride: int
    num_choices: int
    n_certified: int
    smallest_margin: float | None
    largest_change: float | None
    num_changed: int
    n_counted: int
    largest_change_counted: float | None
    num_changed_counted: int
    accuracy: Estimate | None

    @property
    def is_held(self) -> bool:
        """Whether no probability of a certified picture has changed by more than the tolerance."""
        return self.largest_change is None or self.largest_change <= self.protocol.tolerance

    @property
    def sentence(self) -> Note:
        """All of it in one sentence; where nothing is certified, or the promise was broken, that."""
        if not self.is_held:
            return Note(key="certificate_broken", level="warning")
        if self.largest_change is None:
            return Note(key="certificate_none")
        asked = self.protocol
        values = {"n": self.n_certified, "total": asked.n, "every": asked.n_every, "change": self.largest_change}
        return Note(key="certificate_sentence", values=values)
