"""ONNX files that a stranger could send."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from tiny_model import make_metadata, make_model
from whyconv.onnx_file.protobuf import field_bytes

_SCALAR = [helper.make_tensor_value_info("more", TensorProto.BOOL, [])]


def outside(place: str, **more: str) -> ModelProto:
    """A model whose weights lie in another file."""
    model = make_model(make_metadata())
    weights = next(each for each in model.graph.initializer if each.name == "weights")
    onnx.external_data_helper.set_external_data(weights, place, **more)
    weights.ClearField("raw_data")
    return model


def with_nodes(*nodes: NodeProto, domain: str = "") -> ModelProto:
    """A model with more nodes, which come last."""
    model = make_model(make_metadata())
    model.graph.node.extend(nodes)
    if domain:
        model.opset_import.append(helper.make_opsetid(domain, 1))
    return model


def in_place_of_softmax(*nodes: NodeProto, **constants: Any) -> ModelProto:
    """A model that gives something else as its probabilities."""
    model = make_model(make_metadata())
    del model.graph.node[-1]
    model.graph.node.extend(nodes)
    model.graph.initializer.extend(numpy_helper.from_array(np.asarray(each), name) for name, each in constants.items())
    return model


def external(folder: Path, secret: Path) -> Iterator[tuple[str, bytes]]:
    """Weights in other files, by every way to name one; the file is there, and holds what would fit."""
    (folder / "link").symlink_to(secret)
    (folder / "hard").hardlink_to(secret)
    (folder / "below").mkdir()
    away = "/".join([".."] * 40) + str(secret)
    names = ["hard", "link", str(secret), "../" * 9 + "etc/passwd", "a/../../b", away, "/dev/zero", "below/../hard"]
    for number, name in enumerate([*names, "", ".", "file://" + str(secret), "\\\\server\\share", "hard\0.bin"]):
        yield f"external-{number}-{name[-20:]!r}", outside(name).SerializeToString()
    yield "external-far-away", outside("hard", offset=str(1 << 62), length=str(1 << 62)).SerializeToString()
    location = make_model(make_metadata())
    location.graph.initializer[0].data_location = TensorProto.EXTERNAL
    yield "external-without-name", location.SerializeToString()


def endless() -> ModelProto:
    """A loop whose condition stays true."""
    body = helper.make_graph(
        [helper.make_node("Identity", ["go"], ["more"]), helper.make_node("Identity", ["x"], ["y"])],
        "body",
        [
            helper.make_tensor_value_info("round", TensorProto.INT64, []),
            helper.make_tensor_value_info("go", TensorProto.BOOL, []),
            helper.make_tensor_value_info("x", TensorProto.FLOAT, None),
        ],
        [*_SCALAR, helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
    )
    return in_place_of_softmax(
        helper.make_node("Loop", ["", "true", "logits"], ["probabilities"], body=body), true=True
    )


def operators() -> Iterator[tuple[str, bytes]]:
    """Operators that ONNX itself does not define, or that may never end."""
    for domain in ("com.microsoft", "ai.onnx.ml", "ai.onnx.training", "stranger", "ai.onnx ", "AI.ONNX"):
        node = helper.make_node("Gelu", ["scaled"], ["unused"], domain=domain)  # onnxruntime brings the first of them
        yield f"operator-of-{domain!r}", with_nodes(node, domain=domain).SerializeToString()
    yield "loop", endless().SerializeToString()
    model = make_model(make_metadata())
    node = helper.make_node("Identity", ["x"], ["y"])
    model.functions.append(helper.make_function("stranger", "f", ["x"], ["y"], [node], [helper.make_opsetid("", 18)]))
    yield "function", model.SerializeToString()
    branch = helper.make_graph(
        [helper.make_node("Gelu", ["pixels"], ["z"], domain="stranger")],
        "branch",
        [],
        [helper.make_tensor_value_info("z", TensorProto.UINT8, None)],
    )
    hidden = helper.make_node("If", ["true"], ["unused"], then_branch=branch, else_branch=branch)
    yield "operator-in-branch", with_nodes(hidden, domain="stranger").SerializeToString()
    training = make_model(make_metadata())
    training.training_info.add().algorithm.CopyFrom(training.graph)
    yield "training", training.SerializeToString()


def sizes() -> Iterator[tuple[str, bytes]]:
    """Files that ask for more than a machine has, or than a reader's stack."""
    plain = make_model(make_metadata()).SerializeToString()
    yield "many-nodes", plain + field_bytes(7, b"".join([field_bytes(1, field_bytes(4, b"Relu"))] * 300_000))
    yield "many-tensors", plain + field_bytes(7, field_bytes(5, field_bytes(8, b"t")) * 200_000)
    nested = field_bytes(4, b"If")
    for _ in range(300):
        nested = field_bytes(4, b"If") + field_bytes(5, field_bytes(6, field_bytes(1, nested)))
    yield "graph-in-graph", plain + field_bytes(7, field_bytes(1, nested))
    for name, dims in (("huge", [1 << 40]), ("overflows", [1 << 32, 1 << 32]), ("negative", [-1]), ("many", [1] * 100)):
        yield f"shape-{name}", plain + field_bytes(7, field_bytes(5, _tensor(dims)))
    yield "long-operator", with_nodes(helper.make_node("R" * 1_000_000, ["pixels"], ["u"])).SerializeToString()
    yield "truncated", plain[: len(plain) // 2]
    yield "no-graph", field_bytes(14, field_bytes(1, b"whyconv") + field_bytes(2, b"{}"))
    yield "memory-when-run", _memory(10**13).SerializeToString()
    yield "memory-when-opened", _counted(10**12).SerializeToString()


def _tensor(dims: list[int]) -> bytes:
    return TensorProto(dims=dims, data_type=TensorProto.FLOAT, name="t", raw_data=bytes(4)).SerializeToString()


def _memory(count: int) -> ModelProto:
    """Sums up an array of that many numbers, which it makes while it answers."""
    nodes = [
        helper.make_node("ConstantOfShape", ["count"], ["numbers"]),
        helper.make_node("ReduceSum", ["numbers"], ["sum"], keepdims=0),
        helper.make_node("Add", ["logits", "sum"], ["probabilities"]),
    ]
    return in_place_of_softmax(*nodes, count=np.array([count], np.int64))


def _counted(count: int) -> ModelProto:
    """The same, with numbers that follow from the file alone."""
    nodes = [
        helper.make_node("Range", ["zero", "count", "step"], ["whole"]),
        helper.make_node("Cast", ["whole"], ["numbers"], to=TensorProto.FLOAT),
        helper.make_node("ReduceSum", ["numbers"], ["sum"], keepdims=0),
        helper.make_node("Add", ["logits", "sum"], ["probabilities"]),
    ]
    return in_place_of_softmax(*nodes, zero=np.int64(0), count=np.int64(count), step=np.int64(1))


def descriptions() -> Iterator[tuple[str, bytes]]:
    """Metadata that are out of bounds, or say two things."""
    text = json.dumps(make_metadata())
    wide = json.dumps(make_metadata(classes=[f"{k}" for k in range(100_001)]))
    for name, told in {
        "same-key-twice": text[:-1] + ', "temperature": 9.0}',
        "many-classes": json.dumps(make_metadata(classes=[f"{k}" for k in range(300_000)])),
        "too-many-classes": wide,
        "long-class": json.dumps(make_metadata(classes=["a" * 1_000_000, "b"])),
        "deep": "[" * 1_000_000,
        "deep-policy": json.dumps(make_metadata(parts={"train": json.loads("[" * 60 + "]" * 60)})),
        "20-MB": json.dumps(make_metadata(network="a" * 20_000_000)),
        "huge-side": json.dumps(make_metadata(policy={"version": 1, "side": 10**9, "channels": 3})),
        "long-number": text[:-1] + ', "more": ' + "9" * 100_000 + "}",
        "not-a-number": json.dumps(make_metadata(temperature=float("nan"))),
        "wrong-number-of-classes": json.dumps(make_metadata(classes=["a", "b"])),
    }.items():
        yield name, make_model(told).SerializeToString()
    plain = make_model(make_metadata()).SerializeToString()
    again = field_bytes(14, field_bytes(1, b"whyconv") + field_bytes(2, text.encode()))
    yield "metadata-twice", plain + again
    yield (
        "weights-are-nan",
        in_place_of_softmax(
            helper.make_node("Mul", ["logits", "none"], ["probabilities"]), none=np.float32("nan")
        ).SerializeToString(),
    )
