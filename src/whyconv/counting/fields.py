"""What every layer of a network sees of the picture, put together."""

from __future__ import annotations

from whyconv.counting.graph import Graph
from whyconv.counting.places import require_picture
from whyconv.counting.reach import MOST_BYTES, reach
from whyconv.counting.receptive_field import receptive_fields
from whyconv.counting.stride import even_lengths, uneven_strides
from whyconv.results.fields import FieldReport, LayerField


def count_fields(graph: Graph, picture: str | None = None, *, most_bytes: int = MOST_BYTES) -> FieldReport:
    """Returns receptive field and reach of each layer, and where stride leaves a rest.

    Args:
        graph: The network.
        picture: Which input; None where there is only one.
        most_bytes: Memory that the sets of pixels may take, see ``reach``.

    Raises:
        UsageError: There is no such input, it is no picture, or the sets need more memory.
    """
    name = require_picture(graph, picture)
    lengths = tuple(graph.shapes[name][2:])
    kinds = [node for node in graph.nodes for _ in node.outputs]
    layers = tuple(
        LayerField(name=node.name, kind=node.kind, field=field, reach=found)
        for node, field, found in zip(
            kinds, receptive_fields(graph, name), reach(graph, name, most_bytes=most_bytes), strict=True
        )
    )
    return FieldReport(
        picture=lengths,
        layers=layers,
        uneven=tuple(uneven_strides(graph)),
        even_lengths=tuple(even_lengths(graph, axis, name) for axis in range(len(lengths))),
    )
