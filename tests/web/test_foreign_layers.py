"""Layers as files of others have them: names with a slash, padding that is worked out, weights that a node holds."""

from __future__ import annotations

import asyncio
import json
import urllib.parse
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from starlette.types import Message

from mirrored_model import SIDE, answering
from whyconv.export import describe_layers, export_maps
from whyconv.model_file import read_model
from whyconv.recognizer import Recognizer
from whyconv.web.application import application
from whyconv.web.batching import Batcher
from whyconv.web.inside import Inside
from whyconv.web.limits import Limits
from whyconv.web.metrics import Metrics
from whyconv.web.room import Room
from whyconv.web.service import Service

GENERATOR = np.random.default_rng(3)
PIXELS = GENERATOR.integers(0, 256, (SIDE, SIDE, 3), np.uint8)
FIRST, SECOND, UP, HEAD = (
    GENERATOR.normal(size=shape).astype(np.float32) for shape in ((6, 3, 3, 3), (4, 6, 4, 4), (4, 3, 2, 2), (6, 3))
)
BIASES = np.arange(6, dtype=np.float32)


def make_model() -> onnx.ModelProto:
    node = helper.make_node
    first, up = ["levels", "first.weight", "first.bias"], ["frozen/second", "up"]
    nodes = [
        node("Transpose", ["pixels"], ["turned"], perm=[0, 3, 1, 2]),
        node("Cast", ["turned"], ["levels"], to=TensorProto.FLOAT),
        node("Constant", [], ["first.weight"], value=numpy_helper.from_array(FIRST)),
        node("Constant", [], ["first.bias"], value=numpy_helper.from_array(BIASES)),
        node("Conv", first, ["frozen/first"], auto_pad="SAME_UPPER", strides=[2, 2], kernel_shape=[3, 3]),
        node("Relu", ["frozen/first"], ["frozen/rectified"]),
        node("Conv", ["frozen/rectified", "second"], ["frozen/second"], auto_pad="SAME_LOWER", kernel_shape=[4, 4]),
        node("ConvTranspose", up, ["frozen/up"], group=2, output_shape=[6, 6], kernel_shape=[2, 2]),
        node("ReduceMean", ["frozen/up", "places"], ["pooled"], keepdims=0),
        node("MatMul", ["pooled", "head"], ["logits"]),
        node("Softmax", ["logits"], ["probabilities"], axis=1),
    ]
    arrays: dict[str, np.ndarray] = {"second": SECOND, "up": UP, "head": HEAD, "places": np.array([2, 3], np.int64)}
    return answering(nodes, arrays, network="foreign")


@pytest.fixture(scope="module")
def foreign(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("foreign")
    (folder / "model.onnx").write_bytes(make_model().SerializeToString())
    export_maps(folder / "why.onnx", folder / "model.onnx")
    (folder / "layers.json").write_text(json.dumps(describe_layers(folder / "model.onnx")))
    return folder


@pytest.fixture(scope="module")
def inside(foreign: Path) -> Inside:
    rows = json.loads((foreign / "layers.json").read_text())
    return Inside(foreign / "why.onnx", read_model(foreign / "why.onnx")[1], rows)


def test_layers_whose_weights_a_node_holds_are_described_and_padding_is_worked_out(inside: Inside) -> None:
    rows = {row["map"]: row for row in inside.layers}
    assert list(rows)[:4] == ["frozen/first", "frozen/rectified", "frozen/second", "frozen/up"]
    # 12 places in steps of 2 with 3 taps lack 1; 6 in steps of 1 with 4 lack 3; of the 7 that 6 make with 2, 1 is cut.
    assert rows["frozen/first"]["padding"] == [0, 0, 1, 1]
    assert rows["frozen/second"]["padding"] == [2, 2, 1, 1]
    assert rows["frozen/up"]["padding"] == [1, 1, 0, 0]
    assert rows["frozen/first"]["weights"] == FIRST.size


@pytest.mark.parametrize("place", [(0, 0), (3, 2), (5, 5)])
@pytest.mark.parametrize("name", ["frozen/first", "frozen/second"])
def test_one_output_is_the_sum_of_its_products_whoever_works_out_the_padding(
    inside: Inside, name: str, place: tuple[int, int]
) -> None:
    step = inside.step(PIXELS, name, 1, *place)
    total = (step.inputs.astype(np.float64) * step.weights).sum() + step.bias
    assert total == pytest.approx(step.value, rel=1e-5, abs=1e-3)
    jump, before = (2, 0) if name == "frozen/first" else (1, 2)
    assert (step.top, step.left) == tuple(jump * each - before for each in place)


def test_detectors_of_a_transposed_convolution_are_told_outputs_first(inside: Inside) -> None:
    weights = inside.weights("frozen/up")
    assert weights.shape == (6, 2, 2, 2)
    session = onnxruntime.InferenceSession(make_up().SerializeToString())
    for channel in range(4):  # one place of one channel shows what each output has for it
        one = np.zeros((1, 4, 1, 1), np.float32)
        one[0, channel] = 1
        shown = session.run(None, {"x": one})[0][0]
        half = channel // 2
        assert np.allclose(shown[3 * half : 3 * half + 3], weights[3 * half : 3 * half + 3, channel % 2])


def make_up() -> onnx.ModelProto:
    graph = helper.make_graph(
        [helper.make_node("ConvTranspose", ["x", "up"], ["y"], group=2)],
        "up",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4, 1, 1])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 6, 2, 2])],
        [numpy_helper.from_array(UP, "up")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def ask(service: Service, path: str) -> tuple[int, Any]:
    """Status and JSON of a GET, as the server below uvicorn has it: the path with its signs in place of %2F."""
    said: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        said.append(message)

    scope = {"type": "http", "method": "GET", "path": urllib.parse.unquote(path), "query_string": b"", "headers": []}
    asyncio.run(application(service)(scope, receive, send))
    return said[0]["status"], json.loads(b"".join(message.get("body", b"") for message in said[1:]))


def test_a_layer_with_a_slash_in_its_name_has_weights(foreign: Path) -> None:
    recognizer, limits = Recognizer(foreign / "model.onnx", num_threads=1), Limits()
    batcher = Batcher([recognizer], num_readers=1, most_at_once=8, limits=limits)
    service = Service("foreign", recognizer, batcher, foreign, limits, Room(4, 1000), Metrics())
    try:
        for name, first in (("frozen/first", FIRST[0]), ("frozen/second", SECOND[0])):
            status, told = ask(service, f"/v1/layers/{urllib.parse.quote(name, safe='')}/weights")
            assert (status, told["layer"]) == (200, name)
            assert np.array_equal(np.array(told["values"], np.float32), first)
        status, told = ask(service, "/v1/layers/frozen/thing/weights")
        assert (status, told["error"]["message"][:33]) == (404, "There is no layer 'frozen/thing'.")
    finally:
        batcher.close()
