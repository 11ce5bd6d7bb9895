"""An ONNX file is understood, or refused with a sentence that says what to do, before anything runs it."""

from __future__ import annotations

import json
import shlex
from contextlib import suppress
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from tiny_model import CLASSES, make_metadata, make_model, write_model
from whyconv.errors import ModelFileError
from whyconv.finishing import read_summary
from whyconv.model_file import find_model, read_model


def test_metadata_comes_back_as_written(tmp_path: Path) -> None:
    content, metadata = read_model(write_model(tmp_path / "m.onnx"))
    assert metadata.classes == CLASSES
    assert (metadata.policy.side, metadata.policy.channels, metadata.temperature) == (8, 3, 1.5)
    assert metadata.parts == {"train": 10}
    assert content == (tmp_path / "m.onnx").read_bytes()


def test_a_run_folder_stands_for_its_model(tmp_path: Path) -> None:
    written = write_model(tmp_path / "runs" / "pets-1" / "model.onnx")
    assert find_model(tmp_path / "runs" / "pets-1") == written
    assert find_model(str(written)) == written


def test_a_run_that_has_not_ended_names_resume(tmp_path: Path) -> None:
    (tmp_path / "run.toml").write_text("")
    with pytest.raises(ModelFileError, match=r"has not ended.*whyconv train --resume"):
        find_model(tmp_path)


@pytest.mark.parametrize(("name", "words"), [(".", "is no run folder"), ("missing.onnx", "There is no")])
def test_nothing_there(name: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=words):
        find_model(tmp_path / name)


def test_what_cannot_be_asked_for_is_said(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=r"a{300} cannot be read: .*name too long\.|There is no .*a{300}"):
        find_model(tmp_path / ("a" * 300))


@pytest.mark.parametrize(
    "content",
    [b"", b"\xff\xd8\xff\xe0" + bytes(100), b"PK\x03\x04" + bytes(50), b"hello", bytes(1000), b"\x3a\x00\x3a"],
    ids=["empty", "jpeg", "zip", "text", "zeros", "cut"],
)
def test_what_is_no_onnx_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(content)
    with pytest.raises(ModelFileError, match="is not an ONNX file, or it is damaged"):
        read_model(tmp_path / "m.onnx")


@settings(max_examples=200, deadline=None)
@given(cut=st.integers(0, 10_000), flip=st.integers(0, 10_000), bits=st.integers(1, 255))
def test_a_damaged_file_is_read_or_refused_but_never_crashes(
    cut: int, flip: int, bits: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    content = bytearray(make_model(make_metadata()).SerializeToString())
    content[flip % len(content)] ^= bits
    path = tmp_path_factory.getbasetemp() / "damaged.onnx"
    path.write_bytes(content[: cut % len(content)] if cut % 2 else content)
    with suppress(ModelFileError):
        read_model(path)


def test_a_command_in_an_error_is_one_that_a_shell_takes(tmp_path: Path) -> None:
    run = tmp_path / "my runs" / "it's 1"
    run.mkdir(parents=True)
    (run / "run.toml").write_text("format_version = 1\n")
    for refused in (find_model, read_summary):
        with pytest.raises(ModelFileError) as error:
            refused(run)
        words = shlex.split(str(error.value).partition("o on with:")[2])
        assert words == ["whyconv", "train", "--resume", str(run)]


def test_a_foreign_onnx_file_is_refused(tmp_path: Path) -> None:
    onnx.save(make_model(None), tmp_path / "m.onnx")
    with pytest.raises(ModelFileError, match="whyconv did not write it"):
        read_model(tmp_path / "m.onnx")


def test_a_newer_format_asks_for_an_update(tmp_path: Path) -> None:
    path = write_model(tmp_path / "m.onnx", format_version=2)
    with pytest.raises(ModelFileError, match=r"format version 2; this whyconv reads up to 1.*--upgrade"):
        read_model(path)


@pytest.mark.parametrize(
    "metadata",
    [
        "{",
        "[]",
        "[" * 100_000,
        json.dumps(make_metadata(classes=["only one"])),
        json.dumps(make_metadata(classes=["a", "a"])),
        json.dumps(make_metadata(temperature=0)),
        json.dumps(make_metadata(temperature=float("nan"))),
        json.dumps(make_metadata(policy={"side": 8, "channels": 2})),
        json.dumps(make_metadata(policy={"version": 0, "side": 8, "channels": 3})),
        json.dumps({"format_version": 1}),
    ],
    ids=["cut", "list", "deep", "one class", "same names", "zero", "nan", "2 channels", "policy 0", "empty"],
)
def test_damaged_metadata_is_refused(metadata: str, tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(make_model(metadata).SerializeToString())
    with pytest.raises(ModelFileError, match="damaged whyconv metadata"):
        read_model(tmp_path / "m.onnx")


def test_as_many_classes_as_the_bound_open_and_one_more_does_not(tmp_path: Path) -> None:
    names = [f"{'a' * 40}{k}" for k in range(100_001)]
    assert len(read_model(write_model(tmp_path / "m.onnx", classes=names[1:]))[1].classes) == 100_000
    with pytest.raises(ModelFileError, match="classes: Tuple should have at most 100000 items"):
        read_model(write_model(tmp_path / "m.onnx", classes=names))
    assert read_model(write_model(tmp_path / "m.onnx", classes=["a" * 1000, "b"]))[1].classes[0] == "a" * 1000
    with pytest.raises(ModelFileError, match=r"classes\.0: String should have at most 1000 characters"):
        read_model(write_model(tmp_path / "m.onnx", classes=["a" * 1001, "b"]))


def _external_tensor(name: str) -> TensorProto:
    tensor = numpy_helper.from_array(np.zeros(3, np.float32), name)
    onnx.external_data_helper.set_external_data(tensor, "../../etc/passwd")
    tensor.ClearField("raw_data")
    return tensor


def _hide_in_weights(model: onnx.ModelProto) -> None:
    model.graph.initializer.append(_external_tensor("biases2"))


def _hide_in_constant(model: onnx.ModelProto) -> None:
    model.graph.node.append(helper.make_node("Constant", [], ["x"], value=_external_tensor("x")))


def _hide_in_branch(model: onnx.ModelProto) -> None:
    branch = helper.make_graph([], "branch", [], [], [_external_tensor("x")])
    model.graph.node.append(helper.make_node("If", ["condition"], ["y"], then_branch=branch, else_branch=branch))


def _hide_in_function(model: onnx.ModelProto) -> None:
    node = helper.make_node("Constant", [], ["x"], value=_external_tensor("x"))
    model.functions.append(helper.make_function("own", "f", [], ["x"], [node], [helper.make_opsetid("", 18)]))


def _hide_in_sparse(model: onnx.ModelProto) -> None:
    indices = numpy_helper.from_array(np.zeros(3, np.int64), "i")
    model.graph.sparse_initializer.append(helper.make_sparse_tensor(_external_tensor("v"), indices, [9]))


@pytest.mark.parametrize(
    "hide", [_hide_in_weights, _hide_in_constant, _hide_in_branch, _hide_in_function, _hide_in_sparse]
)
def test_data_outside_of_the_file_is_refused(hide, tmp_path: Path) -> None:
    model = make_model(make_metadata())
    hide(model)
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(ModelFileError, match="points to data in other files"):
        read_model(tmp_path / "m.onnx")
