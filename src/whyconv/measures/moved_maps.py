"""The map of a moved picture beside the moved map: where both can be compared, and what is expected there."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

import torch
from torch import Tensor

from whyconv.counting.axis import Axis
from whyconv.counting.graph import Graph, Node
from whyconv.counting.receptive_field import receptive_fields
from whyconv.counting.stride import uneven_strides
from whyconv.measures.recorder import Made
from whyconv.measures.shifting import mover
from whyconv.results.equivariance import Cause, Resampling
from whyconv.results.fields import AxisField, ReceptiveField

Shift = tuple[int, int]
Region = tuple[slice, slice]


@dataclass(frozen=True)
class MovedMap:
    """One layer's map.

    Attributes:
        node: The layer.
        output: Name of the value.
        places: Along each axis.
        axes: Receptive fields along each axis; their jumps are known.
        period: The least shift along each axis that moves this map and all before it by whole places.
        is_ring: On a picture joined to a ring nothing tells one place from another: all padding is circular, and
            the places go once around.
        is_whole: A number for the whole picture reaches every place.
        brings: What the layer itself can be a cause of.
    """

    node: Node
    output: str
    places: tuple[int, int]
    axes: tuple[AxisField, AxisField]
    period: tuple[int, int]
    is_ring: bool
    is_whole: bool
    brings: tuple[Cause, ...]

    @property
    def jumps(self) -> tuple[Fraction, Fraction]:
        """Pixels from one place to the next."""
        high, wide = self.axes
        assert high.jump is not None
        assert wide.jump is not None
        return high.jump, wide.jump

    def offsets(self, shift: Shift) -> tuple[Fraction, Fraction]:
        """By how many places the map should move when the picture moves by ``shift`` pixels (down, right)."""
        return shift[0] / self.jumps[0], shift[1] / self.jumps[1]

    def region(self, shift: Shift, side: tuple[int, int], *, is_ring: bool, is_inside: bool) -> Region | None:
        """Where the map of the moved picture has a counterpart in the map of the unmoved one.

        Args:
            shift: (down, right), in pixels, >= 0.
            side: Of what the network looks at.
            is_ring: Whether pictures move around a ring: then every place has a counterpart.
            is_inside: Whether to take only places whose receptive field, and that of their counterpart, lies inside.

        Returns:
            Rows and columns; None where there are none.
        """
        if is_ring and (self.is_ring or not is_inside):
            return slice(0, self.places[0]), slice(0, self.places[1])
        found = []
        for axis, (offset, length) in enumerate(zip(self.offsets(shift), side, strict=True)):
            first, end = self._inside(axis, length) if is_inside else (0, self.places[axis])
            first += math.ceil(offset)
            if end <= first:
                return None
            found.append(slice(first, end))
        return found[0], found[1]

    def _inside(self, axis: int, length: int) -> tuple[int, int]:
        """The first place whose field lies inside the view, and the first after it whose field does not."""
        field, jump, slack = self.axes[axis], self.jumps[axis], self.axes[axis].overreach
        if slack is None:
            return 0, 0
        # Behind upsampling, fields do not follow one another evenly: too few places rather than one too many.
        first = math.ceil((slack - field.start) / jump)
        last = math.floor((length - field.size - slack - field.start) / jump)
        return max(0, first), min(self.places[axis], last + 1)


def follow(graph: Graph, made: Mapping[str, Made], *, is_ring: bool) -> tuple[list[MovedMap], dict[str, str]]:
    """Returns the maps of a network whose places follow from the picture's, and why those of other layers do not.

    Args:
        graph: With one picture as input.
        made: The values that can be found again.
        is_ring: Whether pictures move around a ring.
    """
    fields = {field.output: field for field in receptive_fields(graph)}
    brings = _brings(graph, is_ring=is_ring)
    periods: dict[str, tuple[int, int]] = {graph.inputs[0]: (1, 1)}
    clean = {graph.inputs[0]}  # only circular padding on the way
    maps, unknown = [], dict[str, str]()
    for node in graph.nodes:
        if all(name in clean for name in node.inputs) and not _pads(node, but_circular=True):
            clean.update(node.outputs)
        for output in node.outputs:
            field = fields[output]
            if field.reason:
                unknown[node.name] = field.reason
            period = _period(field, [periods[name] for name in node.inputs if name in periods])
            if period is None:
                continue
            periods[output] = period
            if output in made:
                is_same = is_ring and output in clean and _goes_around(graph, field)
                maps.append(_map(graph, node, field, period, brings[node.name], is_same))
    return maps, unknown


def _brings(graph: Graph, *, is_ring: bool) -> dict[str, tuple[Cause, ...]]:
    """What each layer can be a cause of, by its structure alone."""
    uneven = {(one.name, one.axis) for one in uneven_strides(graph)}
    found: dict[str, tuple[Cause, ...]] = {}
    for node in graph.nodes:
        axes = node.axes if node.reach == "window" and not node.is_transposed else ()
        causes: list[Cause] = []
        if any(axis.stride > 1 for axis in axes):
            causes.append("stride")
        # Windows that end at the border leave out places of a ring, though nothing is padded.
        is_short = is_ring and any(axis.reach > axis.stride and not any(axis.padding) for axis in axes)
        if _pads(node, but_circular=is_ring) or is_short:
            causes.append("border")
        if any(_is_odd(axis, (node.name, n) in uneven, is_ring=is_ring) for n, axis in enumerate(axes)):
            causes.append("odd_size")
        found[node.name] = tuple(causes)
    return found


def _is_odd(axis: Axis, has_rest: bool, *, is_ring: bool) -> bool:
    """Whether a stride does not come out even; a rest of circular padding is none, for it repeats what was read."""
    if axis.mode != "circular" or not any(axis.padding):
        return has_rest
    is_once_around = axis.output_length * axis.stride == axis.length
    return not is_once_around and (has_rest or (is_ring and axis.stride > 1))


def _goes_around(graph: Graph, field: ReceptiveField) -> bool:
    """Whether the places go once around a ring of the picture's size."""
    places, side = graph.shapes[field.output][2:], graph.shapes[graph.inputs[0]][2:]
    return all(n * (axis.jump or 0) == length for n, axis, length in zip(places, field.axes, side, strict=True))


