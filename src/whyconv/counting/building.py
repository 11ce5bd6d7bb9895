"""A graph being built, one operation after the other, by whoever reads a network."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypedDict, Unpack

from whyconv.counting.axis import Axis
from whyconv.counting.convolution import Convolution
from whyconv.counting.graph import Graph, Node, Parameter, Reach, Used
from whyconv.counting.layout import (
    Dim,
    Layout,
    canonical_shape,
    guessed_layout,
    is_in_order,
    num_pictures,
    picture_layout,
)
from whyconv.results.network import LayerKind

# Before and after, along each axis.
Pads = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Crop:
    """Every so-maniest place of a map, from a first one on.

    Attributes:
        source: Name of the map.
        rows: For each spatial axis: the first place, the step, and how many.
    """

    source: str
    rows: tuple[tuple[int, int, int], ...]

    @property
    def steps(self) -> tuple[tuple[int, int], ...]:
        """For each spatial axis: the step, and how many."""
        return tuple(row[1:] for row in self.rows)


@dataclass(frozen=True)
class Value:
    """An array that depends on the picture.

    Attributes:
        name: In the graph.
        shape: As the network has it.
        layout: What its axes stand for.
        map: Name of the map with the same numbers, where it was flattened.
        crop: Where it was cut out of a map.
    """

    name: str
    shape: tuple[int, ...]
    layout: Layout
    map: str = ""
    crop: Crop | None = None

    @property
    def size(self) -> int:
        """How many numbers it holds for one picture."""
        return math.prod(self.shape) // num_pictures(self.layout)


@dataclass(frozen=True)
class Weight:
    """An array that was computed from parameters alone.

    Attributes:
        names: Of the parameters.
        shape: Of the array.
        size: How many numbers the parameters hold.
    """

    names: tuple[str, ...]
    shape: tuple[int, ...]
    size: int


@dataclass(frozen=True)
class Constant:
    """An array that depends on neither picture nor parameters.

    Attributes:
        shape: Of the array.
    """

    shape: tuple[int, ...]


@dataclass(frozen=True)
class Call:
    """One operation as it was met.

    Attributes:
        operation: As torch or ONNX names it.
        shapes: Of what it makes.
        module: The module that called it.
        call: Which call of that module, from 1.
        weights: What it uses of the parameters.
        label: What an ONNX file calls its first output.
    """

    operation: str
    shapes: tuple[tuple[int, ...], ...]
    module: str = ""
    call: int = 1
    weights: tuple[Weight, ...] = ()
    label: str = ""

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the first thing it makes."""
        return self.shapes[0]

    @property
    def parameters(self) -> tuple[str, ...]:
        """Names of the parameters it uses, each once."""
        return tuple(dict.fromkeys(name for weight in self.weights for name in weight.names))

    @property
    def used(self) -> tuple[Used, ...]:
        """The learned numbers it uses."""
        return tuple(Used(weight.names, min(math.prod(weight.shape), weight.size)) for weight in self.weights)


class More(TypedDict, total=False):
    """What a node may say beyond what every node does; see ``Node``."""

    axes: tuple[Axis, ...]
    is_transposed: bool
    convolution: Convolution | None
    reason: str
    has_bias: bool
    weights: int | None
    connections: int | None
    multiply_adds: int | None


