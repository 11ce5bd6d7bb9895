"""Whether and how the places of a value, its spatial positions, follow from the places of another."""

from __future__ import annotations

from typing import Literal

from whyconv.counting.graph import Graph, Node
from whyconv.errors import UsageError, nearest

# An output depends on a window of the input's places, on the one place above it, on every place, on one place that
# is no longer an axis (as after flatten), or nobody knows.
Relation = Literal["window", "same", "all", "flat", "unknown"]


def require_picture(graph: Graph, picture: str | None) -> str:
    """Returns the name of the picture that is asked about.

    Args:
        graph: The network.
        picture: One of its inputs; None where there is only one.

    Raises:
        UsageError: There is no such input, it has no spatial axes, or there are several and none was named.
    """
    known = ", ".join(graph.inputs)
    if picture is None and len(graph.inputs) != 1:
        raise UsageError(f"The network has {len(graph.inputs)} inputs ({known}). Say which one is the picture.")
    name = graph.inputs[0] if picture is None else picture
    if name not in graph.inputs:
        raise UsageError(f"There is no input '{name}'.{nearest(name, graph.inputs)} Known: {known}.")
    if len(graph.shapes[name]) < 3:
        raise UsageError(
            f"Input '{name}' has shape {graph.shapes[name]}; expected a batch, channels and at least one spatial axis."
        )
    return name


def spatial(graph: Graph, value: str, num_axes: int) -> tuple[int, ...] | None:
    """Returns the places of a value along each spatial axis, or None where it no longer has those axes."""
    shape = graph.shapes[value]
    return tuple(shape[2:]) if len(shape) == num_axes + 2 else None


def relation(graph: Graph, node: Node, source: str, num_axes: int) -> Relation:
    """Returns how the places of the node's outputs follow from those of one of its inputs."""
    if node.reach in ("unknown", "all"):
        return "all" if node.reach == "all" else "unknown"
    before, after = spatial(graph, source, num_axes), spatial(graph, node.outputs[0], num_axes)
    if node.reach == "window":
        return "window" if before and after and _fits(node, before, after) else "unknown"
    if after is None:
        return "flat"
    if before is None:
        return "all"
    fits = all(one in (1, other) for one, other in zip(before, after, strict=True))
    return "same" if fits else "unknown"


def _fits(node: Node, before: tuple[int, ...], after: tuple[int, ...]) -> bool:
    """Whether the node's axes are those of its shapes."""
    inner, outer = (after, before) if node.is_transposed else (before, after)
    lengths = tuple(axis.length for axis in node.axes)
    return lengths == inner and tuple(axis.output_length for axis in node.axes) == outer


def why_unknown(graph: Graph, node: Node, num_axes: int) -> str:
    """Returns why the places of a node's outputs are not known, "" where its own operation is understood."""
    if node.reach == "unknown":
        return node.reason or f"{node.operation} is not understood"
    if any(relation(graph, node, source, num_axes) == "unknown" for source in node.inputs):
        shapes = " and ".join(str(graph.shapes[source]) for source in node.inputs)
        return f"{node.operation} makes {graph.shapes[node.outputs[0]]} of {shapes}: places cannot be followed"
    return ""


def takes_unlike_channels(graph: Graph) -> set[str]:
    """Returns the names of layers that take some of the channels where channels may depend on different pixels.

    Sets of pixels are followed for a place with all of its channels. That is exact as long as no channel is dropped:
    a window of a union is the union of the windows. Behind a concatenation, channels differ until a layer mixes them;
    where some of them are taken out in between, what is held of the others is too much.
    """
    unlike: set[str] = set()
    found = set()
    for node in graph.nodes:
        is_mixing = node.kind in ("linear", "attention") or (node.convolution and node.convolution.groups == 1)
        is_unlike = any(source in unlike for source in node.inputs)
        if node.kind == "slice" and is_unlike and graph.shapes[node.inputs[0]][1] != graph.shapes[node.outputs[0]][1]:
            found.add(node.name)
        if (is_unlike and not is_mixing) or (node.kind == "concatenate" and len(set(node.inputs)) > 1):
            unlike.update(node.outputs)
    return found
