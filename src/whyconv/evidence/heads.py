"""The head of a network, found in its file: pooling over all places and one linear layer, or something else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from whyconv.onnx_file.graph import FileGraph, FileNode
from whyconv.results.evidence import Pooling, WhyOcclusion

_SAME_NUMBERS = frozenset({"Identity", "Cast", "Dropout"})
_RESHAPES = frozenset({"Flatten", "Reshape", "Squeeze"})
_SCALES = frozenset({"Div", "Mul"})
_POOLS: dict[str, Pooling] = {
    "GlobalAveragePool": "mean",
    "ReduceMean": "mean",
    "GlobalMaxPool": "largest",
    "ReduceMax": "largest",
    "AveragePool": "mean",
    "MaxPool": "largest",
}
_WINDOWS = frozenset({"AveragePool", "MaxPool"})
# What may lie between a flattened map and the last linear layer.
_FULLY_CONNECTED = frozenset(
    {
        *("Add", "BatchNormalization", "Clip", "Div", "Elu", "Gelu", "Gemm", "HardSigmoid", "HardSwish", "LeakyRelu"),
        *("MatMul", "Mul", "PRelu", "Relu", "Selu", "Sigmoid", "Softplus", "Sub", "Tanh"),
    }
)

Layout = Literal["channels first", "channels last"]


@dataclass(frozen=True)
class Head:
    """One number of each channel of the last map, and a linear layer of these.

    Attributes:
        map: Name of the value that is pooled.
        layout: Of the map, four axes.
        pooling: The mean over places, or the largest.
        factor: What the pooled numbers are multiplied with before the linear layer.
        weights: float64 (classes, c).
        biases: float64 (classes,).
        logits: Name of the value that the linear layer makes, (n, classes) of each view.
    """

    map: str
    layout: Layout
    pooling: Pooling
    factor: float
    weights: NDArray[np.float64]
    biases: NDArray[np.float64]
    logits: str


def find_head(graph: FileGraph, probabilities: str = "probabilities") -> Head | WhyOcclusion:
    """Walks back from the answer to the last map.

    Returns:
        The head, or why there is none of this kind: "dense" where fully connected layers take each place of a map by
        itself, "several" where the networks of a committee answer together, "unknown" where the head is another.
    """
    node = graph.makers.get(probabilities)
    if node is None or node.op_type != "Softmax":
        return "unknown"
    linear = _linear(graph, _behind_mean(graph, node.input[0]))
    if linear is None:
        return "several" if _is_committee(graph, node.input[0]) else "unknown"
    features, weights, biases, logits = linear
    value, factor = _followed(graph, features, _SAME_NUMBERS | _RESHAPES)
    pool = graph.makers.get(value)
    layout = _pooled_layout(graph, pool) if pool is not None and pool.op_type in _POOLS else None
    if pool is None or layout is None:
        return "dense" if _is_flattened(graph, features) else "unknown"
    return Head(pool.input[0], layout, _POOLS[pool.op_type], factor, weights, biases, logits)


def _behind_mean(graph: FileGraph, value: str) -> str:
    """The value behind scaling by the temperature, and behind the mean over views."""
    value, _ = _followed(graph, value, _SAME_NUMBERS)
    node = graph.makers.get(value)
    if node is not None and node.op_type == "ReduceMean" and _axes(graph, node) == [0]:
        apart = graph.makers.get(node.input[0])
        if apart is not None and apart.op_type == "Reshape":
            return _followed(graph, apart.input[0], _SAME_NUMBERS)[0]
    return value


def _is_committee(graph: FileGraph, value: str) -> bool:
    """Whether the logits are the mean of those of several networks, laid one upon the other."""
    mean = graph.makers.get(_behind_mean(graph, value))
    if mean is None or mean.op_type != "ReduceMean" or _axes(graph, mean) != [0]:
        return False
    stack = graph.makers.get(mean.input[0])
    if stack is None or stack.op_type != "Concat" or stack.integer("axis", 0) != 0:
        return False
    members = [graph.makers.get(name) for name in stack.input]
    return all(member is not None and member.op_type == "Unsqueeze" for member in members)


def _is_flattened(graph: FileGraph, value: str) -> bool:
    """Whether fully connected layers come from a map of more than one place, each place of which is an input."""
    passed = _FULLY_CONNECTED | _SAME_NUMBERS | _RESHAPES
    while (node := graph.makers.get(value)) is not None and node.op_type in passed:
        value = node.input[0]
        if node.op_type in _RESHAPES and (places := _places(graph, value)):
            return places != [1, 1]
    return False


def _places(graph: FileGraph, value: str) -> list[int | str]:
    """Height and width of a map, as the file tells them; [] where it does not, or where it is no map."""
    dims = next((info.dims for info in graph.value_info if info.name == value), [])
    return dims[2:] if len(dims) == 4 else []


def _followed(graph: FileGraph, value: str, kinds: frozenset[str]) -> tuple[str, float]:
    """Walks back through operations that change no number but for a common factor, which is returned too."""
    factor = 1.0
    while (node := graph.makers.get(value)) is not None:
        scale = _scale(graph, node)
        if scale is None and node.op_type not in kinds:
            break
        value, factor = node.input[0], factor * (1.0 if scale is None else scale)
    return value, factor


def _scale(graph: FileGraph, node: FileNode) -> float | None:
    """What a node multiplies all numbers with; None where it does something else."""
    constant = graph.constant(node.input[1]) if node.op_type in _SCALES else None
    if constant is None or constant.size != 1:
        return None
    number = float(constant.astype(np.float64).ravel()[0])
    return 1 / number if node.op_type == "Div" else number


def _linear(graph: FileGraph, value: str) -> tuple[str, NDArray[np.float64], NDArray[np.float64], str] | None:
    """What a linear layer takes, its weights (classes, c), its biases (classes,), and what it makes."""
    node = graph.makers.get(value)
    if node is None:
        return None
    if node.op_type == "Add":
        biases = graph.constant(node.input[1])
        product = graph.makers.get(node.input[0])
        found = _linear(graph, node.input[0]) if product is not None and product.op_type == "MatMul" else None
        return None if found is None or biases is None else (*found[:2], biases.astype(np.float64).ravel(), value)
    weights = graph.constant(node.input[1]) if node.op_type in ("Gemm", "MatMul") else None
    if weights is None or weights.ndim != 2 or node.integer("transA", 0):
        return None
    scaled = weights.astype(np.float64) * _number(node, "alpha")
    scaled = scaled if node.op_type == "Gemm" and node.integer("transB", 0) else scaled.T
    biases = graph.constant(node.input[2]) if len(node.input) > 2 and node.input[2] else np.zeros(len(scaled))
    if biases is None:
        return None
    shifts = np.broadcast_to(biases.astype(np.float64).ravel() * _number(node, "beta"), (len(scaled),))
    return node.input[0], scaled, np.array(shifts), value


def _number(node: FileNode, name: str) -> float:
    found = node.settings.get(name)
    return float(found) if isinstance(found, int | float) else 1.0


def _axes(graph: FileGraph, node: FileNode) -> list[int]:
    """Axes that a node reduces, as an attribute or as an input has them."""
    if listed := node.integers("axes"):
        return listed
    constant = graph.constant(node.input[1]) if len(node.input) > 1 else None
    return [] if constant is None else [int(each) for each in constant.ravel()]


def _pooled_layout(graph: FileGraph, node: FileNode) -> Layout | None:
    """Where the places of the map stand that a node reduces to one; None where it reduces something else."""
    if node.op_type.startswith("Global") or _is_whole_window(graph, node):
        return "channels first"
    axes = sorted(_axes(graph, node))
    if axes in ([2, 3], [-2, -1]):
        return "channels first"
    return "channels last" if axes in ([1, 2], [-3, -2]) else None


def _is_whole_window(graph: FileGraph, node: FileNode) -> bool:
    """Whether a pooling window lies over all places of its map, and over nothing else."""
    is_plain = not any(node.integers("pads")) and set(node.integers("dilations")) <= {1}
    is_free = node.settings.get("auto_pad", b"NOTSET") in (b"NOTSET", b"VALID")
    window = node.integers("kernel_shape")
    return node.op_type in _WINDOWS and is_plain and is_free and window == _places(graph, node.input[0]) != []
