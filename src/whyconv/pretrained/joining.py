"""One ONNX file out of a frozen network and what was learned on its features.

Uint8 pixels are normalized and seen by every view of the plan; the frozen network, with the weights that were tuned,
gives features; the head's logits are averaged over the views. The rule of the views is that of ``training/views.py``;
that both agree is proved by the parity of every run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, compose, helper, numpy_helper

from whyconv.images.closer import margin
from whyconv.model_file import METADATA_KEY, Metadata
from whyconv.onnx_file.seal import without_seal
from whyconv.pretrained.backbone import CHANNELS_LAST, Backbone
from whyconv.pretrained.foreign import operator_set
from whyconv.settings import NetworkPlan, View

_PREFIX = "frozen/"
# Where the views of a picture come together, and the shapes by which what was found of them is taken apart again.
_VIEWS, _SHAPES_OF_VIEWS = "views", ("logits.shape", "features.shape")
_AXES_ARE_INPUTS = 18  # the operator set from which ReduceMean takes its axes as an input


@dataclass(frozen=True, eq=False)
class Head:
    """The last layer: logits = features @ weights + biases.

    Attributes:
        weights: float32 (d, classes).
        biases: float32 (classes,).
    """

    weights: NDArray[np.float32]
    biases: NDArray[np.float32]

    def logits(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Logits (n, classes) of features (n, d)."""
        return features @ self.weights + self.biases


def join(
    backbone: Backbone,
    plan: NetworkPlan,
    head: Head,
    metadata: Metadata,
    tuned: Mapping[str, NDArray[np.float32]] | None = None,
) -> onnx.ModelProto:
    """Makes the recognizer: uint8 (n, side, side, 3) to probabilities (n, classes) and features (n, d).

    Args:
        backbone: The frozen network.
        plan: Its views, means and deviations.
        head: Of the logits.
        metadata: Class names, picture policy, temperature.
        tuned: Values of the network's initializers that are not the frozen ones, by name.
    """
    middle = _middle(backbone, tuned or {})
    opset = operator_set(middle)
    pieces = _Pieces(opset)
    pieces.front(backbone, plan, _PREFIX + backbone.picture)
    pieces.end(backbone, plan, head, metadata.temperature, _PREFIX + backbone.features)
    graph = helper.make_graph(
        [*pieces.before, *middle.graph.node, *pieces.after],
        "recognizer",
        [helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["n", plan.side, plan.side, 3])],
        [
            helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["n", len(plan.classes)]),
            helper.make_tensor_value_info("features", TensorProto.FLOAT, ["n", backbone.width]),
        ],
        [*middle.graph.initializer, *pieces.tensors],
    )
    graph.sparse_initializer.extend(middle.graph.sparse_initializer)
    model = helper.make_model(graph, opset_imports=middle.opset_import, ir_version=max(8, middle.ir_version))
    model.functions.extend(middle.functions)
    model.producer_name, model.producer_version = "whyconv", metadata.version
    model.metadata_props.add(key=METADATA_KEY, value=metadata.model_dump_json())
    onnx.checker.check_model(model, full_check=True)
    return model


def upright_alone(content: bytes, views: Sequence[View]) -> bytes | None:
    """An exported file that looks at the upright view alone, and averages nothing.

    Args:
        content: A file as ``join`` makes it, whatever was added to it since.
        views: Of its plan.

    Returns:
        None where there is no upright view, or no place where views come together.
    """
    if "upright" not in views:
        return None
    if len(views) == 1:
        return content
    model = onnx.load_model_from_string(without_seal(content))
    together = [node for node in model.graph.node if list(node.output) == [_VIEWS]]
    apart = [tensor for tensor in model.graph.initializer if tensor.name in _SHAPES_OF_VIEWS]
    if (len(together), len(apart)) != (1, len(_SHAPES_OF_VIEWS)):
        return None
    together[0].input[:] = [together[0].input[views.index("upright")]]
    for tensor in apart:
        shape = np.array([1, *numpy_helper.to_array(tensor)[1:]])
        tensor.CopyFrom(numpy_helper.from_array(shape, tensor.name))
    return bytes(model.SerializeToString())


