"""A run folder whose every name wants to be more than a name: classes, layers, network, folder, pictures."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from whyconv.export import describe_layers, export_maps

SIDE = 8
_SHARPNESS = 4e5  # of two hundred levels of gray, each has its own class


def write_hostile_run(folder: Path, names: Sequence[str], layer: str) -> Path:
    """Writes a run that answers with the name of the same rank as the picture's gray level, 0 to 255.

    Args:
        folder: Of the run.
        names: Of the classes.
        layer: What the names of layers end in.
    """
    folder.mkdir(parents=True)
    metadata = {
        "format_version": 1,
        "classes": list(names),
        "policy": {"version": 1, "side": SIDE, "channels": 1},
        "network": layer,
        "version": layer,
        "parts": {"train": 10},
    }
    model = _model(len(names), layer)
    helper.set_model_props(model, {"whyconv": json.dumps(metadata)})
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    export_maps(folder / "why.onnx", folder / "model.onnx")
    (folder / "layers.json").write_text(json.dumps(describe_layers(folder / "model.onnx")), encoding="utf-8")
    (folder / "why.json").write_text(json.dumps({"run": layer, "digest": layer}), encoding="utf-8")
    np.save(folder / "thumbnails.npy", np.zeros((20, SIDE, SIDE, 1), np.uint8))
    np.save(folder / "features.npy", np.linspace(0, 1, 20, dtype=np.float32)[:, None])
    (folder / "digests.txt").write_text("train 0 0\n" * 20)
    lines = [json.dumps({"path": name, "part": "train", "label": name}) for name in names[:20]]
    (folder / "examples.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def gray_of(rank: int, num_names: int) -> int:
    """The gray level that is answered with the name of this rank."""
    return round(rank * 255 / (num_names - 1))


def _model(num_names: int, layer: str) -> onnx.ModelProto:
    """The nearest of evenly spaced levels: -(mean - level)^2 without what all have in common."""
    levels = np.linspace(0, 1, num_names, dtype=np.float64)
    constants = {
        "white": np.float32(255),
        "filter": np.ones((1, 1, 1, 1), np.float32),
        "places": np.array([1, 2, 3], np.int64),
        "column": np.array([-1, 1], np.int64),
        "weights": (2 * levels * _SHARPNESS)[None].astype(np.float32),
        "biases": (-(levels**2) * _SHARPNESS).astype(np.float32),
    }
    node, seen, mean = helper.make_node, f"seen {layer}", f"mean {layer}"
    nodes = [
        node("Cast", ["pixels"], ["numbers"], to=TensorProto.FLOAT),
        node("Div", ["numbers", "white"], ["scaled"]),
        node("Transpose", ["scaled"], ["turned"], perm=[0, 3, 1, 2]),
        node("Conv", ["turned", "filter"], [seen], name=seen, kernel_shape=[1, 1]),
        node("ReduceMean", [seen, "places"], [mean], name=mean, keepdims=0),
        node("Reshape", [mean, "column"], ["features"]),
        node("Gemm", ["features", "weights", "biases"], ["logits"], name=f"head {layer}"),
        node("Softmax", ["logits"], ["probabilities"], axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "hostile",
        [helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["n", SIDE, SIDE, 1])],
        [
            helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["n", num_names]),
            helper.make_tensor_value_info("features", TensorProto.FLOAT, ["n", 1]),
        ],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
