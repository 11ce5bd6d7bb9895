"""The dense network in three matchings: what each has, and how the convolution does beside it."""

from __future__ import annotations

from whyconv.results.corners import Match, Place
from whyconv.results.record import Estimate, Record


class MatchedSize(Record):
    """The whole of a dense network with as much of something as the convolution; exact.

    Attributes:
        match: What it has as much of.
        units: Hidden units.
        parameters: Weights and biases.
        multiply_adds: For one picture.
    """

    match: Match
    units: int
    parameters: int
    multiply_adds: int


class MatchedGain(Record):
    """Convolution - dense in test accuracy, paired by draw, with a dense network of one matching.

    Attributes:
        match: What the dense network has as much of.
        place: Whether the pictures stood still or were moved.
        n_train: Pictures to learn from.
        gain: A fraction; negative where the convolution loses.
    """

    match: Match
    place: Place
    n_train: int
    gain: Estimate


class Matched(Record):
    """The dense network in three matchings, beside the convolution.

    Attributes:
        convolution: Hidden units, parameters and multiply-adds of the convolution, as ``MatchedSize`` has them.
        sizes: Of the dense networks.
        gains: At every size, pictures as they are and moved.
    """

    convolution: MatchedSize
    sizes: list[MatchedSize]
    gains: list[MatchedGain]

    def gain(self, match: Match, place: Place, n_train: int) -> Estimate:
        """What the convolution gains on the dense network of one matching.

        Raises:
            KeyError: Nothing of the kind was trained.
        """
        for one in self.gains:
            if (one.match, one.place, one.n_train) == (match, place, n_train):
                return one.gain
        raise KeyError((match, place, n_train))
