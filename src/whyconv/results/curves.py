"""What learning curves say: pictures needed, how errors fall, how far training and test accuracy part."""

from __future__ import annotations

from whyconv.results.corners import ArmName, Corner, Place
from whyconv.results.record import Estimate, Record


class Crossing(Record):
    """A number of pictures, or of times as many, that may lie outside of what was measured.

    Attributes:
        value: As far as it can be told; None where it is only known to be beyond ``above`` or below ``below``.
        low: Lower end of its 95 % interval; None: as little as can be.
        high: Upper end; None: without end.
        above: Where it was not reached: more than this.
        below: Where the smallest set reached it already: at most this.
        n: Draws, which the interval is over.
    """

    value: float | None
    low: float | None
    high: float | None
    above: float | None = None
    below: float | None = None
    n: int


class PicturesNeeded(Record):
    """How many pictures a corner needs for a test accuracy: its learning curve, made monotone, read along log n."""

    place: Place
    arm: ArmName
    corner: Corner
    target: float
    pictures: Crossing


class DataRatio(Record):
    """How many times as many pictures ``corner`` needs as ``beside``, for the same target; paired by draw."""

    place: Place
    arm: ArmName
    corner: Corner
    beside: Corner
    target: float
    times: Crossing


class CurveExponent(Record):
    """How the error falls with pictures: error = a n^-exponent + floor, fitted to the mean curve.

    Attributes:
        place: Whether the pictures stood still or were moved.
        arm: What else was done.
        corner: Which network.
        exponent: With its interval over draws.
        floor: Error that is left with any number of pictures; 0 by assumption where there are fewer than 5 sizes.
        is_floor_fitted: Whether there were 5 sizes or more.
    """

    place: Place
    arm: ArmName
    corner: Corner
    exponent: Estimate
    floor: float
    is_floor_fitted: bool


class TrainTestGap(Record):
    """Training minus test accuracy, read at the step where all corners have the same training accuracy.

    Attributes:
        place: Whether the pictures stood still or were moved.
        corner: Which network.
        n_train: Pictures to learn from.
        train_accuracy: That all four corners reach, mean over draws.
        gap: Train - test there, mean over draws with its t interval.
    """

    place: Place
    corner: Corner
    n_train: int
    train_accuracy: float
    gap: Estimate


class GapDifference(Record):
    """How much farther training and test accuracy part for one corner than for another, paired by draw.

    Attributes:
        place: Whether the pictures stood still or were moved.
        corner: Which network.
        beside: Which it is compared with.
        n_train: Pictures to learn from.
        difference: Gap of ``corner`` - gap of ``beside``; positive where ``corner`` overfits more.
    """

    place: Place
    corner: Corner
    beside: Corner
    n_train: int
    difference: Estimate


class Memorized(Record):
    """Steps until labels drawn at random are fitted, to 99 % of the training pictures.

    Attributes:
        corner: Which network.
        n_train: Pictures to learn from.
        steps: Of each draw; None where it was not fitted in ``most_steps``.
        typical_steps: Geometric mean of those, with the t interval of their logarithms; None where some draw was not
            fitted, and in records from before it was kept.
        most_steps: That were taken.
        train_accuracy: At the end.
    """

    corner: Corner
    n_train: int
    steps: list[float | None]
    typical_steps: Estimate | None = None
    most_steps: int
    train_accuracy: Estimate
