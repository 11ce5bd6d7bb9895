"""A model small enough to be answered by hand: the mean of each channel, one linear layer, softmax."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

CLASSES = ("red", "green", "blue")
WEIGHTS = np.array([[9, -3, -3], [-3, 9, -3], [-3, -3, 9]], np.float32)  # classes x channels
BIASES = np.array([0.1, 0.0, -0.1], np.float32)
TEMPERATURE = 1.5
SIDE = 8

COLORS = {"red": (250, 5, 5), "green": (5, 250, 5), "blue": (5, 5, 250)}


def expected_probabilities(pixels: np.ndarray) -> np.ndarray:
    """The same answers in float64, without the file."""
    means = pixels.reshape(len(pixels), -1, pixels.shape[-1]).astype(np.float64).mean(axis=1) / 255
    logits = (means @ WEIGHTS.T.astype(np.float64) + BIASES) / TEMPERATURE
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def make_metadata(**changes: Any) -> dict[str, Any]:
    metadata = {
        "format_version": 1,
        "classes": list(CLASSES),
        "policy": {"version": 1, "side": SIDE, "channels": 3},
        "temperature": TEMPERATURE,
        "network": "means",
        "version": "0.1.0",
        "parts": {"train": 10},
    }
    return metadata | changes


def make_model(metadata: dict[str, Any] | str | None) -> onnx.ModelProto:
    nodes = [
        helper.make_node("Cast", ["pixels"], ["levels"], to=TensorProto.FLOAT),
        helper.make_node("Div", ["levels", "white"], ["scaled"]),
        helper.make_node("ReduceMean", ["scaled", "axes"], ["features"], keepdims=0),
        helper.make_node("Gemm", ["features", "weights", "biases"], ["raw"], transB=1),
        helper.make_node("Div", ["raw", "temperature"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
    ]
    constants = {
        "white": np.float32(255),
        "axes": np.array([1, 2], np.int64),
        "weights": WEIGHTS,
        "biases": BIASES,
        "temperature": np.float32(TEMPERATURE),
    }
    graph = helper.make_graph(
        nodes,
        "means",
        [helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["n", SIDE, SIDE, 3])],
        [
            helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["n", 3]),
            helper.make_tensor_value_info("features", TensorProto.FLOAT, ["n", 3]),
        ],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    if metadata is not None:
        text = metadata if isinstance(metadata, str) else json.dumps(metadata)
        helper.set_model_props(model, {"whyconv": text})
    return model


def write_model(path: Path, **changes: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(make_model(make_metadata(**changes)).SerializeToString())
    return path
