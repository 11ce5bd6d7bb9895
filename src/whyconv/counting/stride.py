"""Where a stride leaves the end of its input unread, and for which sizes of the picture none does."""

from __future__ import annotations

from whyconv.counting.axis import Axis
from whyconv.counting.graph import Graph, Node
from whyconv.counting.places import require_picture
from whyconv.results.fields import UnevenStride

_MOST_SIZES_TRIED = 4096


def uneven_strides(graph: Graph) -> list[UnevenStride]:
    """Returns the layers, with the axis, whose last window ends before the padded input does.

    That is where (n + padding - reach) mod stride is not 0. Then the padding before the first input is used and that
    after the last is not, or not all of it: the border is treated differently on its two sides, and filters tend to
    become lopsided.

    References:
        Alsallakh et al., *Mind the Pad - CNNs Can Develop Blind Spots*, ICLR 2021, arXiv 2010.02178.
    """
    return [
        found
        for node in graph.nodes
        if node.reach == "window" and not node.is_transposed
        for number, axis in enumerate(node.axes)
        if (found := _uneven(node, number, axis))
    ]


def _uneven(node: Node, number: int, axis: Axis) -> UnevenStride | None:
    padded = axis.length + sum(axis.padding)
    unused = padded - ((axis.output_length - 1) * axis.stride + axis.reach)
    if unused <= 0:
        return None
    return UnevenStride(
        name=node.name,
        axis=number,
        length=axis.length,
        unused_padding=min(unused, axis.padding[1]),
        unused_inputs=max(0, unused - axis.padding[1]),
        stride=axis.stride,
        remainder=(axis.reach - sum(axis.padding)) % axis.stride,
    )


def even_lengths(graph: Graph, axis: int, picture: str | None = None) -> tuple[int | None, int | None]:
    """Returns the nearest lengths of the picture, below or equal and above, at which no stride leaves a rest.

    Args:
        graph: The network.
        axis: Number of the spatial axis, from 0.
        picture: Which input; None where there is only one.

    Returns:
        Two lengths in pixels along that axis; None where there is none among the nearest few thousand, or where
        lengths cannot be followed: a layer gives as many outputs whatever comes in.

    Raises:
        UsageError: There is no such input, or it is no picture.
    """
    name = require_picture(graph, picture)
    now = graph.shapes[name][2 + axis]
    below = range(now, max(0, now - _MOST_SIZES_TRIED), -1)
    above = range(now + 1, now + 1 + _MOST_SIZES_TRIED)
    first, second = (
        next((length for length in tried if _is_even(graph, name, axis, length)), None) for tried in (below, above)
    )
    return first, second


def _is_even(graph: Graph, picture: str, axis: int, length: int) -> bool:
    """Whether a picture of this length goes through all windows without a rest."""
    lengths = {picture: length}
    for node in graph.nodes:
        known = [lengths[source] for source in node.inputs if source in lengths]
        if not known or node.reach == "all" or axis >= len(graph.shapes[node.outputs[0]]) - 2:
            continue  # from here on the length no longer shows
        after = _slide(node, axis, known[0]) if node.reach == "window" and node.axes else known[0]
        if after is None or (node.kind in ("sum", "concatenate") and len(set(known)) > 1):
            return False
        lengths.update(dict.fromkeys(node.outputs, after))
    return True


def _slide(node: Node, number: int, length: int) -> int | None:
    """Outputs along an input of another length than the one at hand; None where there is a rest or no room."""
    axis = node.axes[number]
    if node.is_transposed:
        added = axis.length - ((axis.output_length - 1) * axis.stride + axis.reach - sum(axis.padding))
        return (length - 1) * axis.stride + axis.reach - sum(axis.padding) + added
    room = length + sum(axis.padding) - axis.reach
    return room // axis.stride + 1 if room >= 0 and room % axis.stride == 0 else None
