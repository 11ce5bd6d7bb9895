"""EfficientNet-Lite0 up to its features, written as an ONNX graph: normalization folded, layers by their own names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from whyconv.nets.efficientnet import EfficientNetLite0, padding_around
from whyconv.pretrained.tail import folded

INPUT, FEATURES = "pictures", "features"
OPSET = 18


def cut_name(block: int) -> str:
    """Name of the map that goes into a block; of the number of blocks: into the last convolution."""
    return f"map_{block}"


def draw(network: EfficientNetLite0, side: int, cuts: Sequence[int] = ()) -> onnx.ModelProto:
    """Writes the network up to its features.

    Args:
        network: With the weights.
        side: Of the pictures, in pixels.
        cuts: Blocks whose input map is an output too, by ``cut_name``.

    Returns:
        float32 (n, 3, side, side), normalized, to float32 (n, 1280).
    """
    drawing, maps = _Drawing(side, dict(network.convolutions())), {}
    x = drawing.relu6(drawing.convolution("_conv_stem", INPUT))
    for index, block in enumerate(network.blocks()):
        maps[index], y = (x, drawing.shape), x
        for name, _ in block.convolutions():
            y = drawing.convolution(f"_blocks.{index}.{name}", y)
            y = y if name == "_project_conv" else drawing.relu6(y)
        x = drawing.node("Add", [x, y], f"_blocks.{index}") if block.is_added else y
    maps[len(maps)] = x, drawing.shape
    x = drawing.relu6(drawing.convolution("_conv_head", x))
    x = drawing.node("GlobalAveragePool", [x], "pool")
    drawing.node("Flatten", [x], FEATURES, axis=1)
    outputs = [_info(FEATURES, drawing.shape[0])]
    for cut in cuts:
        name, shape = maps[cut]
        drawing.node("Identity", [name], cut_name(cut))
        outputs.append(_info(cut_name(cut), *shape))
    graph = helper.make_graph(
        drawing.nodes, "efficientnet_lite0", [_info(INPUT, 3, side, side)], outputs, drawing.tensors
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=10)


class _Drawing:
    """Nodes and tensors so far; ``shape`` is (c, h, w) of the newest map."""

    def __init__(self, side: int, layers: Mapping[str, tuple[nn.Conv2d, nn.BatchNorm2d]]) -> None:
        self.layers = layers
        self.nodes: list[onnx.NodeProto] = []
        self.tensors = [
            numpy_helper.from_array(np.array(bound, np.float32), name) for name, bound in (("zero", 0), ("six", 6))
        ]
        self.shape = (3, side, side)

    def node(self, kind: str, inputs: list[str], name: str, **attributes: int | list[int] | str) -> str:
        node = helper.make_node(kind, inputs, [name], name)
        node.attribute.extend(helper.make_attribute(key, value) for key, value in attributes.items())
        self.nodes.append(node)
        return name

    def relu6(self, x: str) -> str:
        return self.node("Clip", [x, "zero", "six"], f"{x}.relu6")

    def convolution(self, name: str, x: str) -> str:
        layer, normalization = self.layers[name]
        tensors = dict(zip((f"{name}.weight", f"{name}.bias"), folded(layer, normalization), strict=True))
        self.tensors += [numpy_helper.from_array(each.numpy(), key) for key, each in tensors.items()]
        side, kernel, stride = self.shape[1], layer.kernel_size[0], layer.stride[0]
        before, after = padding_around(side, kernel, stride)
        places = -(-side // stride)
        self.shape = (layer.out_channels, places, places)
        return self.node(
            "Conv",
            [x, *tensors],
            name,
            kernel_shape=[kernel, kernel],
            strides=[stride, stride],
            pads=[before, before, after, after],
            group=layer.groups,
        )


def _info(name: str, *shape: int) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", *shape])