def _period(field: ReceptiveField, before: list[tuple[int, int]]) -> tuple[int, int] | None:
    """None where there are no two axes of places with a jump."""
    if len(field.axes) != 2 or not before:
        return None
    found = []
    for axis, one in enumerate(field.axes):
        if not one.jump:
            return None
        found.append(math.lcm(one.jump.numerator, *(period[axis] for period in before)))
    return found[0], found[1]


def _map(
    graph: Graph,
    node: Node,
    field: ReceptiveField,
    period: tuple[int, int],
    brings: tuple[Cause, ...],
    is_ring: bool,
) -> MovedMap:
    places = graph.shapes[field.output][2:]
    return MovedMap(
        node=node,
        output=field.output,
        places=(places[0], places[1]),
        axes=(field.axes[0], field.axes[1]),
        period=period,
        is_ring=is_ring and not field.is_whole,
        is_whole=field.is_whole,
        brings=brings,
    )


def _pads(node: Node, *, but_circular: bool = False) -> bool:
    if node.reach != "window" or node.is_transposed:
        return False
    return any(any(axis.padding) and not (but_circular and axis.mode == "circular") for axis in node.axes)


def moved(x: Tensor, offsets: tuple[Fraction, Fraction], resampling: Resampling) -> Tensor:
    """Moves a map by places (down, right) around its ring; parts of a place by resampling.

    Args:
        x: (n, c, h, w).
        offsets: In places, >= 0.
        resampling: "linear": what lies between two places is taken from both, in proportion. "fourier": the map's
            Fourier series is moved.
    """
    if resampling == "fourier":
        return mover(x, "fractional", 1)((float(offsets[0]), float(offsets[1])))
    for axis, offset in enumerate(offsets):
        far = math.ceil(offset)
        part = float(far - offset)  # of the way back from the farther of the two places
        rolled = torch.roll(x, far, dims=2 + axis)
        x = rolled if not part else (1 - part) * rolled + part * torch.roll(x, far - 1, dims=2 + axis)
    return x
