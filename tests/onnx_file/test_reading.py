"""Files without the package ``onnx``: read as that package reads them, grown by outputs, or refused."""

from __future__ import annotations

from contextlib import suppress

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from evidence_files import export_random
from mirrored_model import SIDE, make_model
from whyconv.errors import ModelFileError
from whyconv.onnx_file.reading import read_file_graph, with_outputs

PIXELS = np.random.default_rng(5).integers(0, 256, (SIDE, SIDE, 3), np.uint8)
# Kind -> numbers that it can hold, its least and greatest among them.
NUMBERS: dict[int, list[float]] = {
    TensorProto.FLOAT: [0.5, -2.0],
    TensorProto.DOUBLE: [1e300, -0.1],
    TensorProto.FLOAT16: [0.5, -65504],
    TensorProto.INT8: [-128, 127],
    TensorProto.UINT8: [0, 255],
    TensorProto.INT16: [-32768, 32767],
    TensorProto.UINT16: [0, 65535],
    TensorProto.INT32: [-(2**31), 2**31 - 1],
    TensorProto.UINT32: [0, 2**32 - 1],
    TensorProto.INT64: [-(2**63), 2**63 - 1],
    TensorProto.UINT64: [0, 2**64 - 1],
    TensorProto.BOOL: [False, True],
}


def holding(*tensors: TensorProto) -> onnx.ModelProto:
    nodes = [helper.make_node("Constant", [], [tensor.name + " held"], value=tensor) for tensor in tensors]
    return helper.make_model(helper.make_graph(nodes, "g", [], [], tensors))


@pytest.fixture(scope="module", params=["mirrored", "plain", "swift"])
def model(request, tmp_path_factory) -> onnx.ModelProto:
    if request.param == "mirrored":
        return make_model()
    path = tmp_path_factory.mktemp("read") / "model.onnx"
    export_random(path, request.param, {"plain": 12, "swift": 16}[request.param], 1)
    return onnx.load(path)


def test_nodes_are_those_that_onnx_reads(model: onnx.ModelProto) -> None:
    found = read_file_graph(model.SerializeToString())
    assert [(node.op_type, node.input, node.output) for node in found.node] == [
        (node.op_type, list(node.input), list(node.output)) for node in model.graph.node
    ]
    for mine, theirs in zip(found.node, model.graph.node, strict=True):
        values = {each.name: helper.get_attribute_value(each) for each in theirs.attribute}
        for name, value in values.items():
            if isinstance(value, TensorProto):
                np.testing.assert_array_equal(mine.settings[name].array, numpy_helper.to_array(value))
            else:
                assert mine.settings[name] == value
        assert mine.settings.keys() == values.keys()
        for name in mine.output:
            assert found.makers[name] is mine


def test_arrays_are_those_that_onnx_reads(model: onnx.ModelProto) -> None:
    found = read_file_graph(model.SerializeToString())
    assert list(found.arrays) == [tensor.name for tensor in model.graph.initializer]
    for tensor in model.graph.initializer:
        np.testing.assert_array_equal(found.arrays[tensor.name], numpy_helper.to_array(tensor))


def test_shapes_are_those_that_the_file_tells() -> None:
    found = read_file_graph(make_model().SerializeToString())
    assert (found.input[0].name, found.input[0].dims) == ("pixels", ["n", SIDE, SIDE, 3])


@pytest.mark.parametrize("is_raw", [True, False], ids=["raw", "in fields of their own"])
@pytest.mark.parametrize("kind", NUMBERS, ids=TensorProto.DataType.Name)
def test_numbers_of_every_kind_are_read(kind: int, is_raw: bool) -> None:
    expected = np.array([NUMBERS[kind]], helper.tensor_dtype_to_np_dtype(kind))
    if is_raw:
        tensor = numpy_helper.from_array(expected, "x")
    else:
        tensor = helper.make_tensor("x", kind, expected.shape, expected.ravel())
    assert tensor.HasField("raw_data") is is_raw
    graph = read_file_graph(holding(tensor).SerializeToString())
    for found in (graph.arrays["x"], graph.constant("x"), graph.constant("x held")):
        assert found.dtype == expected.dtype
        np.testing.assert_array_equal(found, expected)


