"""A convolution as counts: what it connects, what it shares, and what its twins would hold."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from whyconv.counting.axis import Axis
from whyconv.errors import UsageError


@dataclass(frozen=True)
class Convolution:
    """A convolution of any number of axes, or the transpose of one.

    Every count is a product of counts along the axes and the channels: a kernel that slides is separable in
    *where* it looks, whatever its weights.

    Attributes:
        axes: One for each spatial axis. Of a transposed layer: the axes of the convolution it is the adjoint of,
            from the layer's output to its input.
        in_channels: A multiple of ``groups``.
        out_channels: A multiple of ``groups``.
        groups: Channels are connected within their group only.
        has_bias: One number for each output channel.
        is_transposed: Inputs and outputs change places.

    Raises:
        UsageError: The channels cannot be grouped so.
    """

    axes: tuple[Axis, ...]
    in_channels: int
    out_channels: int
    groups: int = 1
    has_bias: bool = True
    is_transposed: bool = False

    def __post_init__(self) -> None:
        sizes = {"in_channels": self.in_channels, "out_channels": self.out_channels, "groups": self.groups}
        if wrong := [f"{name} {size}" for name, size in sizes.items() if size < 1]:
            raise UsageError(f"Channels and groups must be at least 1; got {', '.join(wrong)}.")
        if self.in_channels % self.groups or self.out_channels % self.groups:
            raise UsageError(
                f"{self.in_channels} channels in and {self.out_channels} out cannot be split into {self.groups} "
                "groups: expected multiples of it."
            )

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Channels, then the spatial axes."""
        spatial = (axis.output_length if self.is_transposed else axis.length for axis in self.axes)
        return (self.in_channels, *spatial)

    @property
    def output_shape(self) -> tuple[int, ...]:
        """Channels, then the spatial axes."""
        spatial = (axis.length if self.is_transposed else axis.output_length for axis in self.axes)
        return (self.out_channels, *spatial)

    @property
    def num_inputs(self) -> int:
        """Numbers going in for one picture."""
        return math.prod(self.input_shape)

    @property
    def num_outputs(self) -> int:
        """Numbers coming out for one picture."""
        return math.prod(self.output_shape)

    @property
    def channel_pairs(self) -> int:
        """Pairs of an input and an output channel that meet: all / groups."""
        return self.in_channels * self.out_channels // self.groups

    @property
    def weights(self) -> int:
        """Free weights, shared over all places."""
        return self.channel_pairs * math.prod(axis.kernel for axis in self.axes)

    @property
    def idle_weights(self) -> int:
        """Free weights that meet padding at every place: nothing moves them and they move nothing."""
        used = math.prod(sum(count > 0 for count in axis.tap_counts) for axis in self.axes)
        return self.weights - self.channel_pairs * used

    @property
    def biases(self) -> int:
        """One for each output channel, or none."""
        return self.out_channels if self.has_bias else 0

    @cached_property
    def connections(self) -> int:
        """Different pairs of an input and an output that meet; padding not counted."""
        return self.channel_pairs * math.prod(axis.num_connections for axis in self.axes)

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds with real data: products with padding not counted."""
        return self.channel_pairs * math.prod(axis.num_taps_on_data for axis in self.axes)

    @property
    def nominal_multiply_adds(self) -> int:
        """The usual count: every tap at every place, padding included."""
        return self.weights * math.prod(axis.output_length for axis in self.axes)

    @property
    def nominal_flops(self) -> int:
        """Two for each nominal multiply-add, less the first addition of each output, plus its bias."""
        return 2 * self.nominal_multiply_adds - self._first_additions(
            axis.num_places_reached if self.is_transposed else axis.output_length for axis in self.axes
        )

    @property
    def flops(self) -> int:
        """The same with real data only; an output that no tap brings data to costs nothing."""
        return 2 * self.multiply_adds - self._first_additions(
            axis.num_inputs_met if self.is_transposed else axis.num_outputs_on_data for axis in self.axes
        )

    def _first_additions(self, places: Iterable[int]) -> int:
        """Of outputs at so many places along each axis, those that need no addition: to nothing, without a bias."""
        return 0 if self.has_bias else self.out_channels * math.prod(places)

    @property
    def inputs_per_output(self) -> tuple[int, int]:
        """The least and the greatest number of different inputs that one output meets."""
        least, most = zip(*(axis.inputs_per_output for axis in self.axes), strict=True)
        channels = self.in_channels // self.groups
        return channels * math.prod(least), channels * math.prod(most)

    @property
    def tap_sharing(self) -> tuple[int, int]:
        """At how many places a weight meets data: the least and the most of all taps.

        That of tap (a, b) is the product of the counts along the axes, ``axis.tap_counts``.
        """
        counts = [axis.tap_counts for axis in self.axes]
        return math.prod(map(min, counts)), math.prod(map(max, counts))

    @property
    def dense_weights(self) -> int:
        """Of the dense twin: every input with every output."""
        return self.num_inputs * self.num_outputs

    @property
    def local_weights(self) -> int:
        """Of the local twin: the same taps, each place with its own; those that only meet padding included."""
        return self.nominal_multiply_adds

    @property
    def idle_local_weights(self) -> int:
        """Weights of the local twin that only ever meet padding: nothing moves them and they move nothing."""
        return self.local_weights - self.multiply_adds

    @property
    def shared_global_weights(self) -> int:
        """Of the shared twin without locality: a circular kernel as large as the picture."""
        return self.in_channels * self.out_channels * math.prod(self.input_shape[1:])

    @property
    def locality_factor(self) -> float:
        """Dense weights / connections, >= 1; infinite where every tap lies in the padding."""
        return self.dense_weights / self.connections if self.connections else math.inf

    @property
    def sharing_factor(self) -> float:
        """Connections / free weights: at how many places one weight is used, in the mean."""
        return self.connections / self.weights

    @property
    def density(self) -> float:
        """Connections / dense weights, in [0, 1]; 0 where every tap lies in the padding."""
        return self.connections / self.dense_weights

    @property
    def spatial_density(self) -> float:
        """Of the places of input and output, the fraction that meets, in [0, 1]: density without the channels."""
        return self.connections * self.groups / self.dense_weights

    @property
    def channel_density(self) -> float:
        """Of the pairs of an input and an output channel, the fraction that meets: 1 / groups."""
        return 1 / self.groups
