"""Exactly which pixels chosen places of a layer depend on: holes of dilation, borders and branches included."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from whyconv.counting.axis import Axis
from whyconv.counting.graph import Graph, Node
from whyconv.counting.places import relation, require_picture, spatial, takes_unlike_channels, why_unknown
from whyconv.errors import UsageError, nearest

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class DependencySet:
    """Pixels that chosen places of a layer depend on.

    Attributes:
        mask: Over the picture's spatial axes.
        is_bound: Whether some pixels in it may not matter: channels that depend on different pixels were taken apart.
    """

    mask: Mask
    is_bound: bool = False

    @property
    def num_pixels(self) -> int:
        """How many there are."""
        return int(self.mask.sum())

    @property
    def fraction(self) -> float:
        """Of the picture, in [0, 1]."""
        return self.num_pixels / self.mask.size

    @property
    def bounds(self) -> tuple[tuple[int, int], ...]:
        """First and last pixel along each axis; () where the set is empty."""
        places = np.nonzero(self.mask)
        return tuple((int(axis.min()), int(axis.max())) for axis in places) if self.num_pixels else ()

    @property
    def num_holes(self) -> int:
        """Pixels within ``bounds`` that the places do not depend on."""
        return math.prod(last - first + 1 for first, last in self.bounds) - self.num_pixels if self.bounds else 0


def dependency_set(
    graph: Graph, layer: str, places: Sequence[tuple[int, ...]] | None = None, picture: str | None = None
) -> DependencySet:
    """Returns the pixels that places of a layer depend on, found by walking back from them.

    Args:
        graph: The network.
        layer: Name of a layer, or of a value.
        places: Which ones, such as ``[(0, 0)]``; None for the middle one. A layer without spatial axes is taken whole.
        picture: Which input; None where there is only one.

    Raises:
        UsageError: There is no such layer, place or input, or a layer on the way is not analyzed.
    """
    name = require_picture(graph, picture)
    num_axes = len(graph.shapes[name]) - 2
    value = _value(graph, layer)
    needed = {value: _chosen(graph, value, places, num_axes)}
    parted = takes_unlike_channels(graph)
    is_bound = False
    for node in reversed(graph.nodes):
        wanted = [needed.pop(output) for output in node.outputs if output in needed]
        if not any(mask.any() for mask in wanted):
            continue
        if reason := why_unknown(graph, node, num_axes):
            raise UsageError(f"What '{layer}' depends on is not known: {reason} (layer '{node.name}').")
        is_bound = is_bound or node.name in parted
        for source in node.inputs:
            for mask in wanted:
                back = _behind(graph, node, source, mask, num_axes)
                needed[source] = needed[source] | back if source in needed else back
    return DependencySet(needed.get(name, np.zeros(graph.shapes[name][2:], dtype=bool)), is_bound)


def _value(graph: Graph, layer: str) -> str:
    """The value that a name means: itself, or the first one that the layer of this name makes."""
    by_layer = {node.name: node.outputs[0] for node in graph.nodes}
    if layer not in by_layer and layer not in graph.shapes:
        raise UsageError(f"There is no layer '{layer}'.{nearest(layer, by_layer)}")
    return by_layer.get(layer, layer)


def _chosen(graph: Graph, value: str, places: Sequence[tuple[int, ...]] | None, num_axes: int) -> Mask:
    sizes = spatial(graph, value, num_axes)
    if sizes is None:
        return np.ones((), dtype=bool)
    chosen = [tuple(size // 2 for size in sizes)] if places is None else list(places)
    outside = [
        place
        for place in chosen
        if len(place) != num_axes or not all(0 <= at < size for at, size in zip(place, sizes, strict=True))
    ]
    if outside:
        raise UsageError(
            f"There is no place {outside[0]} in '{value}', whose places are {' x '.join(map(str, sizes))}."
        )
    mask = np.zeros(sizes, dtype=bool)
    for place in chosen:
        mask[place] = True
    return mask


def _behind(graph: Graph, node: Node, source: str, mask: Mask, num_axes: int) -> Mask:
    """The places of an input that the wanted places of the output depend on."""
    sizes = spatial(graph, source, num_axes)
    if sizes is None:
        return np.ones((), dtype=bool)
    match relation(graph, node, source, num_axes):
        case "window":
            for number, axis in enumerate(node.axes):
                mask = _slid_back(mask, number, axis, is_transposed=node.is_transposed)
            return mask
        case "same":
            used_often = tuple(axis for axis, size in enumerate(sizes) if size == 1)
            return np.asarray(np.logical_or.reduce(mask, axis=used_often, keepdims=True))
        case _:
            return np.ones(sizes, dtype=bool)


def _slid_back(mask: Mask, number: int, axis: Axis, *, is_transposed: bool) -> Mask:
    """The same along one axis."""
    wanted = np.moveaxis(mask, number, 0)
    sources = axis.sources()
    if is_transposed:
        rows = [wanted[places[places >= 0]].any(axis=0) for places in sources]
        return np.moveaxis(np.stack(rows), 0, number)
    found = np.zeros((axis.length, *wanted.shape[1:]), dtype=bool)
    for output, places in enumerate(sources):
        found[places[places >= 0]] |= wanted[output]
    return np.moveaxis(found, 0, number)
