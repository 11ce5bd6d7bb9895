"""The atlas: on each set of pictures, points gained by locality and points gained by sharing."""

from __future__ import annotations

from pydantic import Field

from whyconv.results.corners import LEARNED, PLACES, Corner, Place
from whyconv.results.numbers import points_with_ends
from whyconv.results.record import Estimate, Record
from whyconv.results.square import SquareProtocol

_FEW_RATES = 5


class EvenSplit(Record):
    """The convolution's gain over the dense layer, split into two parts that add up to it; fractions, paired by draw.

    Attributes:
        place: Whether the pictures stood still or were moved around the ring.
        gain: Convolution - dense.
        locality: Mean of local - dense and convolution - shared-global: of locality in both orders.
        sharing: Mean of shared-global - dense and convolution - local: of sharing in both orders.
    """

    place: Place
    gain: Estimate
    locality: Estimate
    sharing: Estimate


class AtlasScore(Record):
    """Test accuracy of one corner at the largest training size, and its accuracy on what it learned from."""

    place: Place
    corner: Corner
    accuracy: Estimate
    train_accuracy: Estimate


class AtlasSet(Record):
    """What one set of pictures shows.

    Attributes:
        name: What it is called.
        where: The place it was read from.
        digest: Of the pictures and their division.
        num_train: Training pictures that there are.
        num_test: Test pictures that accuracies are over.
        num_classes: Of the labels.
        largest_class_fraction: Of the test pictures: chance, what always answering the largest class would score.
        protocol: What was trained with what.
        learning_rates: Tried for every corner alike, those beyond the protocol's ends included; empty in records from
            before they were kept.
        scores: Of the four corners, pictures as they are and moved.
        splits: The gain, pictures as they are and moved.
        seconds: Time taken, pieces before a stop included.
    """

    name: str
    where: str
    digest: str
    num_train: int
    num_test: int
    num_classes: int
    largest_class_fraction: float
    protocol: SquareProtocol
    learning_rates: list[float] = Field(default_factory=list)
    scores: list[AtlasScore]
    splits: list[EvenSplit]
    seconds: float

    @property
    def n_train(self) -> int:
        """Pictures that each network learns from, those that choose settings included."""
        return self.protocol.sizes[-1]

    @property
    def num_settings(self) -> int:
        """Pairs of a learning rate and a weight decay that every corner was tuned over."""
        return len(self.learning_rates or self.protocol.learning_rates) * len(self.protocol.decays)

    @property
    def is_coarse(self) -> bool:
        """Whether fewer than five learning rates were tried: all that the minutes allowed."""
        return len(self.protocol.learning_rates) < _FEW_RATES

    @property
    def has_learned(self) -> bool:
        """Whether every corner knows its own pictures: otherwise more steps might do better."""
        return all(one.train_accuracy.value >= LEARNED for one in self.scores)

    def split(self, place: Place) -> EvenSplit:
        """The split of one place."""
        return next(one for one in self.splits if one.place == place)

    def accuracy(self, corner: Corner, place: Place) -> Estimate:
        """Test accuracy of one corner."""
        return next(one.accuracy for one in self.scores if (one.corner, one.place) == (corner, place))


class SkippedSet(Record):
    """A set that could not be measured, and why."""

    name: str
    where: str
    reason: str


class Atlas(Record):
    """What ``whyconv atlas --json`` prints and ``atlas.json`` holds.

    Attributes:
        version: Of whyconv.
        seed: Of everything random.
        minutes: For each set.
        sets: In the order they were asked for.
        skipped: Sets that could not be measured.
    """

    version: str
    seed: int
    minutes: float
    sets: list[AtlasSet]
    skipped: list[SkippedSet] = Field(default_factory=list)

    def __repr__(self) -> str:
        rows = ["atlas: points gained by locality and by sharing, 95 % t intervals over draws"]
        for one in self.sets:
            for place in PLACES:
                found = one.split(place)
                parts = {"locality": found.locality, "sharing": found.sharing, "gain": found.gain}
                told = ", ".join(f"{name} {points_with_ends(points)}" for name, points in parts.items())
                rows.append(f"{one.name} ({place}): {told}")
        return "\n".join([*rows, *(f"{one.name}: skipped, {one.reason}" for one in self.skipped)])

    __str__ = __repr__


def protocol_differences(own: AtlasSet, other: AtlasSet) -> dict[str, tuple[int, int]]:
    """What two sets were measured by differently: "side", "steps" or "settings" -> what ``own`` and ``other`` had.

    Numbers of pictures differ in any case and are not among them.
    """
    found = {
        "side": (own.protocol.side, other.protocol.side),
        "steps": (own.protocol.most_steps, other.protocol.most_steps),
        "settings": (own.num_settings, other.num_settings),
    }
    return {name: values for name, values in found.items() if values[0] != values[1]}
