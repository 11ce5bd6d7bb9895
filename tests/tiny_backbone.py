"""Feature networks small enough for a test, as a person could have exported them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SIDE, WIDTH = 16, 6


def tiny_backbone(  # one knob for each thing a file can differ in
    *,
    batch: int | str = "n",
    dims: tuple[int | str, ...] = (3, SIDE, SIDE),
    kind: int = TensorProto.FLOAT,
    output: str = "vector",
    opset: int = 17,
    metadata: dict[str, str] | None = None,
) -> onnx.ModelProto:
    """Four by four pixels averaged with random weights, ReLU, and a mean over places.

    Args:
        batch: First axis of the input.
        dims: Its other axes.
        kind: Of its numbers.
        output: "vector" (n, d), "tokens" (n, places, d), "map" (n, d, h, w) or "map_last" (n, h, w, d).
        opset: Of the operators.
        metadata: Of the file.
    """
    generator = np.random.default_rng(0)
    tensors = [
        numpy_helper.from_array(generator.normal(size=(WIDTH, 3, 4, 4)).astype(np.float32) / 5, "kernel"),
        numpy_helper.from_array(np.array([0, WIDTH, -1], np.int64), "flat"),
    ]
    nodes, x = [], "pixels"
    if kind != TensorProto.FLOAT:
        nodes.append(helper.make_node("Cast", [x], ["floats"], to=TensorProto.FLOAT))
        x = "floats"
    if dims[-1] == 3:
        nodes.append(helper.make_node("Transpose", [x], ["planes"], perm=[0, 3, 1, 2]))
        x = "planes"
    nodes += [
        helper.make_node("Conv", [x, "kernel"], ["conv"], strides=[4, 4]),
        helper.make_node("Relu", ["conv"], ["map"]),
        helper.make_node("Transpose", ["map"], ["map_last"], perm=[0, 2, 3, 1]),
        helper.make_node("GlobalAveragePool", ["map"], ["pool"]),
        helper.make_node("Flatten", ["pool"], ["vector"], axis=1),
        helper.make_node("Reshape", ["map", "flat"], ["rows"]),
        helper.make_node("Transpose", ["rows"], ["tokens"], perm=[0, 2, 1]),
    ]
    shapes: dict[str, list[int | str]] = {
        "vector": [batch, WIDTH],
        "tokens": [batch, "places", WIDTH],
        "map": [batch, WIDTH, "h", "w"],
        "map_last": [batch, "h", "w", WIDTH],
    }
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("pixels", kind, [batch, *dims])],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, shapes[output])],
        tensors,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    for key, value in (metadata or {}).items():
        model.metadata_props.add(key=key, value=value)
    return model


def write_backbone(path: Path, **knobs: Any) -> Path:
    """Writes ``tiny_backbone`` to a file."""
    path.write_bytes(tiny_backbone(**knobs).SerializeToString())
    return path
