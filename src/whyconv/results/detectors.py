"""Where the detectors of a convolution fire, where they are needed, and what they answer to most."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from whyconv.results.record import Estimate, Record

# Of a map, row by row; where a side is odd the middle belongs to the lower or the right half.
Quadrant = Literal["upper_left", "upper_right", "lower_left", "lower_right"]
QUADRANTS: tuple[Quadrant, ...] = ("upper_left", "upper_right", "lower_left", "lower_right")


class DetectorProtocol(Record):
    """What is asked about the detectors.

    Attributes:
        most_scored: Test pictures that are used at most, evenly chosen.
        most_detectors: Of each layer; the strongest are taken.
        num_patches: Kept of each detector, at most one of a picture.
        num_draws: Of pictures, for the intervals of the spread.
        seed: Of these draws.
    """

    most_scored: int = Field(default=500, ge=2)
    most_detectors: int = Field(default=16, ge=1)
    num_patches: int = Field(default=9, ge=1)
    num_draws: int = Field(default=1000, ge=100)
    seed: int = 0


class Patch(Record):
    """A piece of a picture that a detector answers to.

    Attributes:
        picture: Row of the test part.
        place: Of the layer's map (row, column).
        box: The place's receptive field (top, left, high, wide) in pixels, cut at the picture's borders.
        answer: Of the detector there.
    """

    picture: int
    place: tuple[int, int]
    box: tuple[int, int, int, int]
    answer: float


class Detector(Record):
    """One filter of a convolution, after its activation.

    Attributes:
        channel: Its number in the layer, from 0.
        mean_answer: Mean of |answer| over places and pictures.
        spread: Entropy of the mean map over places, as a fraction of its greatest value, the logarithm of the number of
            places: 1 where it fires alike everywhere, 0 where it fires at one place only. None where it never fires.
        map: Mean of |answer| over pictures at each place (high, wide).
        lost: Accuracy lost when it is silenced in a quadrant of its map, in the order of ``QUADRANTS``, paired over
            pictures; negative where silence helps.
        lost_everywhere: When it is silenced at all places.
        loss_rises: Rise of the mean cross-entropy in nats in the same order, paired over pictures: it shows what
            accuracy is too coarse for.
        loss_rise_everywhere: When it is silenced at all places.
        patches: Those it answers to most, strongest first.
    """

    channel: int
    mean_answer: float
    spread: Estimate | None
    map: list[list[float]]
    lost: tuple[Estimate, Estimate, Estimate, Estimate]
    lost_everywhere: Estimate
    loss_rises: tuple[Estimate, Estimate, Estimate, Estimate]
    loss_rise_everywhere: Estimate
    patches: list[Patch]

    @property
    def num_needed_quadrants(self) -> int:
        """In how many quadrants silence costs accuracy, by intervals that leave out 0."""
        return sum(one.low > 0 for one in self.lost)

    @property
    def num_useful_quadrants(self) -> int:
        """In how many quadrants silence raises the cross-entropy, by intervals that leave out 0."""
        return sum(one.low > 0 for one in self.loss_rises)


class LayerDetectors(Record):
    """The detectors of one convolution.

    Attributes:
        layer: Name of the convolution.
        activation: Name of what is behind it and whose answers are looked at: the activation, a module or a function
            such as "gelu", where there is one; else the last normalization behind the convolution, or itself.
        is_activated: Whether ``activation`` is one.
        places: Of the map (high, wide).
        field: Receptive field of a place (high, wide) in pixels, not cut; None where places have no one size, and
            patches are whole pictures.
        num_detectors: That the layer has.
        detectors: Those looked at, strongest first; all of them, or the strongest by their mean answer.
    """

    layer: str
    activation: str
    is_activated: bool
    places: tuple[int, int]
    field: tuple[int, int] | None
    num_detectors: int
    detectors: list[Detector]

    def needed(self) -> dict[str, int]:
        """How many detectors cost accuracy when silenced everywhere; in all four quadrants, in some, in none."""
        everywhere = sum(one.lost_everywhere.low > 0 for one in self.detectors)
        return _counts([one.num_needed_quadrants for one in self.detectors]) | {"everywhere": everywhere}

    def useful(self) -> dict[str, int]:
        """The same of the cross-entropy."""
        everywhere = sum(one.loss_rise_everywhere.low > 0 for one in self.detectors)
        return _counts([one.num_useful_quadrants for one in self.detectors]) | {"everywhere": everywhere}


class Detectors(Record):
    """Whether detectors are useful all over the picture, on a trained network and its test pictures.

    Attributes:
        protocol: What was asked.
        n: Test pictures.
        accuracy: On them, with nothing silenced.
        layers: From low to high.
        left_out: Layers that were asked for and could not be looked at, with the reason.
        seconds: Time taken.
    """

    protocol: DetectorProtocol
    n: int
    accuracy: Estimate
    layers: list[LayerDetectors]
    left_out: dict[str, str] = Field(default_factory=dict)
    seconds: float


def _counts(quadrants: list[int]) -> dict[str, int]:
    some = sum(0 < count < len(QUADRANTS) for count in quadrants)
    return {"all": quadrants.count(len(QUADRANTS)), "some": some, "none": quadrants.count(0)}