def _middle(backbone: Backbone, tuned: Mapping[str, NDArray[np.float32]]) -> onnx.ModelProto:
    """The frozen network with tuned values and names that are nobody else's, without what leads to no feature."""
    model = onnx.ModelProto()
    model.CopyFrom(backbone.model)
    for tensor in model.graph.initializer:
        if tensor.name in tuned:
            tensor.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(tuned[tensor.name]), tensor.name))
    _keep_only(model, backbone.features)
    return compose.add_prefix(model, _PREFIX)


def _keep_only(model: onnx.ModelProto, output: str) -> None:
    """Leaves out the nodes and tensors that ``output`` does not depend on."""
    needed, kept = {output}, []
    for node in reversed(model.graph.node):
        if needed & set(node.output):
            kept.append(node)
            needed |= {*node.input, *_outer_names(node)}
    nodes = [*reversed(kept)]
    tensors = [each for each in model.graph.initializer if each.name in needed]
    del model.graph.node[:], model.graph.initializer[:], model.graph.value_info[:]
    model.graph.node.extend(nodes)
    model.graph.initializer.extend(tensors)


def _outer_names(node: onnx.NodeProto) -> set[str]:
    """Names that the subgraphs of a node may take from outside."""
    graphs = [each.g for each in node.attribute if each.type == onnx.AttributeProto.GRAPH]
    graphs += [graph for each in node.attribute for graph in each.graphs]
    names: set[str] = set()
    for graph in graphs:
        names |= {each.name for each in graph.output}
        for inner in graph.node:
            names |= {*inner.input, *_outer_names(inner)}
    return names


def _enlarging(inner: int, side: int) -> np.float32:
    """The factor that makes ``side`` places of ``inner`` ones, rounded so that the product is not just below it."""
    factor = np.float32(side / inner)
    while inner * float(factor) < side:
        factor = np.nextafter(factor, np.float32(2 * side))
    return factor


