"""What a place of the last map can see: as the reader of whole files says it, and as changed pixels show it."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from evidence_files import drawn, export_network, export_random
from tiny_model import make_metadata
from whyconv.counting.dependency import dependency_set
from whyconv.counting.onnx_graph import read_onnx
from whyconv.evidence import Explainer, evidence_map, explain, open_explainer
from whyconv.evidence.field import box_of, map_field, place_field, seen_pixels
from whyconv.onnx_file.reading import with_outputs
from whyconv.onnx_file.running import open_session
from whyconv.recognizer import Recognizer
from whyconv.settings import NetworkPlan, View

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


class Strided(nn.Module):
    """Three convolutions of stride 2, whose places lie nearer to the upper left than to the lower right."""

    def __init__(self) -> None:
        super().__init__()
        widths = [(1, 8), (8, 8), (8, 8)]
        layers = [nn.Sequential(nn.Conv2d(*pair, 3, stride=2, padding=1), nn.LeakyReLU()) for pair in widths]
        self.body, self.head = nn.Sequential(*layers), nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.body(x).mean(dim=(2, 3)))


@pytest.mark.parametrize("views", [("upright",), ("upright", "mirrored")], ids=len)
def test_a_place_sees_what_changes_its_value_in_any_view(views: tuple[View, ...], tmp_path: Path) -> None:
    side = 24
    plan = NetworkPlan(
        name="strided", side=side, in_channels=1, classes=["a", "b", "c"], mean=[77.0], std=[95.0], views=list(views)
    )
    torch.manual_seed(3)
    explainer = export_network(tmp_path / "model.onnx", Strided().eval(), plan)
    pixels = drawn(explainer)[0]
    before = np.array(evidence_map(explainer, pixels, 0).values)
    changes = np.zeros((2, side, *before.shape), bool)
    for axis, at in itertools.product(range(2), range(side)):
        changed = pixels.copy()
        changed[(slice(None),) * axis + (at,)] ^= 255
        changes[axis, at] = np.abs(np.array(evidence_map(explainer, changed, 0).values) - before) > 1e-7
    for place in np.ndindex(before.shape):
        seen = [np.flatnonzero(each) for each in changes[(slice(None), slice(None), *place)]]
        told = place_field(explainer.field_graph, place, views)
        assert told.bounds == tuple((one.min(), one.max()) for one in seen)
        assert told.num_pixels == len(seen[0]) * len(seen[1])  # no holes
    strongest = explain(explainer, pixels).field
    assert strongest == place_field(explainer.field_graph, strongest.place, views)


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
