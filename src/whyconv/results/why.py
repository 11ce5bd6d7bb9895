"""Why convolutions, for a run: what was asked, and everything that was measured."""

from __future__ import annotations

from pydantic import Field

from whyconv.results.certificate import Certificate
from whyconv.results.detectors import Detectors
from whyconv.results.equivariance import Equivariance
from whyconv.results.hyperparameters import Hyperparameters
from whyconv.results.price import PriceOfSharing
from whyconv.results.record import Record
from whyconv.results.square import Square
from whyconv.results.surgery import Surgery
from whyconv.results.translation import ShiftKind, Translation
from whyconv.results.unit_fields import UnitFields


class Question(Record):
    """What was asked; the same question about the same pictures has the same answer.

    Attributes:
        side: Of the pictures of the square, in pixels.
        minutes: For all of it; None for the short form.
        seed: Of everything random.
    """

    side: int
    minutes: float | None
    seed: int


class NotMeasured(Record):
    """Something that could not be measured, and why.

    Attributes:
        what: A kind of shift.
        reason: Key of a sentence.
    """

    what: ShiftKind
    reason: str


class Why(Record):
    """What ``whyconv why --json`` prints and ``why.json`` holds.

    Attributes:
        run: The run folder.
        digest: Of the pictures and their division.
        version: Of whyconv.
        question: What was asked.
        square: The control square and its learning curves: of the pictures, on networks of its own.
        left_out: Parts of the protocol that the minutes did not allow.
        translation: How far the answers of the run's own network hold when its test pictures are moved.
        not_measured: Kinds of shifts that are missing there.
        certificate: Of a run that was trained to be invariant: that circular moves change no answer, as tried then.
        fields: What the middle unit of a few of its layers sees of a picture.
        equivariance: Which of its layers, and which cause, keeps maps from moving along with the picture.
        surgery: The same weights with one repair at a time.
        price: What each of its convolutions would gain without sharing.
        detectors: Where its filters answer, and where they are missed.
        hyperparameters: What filter size, stride, padding, number of filters and pooling do on these pictures.
        failed: Of these, what was not measured, and why.
        not_available: Of these, what cannot be asked of such a run, each with the key of the sentence that says why.
        seconds: Time taken.
    """

    run: str
    digest: str
    version: str
    question: Question
    square: Square
    left_out: list[str] = Field(default_factory=list)
    translation: list[Translation] = Field(default_factory=list)
    not_measured: list[NotMeasured] = Field(default_factory=list)
    certificate: Certificate | None = None
    fields: UnitFields | None = None
    equivariance: Equivariance | None = None
    surgery: Surgery | None = None
    price: PriceOfSharing | None = None
    detectors: Detectors | None = None
    hyperparameters: Hyperparameters | None = None
    failed: dict[str, str] = Field(default_factory=dict)
    not_available: dict[str, str] = Field(default_factory=dict)
    seconds: float

    def __repr__(self) -> str:
        rows = [f"why convolutions: {self.run}", repr(self.square)]
        rows += [
            f"moved ({one.protocol.kind}, {len(one.protocol.shifts)} shifts, {one.protocol.n} pictures): "
            f"consistency {one.consistency}, kappa {one.kappa.value:.2f}"
            for one in self.translation
        ]
        return "\n".join(rows)
