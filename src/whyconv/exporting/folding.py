"""Normalizations with fixed statistics, folded into the convolutions before them: fewer nodes, the same answers."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

_USUAL_EPSILON = 1e-5
_NORM_INPUTS = 5  # maps, scale, shift, mean, variance


def fold_normalizations(model: onnx.ModelProto) -> int:
    """Folds every normalization that can be into the convolution before it, in place.

    A normalization in evaluation mode is y = f x + g for each channel, with f = scale / sqrt(variance + epsilon) and
    g = shift - f mean; after a convolution with weights W and biases b it is one with weights f W and biases f b + g.
    Through max pooling it goes too where every f is above 0: the largest number stays the largest. Computed in double
    precision, rounded once.

    Args:
        model: Changed; a graph with branches or loops is left as it is.

    Returns:
        How many normalizations are gone.

    References:
        Ioffe, Szegedy, *Batch normalization* (2015), arXiv 1502.03167, section 3.1, for the inference form.
    """
    if any(attribute.type in _WITH_GRAPHS for node in model.graph.node for attribute in node.attribute):
        return 0
    norms = [node for node in model.graph.node if node.op_type == "BatchNormalization"]
    num_folded = sum(_fold(model, node) for node in norms)
    if num_folded:
        _forget_unused(model)
    return num_folded


_WITH_GRAPHS = (onnx.AttributeProto.GRAPH, onnx.AttributeProto.GRAPHS)


@dataclass(frozen=True)
class _Places:
    """Where names of a graph come from and go to."""

    tensors: dict[str, onnx.TensorProto]
    makers: dict[str, onnx.NodeProto]
    uses: Counter[str]

    @classmethod
    def of(cls, graph: onnx.GraphProto) -> _Places:
        uses = Counter(name for node in graph.node for name in node.input)
        uses.update(output.name for output in graph.output)
        makers = {name: node for node in graph.node for name in node.output}
        return cls({tensor.name: tensor for tensor in graph.initializer}, makers, uses)

    def values(self, name: str) -> NDArray[np.float64]:
        return self.stored(name).astype(np.float64)

    def stored(self, name: str) -> NDArray[np.floating]:
        return np.asarray(numpy_helper.to_array(self.tensors[name]))


def _fold(model: onnx.ModelProto, norm: onnx.NodeProto) -> bool:
    """Folds one normalization, if it can be."""
    places = _Places.of(model.graph)
    if len(norm.input) != _NORM_INPUTS or len([name for name in norm.output if name]) != 1:
        return False
    if not all(name in places.tensors for name in norm.input[1:]):
        return False
    factor, offset = _as_line(norm, places)
    last = places.makers.get(norm.input[0])
    is_pooled = last is not None and last.op_type == "MaxPool" and len(last.output) == 1 and bool((factor > 0).all())
    convolution = places.makers.get(last.input[0]) if is_pooled and last is not None else last
    if last is None or convolution is None or not _takes_it(convolution, places):
        return False
    if any(places.uses[name] != 1 for name in {last.output[0], convolution.output[0]}):
        return False
    _scale(model, convolution, places, factor, offset)
    last.output[0] = norm.output[0]
    model.graph.node.remove(norm)
    return True


def _as_line(norm: onnx.NodeProto, places: _Places) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Returns f and g of each channel."""
    scale, shift, mean, variance = (places.values(name) for name in norm.input[1:])
    epsilon = next((each.f for each in norm.attribute if each.name == "epsilon"), _USUAL_EPSILON)
    factor = scale / np.sqrt(variance + epsilon)
    return factor, shift - factor * mean


def _takes_it(node: onnx.NodeProto, places: _Places) -> bool:
    """Whether a node is a convolution whose weights and biases are written in the file."""
    return node.op_type == "Conv" and all(name in places.tensors for name in node.input[1:])


def _scale(
    model: onnx.ModelProto,
    convolution: onnx.NodeProto,
    places: _Places,
    factor: NDArray[np.float64],
    offset: NDArray[np.float64],
) -> None:
    """Gives a convolution weights and biases of its own: others may share those it had."""
    weights, kind = places.values(convolution.input[1]), places.stored(convolution.input[1]).dtype
    biases = places.values(convolution.input[2]) if len(convolution.input) > 2 else np.zeros(len(weights))
    new = {
        f"{convolution.output[0]}.folded_weight": weights * factor.reshape(-1, *[1] * (weights.ndim - 1)),
        f"{convolution.output[0]}.folded_bias": biases * factor + offset,
    }
    for name, values in new.items():
        model.graph.initializer.append(numpy_helper.from_array(values.astype(kind), name))
    maps = convolution.input[0]
    del convolution.input[:]
    convolution.input.extend([maps, *new])


def _forget_unused(model: onnx.ModelProto) -> None:
    """Leaves out tensors that nothing takes any more, and shapes of maps that are gone."""
    places = _Places.of(model.graph)
    tensors = [tensor for tensor in model.graph.initializer if places.uses[tensor.name]]
    shapes = [info for info in model.graph.value_info if info.name in places.makers]
    del model.graph.initializer[:], model.graph.value_info[:]
    model.graph.initializer.extend(tensors)
    model.graph.value_info.extend(shapes)
