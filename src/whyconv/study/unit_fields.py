"""The receptive field of the middle unit of a few layers, as rectangles on a picture."""

from __future__ import annotations

from torch import nn

from whyconv.counting.receptive_field import receptive_fields
from whyconv.measures import trace
from whyconv.results.unit_fields import UnitField, UnitFields
from whyconv.study.patches import placed
from whyconv.training.pixel_rows import evenly_chosen

_MOST = 4
_KINDS = ("convolution", "pooling")


def unit_fields(network: nn.Module, input_shape: tuple[int, int, int]) -> UnitFields:
    """Finds the fields by the graph: the network's numbers do not matter.

    Args:
        network: In evaluation mode.
        input_shape: Of one picture, (c, h, w).

    Returns:
        The first convolution or pooling, the last, and two between them; of those with fields of the same size the
        first. None where places have fields of different sizes or at uneven distances, or cannot be analyzed.

    Raises:
        UsageError: The network cannot be followed, or takes no such picture.
    """
    graph = trace(network, input_shape)
    fields = {field.output: field for field in receptive_fields(graph)}
    picture = (input_shape[1], input_shape[2])
    found: dict[tuple[int, int], UnitField] = {}
    for node in graph.nodes:
        output = node.outputs[0]
        shape = graph.shapes[output]
        if node.kind not in _KINDS or len(shape) != 4 or output not in fields:
            continue
        field = placed(fields[output].axes, picture)
        if field.size is not None and field.size not in found:
            high, wide = shape[2:]
            place = (high // 2, wide // 2)
            found[field.size] = UnitField(
                layer=node.name, places=(high, wide), place=place, size=field.size, box=field.box(place)
            )
    rising = sorted(found.values(), key=lambda one: one.size)
    return UnitFields(picture=picture, units=[rising[place] for place in evenly_chosen(len(rising), _MOST)])
