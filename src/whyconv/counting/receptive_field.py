"""The theoretical receptive field of every layer of a network with branches."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from fractions import Fraction

from whyconv.counting.graph import Graph, Node
from whyconv.counting.places import relation, require_picture, spatial, why_unknown
from whyconv.counting.spans import PICTURE, Span, Spans, center, hull
from whyconv.results.fields import AxisField, ReceptiveField

# Of one axis: one for each jump among the paths that lead here; none where the picture does not.
_Paths = tuple[Spans, ...]


@dataclass(frozen=True)
class _State:
    """What is known of a value."""

    axes: tuple[_Paths, ...] = ()
    is_whole: bool = False
    is_summary: bool = False  # one number for the whole picture, used at many places
    reason: str = ""

    @property
    def is_independent(self) -> bool:
        return not (self.is_whole or self.reason or any(self.axes))

    @property
    def has_windows(self) -> bool:
        return not self.reason and any(self.axes)


def receptive_fields(graph: Graph, picture: str | None = None) -> list[ReceptiveField]:
    """Returns the receptive field of each output of each layer, in the graph's order.

    The field of a path with kernels k (spread by their dilation), strides s and left paddings p::

        size = 1 + sum_l (k_l - 1) * prod_(i<l) s_i      start = -sum_l p_l * prod_(i<l) s_i      jump = prod s

    Where branches meet it is the least interval that holds theirs. Branches that look at different middles are told
    by ``misalignment``, and are no error. One number for the whole picture that is used at every place, such as the
    mean that squeeze-and-excitation or a standardization takes, is told by ``is_whole`` beside the field of the
    windows.

    Args:
        graph: The network; only its structure counts.
        picture: Which input; None where there is only one.

    Raises:
        UsageError: There is no such input, or it is no picture.

    References:
        Araujo, Norris, Sim, *Computing Receptive Fields of Convolutional Neural Networks*, Distill (2019),
        doi 10.23915/distill.00021.
    """
    name = require_picture(graph, picture)
    num_axes = len(graph.shapes[name]) - 2
    states = {one: _State(((),) * num_axes) for one in graph.inputs}
    states[name] = _State(((PICTURE,),) * num_axes)
    fields = []
    for node in graph.nodes:
        arriving = [_through(graph, node, source, states[source], num_axes) for source in node.inputs]
        state = _meet(arriving, num_axes, why_unknown(graph, node, num_axes))
        distances = _misalignment(arriving, state, spatial(graph, node.outputs[0], num_axes))
        for output in node.outputs:
            states[output] = state
            fields.append(_record(node, output, state, distances, spatial(graph, output, num_axes)))
    return fields


def _through(graph: Graph, node: Node, source: str, state: _State, num_axes: int) -> _State:
    """What an input's state becomes in the node."""
    if state.reason or state.is_independent:
        return state
    match relation(graph, node, source, num_axes):
        case "window" if not _is_global_pooling(node):
            moved = (
                _merged(one.behind(axis, is_transposed=node.is_transposed) for one in paths)
                for paths, axis in zip(state.axes, node.axes, strict=bool(state.axes))
            )
            return replace(state, axes=tuple(moved))
        case "same":
            before, after = (spatial(graph, value, num_axes) for value in (source, node.outputs[0]))
            return _spread(state, before or (), after or ())
        case "unknown":
            return _State(reason=why_unknown(graph, node, num_axes))
        case _:
            return _State(is_whole=True)


def _is_global_pooling(node: Node) -> bool:
    return node.kind == "pooling" and all(axis.output_length == 1 and axis.kernel >= axis.length for axis in node.axes)


def _spread(state: _State, before: tuple[int, ...], after: tuple[int, ...]) -> _State:
    """One place that is used at many keeps its span at all of them."""
    if before == after:
        return state
    if not state.has_windows:
        return replace(state, is_summary=math.prod(before) == 1)
    axes = (
        tuple(one.spread(high) for one in paths) if low == 1 else paths
        for paths, low, high in zip(state.axes, before, after, strict=True)
    )
    return replace(state, axes=tuple(axes))


def _merged(paths: Iterable[Spans]) -> _Paths:
    """Paths of the same jump become one."""
    by_jump: dict[Fraction, Spans] = {}
    for one in paths:
        by_jump[one.jump] = by_jump[one.jump].joined(one) if one.jump in by_jump else one
    return tuple(by_jump[jump] for jump in sorted(by_jump))


def _meet(arriving: list[_State], num_axes: int, own_reason: str) -> _State:
    reasons = [own_reason, *(state.reason for state in arriving)]
    if reason := next(filter(None, reasons), ""):
        return _State(reason=reason)
    is_whole = any(state.is_whole for state in arriving)
    if any(state.is_whole and not state.has_windows and not state.is_summary for state in arriving):
        return _State(is_whole=True)
    branches = [state for state in arriving if state.has_windows]
    axes = tuple(_merged(one for state in branches for one in state.axes[axis]) for axis in range(num_axes))
    return _State(axes, is_whole, is_summary=is_whole and not branches)


def _misalignment(arriving: list[_State], met: _State, sizes: tuple[int, ...] | None) -> tuple[Fraction, ...]:
    """Along each axis, how far apart the branches' middles are."""
    branches = [state for state in arriving if state.has_windows]
    if len(branches) < 2 or not met.has_windows or sizes is None:
        return ()
    return tuple(_distance([state.axes[axis] for state in branches], size) for axis, size in enumerate(sizes))


def _distance(branches: list[_Paths], size: int) -> Fraction:
    """The farthest that the middles of the branches are apart at any place."""
    farthest = Fraction(0)
    for place in _places(tuple(one for paths in branches for one in paths), size):
        spans = [hull(one.at(place) for one in paths) for paths in branches]
        middles = [center(span) for span in spans if span]
        farthest = max(farthest, max(middles) - min(middles)) if middles else farthest
    return farthest


def _places(paths: _Paths, size: int) -> range:
    """Places that show all there is: one period where all jumps are the same, else every place."""
    period = math.lcm(*(len(one.spans) for one in paths))
    return range(min(size, period) if len({one.jump for one in paths}) < 2 else size)


def _record(
    node: Node, output: str, state: _State, distances: tuple[Fraction, ...], sizes: tuple[int, ...] | None
) -> ReceptiveField:
    if not state.has_windows or sizes is None:
        return ReceptiveField(
            name=node.name,
            output=output,
            is_whole=state.is_whole,
            reason=state.reason or ("it does not depend on the picture" if state.is_independent else ""),
        )
    axes = tuple(_axis_field(paths, size) for paths, size in zip(state.axes, sizes, strict=True))
    return ReceptiveField(name=node.name, output=output, is_whole=state.is_whole, axes=axes, misalignment=distances)


def _axis_field(paths: _Paths, size: int) -> AxisField:
    found = [hull(one.at(place) for one in paths) for place in _places(paths, size)]
    spans = [span for span in found if span]
    first: Span = spans[0] if spans else (0, -1)
    sizes = [high - low + 1 for low, high in spans] or [0]
    jump = paths[0].jump if len(paths) == 1 else None
    return AxisField(
        size=max(sizes),
        least_size=min(sizes),
        jump=jump,
        start=first[0],
        center=center(first),
        overreach=_overreach(spans, jump, max(sizes)) if jump is not None and len(spans) == len(found) else None,
    )


def _overreach(spans: list[Span], jump: Fraction, size: int) -> Fraction:
    starts = (spans[0][0] + place * jump for place in range(len(spans)))
    return max(max(start - low, high + 1 - size - start) for start, (low, high) in zip(starts, spans, strict=True))
