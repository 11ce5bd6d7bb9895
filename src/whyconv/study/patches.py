"""The pieces of pictures that a detector answers to most, cut out at its receptive field."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import nn

from whyconv.counting.receptive_field import receptive_fields
from whyconv.errors import UsageError
from whyconv.measures import trace
from whyconv.results.detectors import Detector, Patch
from whyconv.results.fields import AxisField
from whyconv.training.pixel_rows import LabelledPixels

Box = tuple[int, int, int, int]


@dataclass(frozen=True)
class PlacedField:
    """The receptive fields of a layer's places, for pictures of one size.

    Attributes:
        axes: Down and across; empty where places have no field of one size at even distances: then every box is the
            whole picture.
        picture: High, wide.
    """

    axes: tuple[AxisField, ...]
    picture: tuple[int, int]

    @property
    def size(self) -> tuple[int, int] | None:
        """Pixels (high, wide), not cut at borders."""
        return (self.axes[0].size, self.axes[1].size) if self.axes else None

    def box(self, place: tuple[int, int]) -> Box:
        """The pixels behind a place (top, left, high, wide), cut at the borders of the picture."""
        if not self.axes:
            return (0, 0, *self.picture)
        (top, high), (left, wide) = (
            _span(axis, at, length) for axis, at, length in zip(self.axes, place, self.picture, strict=True)
        )
        return top, left, high, wide


def placed_field(network: nn.Module, layer: str, input_shape: tuple[int, ...]) -> PlacedField:
    """The field of a convolution; without axes where it cannot be said, or differs from place to place."""
    picture = (input_shape[1], input_shape[2])
    try:
        graph = trace(network, input_shape)
    except UsageError:
        return PlacedField((), picture)
    fields = {field.output: field for field in receptive_fields(graph)}
    for node in graph.nodes:
        if node.module == layer and node.outputs[0] in fields:
            return placed(fields[node.outputs[0]].axes, picture)
    return PlacedField((), picture)


def placed(axes: tuple[AxisField, ...], picture: tuple[int, int]) -> PlacedField:
    """The fields of a layer's places from those of its axes; without axes where they follow one another unevenly."""
    is_even = len(axes) == 2 and all(one.is_even for one in axes)
    return PlacedField(axes if is_even and _are_whole(axes) else (), picture)


def strongest_patches(
    best: NDArray[np.float64], places: NDArray[np.int64], rows: NDArray[np.int64], field: PlacedField, count: int
) -> list[Patch]:
    """The ``count`` pictures with the greatest answers, where they have them.

    Args:
        best: Greatest answer in each picture (n,).
        places: Where it was (n, 2); the first one row by row where several are equal.
        rows: Of the pictures in their part (n,).
        field: Of the layer.
        count: At most so many.
    """
    order = np.argsort(-best, kind="stable")[:count]
    return [
        Patch(
            picture=int(rows[index]),
            place=(int(places[index, 0]), int(places[index, 1])),
            box=field.box((int(places[index, 0]), int(places[index, 1]))),
            answer=float(best[index]),
        )
        for index in order
    ]


def patch_pixels(part: LabelledPixels, detector: Detector) -> list[NDArray[np.uint8]]:
    """The patches of a detector as uint8 (high, wide, channels), cut from the part that they were found in."""
    found = []
    for patch in detector.patches:
        top, left, high, wide = patch.box
        picture = np.asarray(part.pixels[np.array([patch.picture])][0])
        found.append(np.ascontiguousarray(picture[top : top + high, left : left + wide]))
    return found


def _are_whole(axes: tuple[AxisField, ...]) -> bool:
    return all(axis.jump is not None and axis.jump.denominator == 1 for axis in axes)


def _span(axis: AxisField, place: int, length: int) -> tuple[int, int]:
    """First pixel and number of pixels along one axis, cut to ``length``."""
    assert axis.jump is not None
    first = axis.start + int(axis.jump) * place
    low, high = max(0, first), min(length, first + axis.size)
    return (low, high - low) if high > low else (min(max(first, 0), length - 1), 1)
