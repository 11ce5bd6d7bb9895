"""A layer as the sparse matrix that it is, entry by entry: vec(y) = T vec(x) + b."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from torch import nn

from whyconv.counting import Convolution
from whyconv.errors import UsageError
from whyconv.measures.layer_windows import LayerWindows, read_layer
from whyconv.measures.sharing import matrix_bytes, sharing_histogram
from whyconv.results.fields import SharingHistogram
from whyconv.texts import size

if TYPE_CHECKING:
    from scipy import sparse  # a fifth of a second: imported where a matrix is built

MOST_BYTES = 1_000_000_000
_PATTERN_BYTES = 48  # for each tap of one pair of channels, while it is sorted


@dataclass(frozen=True)
class LayerMatrix:
    """A layer's matrix.

    Attributes:
        entries: Outputs x inputs, both in the order of a flattened (c, places...); float64, compressed by rows. Every
            connection is stored, also where its weight happens to be 0.
        bias: What is added (outputs,).
        histogram: Which entries are the same weight, counted.
        windows: The layer it was built from.
    """

    entries: sparse.csr_array
    bias: NDArray[np.float64]
    histogram: SharingHistogram
    windows: LayerWindows

    def weights_of_entries(self) -> sparse.csr_array:
        """Returns which free weights each entry is the sum of, exactly.

        Returns:
            A matrix (entries, free weights) of 0 and 1 in the order of ``entries.data`` and of the layer's flattened
            weight, so that ``entries.data == weights_of_entries() @ weight.flatten()``. Entries with equal rows are
            the same weight. It takes about 16 bytes for each multiply-add.

        Raises:
            UsageError: The layer has no weights.
        """
        if self.windows.sharing == "fixed":
            raise UsageError("This layer takes means: its entries are constants, and no weight is shared.")
        from scipy import sparse

        taps = Taps.of(self.windows.convolution)
        channels = range(self.windows.convolution.out_channels)
        columns = [weight_numbers(self.windows, taps, channel).ravel()[taps.row_order] for channel in channels]
        counts = np.tile(taps.taps_per_entry, len(channels))
        starts = np.concatenate([[0], np.cumsum(counts)])
        shape = (self.entries.nnz, self.windows.weights.size)
        return sparse.csr_array((np.ones(starts[-1]), np.concatenate(columns), starts), shape=shape)


def matrix(layer: nn.Module, input_shape: Sequence[int], *, most_bytes: int = MOST_BYTES) -> LayerMatrix:
    """Returns the matrix that a layer multiplies pictures with, built from where its taps lie; it is never run.

    Args:
        layer: A convolution or transposed convolution of 1 to 3 axes with any padding mode, a linear layer, a mean
            over windows, a locally connected or a shared-global layer.
        input_shape: Of one picture, channels first; (features,) for a linear layer.
        most_bytes: What may be taken while it is built.

    Raises:
        UsageError: The layer is of another kind, does not take such a picture, or its matrix takes more: the text
            says how much, and what it would take with its zeros.
    """
    return matrix_of(read_layer(layer, input_shape), most_bytes=most_bytes)


def matrix_of(windows: LayerWindows, *, most_bytes: int = MOST_BYTES) -> LayerMatrix:
    """Returns the matrix of a layer that was read already.

    Raises:
        UsageError: It takes more than ``most_bytes``.
    """
    require_room(windows.convolution, most_bytes)
    return LayerMatrix(_entries(windows), windows.bias.flatten(), sharing_histogram(windows), windows)


def require_room(convolution: Convolution, most_bytes: int = MOST_BYTES) -> None:
    """Refuses a matrix that would take more than ``most_bytes``; nothing is allocated to find out.

    Raises:
        UsageError: Says what it would take.
    """
    needed, dense = matrix_bytes(convolution)
    building = building_bytes(convolution)
    if building > most_bytes:
        shape = f"{convolution.num_outputs:,} x {convolution.num_inputs:,}"
        raise UsageError(
            f"The matrix of {shape} has {convolution.connections:,} entries that are not zero. It would take "
            f"{size(needed)}, {size(building)} while it is built, and {size(dense)} as a dense layer in float32. The "
            f"limit is {size(most_bytes)}; nothing was allocated. Take a smaller picture, or raise most_bytes."
        )


def building_bytes(convolution: Convolution) -> int:
    """Returns what a layer's matrix takes while it is built."""
    entries_of_pair = convolution.multiply_adds // convolution.channel_pairs
    group_in = convolution.in_channels // convolution.groups
    return matrix_bytes(convolution)[0] + entries_of_pair * (_PATTERN_BYTES + 24 * group_in)