def test_what_is_not_read_is_no_array_and_asking_for_it_is_an_error() -> None:
    text = helper.make_tensor("words", TensorProto.STRING, [1], [b"a"])
    graph = read_file_graph(holding(text).SerializeToString())
    assert (graph.arrays, graph.constant("words"), graph.constant("words held")) == ({}, None, None)
    with pytest.raises(ModelFileError, match="'words' are of kind 8, which is not read"):
        graph.initializer[0].array  # noqa: B018 - asking is the test


def test_weights_of_a_file_in_memory_can_be_written_to_and_copies_cannot() -> None:
    values = np.array([1, 2], np.float32)
    raw, packed = numpy_helper.from_array(values, "raw"), helper.make_tensor("packed", TensorProto.FLOAT, [2], values)
    content = bytearray(
        holding(raw, packed, helper.make_tensor("half", TensorProto.FLOAT16, [2], values)).SerializeToString()
    )
    arrays = read_file_graph(content).arrays
    for name in ("raw", "packed"):
        arrays[name][...] = [5, 7]
    written = {tensor.name: tensor for tensor in onnx.load_from_string(bytes(content)).graph.initializer}
    assert all(numpy_helper.to_array(written[name]).tolist() == [5, 7] for name in ("raw", "packed"))
    with pytest.raises(ValueError, match="read-only"):
        arrays["half"][...] = 0


def test_more_outputs_are_given_and_nothing_else_changes() -> None:
    content = make_model().SerializeToString()
    grown = with_outputs(content, ["rectified", "pooled"])
    session = onnxruntime.InferenceSession(grown)
    assert [output.name for output in session.get_outputs()] == ["probabilities", "rectified", "pooled"]
    plain = onnxruntime.InferenceSession(content).run(None, {"pixels": PIXELS[None]})[0]
    assert np.allclose(session.run(["probabilities"], {"pixels": PIXELS[None]})[0], plain)
    names = [output.name for output in onnx.load_from_string(grown).graph.output]
    assert [output.name for output in read_file_graph(grown).output] == names
    assert with_outputs(content, []) == content


def _short(tensor: TensorProto) -> None:
    tensor.raw_data = tensor.raw_data[:-4]


def _odd(tensor: TensorProto) -> None:
    tensor.raw_data = tensor.raw_data[:-1]


def _negative(tensor: TensorProto) -> None:
    tensor.dims[0] = -1


@pytest.mark.parametrize("damage", [_short, _odd, _negative])
def test_numbers_that_do_not_fill_their_shape_are_refused(damage) -> None:
    tensor = numpy_helper.from_array(np.zeros((2, 3), np.float32), "x")
    read_file_graph(holding(tensor).SerializeToString())
    damage(tensor)
    with pytest.raises(ModelFileError, match=r"m\.onnx is not an ONNX file, or it is damaged"):
        read_file_graph(holding(tensor).SerializeToString(), "m.onnx")


@pytest.mark.parametrize("content", [b"", b"hello", b"\x08\x08", b"\x3a\x00\x3a", b"\x38\x01"])
def test_what_is_no_onnx_is_refused(content: bytes) -> None:
    with pytest.raises(ModelFileError, match="the file is not an ONNX file, or it is damaged"):
        read_file_graph(content)


@settings(max_examples=200, deadline=None)
@given(cut=st.integers(0, 100_000), flip=st.integers(0, 100_000), bits=st.integers(1, 255))
def test_a_damaged_file_is_read_or_refused_but_never_crashes(cut: int, flip: int, bits: int) -> None:
    content = bytearray(make_model().SerializeToString())
    content[flip % len(content)] ^= bits
    with suppress(ModelFileError):
        graph = read_file_graph(content[: cut % len(content)] if cut % 2 else content)
        for name in graph.makers:
            graph.constant(name)
