"""What answers promise besides their accuracy, and whether they keep it."""

from __future__ import annotations

from whyconv.results.record import Estimate, Record


class DebiasedError(Record):
    """Expected calibration error of the first answers, less what chance alone would show.

    Attributes:
        value: In [-1, 1]; near 0 is well calibrated, higher is worse.
        low: A perfectly calibrated recognizer with the same probabilities lies from here ...
        high: ... to here, 95 times in 100.
        bias: What was subtracted: the mean error of such a recognizer.
        n: Pictures.
        num_bins: Bins of equally many pictures.
    """

    value: float
    low: float
    high: float
    bias: float
    n: int
    num_bins: int

    @property
    def is_inside(self) -> bool:
        """Whether the value is no higher than chance alone would make it."""
        return self.value <= self.high


class SetScore(Record):
    """How often sets of labels hold the truth.

    Attributes:
        level: What was asked for, in (0, 1).
        coverage: Fraction of sets that hold it.
        bare_coverage: The same where the first answer is not put into each set: what ``low`` and ``high`` are about.
        low: By chance alone the bare coverage lies from here ...
        high: ... to here, 95 times in 100.
        mean_size: Labels in a set; at least 1.
        n_fit: Validation pictures that the sets are made by.
    """

    level: float
    coverage: Estimate
    bare_coverage: Estimate
    low: float
    high: float
    mean_size: float
    n_fit: int


class Acceptance(Record):
    """How the answers that are not called unsure fare.

    Attributes:
        accepted: Fraction of pictures that are not unsure.
        low: By chance alone this fraction lies from here ...
        high: ... to here, 95 times in 100.
        accuracy_accepted: Fraction of these answered rightly; None where there are none.
        accuracy_unsure: The same of the others.
        n_fit: Validation pictures that the threshold follows from.
    """

    accepted: Estimate
    low: float
    high: float
    accuracy_accepted: Estimate | None
    accuracy_unsure: Estimate | None
    n_fit: int
