"""What a place of the last map can see: as the reader of whole files says it, and as changed pixels show it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from evidence_files import drawn, export_random
from tiny_model import make_metadata
from whyconv.counting.dependency import dependency_set
from whyconv.counting.onnx_graph import read_onnx
from whyconv.evidence import Explainer, open_explainer
from whyconv.evidence.field import box_of, map_field, place_field, seen_pixels
from whyconv.onnx_file.reading import with_outputs
from whyconv.onnx_file.running import open_session
from whyconv.recognizer import Recognizer

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


@pytest.fixture(scope="module", params=[("plain", 12), ("swift", 16)], ids=str)
def explainer(request, tmp_path_factory) -> Explainer:
    name, side = request.param
    return export_random(tmp_path_factory.mktemp("field") / "model.onnx", name, side, 1)


def places(explainer: Explainer) -> list[tuple[int, int]]:
    graph = explainer.field_graph
    assert graph is not None
    height, width = graph.shapes[graph.outputs[0]][2:]
    return [(0, 0), (height // 2, width // 2), (height - 1, 0), (0, width - 1)]


def test_the_reader_of_whole_files_says_the_same(explainer: Explainer) -> None:
    whole = read_onnx(Path(explainer.recognizer.where))
    name = next(node.name for node in whole.nodes if node.label == explainer.head.map)
    for place in places(explainer):
        expected = dependency_set(whole, name, [place])
        np.testing.assert_array_equal(seen_pixels(explainer.field_graph, place).mask, expected.mask)
        told = place_field(explainer.field_graph, place)
        assert (told.num_pixels, told.bounds) == (expected.num_pixels, expected.bounds)


def test_no_pixel_outside_changes_a_place_and_those_at_the_edge_do(explainer: Explainer) -> None:
    head = explainer.head
    session = open_session(with_outputs(explainer.recognizer.content, [head.map]), 1, "x")
    pixels = drawn(explainer, 8)
    side = pixels.shape[1]
    before = session.run([head.map], {"pixels": pixels})[0]
    changes = {place: np.zeros((side, side), bool) for place in places(explainer)}
    for row in range(side):
        for column in range(side):
            changed = pixels.copy()
            changed[:, row, column] ^= 255
            after = session.run([head.map], {"pixels": changed})[0]
            for place, mask in changes.items():
                mask[row, column] = (after[(..., *place)] != before[(..., *place)]).any()
    for place, mask in changes.items():
        seen = seen_pixels(explainer.field_graph, place).mask
        assert not (mask & ~seen).any()
        rows, columns = np.nonzero(mask)
        bounds = ((rows.min(), rows.max()), (columns.min(), columns.max()))
        assert bounds == seen_pixels(explainer.field_graph, place).bounds


def test_the_box_has_each_place_around_the_middle_of_its_field(explainer: Explainer) -> None:
    graph = explainer.field_graph
    height, width = graph.shapes[graph.outputs[0]][2:]
    top, left, high, wide = box_of(map_field(graph), (height, width), explainer.recognizer.policy.side)
    (first, last), (begin, end) = seen_pixels(graph, (height // 2, width // 2)).bounds
    field = map_field(graph).axes[0]
    if last - first + 1 == field.size:  # not cut off by a border
        assert top + high / height * (height // 2 + 0.5) == pytest.approx((first + last + 1) / 2)
        assert left + wide / width * (width // 2 + 0.5) == pytest.approx((begin + end + 1) / 2)


def test_an_operation_that_is_not_understood_is_named() -> None:
    nodes = [
        helper.make_node("Cast", ["pixels"], ["levels"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["levels"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("DepthToSpace", ["planes"], ["odd"], blocksize=1),
        helper.make_node("GlobalAveragePool", ["odd"], ["pool"]),
        helper.make_node("Flatten", ["pool"], ["features"]),
        helper.make_node("MatMul", ["features", "weights"], ["product"]),
        helper.make_node("Add", ["product", "biases"], ["raw"]),
        helper.make_node("Softmax", ["raw"], ["probabilities"], axis=1),
    ]
    arrays = {"weights": np.eye(3, dtype=np.float32), "biases": np.array([1, 2, 3], np.float32)}
    graph = helper.make_graph(
        nodes,
        "odd",
        [helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["n", 8, 8, 3])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["n", 3])],
        [numpy_helper.from_array(value, name) for name, value in arrays.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    import json

    helper.set_model_props(model, {"whyconv": json.dumps(make_metadata())})
    explainer = open_explainer(Recognizer(model.SerializeToString()))
    assert explainer.head.biases.tolist() == [1, 2, 3]
    assert place_field(explainer.field_graph, (0, 0)).reason == "operation DepthToSpace is not known here"
