"""Folded normalizations change no answer; those that cannot be folded stay."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from whyconv.exporting.folding import fold_normalizations

CHANNELS = 3


def normalization(source: str, name: str, numbers: dict[str, np.ndarray], *, factor: float = 1.0) -> onnx.NodeProto:
    """A normalization of 4 maps with random numbers, the first factor of which has the sign of ``factor``."""
    generator = np.random.default_rng(len(numbers))
    values = {
        "scale": generator.uniform(0.5, 2, 4) * [factor, 1, 1, 1],
        "shift": generator.normal(size=4),
        "mean": generator.normal(size=4),
        "var": generator.uniform(0.1, 3, 4),
    }
    numbers |= {f"{name}.{key}": value.astype(np.float32) for key, value in values.items()}
    return helper.make_node("BatchNormalization", [source, *(f"{name}.{key}" for key in values)], [name], epsilon=1e-3)


def convolution(source: str, name: str, numbers: dict[str, np.ndarray], *, bias: bool = False) -> onnx.NodeProto:
    generator = np.random.default_rng(len(numbers) + 7)
    numbers[f"{name}.weight"] = generator.normal(size=(4, CHANNELS, 3, 3)).astype(np.float32)
    inputs = [source, f"{name}.weight"]
    if bias:
        numbers[f"{name}.bias"] = generator.normal(size=4).astype(np.float32)
        inputs.append(f"{name}.bias")
    return helper.make_node("Conv", inputs, [name], kernel_shape=[3, 3], pads=[1, 1, 1, 1])


def pooling(source: str, name: str) -> onnx.NodeProto:
    return helper.make_node("MaxPool", [source], [name], kernel_shape=[2, 2], strides=[2, 2], pads=[1, 1, 0, 0])


def as_model(nodes: list[onnx.NodeProto], numbers: dict[str, np.ndarray], outputs: list[str]) -> onnx.ModelProto:
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", CHANNELS, 6, 6])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 4, "h", "w"]) for name in outputs],
        [numpy_helper.from_array(value, name) for name, value in numbers.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model)
    return model


def answers(model: onnx.ModelProto) -> list[np.ndarray]:
    x = np.random.default_rng(1).normal(size=(2, CHANNELS, 6, 6)).astype(np.float32)
    return ReferenceEvaluator(model).run(None, {"x": x})


def kinds(model: onnx.ModelProto) -> list[str]:
    return [node.op_type for node in model.graph.node]


def check(model: onnx.ModelProto, num_folded: int) -> None:
    """Folds, and compares the answers of onnx's own reference before and after."""
    before, left = answers(model), kinds(model).count("BatchNormalization") - num_folded
    assert fold_normalizations(model) == num_folded
    onnx.checker.check_model(model, full_check=True)
    assert kinds(model).count("BatchNormalization") == left
    for old, new in zip(before, answers(model), strict=True):
        np.testing.assert_allclose(new, old, atol=2e-5)


@pytest.mark.parametrize("bias", [False, True])
def test_after_a_convolution(bias: bool) -> None:
    numbers: dict[str, np.ndarray] = {}
    model = as_model(
        [convolution("x", "c", numbers, bias=bias), normalization("c", "y", numbers, factor=-1)], numbers, ["y"]
    )
    check(model, 1)
    assert {each.name for each in model.graph.initializer} == {"c.folded_weight", "c.folded_bias"}


def test_through_max_pooling_where_all_factors_are_positive() -> None:
    numbers: dict[str, np.ndarray] = {}
    model = as_model(
        [convolution("x", "c", numbers), pooling("c", "p"), normalization("p", "y", numbers)], numbers, ["y"]
    )
    check(model, 1)
    assert kinds(model) == ["Conv", "MaxPool"]


def test_not_through_max_pooling_where_a_factor_is_negative() -> None:
    numbers: dict[str, np.ndarray] = {}
    nodes = [convolution("x", "c", numbers), pooling("c", "p"), normalization("p", "y", numbers, factor=-1)]
    check(as_model(nodes, numbers, ["y"]), 0)


def test_not_where_others_see_the_maps_before() -> None:
    numbers: dict[str, np.ndarray] = {}
    nodes = [convolution("x", "c", numbers), normalization("c", "y", numbers)]
    check(as_model(nodes, numbers, ["y", "c"]), 0)
    relu = helper.make_node("Relu", ["c"], ["other"])
    check(as_model([*nodes, relu], numbers, ["y", "other"]), 0)


def test_what_two_convolutions_share_is_not_changed_for_both() -> None:
    numbers: dict[str, np.ndarray] = {}
    first, second = convolution("x", "c", numbers), convolution("x", "d", numbers)
    second.input[1] = "c.weight"
    norms = [normalization("c", "y", numbers), normalization("d", "z", numbers)]
    norms[1].input[1] = "y.scale"
    check(as_model([first, second, *norms], numbers, ["y", "z"]), 2)
    # And one that has no normalization after it keeps the weights it shares.
    numbers = {}
    first, second = convolution("x", "c", numbers), convolution("x", "d", numbers)
    second.input[1] = "c.weight"
    check(as_model([first, second, normalization("c", "y", numbers)], numbers, ["y", "d"]), 1)


def test_a_normalization_of_other_maps_stays() -> None:
    numbers: dict[str, np.ndarray] = {}
    nodes = [
        convolution("x", "c", numbers),
        helper.make_node("Relu", ["c"], ["r"]),
        normalization("r", "y", numbers),
    ]
    check(as_model(nodes, numbers, ["y"]), 0)


def test_the_check_finds_a_wrong_fold(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("whyconv.exporting.folding._as_line", lambda norm, places: (np.ones(4), np.zeros(4)))
    with pytest.raises(AssertionError):
        test_after_a_convolution(bias=True)
