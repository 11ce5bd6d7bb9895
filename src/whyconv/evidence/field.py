"""What the places of the last map can see of the picture, from the nodes of the file alone.

The operations that lead from the normalized picture to the map are entered into a graph of ``whyconv.counting``, which
then tells receptive fields and exact sets of pixels. Only operations of which it is certain which places they join are
entered; anything else makes the field unknown, and that is said.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from whyconv.counting.axis import Axis
from whyconv.counting.dependency import DependencySet, Mask, dependency_set
from whyconv.counting.graph import Graph, Node, Reach
from whyconv.counting.receptive_field import receptive_fields
from whyconv.evidence.views import sources_of
from whyconv.model_file import PREPARED
from whyconv.onnx_file.graph import FileGraph, FileNode
from whyconv.results.evidence import PlaceField
from whyconv.results.fields import ReceptiveField
from whyconv.results.network import LayerKind

_ONE_BY_ONE = frozenset(
    {
        *("Abs", "Add", "BatchNormalization", "Cast", "Celu", "Clip", "Div", "Dropout", "Elu", "Erf", "Exp", "Gelu"),
        *("HardSigmoid", "HardSwish", "Identity", "LeakyRelu", "LRN", "Max", "Min", "Mul", "Neg", "PRelu", "Pow"),
        *("Relu", "Selu", "Sigmoid", "Softplus", "Sqrt", "Sub", "Sum", "Tanh", "ThresholdedRelu"),
    }
)
_WINDOWS = frozenset({"Conv", "MaxPool", "AveragePool", "LpPool"})
_WHOLE = frozenset({"GlobalAveragePool", "GlobalMaxPool"})
# What may lie between the pixels and the picture that the network takes; the latter only where views are made.
_PREPARES = frozenset({"Transpose", "Round"})
_MAKES_VIEWS = frozenset({"Slice", "Resize", "Shape"})


def field_graph(file: FileGraph, map_name: str, side: int, channels: int) -> Graph:
    """Returns the part of a network between the picture and a map, for one view of one picture.

    Args:
        file: The network.
        map_name: Name of the map.
        side: Of the picture in pixels.
        channels: Of the picture.
    """
    return _Entering(file, side, channels).graph(map_name)


def seen_pixels(graph: Graph, place: tuple[int, int]) -> DependencySet:
    """Returns exactly the pixels that one place of the map can see, in the upright view.

    Args:
        graph: As ``field_graph`` gives it.
        place: Row and column in the map.

    Raises:
        UsageError: There is no such place, or an operation on the way is not understood.
    """
    return dependency_set(graph, graph.outputs[0], [place])


def map_field(graph: Graph) -> ReceptiveField:
    """Returns the receptive field of the map's places: size, first pixel and jump along each axis."""
    return receptive_fields(graph)[-1]


def box_of(field: ReceptiveField, shape: tuple[int, int], side: int) -> tuple[float, float, float, float]:
    """Returns what a map of ``shape`` lies over: each place has ``jump`` pixels around the middle of its field.

    All of the picture where the field is not known, or branches of several jumps meet.
    """
    ends = [(axis.center, axis.jump) for axis in field.axes if axis.jump is not None]
    if len(ends) != 2:
        return 0.0, 0.0, float(side), float(side)
    (top, high), (left, wide) = ((float(center) + 0.5 - float(jump) / 2, float(jump)) for center, jump in ends)
    return top, left, high * shape[0], wide * shape[1]


def place_field(graph: Graph, place: tuple[int, int], views: Sequence[str] = ("upright",)) -> PlaceField:
    """Returns what one place of the map can see; where that is not known, the reason.

    Args:
        graph: As ``field_graph`` gives it.
        place: Row and column in the map.
        views: Whose maps are averaged. The pixels are those of the picture as it is and mirrored: of each, what the
            places see whose values are put to this one.
    """
    field = map_field(graph)
    if field.reason:
        return PlaceField(place=place, reason=field.reason)
    seen = DependencySet(_seen_in(graph, place, views))
    return PlaceField(
        place=place,
        size=tuple(axis.size for axis in field.axes),
        start=tuple(axis.start for axis in field.axes),
        jump=tuple(axis.jump for axis in field.axes if axis.jump is not None),
        bounds=seen.bounds,
        num_pixels=seen.num_pixels,
        fraction=seen.fraction,
        is_whole=field.is_whole,
        is_closer=any(view.startswith("closer") for view in views),
    )


