"""How far a network's answers hold when pictures are moved."""

from __future__ import annotations

from typing import Literal

from whyconv.results.record import Estimate, Record

ShiftKind = Literal["crop", "circular", "zero", "replicate", "fractional"]


class TranslationProtocol(Record):
    """How it was measured: without these, two numbers called consistency cannot be compared.

    Attributes:
        kind: What comes in where the picture has moved away. "crop": real pixels, from around the window that is
            looked at; "circular": what went out on the other side; "zero": the value 0 of what the network takes;
            "replicate": the pixel at the border once more; "fractional": as "circular", by parts of a pixel, through
            the picture's Fourier series.
        shifts: All that were tried (down, right), in pixels; never (0, 0), and the same ones for every picture.
        side: Of what the network looks at (high, wide), in pixels.
        n: Pictures.
        dtype: Of the numbers that the network was given.
        seed: Of the draws of pictures that make the intervals.
        num_draws: Of these.
        views: Of each picture, whose answers are averaged. "none": the answers of the network alone; "file": those of
            an exported file that holds views of its own.
    """

    kind: ShiftKind
    shifts: list[tuple[float, float]]
    side: tuple[int, int]
    n: int
    dtype: str
    seed: int
    num_draws: int
    views: Literal["none", "file"] = "none"

    @property
    def reach(self) -> float:
        """The farthest that a picture was moved along an axis, in pixels."""
        return max(max(abs(down), abs(right)) for down, right in self.shifts)


class ShiftScore(Record):
    """One shift, over all pictures.

    Attributes:
        shift: (down, right), in pixels.
        consistency: Fraction of the pictures answered as the unmoved ones.
        accuracy: Fraction answered rightly.
    """

    shift: tuple[float, float]
    consistency: float
    accuracy: float


class Translation(Record):
    """Answers to moved pictures beside those to unmoved ones.

    Intervals are over pictures: the shifts of one picture are not independent of each other.

    Attributes:
        protocol: How it was measured.
        accuracy: Of the unmoved pictures.
        shifted_accuracy: Of the moved ones, mean over shifts.
        consistency: Fraction of moved pictures answered as the unmoved one.
        pair_consistency: Fraction of pairs of two different ones among all shifts and none that are answered alike.
        worst_case: Fraction of pictures whose answer no shift changes.
        correct_and_same: Fraction of moved pictures answered rightly, whose unmoved one is answered rightly too.
        worst_case_correct: Fraction of pictures answered rightly unmoved and under every shift.
        kappa: Agreement beyond what answers of the same frequencies would have by chance, 1 at most; 0 for a network
            that always answers the same.
        probability_change: Mean absolute change of the true class' probability.
        largest_change: Largest absolute change of any class' probability.
        by_shift: Each shift's own.
    """

    protocol: TranslationProtocol
    accuracy: Estimate
    shifted_accuracy: Estimate
    consistency: Estimate
    pair_consistency: Estimate
    worst_case: Estimate
    correct_and_same: Estimate
    worst_case_correct: Estimate
    kappa: Estimate
    probability_change: Estimate
    largest_change: float
    by_shift: list[ShiftScore]
