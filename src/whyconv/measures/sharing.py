"""Which entries of a layer's matrix are the same weight, counted along the axes: nothing is built."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable

import numpy as np

from whyconv.counting import Axis, Convolution
from whyconv.measures.layer_windows import LayerWindows
from whyconv.results.fields import ClassSize, SharingHistogram

_LARGEST_SHORT_INDEX = 2**31 - 1


def sharing_histogram(windows: LayerWindows) -> SharingHistogram:
    """Returns how many entries of the layer's matrix each free weight has.

    An output and an input may meet through several taps, where the padding repeats the picture: the entry is then the
    sum of those weights, and entries are in one class where the sums are of the same weights. Of a layer that takes
    means, classes are of the same constant.

    Args:
        windows: The layer.

    Returns:
        The classes' sizes; they add up to the connections.
    """
    convolution = windows.convolution
    along = [_tap_sets(axis) for axis in convolution.axes]
    pairs = convolution.channel_pairs
    single = math.prod(sum(count for taps, count in sets.items() if len(taps) == 1) for sets in along)
    single_classes = math.prod(sum(len(taps) == 1 for taps in sets) for sets in along)
    if windows.sharing == "local":
        sizes, merged = Counter({1: convolution.connections}), convolution.connections - single * pairs
        weights, unused = convolution.local_weights, convolution.local_weights - convolution.multiply_adds
    elif windows.sharing == "fixed":
        sizes, merged, weights, unused = _equal_constants(windows), 0, 0, 0
    else:
        sizes = Counter({size: count * pairs for size, count in _products(along).items()})
        merged = pairs * (math.prod(map(len, along)) - single_classes)
        weights = convolution.weights
        used = math.prod(sum(count > 0 for count in axis.tap_counts) for axis in convolution.axes)
        unused = weights - pairs * used
    sparse, dense = matrix_bytes(convolution)
    return SharingHistogram(
        shape=(convolution.num_outputs, convolution.num_inputs),
        num_entries=convolution.connections,
        num_weights=weights,
        num_unused_weights=unused,
        classes=tuple(ClassSize(num_entries=size, num_classes=sizes[size]) for size in sorted(sizes, reverse=True)),
        num_merged_classes=merged,
        sparse_bytes=sparse,
        dense_bytes=dense,
    )


def matrix_bytes(convolution: Convolution) -> tuple[int, int]:
    """Returns what a layer's matrix takes: compressed by rows in float64, and with all of its zeros in float32."""
    entries, outputs, inputs = convolution.connections, convolution.num_outputs, convolution.num_inputs
    index = 4 if max(entries, outputs, inputs) <= _LARGEST_SHORT_INDEX else 8
    return entries * (8 + index) + (outputs + 1) * index, 4 * outputs * inputs


def _tap_sets(axis: Axis) -> Counter[tuple[int, ...]]:
    """For each set of taps, how many pairs of an output and an input meet through exactly these."""
    if axis.mode == "zeros":
        return Counter({(tap,): count for tap, count in enumerate(axis.tap_counts) if count})
    found: Counter[tuple[int, ...]] = Counter()
    for row in axis.sources():
        order = np.argsort(row, kind="stable")
        starts = np.flatnonzero(np.diff(row[order], prepend=-1))
        found.update(tuple(int(tap) for tap in taps) for taps in np.split(order, starts[1:]))
    return found


def _products(along: Iterable[Counter[tuple[int, ...]]]) -> Counter[int]:
    """Sizes of the classes of one pair of channels: the products of the counts along the axes."""
    sizes = Counter({1: 1})
    for sets in along:
        products: Counter[int] = Counter()
        for count, number in Counter(sets.values()).items():
            for size, already in sizes.items():
                products[size * count] += already * number
        sizes = products
    return sizes


def _equal_constants(windows: LayerWindows) -> Counter[int]:
    """Sizes of the classes of equal constants in a layer of means."""
    assert windows.factors is not None
    met = np.ones((), dtype=np.int64)
    for axis in windows.convolution.axes:
        met = np.multiply.outer(met, (axis.sources() >= 0).sum(axis=1))
    constants, places = np.unique(windows.factors, return_inverse=True)
    entries = np.bincount(places.ravel(), weights=met.ravel(), minlength=len(constants)).astype(np.int64)
    return Counter(int(count) * windows.convolution.out_channels for count in entries if count)