def _seen_in(graph: Graph, place: tuple[int, int], views: Sequence[str]) -> Mask:
    """The pixels (side, side) of which something is put to a place, in the views that show the whole picture."""
    (height, width), side = graph.shapes[graph.outputs[0]][2:], graph.shapes["picture"][2]
    box = box_of(map_field(graph), (height, width), side)
    seen = []
    for view in [view for view in views if not view.startswith("closer")] or ["upright"]:
        places = sources_of(place, (height, width), view, box, side)
        mask = dependency_set(graph, graph.outputs[0], places).mask
        seen.append(mask[:, ::-1] if view == "mirrored" else mask)
    return np.asarray(np.logical_or.reduce(seen))


class _Entering:
    """One pass over the nodes that a map depends on.

    Args:
        file: The network.
        side: Of the picture.
        channels: Of the picture.
    """

    def __init__(self, file: FileGraph, side: int, channels: int) -> None:
        self.file = file
        self.side = side
        self.shapes: dict[str, tuple[int, ...]] = {"picture": (1, channels, side, side)}
        self.prepared = _prepared(file)

    def graph(self, map_name: str) -> Graph:
        """Enters what leads to the map."""
        if map_name in self.prepared:  # the picture itself is pooled
            self.shapes[map_name] = self.shapes["picture"]
            picture = Node(map_name, "pointwise", "Identity", "same", ("picture",), (map_name,))
            return Graph(("picture",), (map_name,), (picture,), self.shapes)
        nodes = [self._entered(node) for node in self._needed(map_name)]
        return Graph(("picture",), (map_name,), tuple(nodes), self.shapes)

    def _needed(self, map_name: str) -> list[FileNode]:
        needed, found = {map_name}, []
        for node in reversed(self.file.node):
            if needed.intersection(node.output) and node.output[0] not in self.prepared:
                found.append(node)
                needed.update(node.input)
        return found[::-1]

    def _entered(self, node: FileNode) -> Node:
        sources = ["picture" if name in self.prepared else name for name in node.input]
        values = tuple(dict.fromkeys(name for name in sources if name in self.shapes))
        name = node.output[0]
        if not values:
            return self._as(node, name, values, "unknown", "pointwise", reason=f"{node.op_type} takes no map")
        reader = _READERS.get("window" if node.op_type in _WINDOWS else node.op_type)
        if reader is not None:
            return reader(self, node, name, values)
        if node.op_type in _ONE_BY_ONE:
            self.shapes[name] = self._joint(values)
            return self._as(node, name, values, "same", "sum" if node.op_type in ("Add", "Sum") else "pointwise")
        if node.op_type in _WHOLE:
            self.shapes[name] = (*self.shapes[values[0]][:2], 1, 1)
            return self._as(node, name, values, "all", "pooling")
        self.shapes[name] = self.shapes[values[0]]
        return self._as(
            node, name, values, "unknown", "pointwise", reason=f"operation {node.op_type} is not known here"
        )

    def _joint(self, values: tuple[str, ...]) -> tuple[int, ...]:
        """The shape of values of which some have one place for all."""
        shapes = [self.shapes[value] for value in values]
        return tuple(max(sizes) for sizes in zip(*shapes, strict=True))

    def _as(
        self, node: FileNode, name: str, values: tuple[str, ...], reach: Reach, kind: LayerKind, reason: str = ""
    ) -> Node:
        return Node(name, kind, node.op_type, reach, values, (name,), reason=reason)

    def window(self, node: FileNode, name: str, values: tuple[str, ...]) -> Node:
        """A convolution or pooling."""
        shape = self.shapes[values[0]]
        weights = self.file.constant(node.input[1]) if node.op_type == "Conv" and len(node.input) > 1 else None
        kernel = list(weights.shape[2:]) if weights is not None else node.integers("kernel_shape")
        axes = tuple(_axis(node, number, length, kernel) for number, length in enumerate(shape[2:]))
        channels = shape[1] if weights is None else weights.shape[0]
        self.shapes[name] = (1, channels, *(axis.output_length for axis in axes))
        kind: LayerKind = "convolution" if node.op_type == "Conv" else "pooling"
        return replace(self._as(node, name, values, "window", kind), axes=axes)

    def padding(self, node: FileNode, name: str, values: tuple[str, ...]) -> Node:
        """Zeros, or other fixed numbers, around a map."""
        found = self.file.constant(node.input[1]) if len(node.input) > 1 else None
        pads = node.integers("pads") or ([] if found is None else [int(each) for each in found.ravel()])
        if len(pads) != 8 or node.settings.get("mode", b"constant") != b"constant" or min(pads) < 0:
            self.shapes[name] = self.shapes[values[0]]
            return self._as(node, name, values, "unknown", "pad", reason="this kind of padding is not known here")
        shape = self.shapes[values[0]]
        axes = tuple(Axis(shape[2 + axis], 1, padding=(pads[2 + axis], pads[6 + axis])) for axis in (0, 1))
        self.shapes[name] = (1, shape[1] + pads[1] + pads[5], *(axis.output_length for axis in axes))
        return replace(self._as(node, name, values, "window", "pad"), axes=axes)

    def joining(self, node: FileNode, name: str, values: tuple[str, ...]) -> Node:
        """Maps of several branches one after the other."""
        if node.integer("axis", 0) != 1:
            self.shapes[name] = self.shapes[values[0]]
            return self._as(node, name, values, "unknown", "concatenate", reason="places are joined one after another")
        shapes = [self.shapes[value] for value in values]
        self.shapes[name] = (1, sum(shape[1] for shape in shapes), *shapes[0][2:])
        return self._as(node, name, values, "same", "concatenate")