class _Pieces:
    """Nodes before and after the frozen network."""

    def __init__(self, opset: int) -> None:
        self.opset = opset
        self.before: list[onnx.NodeProto] = []
        self.after: list[onnx.NodeProto] = []
        self.tensors: list[onnx.TensorProto] = []

    def front(self, backbone: Backbone, plan: NetworkPlan, name: str) -> None:
        """From pixels to what the frozen network takes, all views one after the other."""
        x = self._node(self.before, "Cast", ["pixels"], "levels", to=TensorProto.FLOAT)
        x = self._node(self.before, "Transpose", [x], "planes", perm=[0, 3, 1, 2])
        mean, std = (np.array(each, np.float32).reshape(1, 3, 1, 1) for each in (plan.mean, plan.std))
        x = self._node(self.before, "Sub", [x, self._tensor("mean", mean)], "centered")
        x = self._node(self.before, "Div", [x, self._tensor("std", std)], "normalized")
        views = [self._view(x, view, plan.side) for view in plan.views]
        x = self._node(self.before, "Concat", views, _VIEWS, axis=0) if len(views) > 1 else views[0]
        if backbone.layout == "nhwc":
            x = self._node(self.before, "Transpose", [x], "rows", perm=[0, 2, 3, 1])
        if backbone.takes_levels:
            x = self._node(self.before, "Round", [x], "whole")
            x = self._node(
                self.before, "Clip", [x, self._tensor("least", 0.0), self._tensor("most", 255.0)], "in_range"
            )
        kinds = {"tensor(uint8)": "UINT8", "tensor(float)": "FLOAT", "tensor(float16)": "FLOAT16"}
        kind = TensorProto.DataType.Value(kinds.get(backbone.kind, "DOUBLE"))
        self._node(self.before, "Cast", [x], name, to=kind)

    def end(self, backbone: Backbone, plan: NetworkPlan, head: Head, temperature: float, x: str) -> None:
        """From features of all views to the answer."""
        x = self._node(self.after, "Cast", [x], "raw_features", to=TensorProto.FLOAT)
        if backbone.rank == 3:
            x = self._node(self.after, "Gather", [x, self._tensor("first", np.int64(0))], "token", axis=1)
        elif backbone.rank == 4:
            if backbone.places == CHANNELS_LAST:
                x = self._node(self.after, "Transpose", [x], "map_planes", perm=[0, 3, 1, 2])
            x = self._node(self.after, "GlobalAveragePool", [x], "pooled")
            x = self._node(self.after, "Flatten", [x], "vectors", axis=1)
        logits = self._node(
            self.after,
            "Gemm",
            [x, self._tensor("head.weight", head.weights), self._tensor("head.bias", head.biases)],
            "head",
        )
        logits = self._mean_of_views(logits, plan, len(plan.classes), "logits")
        self._mean_of_views(x, plan, backbone.width, "features")
        scaled = self._node(self.after, "Div", [logits, self._tensor("temperature", np.float32(temperature))], "scaled")
        self._node(self.after, "Softmax", [scaled], "probabilities", axis=1)

    def _view(self, x: str, view: str, side: int) -> str:
        if view.startswith("closer"):
            x = self._closer(x, side)
        if view.endswith("mirrored"):
            ends = self._slice("mirror", [-1], [-(side + 1)], [3], [-1])
            x = self._node(self.before, "Slice", [x, *ends], view)
        return x

    def _closer(self, x: str, side: int) -> str:
        if any("closer" in node.output for node in self.before):
            return "closer"
        edge = margin(side)
        ends = self._slice("middle", [edge, edge], [side - edge, side - edge], [2, 3], [1, 1])
        middle = self._node(self.before, "Slice", [x, *ends], "middle")
        scale = np.array([1, 1, *[_enlarging(side - 2 * edge, side)] * 2], np.float32)
        return self._node(
            self.before,
            "Resize",
            [middle, self._tensor("no_region", np.zeros(0, np.float32)), self._tensor("scale", scale)],
            "closer",
            mode="linear",
            coordinate_transformation_mode="half_pixel",
        )

    def _slice(self, name: str, *bounds: Sequence[int]) -> list[str]:
        """Names of starts, ends, axes and steps."""
        words = ("starts", "ends", "axes", "steps")
        return [
            self._tensor(f"{name}.{word}", np.array(each, np.int64)) for word, each in zip(words, bounds, strict=True)
        ]

    def _mean_of_views(self, x: str, plan: NetworkPlan, width: int, name: str) -> str:
        if len(plan.views) == 1:
            return self._node(self.after, "Identity", [x], name)
        shape = self._tensor(f"{name}.shape", np.array([len(plan.views), -1, width], np.int64))
        apart = self._node(self.after, "Reshape", [x, shape], f"{name}.views")
        if self.opset >= _AXES_ARE_INPUTS:
            axes = [self._tensor(f"{name}.axes", np.array([0], np.int64))]
            return self._node(self.after, "ReduceMean", [apart, *axes], name, keepdims=0)
        return self._node(self.after, "ReduceMean", [apart], name, axes=[0], keepdims=0)

    def _tensor(self, name: str, value: NDArray[np.generic] | np.generic | float) -> str:
        if all(each.name != name for each in self.tensors):
            kind = np.float32 if isinstance(value, float) else None
            self.tensors.append(numpy_helper.from_array(np.array(value, kind, order="C"), name))
        return name

    def _node(
        self, nodes: list[onnx.NodeProto], kind: str, inputs: list[str], name: str, **attributes: int | list[int] | str
    ) -> str:
        node = helper.make_node(kind, inputs, [name], name)
        node.attribute.extend(helper.make_attribute(key, value) for key, value in attributes.items())
        nodes.append(node)
        return name
