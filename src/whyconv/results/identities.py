"""How near a network and its twins come to the identities that bind them."""

from __future__ import annotations

from whyconv.results.record import Record


class LayerIdentities(Record):
    """One convolution of a network and its twins: largest differences, each relative to the largest value.

    Attributes:
        name: Of the convolution in the network.
        summed_gradient: The convolution's gradient against the sum of the local twin's over all places.
        dense_gradient: The local twin's gradient against the dense twin's where its matrix has entries; taps that
            only ever meet the zeros around the picture have to have none.
        window_gradient: The convolution's gradient against the shared-global twin's within the window.
        num_local_weights: Of the local twin.
        num_idle_weights: Those of them that only ever meet zeros around the picture, and never learn.
    """

    name: str
    summed_gradient: float
    dense_gradient: float | None
    window_gradient: float
    num_local_weights: int
    num_idle_weights: int


class Identities(Record):
    """The identities on a whole network, in double precision and evaluation, on pictures and targets drawn from a seed.

    Attributes:
        local: Answers of the local twin against the network's: the largest difference relative to the largest answer.
        dense: Of the dense twin; None where it was too large to try.
        shared_global: Of the shared-global twin.
        layers: The gradients, convolution by convolution.
        not_tried: Why there is no dense twin; else "".
        num_pictures: That all were given.
        seed: Of the pictures and targets.
    """

    local: float
    dense: float | None
    shared_global: float
    layers: list[LayerIdentities]
    not_tried: str
    num_pictures: int
    seed: int

    @property
    def largest_forward(self) -> float:
        """The largest relative difference of answers."""
        return max(self.local, self.shared_global, self.dense or 0.0)

    @property
    def largest_gradient(self) -> float:
        """The largest relative difference of gradients."""
        found = (
            max(layer.summed_gradient, layer.window_gradient, layer.dense_gradient or 0.0) for layer in self.layers
        )
        return max(found, default=0.0)
