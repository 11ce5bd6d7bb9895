"""The price of sharing: what one convolution would gain if its filters could differ from place to place."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from whyconv.results.record import Estimate, Record


class PriceProtocol(Record):
    """How a trained network is trained on, with one convolution untied and with all of them tied.

    Attributes:
        steps: Of Adam, in each training.
        batch: Pictures a step.
        learning_rates: Tried for both alike; the validation part chooses one for both.
        num_seeds: Trainings of each kind, each with an order of pictures of its own, the same for both.
        seed: Of the first.
        most_scored: Pictures of each part that are scored at most, evenly chosen.
        most_bytes: A layer whose training would keep more than this in memory is left out.
    """

    steps: int = Field(default=150, ge=1)
    batch: int = Field(default=64, ge=1)
    learning_rates: list[float] = Field(default=[0.0005, 0.002, 0.008], min_length=1)
    num_seeds: int = Field(default=3, ge=2)
    seed: int = 0
    most_scored: int = Field(default=2000, ge=2)
    most_bytes: int = 2 * 10**9


class CosineAtDistance(Record):
    """How alike the filters of two places are, by how far apart the places lie.

    Attributes:
        distance: Between the places, in places of the layer, rounded.
        num_pairs: Of places.
        filters: Mean cosine of the filters, over pairs and output channels; in [-1, 1].
        changes: The same of what training added to the filters: near 1 where places ask for the same.
    """

    distance: int
    num_pairs: int
    filters: float
    changes: float


class FilterDrift(Record):
    """How far apart the filters of the places are after a convolution was untied and trained on.

    Attributes:
        by_place: For each place (high, wide): |w_place - mean w| / |mean w| over the taps that meet data there, mean
            over seeds; 0 where filters are still shared.
        mean: Over places, with its interval over seeds.
        direction: For each place, how far its filter lies along the direction in which the filters of places differ
            most, from -1 to 1; of the mean over seeds.
        direction_share: Share of the filters' variance over places that lies in that direction, in [0, 1].
        cosines: By distance, ascending; mean over seeds.
    """

    by_place: list[list[float]]
    mean: Estimate
    direction: list[list[float]]
    direction_share: float
    cosines: list[CosineAtDistance]

    def words(self) -> dict[str, float]:
        """Returns what the sentence about it says, by the names of its fields; rows and columns count from 1."""
        rows = enumerate(self.by_place)
        most, row, column = max((value, row, column) for row, line in rows for column, value in enumerate(line))
        near, far = self.cosines[0], self.cosines[-1]
        places = {"row": row + 1, "column": column + 1, "most": most, "share": self.direction_share}
        return places | {"near": near.changes, "far": far.changes, "distance": far.distance}


class LayerPrice(Record):
    """One convolution, untied and trained on, beside the same network trained on with everything tied.

    Differences are untied - tied: positive accuracy or negative loss says that sharing has a price.

    Attributes:
        layer: Name of the convolution.
        kernel: High, wide.
        places: Of its output (high, wide).
        tied_parameters: Weights and biases as they are shared; exact.
        untied_parameters: Of the locally connected layer in its place; exact.
        learning_rate: That validation chose for both.
        is_rate_at_edge: Whether it was the least or the greatest of those tried.
        tied: Test accuracy after the steps with sharing, mean over seeds.
        untied: Without.
        gain: untied - tied, paired by seed.
        gain_over_pictures: The same difference, its interval over test pictures instead: each counts with the mean
            over seeds.
        gain_at_own_rates: The difference where each has the learning rate that validation chose for it alone.
        loss_change: Change of J on the training pictures, in nats, paired by seed.
        drift: Of the untied filters.
    """

    layer: str
    kernel: tuple[int, int]
    places: tuple[int, int]
    tied_parameters: int
    untied_parameters: int
    learning_rate: float
    is_rate_at_edge: bool
    tied: Estimate
    untied: Estimate
    gain: Estimate
    gain_over_pictures: Estimate
    gain_at_own_rates: Estimate
    loss_change: Estimate
    drift: FilterDrift

    @property
    def verdict(self) -> Literal["price", "worth", "undecided"]:
        """Whether sharing costs accuracy here, is worth accuracy, or neither can be told.

        Told only where the interval over seeds and that over pictures both leave out 0.
        """
        signs = {self.gain.sign, self.gain_over_pictures.sign}
        return "price" if signs == {1} else "worth" if signs == {-1} else "undecided"


class LayerLeftOut(Record):
    """A convolution that was not untied.

    Attributes:
        layer: Its name.
        cause: Memory, time, a single place (nothing to untie), weights that are not learned, or a layer that has no
            local twin.
        num_bytes: What its training would keep in memory: weights, gradients, moments and copies.
        seconds: What it would have taken; 0 where that was not timed.
        reason: In words, for a layer without a twin.
    """

    layer: str
    cause: Literal["memory", "time", "one_place", "fixed", "no_twin"]
    num_bytes: int = 0
    seconds: float = 0.0
    reason: str = ""


class PriceOfSharing(Record):
    """What sharing costs or is worth, layer by layer, on a trained network and its pictures.

    Attributes:
        protocol: How it was measured.
        accuracy_before: Of the network as it came, on the test pictures.
        num_train: Training pictures.
        num_validation: Validation pictures that chose the learning rates.
        num_test: Test pictures.
        layers: Those measured, in the network's order.
        left_out: Those not measured, and why.
        seconds: Time taken.
    """

    protocol: PriceProtocol
    accuracy_before: Estimate
    num_train: int
    num_validation: int
    num_test: int
    layers: list[LayerPrice]
    left_out: list[LayerLeftOut]
    seconds: float
