"""Tensors whose few bytes stand for as many numbers as they like are kept away from what runs files."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

from tiny_model import make_metadata, make_model
from whyconv.errors import ModelFileError
from whyconv.onnx_file.admission import admit


def sparse(count: int) -> onnx.SparseTensorProto:
    """One number that is not 0, of so many."""
    value = numpy_helper.from_array(np.ones(1, np.float32), "big")
    return helper.make_sparse_tensor(value, numpy_helper.from_array(np.zeros(1, np.int64), "places"), [count])


def as_weights(model: onnx.ModelProto) -> None:
    model.graph.sparse_initializer.append(sparse(400_000_000))


def as_constant(model: onnx.ModelProto) -> None:
    model.graph.node.append(helper.make_node("Constant", [], ["big"], sparse_value=sparse(400_000_000)))


def among_attributes(model: onnx.ModelProto) -> None:
    node = helper.make_node("Identity", ["pixels"], ["same"])
    node.attribute.append(helper.make_attribute("all", [sparse(9), sparse(400_000_000)]))
    model.graph.node.append(node)


@pytest.mark.parametrize("hide", [as_weights, as_constant, among_attributes])
def test_sparse_tensors_are_not_run(hide: Callable[[onnx.ModelProto], None]) -> None:
    model = make_model(make_metadata())
    hide(model)
    content = model.SerializeToString()
    with pytest.raises(ModelFileError, match=r"^it holds sparse tensors, which are refused: .*Export it with plain"):
        admit(content, "it")
    assert "whyconv" in admit(content, "it", runs=False)
