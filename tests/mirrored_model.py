"""A network of two convolutions whose answer is the mean over a picture and its mirror image, written by hand."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tiny_model import make_metadata
from whyconv.export import describe_layers, export_maps

SIDE = 12
VIEWS = ("upright", "mirrored")


def numbers(name: str, *shape: int) -> np.ndarray:
    return np.random.default_rng(len(name) + sum(shape)).normal(size=shape).astype(np.float32)


CONSTANTS = {
    "mean": np.full((1, 3, 1, 1), 120, np.float32),
    "std": np.full((1, 3, 1, 1), 60, np.float32),
    "from": np.array([-1], np.int64),
    "to": np.array([-(2**40)], np.int64),
    "last": np.array([3], np.int64),
    "back": np.array([-1], np.int64),
    "first.weight": numbers("first", 4, 3, 3, 3),
    "first.bias": numbers("bias", 4),
    "second.weight": numbers("second", 6, 2, 3, 3),
    "places": np.array([2, 3], np.int64),
    "head.weight": numbers("head", 3, 6),
    "stacked": np.array([2, -1, 3], np.int64),
    "views": np.array([0], np.int64),
}


def make_model() -> onnx.ModelProto:
    node = helper.make_node
    nodes = [
        node("Transpose", ["pixels"], ["turned"], perm=[0, 3, 1, 2]),
        node("Cast", ["turned"], ["levels"], to=TensorProto.FLOAT),
        node("Sub", ["levels", "mean"], ["centered"]),
        node("Div", ["centered", "std"], ["upright"]),
        node("Slice", ["upright", "from", "to", "last", "back"], ["mirrored"]),
        node("Concat", ["upright", "mirrored"], ["both"], axis=0),
        node(
            "Conv", ["both", "first.weight", "first.bias"], ["first"], kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4
        ),
        node("Relu", ["first"], ["rectified"]),
        node("Conv", ["rectified", "second.weight"], ["second"], kernel_shape=[3, 3], dilations=[2, 2], group=2),
        node("ReduceMean", ["second", "places"], ["pooled"], keepdims=0),
        node("Gemm", ["pooled", "head.weight"], ["scores"], transB=1),
        node("Reshape", ["scores", "stacked"], ["views_scores"]),
        node("ReduceMean", ["views_scores", "views"], ["logits"], keepdims=0),
        node("Softmax", ["logits"], ["probabilities"], axis=1),
    ]
    return answering(nodes, CONSTANTS, views=VIEWS, network="two")


def answering(nodes: Sequence[onnx.NodeProto], arrays: Mapping[str, np.ndarray], **told: Any) -> onnx.ModelProto:
    """A file of whyconv's own that makes "probabilities" of 3 classes from "pixels"; ``told`` is of its metadata."""
    graph = helper.make_graph(
        nodes,
        "by_hand",
        [helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["n", SIDE, SIDE, 3])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["n", 3])],
        [numpy_helper.from_array(array, name) for name, array in arrays.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    policy = {"version": 1, "side": SIDE, "channels": 3}
    helper.set_model_props(model, {"whyconv": json.dumps(make_metadata(policy=policy, **told))})
    return model


def write_run(folder: Path) -> Path:
    """A folder with what the server reads of a run."""
    folder.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(make_model().SerializeToString())
    export_maps(folder / "why.onnx", folder / "model.onnx")
    (folder / "layers.json").write_text(json.dumps(describe_layers(folder / "model.onnx")))
    (folder / "why.json").write_text(json.dumps({"run": "two", "digest": "0"}))
    return folder