@dataclass(frozen=True)
class Taps:
    """Where the taps of one pair of channels meet data, sorted by output place, then input place, then tap.

    Attributes:
        outputs: Place of the output (t,).
        inputs: Place of the input that it meets (t,).
        numbers: Of the tap in the flattened kernel (t,).
        starts: Where a new pair of places begins (e,): that is one entry.
        group_in: Input channels that each output channel meets.
        num_places: Of the output.
    """

    outputs: NDArray[np.int64]
    inputs: NDArray[np.int64]
    numbers: NDArray[np.int64]
    starts: NDArray[np.int64]
    group_in: int
    num_places: int

    @staticmethod
    def of(convolution: Convolution) -> Taps:
        """Returns those of a convolution, from the places along its axes."""
        outputs = inputs = numbers = np.zeros(1, dtype=np.int64)
        for axis in convolution.axes:
            sources = axis.sources()
            at, tap = np.nonzero(sources >= 0)
            outputs = np.add.outer(outputs * axis.output_length, at).ravel()
            inputs = np.add.outer(inputs * axis.length, sources[at, tap]).ravel()
            numbers = np.add.outer(numbers * axis.kernel, tap).ravel()
        if convolution.is_transposed:
            outputs, inputs = inputs, outputs
        order = np.lexsort((numbers, inputs, outputs))
        outputs, inputs, numbers = outputs[order], inputs[order], numbers[order]
        is_new = (np.diff(outputs, prepend=-1) != 0) | (np.diff(inputs, prepend=-1) != 0)
        group_in = convolution.in_channels // convolution.groups
        num_places = math.prod(convolution.output_shape[1:])
        return Taps(outputs, inputs, numbers, np.flatnonzero(is_new), group_in, num_places)

    @cached_property
    def entry_order(self) -> NDArray[np.int64]:
        """Of the entries (input channels, e) of one output channel, flattened: the order by rows."""
        return np.argsort(np.tile(self.outputs[self.starts], self.group_in), kind="stable")

    @cached_property
    def row_order(self) -> NDArray[np.int64]:
        """The same of the taps (input channels, t)."""
        return np.argsort(np.tile(self.outputs, self.group_in), kind="stable")

    @cached_property
    def taps_per_entry(self) -> NDArray[np.int64]:
        """For each entry of one output channel, in the order by rows."""
        counts = np.diff(self.starts, append=len(self.outputs))
        return np.asarray(np.tile(counts, self.group_in)[self.entry_order])

    @property
    def entries_per_place(self) -> NDArray[np.int64]:
        """For each place of the output, with all input channels."""
        return np.bincount(self.outputs[self.starts], minlength=self.num_places) * self.group_in


def weight_numbers(windows: LayerWindows, taps: Taps, channel: int) -> NDArray[np.int64]:
    """Returns which number of the layer's flattened weight each tap of an output channel is: (input channels, t)."""
    convolution = windows.convolution
    kernel = math.prod(axis.kernel for axis in convolution.axes)
    group_out = convolution.out_channels // convolution.groups
    inputs = np.arange(taps.group_in)
    if windows.sharing == "local":
        filters = (taps.outputs * convolution.out_channels + channel) * taps.group_in + inputs[:, None]
    elif convolution.is_transposed:
        filters = ((inputs + channel // group_out * taps.group_in) * group_out + channel % group_out)[:, None]
    else:
        filters = (inputs + channel * taps.group_in)[:, None]
    return np.asarray(filters * kernel + taps.numbers)


def _entries(windows: LayerWindows) -> sparse.csr_array:
    from scipy import sparse

    convolution = windows.convolution
    taps = Taps.of(convolution)
    num_in, group_out = math.prod(convolution.input_shape[1:]), convolution.out_channels // convolution.groups
    is_short = max(convolution.connections, convolution.num_inputs) < 2**31
    columns = np.empty(convolution.connections, dtype=np.int32 if is_short else np.int64)
    data = np.empty(convolution.connections)
    places = np.add.outer(np.arange(taps.group_in) * num_in, taps.inputs[taps.starts]).ravel()[taps.entry_order]
    for channel in range(convolution.out_channels):
        part = slice(channel * len(places), (channel + 1) * len(places))
        columns[part] = places + channel // group_out * taps.group_in * num_in
        data[part] = _values(windows, taps, channel).ravel()[taps.entry_order]
    starts = np.concatenate([[0], np.cumsum(np.tile(taps.entries_per_place, convolution.out_channels))])
    shape = (convolution.num_outputs, convolution.num_inputs)
    return sparse.csr_array((data, columns, starts.astype(columns.dtype)), shape=shape)


def _values(windows: LayerWindows, taps: Taps, channel: int) -> NDArray[np.float64]:
    """The entries of one output channel (input channels, e): sums of the weights of the taps that meet there."""
    if not len(taps.starts):
        return np.zeros((taps.group_in, 0))
    if windows.factors is not None:
        values = windows.factors.ravel()[taps.outputs][None]
    else:
        values = windows.weights.ravel()[weight_numbers(windows, taps, channel)]
    return np.asarray(np.add.reduceat(values, taps.starts, axis=1))