class Builder:
    """Collects nodes and values; ``finish`` makes the graph of them.

    Attributes:
        padded: By name, what constant padding made along no axis of places; of what, and how much of it on each axis.
    """

    padded: dict[str, tuple[Value, Value, Pads]]

    def __init__(self) -> None:
        self.padded = {}
        self.nodes: list[Node] = []
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.inputs: list[str] = []
        self.makers: dict[str, Node] = {}

    def picture(self, shape: Sequence[int], layout: Layout | None = None) -> Value:
        """Adds an input; (n, c, places...) where its layout is not given."""
        value = self.value(tuple(shape), layout or picture_layout(shape))
        self.inputs.append(value.name)
        return value

    def value(self, shape: tuple[int, ...], layout: Layout) -> Value:
        """Adds a value."""
        name = f"v{len(self.shapes)}"
        self.shapes[name] = canonical_shape(layout)
        return Value(name, shape, layout)

    def add(
        self,
        call: Call,
        kind: LayerKind,
        reach: Reach,
        inputs: Sequence[Value],
        layouts: Sequence[Layout],
        **more: Unpack[More],
    ) -> list[Value]:
        """Adds a node that makes one value of each layout.

        Args:
            call: The operation.
            kind: Of the node.
            reach: Of the node.
            inputs: What it reads.
            layouts: Of what it makes, as many as ``call.shapes``.
            **more: Further attributes of ``Node``.
        """
        outputs = [self.value(shape, layout) for shape, layout in zip(call.shapes, layouts, strict=True)]
        node = Node(
            name="",
            kind=kind,
            operation=call.operation,
            reach=reach,
            inputs=tuple(dict.fromkeys(value.name for value in inputs)),
            outputs=tuple(value.name for value in outputs),
            parameters=call.parameters,
            call=call.call,
            module=call.module,
            used=call.used,
            label=call.label,
            **more,
        )
        self.nodes.append(node)
        self.makers.update(dict.fromkeys(node.outputs, node))
        return outputs

    def unknown(self, call: Call, inputs: Sequence[Value], reason: str) -> list[Value]:
        """Adds a node that is not understood; what it makes is taken for maps (n, c, places...)."""
        first = inputs[0].layout[0] if inputs and inputs[0].layout else ()
        layouts = [_map_layout(shape, first) for shape in call.shapes]
        return self.add(call, "not_analyzed", "unknown", inputs, layouts, reason=reason)

    def rescale_last(self, made: list[Value], divisor: int) -> list[Value]:
        """Divides the connections of the last node, whose channels are taken in groups."""
        connections = self.nodes[-1].connections
        assert connections is not None
        self._change_last(replace(self.nodes[-1], connections=connections // divisor))
        return made

    def fix_last(self) -> None:
        """Says that the last node has no free weights."""
        self._change_last(replace(self.nodes[-1], weights=0))

    def _change_last(self, node: Node) -> None:
        self.nodes[-1] = node
        self.makers.update(dict.fromkeys(node.outputs, node))

    def as_map(self, value: Value) -> Value:
        """The value as (n, c, places...), with a node in between where its axes stood for something else.

        Channels or places of a picture that were moved to the first axis stay there, as channels: the picture lies in
        so many pieces side by side, ``num_pieces``.
        """
        expected = _map_layout(value.shape, value.layout[0] if value.layout else ())
        if self.is_map(value):
            return replace(value, layout=expected)
        call = Call("layout", (value.shape,), self.nodes[-1].module if self.nodes else "")
        if all(length == 1 for length in value.shape[2:]):
            return self.add(call, "reshape", "all", [value], [expected])[0]
        reason = "channels or tokens are taken for places"
        return self.add(call, "reshape", "unknown", [value], [expected], reason=reason)[0]

    def is_map(self, value: Value) -> bool:
        """Whether its axes are (n, c, places...) as they are."""
        expected = _map_layout(value.shape, value.layout[0] if value.layout else ())
        # A turned square map has the shape of one that is not.
        return canonical_shape(value.layout) == canonical_shape(expected) and is_in_order(value.layout[2:])

    def without_padding(self, value: Value, first: int) -> tuple[Value, Pads]:
        """What the value was before constant padding of axes from ``first`` on, and that padding; itself, and none."""
        made, source, pads = self.padded.get(value.name, (None, value, ()))
        if made != value or any(map(any, pads[:first])):
            return value, ((0, 0),) * len(value.shape)
        return source, pads

    def is_computed(self, value: Value) -> bool:
        """Whether layers with weights came before, and it is no picture that was only moved about."""
        names, seen = [value.name], set[str]()
        while names:
            node = self.makers.get(names.pop())
            if node is None or node.outputs[0] in seen:
                continue
            if node.parameters:
                return True
            seen.add(node.outputs[0])
            names += node.inputs
        return False

    def finish(self, outputs: Sequence[Value], parameters: dict[str, Parameter]) -> Graph:
        """The graph so far."""
        names = tuple(dict.fromkeys(value.name for value in outputs))
        return Graph(tuple(self.inputs), names, tuple(self.nodes), self.shapes, parameters)


def _map_layout(shape: Sequence[int], first: Dim) -> Layout:
    return (guessed_layout(shape, first)[0], *picture_layout(shape)[1:]) if shape else ()
