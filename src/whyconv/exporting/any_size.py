"""Pictures of any size into the graph: the resize of the picture policy as nodes before the network.

What the nodes do is what ``images.prepare.fit`` does: the same size of the fitted picture, the same filter, the same
bars. Decoding, EXIF orientation, transparency, 16-bit values and color to gray stay outside.
"""

from __future__ import annotations

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from whyconv.errors import UsageError
from whyconv.images.prepare import PicturePolicy
from whyconv.model_file import ANY_SIZE_PREFIX, PREPARED
from whyconv.pretrained.foreign import operator_set

PIXELS = "pixels"
# The first operator set whose Resize can be told to antialias.
LEAST_OPSET = 18
_IR_VERSION = 9


def take_any_size(model: onnx.ModelProto, policy: PicturePolicy) -> None:
    """Puts the resize before a recognizer, in place: ``pixels`` is then uint8 (n, h, w, channels) of any h and w.

    Args:
        model: With the input ``pixels``, uint8 (n, side, side, channels).
        policy: Side, channels, letterbox or stretch.

    Raises:
        UsageError: The model's operator set has no antialiased resize.
    """
    opset = operator_set(model)
    if opset < LEAST_OPSET:
        raise UsageError(
            f"--any-size needs ONNX operator set {LEAST_OPSET} or newer, for its antialiased Resize; this recognizer "
            f"has {opset}, that of the network it started from. Leave --any-size out, or train from a newer one."
        )
    nodes, tensors = _resize(policy)
    for node in model.graph.node:
        for place, name in enumerate(node.input):
            if name == PIXELS:
                node.input[place] = PREPARED
    later = [*model.graph.node]
    del model.graph.node[:], model.graph.input[:]
    model.graph.node.extend([*nodes, *later])
    model.graph.initializer.extend(tensors)
    model.graph.input.append(_picture(policy))


def resize_alone(policy: PicturePolicy) -> onnx.ModelProto:
    """The resize as a model of its own: ``pixels`` of any size to ``prepared``, uint8 (n, side, side, channels)."""
    nodes, tensors = _resize(policy)
    nodes.append(helper.make_node("Identity", [PREPARED], ["prepared"]))
    shape: list[str | int | None] = ["n", policy.side, policy.side, policy.channels]
    outputs = [helper.make_tensor_value_info("prepared", TensorProto.UINT8, shape)]
    graph = helper.make_graph(nodes, "resize", [_picture(policy)], outputs, tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", LEAST_OPSET)], ir_version=_IR_VERSION)


def _picture(policy: PicturePolicy) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(PIXELS, TensorProto.UINT8, ["n", "h", "w", policy.channels])


def _resize(policy: PicturePolicy) -> tuple[list[onnx.NodeProto], list[onnx.TensorProto]]:
    """Nodes from ``pixels`` to the prepared ones, and their constants."""
    pieces = _Pieces()
    shape = pieces.node("Shape", [PIXELS])
    count = pieces.node("Gather", [shape, pieces.whole([0])])
    square = pieces.whole([policy.side] * 2)
    fitted = square if policy.fit == "stretch" else _fitted_size(pieces, shape, policy.side)
    sizes = pieces.node("Concat", [count, fitted, pieces.whole([policy.channels])], axis=0)
    # Outside of the picture nothing counts: the weights of the rest are made to sum to 1, as Pillow has it.
    resized = pieces.node(
        "Resize",
        [PIXELS, "", "", sizes],
        mode="linear",
        antialias=1,
        exclude_outside=1,
        coordinate_transformation_mode="half_pixel",
    )
    if policy.fit == "letterbox":
        resized = _with_bars(pieces, resized, pieces.node("Sub", [square, fitted]), policy.letterbox_fill)
    # What is known of the shape is said, for the layers that need it.
    known = pieces.whole([-1, policy.side, policy.side, policy.channels])
    pieces.nodes.append(helper.make_node("Reshape", [resized, known], [PREPARED], PREPARED))
    return pieces.nodes, pieces.tensors


def _fitted_size(pieces: _Pieces, shape: str, side: int) -> str:
    """Height and width of the picture inside the square, as ``images.prepare`` rounds them: in double precision."""
    size = pieces.node("Gather", [shape, pieces.whole([1, 2])])
    longer = pieces.node("ReduceMax", [size], keepdims=1)
    enlarged = pieces.node("Mul", [size, pieces.whole([side])])
    halves = [pieces.node("Cast", [each], to=TensorProto.DOUBLE) for each in (enlarged, longer)]
    rounded = pieces.node("Round", [pieces.node("Div", halves)])
    return pieces.node("Max", [pieces.node("Cast", [rounded], to=TensorProto.INT64), pieces.whole([1])])


def _with_bars(pieces: _Pieces, resized: str, free: str, level: int) -> str:
    """Centers the picture; an odd row or column goes to the bottom or right."""
    before = pieces.node("Div", [free, pieces.whole([2])])
    after = pieces.node("Sub", [free, before])
    none = pieces.whole([0])
    bars = pieces.node("Concat", [none, before, none, none, after, none], axis=0)
    return pieces.node("Pad", [resized, bars, pieces.tensor(np.array(level, np.uint8))], mode="constant")


class _Pieces:
    """Nodes and constants as they are made, each under a name of its own."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.tensors: list[onnx.TensorProto] = []

    def node(self, kind: str, inputs: list[str], **attributes: int | str) -> str:
        """Adds a node and returns the name of its output."""
        name = f"{ANY_SIZE_PREFIX}{kind.lower()}_{len(self.nodes)}"
        node = helper.make_node(kind, inputs, [name], name)
        node.attribute.extend(helper.make_attribute(key, value) for key, value in attributes.items())
        self.nodes.append(node)
        return name

    def whole(self, numbers: list[int]) -> str:
        """Adds whole numbers."""
        return self.tensor(np.array(numbers, np.int64))

    def tensor(self, values: NDArray[np.generic]) -> str:
        """Adds a constant and returns its name."""
        name = f"{ANY_SIZE_PREFIX}constant_{len(self.tensors)}"
        self.tensors.append(numpy_helper.from_array(values, name))
        return name
