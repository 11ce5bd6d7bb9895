"""ONNX files with operations that are not understood: they are listed by name, and what is understood is counted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper
from torch import Tensor, nn

from onnx_by_hand import drawn, export, write
from whyconv.counting.network import count_network
from whyconv.counting.onnx_graph import read_onnx

KERNEL = np.ones((2, 1, 3, 3), np.float32)


class Patches(nn.Module):
    """One linear layer on every patch of 2 x 2 pixels, cut out without a window, and their mean."""

    def __init__(self) -> None:
        super().__init__()
        self.each, self.head = nn.Linear(4, 16), nn.Linear(16, 10)

    def forward(self, x: Tensor) -> Tensor:
        patches = x.unfold(2, 2, 2).unfold(3, 2, 2).permute(0, 2, 3, 1, 4, 5).flatten(3).flatten(1, 2)
        return self.head(self.each(patches).relu().mean(1))


def test_entries_taken_by_an_array_of_indices_are_listed_and_what_follows_is_counted(tmp_path: Path) -> None:
    path = export(drawn(Patches()), torch.zeros(2, 1, 8, 8), tmp_path / "m.onnx")
    report = count_network(read_onnx(path), "patches")
    gathers = [layer for layer in report.layers if layer.kind == "not_analyzed"]
    assert {layer.operation for layer in gathers} == {"onnx.Gather"}
    assert "array of indices" in gathers[0].reason
    assert report.totals.connections == 16 * 4 * 16 + 16 * 10


@pytest.mark.parametrize("rows", [[0], [0, 2]])
def test_entries_taken_by_a_list_stay_understood(rows: list[int], tmp_path: Path) -> None:
    nodes = [helper.make_node("Gather", ["x", "rows"], ["a"], axis=1), helper.make_node("Conv", ["a", "w"], ["y"])]
    arrays = {"rows": np.array(rows), "w": np.ones((2, len(rows), 3, 3), np.float32)}
    report = count_network(read_onnx(write(tmp_path / "m.onnx", nodes, arrays, [1, 3, 6, 6])), "rows")
    assert not report.not_analyzed
    assert report.totals.connections == 2 * 16 * 9 * len(rows)


FACTS = np.ones((64, 10), np.float32)
LAST_OPERATIONS: list[tuple[str, dict[str, Any], dict[str, NDArray[Any]], list[int]]] = [
    ("Gemm", {}, {"w2": FACTS}, [1, 10]),
    ("MatMul", {}, {"w2": FACTS[:4]}, [1, 2, 4, 10]),
    ("Conv", {}, {"w2": np.ones((3, 2, 3, 3), np.float32)}, [1, 3, 2, 2]),
    ("ConvTranspose", {}, {"w2": np.ones((2, 3, 3, 3), np.float32)}, [1, 3, 6, 6]),
    ("MaxPool", {"kernel_shape": [2, 2], "strides": [2, 2]}, {}, [1, 2, 2, 2]),
    ("GlobalAveragePool", {}, {}, [1, 2, 1, 1]),
    ("BatchNormalization", {}, dict.fromkeys("abcd", np.ones(2, np.float32)), [1, 2, 4, 4]),
    ("InstanceNormalization", {}, dict.fromkeys("ab", np.ones(2, np.float32)), [1, 2, 4, 4]),
    ("LayerNormalization", {}, {"a": np.ones(4, np.float32)}, [1, 2, 4, 4]),
    ("LRN", {"size": 3}, {}, [1, 2, 4, 4]),
    ("Softmax", {"axis": 1}, {}, [1, 10]),
    ("ReduceMean", {"axes": [2, 3], "keepdims": 0}, {}, [1, 2]),
    ("Transpose", {"perm": [0, 2, 3, 1]}, {}, [1, 4, 4, 2]),
    ("Flatten", {}, {}, [1, 32]),
    ("Squeeze", {}, {"axes": np.array([2, 3])}, [1, 2]),
    ("Unsqueeze", {}, {"axes": np.array([2])}, [1, 2, 1, 4, 4]),
    ("Slice", {}, {"starts": np.array([0]), "ends": np.array([2]), "axes": np.array([2])}, [1, 2, 2, 4]),
    ("Gather", {"axis": 1}, {"rows": np.array([0, 1])}, [1, 2, 4, 4]),
    ("Split", {"axis": 1}, {}, [1, 2, 4, 4]),
    ("Expand", {}, {"to": np.array([1, 2, 4, 4])}, [1, 2, 4, 4]),
    ("Pad", {}, {"pads": np.array([0, 0, 1, 1, 0, 0, 1, 1])}, [1, 2, 6, 6]),
    ("DepthToSpace", {"blocksize": 1}, {}, [1, 2, 4, 4]),
    ("Relu", {}, {}, [1, 2, 4, 4]),
]


@pytest.mark.parametrize(("name", "attributes", "arrays", "shape"), LAST_OPERATIONS, ids=lambda value: str(value)[:20])
def test_what_follows_an_unknown_shape_is_listed_whatever_it_is(
    name: str, attributes: dict[str, Any], arrays: dict[str, NDArray[Any]], shape: list[int], tmp_path: Path
) -> None:
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["map"]),
        helper.make_node("NoSuchOperation", ["map"], ["b"], domain="example.org"),
        helper.make_node(name, ["b", *arrays], ["y"], **attributes),
    ]
    path = write(tmp_path / "m.onnx", nodes, {"w": KERNEL, **arrays}, [1, 1, 6, 6], opset=17)
    said = onnx.load(path)
    said.graph.output[0].CopyFrom(helper.make_tensor_value_info("y", TensorProto.FLOAT, shape))
    onnx.save(said, path)
    report = count_network(read_onnx(path), "unknown")
    assert [each.partition("#")[0] for each in report.not_analyzed] == ["NoSuchOperation", name]
    assert report.layers[0].connections == 2 * 16 * 9