_READERS: dict[str, Callable[[_Entering, FileNode, str, tuple[str, ...]], Node]] = {
    "window": _Entering.window,
    "Pad": _Entering.padding,
    "Concat": _Entering.joining,
}


def _prepared(file: FileGraph) -> set[str]:
    """Names of values that are the picture itself, or views of it: what is made before the first layer."""
    resize = next((place for place, node in enumerate(file.node) if PREPARED in node.output), None)
    nodes = file.node if resize is None else file.node[resize + 1 :]
    has_views = any(_joins_views(node) for node in nodes)
    kinds = _ONE_BY_ONE | _PREPARES | (_MAKES_VIEWS if has_views else frozenset())
    prepared = {"pixels" if resize is None else PREPARED}
    for node in nodes:
        values = [name for name in node.input if name and file.constant(name) is None]
        is_allowed = node.op_type in kinds and bool(values) and all(name in prepared for name in values)
        if is_allowed or (_joins_views(node) and any(name in prepared for name in values)):
            prepared.update(node.output)
    return prepared


def _joins_views(node: FileNode) -> bool:
    return node.op_type == "Concat" and node.integer("axis", 0) == 0


def _axis(node: FileNode, number: int, length: int, kernel: list[int]) -> Axis:
    """The window along one spatial axis."""
    depth = len(kernel)
    stride, dilation = (node.integers(name, [1] * depth)[number] for name in ("strides", "dilations"))
    pads = node.integers("pads", [0] * (2 * depth))
    before, after = pads[number], pads[number + depth]
    reach = dilation * (kernel[number] - 1) + 1
    automatic = node.settings.get("auto_pad", b"NOTSET")
    if automatic in (b"SAME_UPPER", b"SAME_LOWER"):
        total = max((-(-length // stride) - 1) * stride + reach - length, 0)
        before, after = (total // 2, total - total // 2)[:: 1 if automatic == b"SAME_UPPER" else -1]
    places = -(-(length + before + after - reach) // stride) + 1
    has_rest = bool(node.integer("ceil_mode", 0)) and (places - 1) * stride < length + before
    return Axis(length, kernel[number], stride, (before, after), dilation, num_outputs=places if has_rest else 0)
