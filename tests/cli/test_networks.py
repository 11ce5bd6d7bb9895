"""whyconv inspect on the command line: what it prints, what it refuses, and that ONNX files need no torch."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from rich.cells import cell_len
from torch import nn

from command_line import Outcome, run_whyconv
from whyconv.anatomy import inspect_network, parse_shape
from whyconv.errors import UsageError
from whyconv.results.network import NetworkReport
from whyconv.show.network import network_lines
from whyconv.texts import Language

OWN = """
import torch
from torch import nn

def build(num_classes, in_channels=3):
    return nn.Sequential(nn.Conv2d(in_channels, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, num_classes))

network = nn.Conv2d(3, 5, 3)
number = 3
"""


def test_json_on_one_stream_and_words_on_the_other(run: Callable[..., Outcome]) -> None:
    done = run("inspect", "lenet5", "--input", "1x32x32", "--json")
    assert done.code == 0
    assert NetworkReport.model_validate_json(done.data).totals.parameters == 61_706
    assert json.loads(done.data)["layers"][0]["locality_factor"] == 40.96
    assert "61,706, 61,706 of them trainable" in done.text


def test_code_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "its_own_network.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    assert inspect_network("its_own_network:build", (3, 8, 8)).totals.parameters == 4 * 28 + 10 * (4 * 36 + 1)
    assert inspect_network("its_own_network:build", (1, 8, 8)).layers[0].weights == 36
    assert inspect_network("its_own_network:network", (3, 8, 8)).totals.parameters == 5 * 28
    with pytest.raises(UsageError, match="expected a callable"):
        inspect_network("its_own_network:number", (3, 8, 8))
    with pytest.raises(UsageError, match="--input"):
        inspect_network("its_own_network:build")


@pytest.mark.parametrize("more", [(), ("--verify",)])
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("resnt18", "There is no network called 'resnt18'. Did you mean 'resnet18'?"),
        ("pets-1", "There is no network called 'pets-1'."),
        ("pets-1", "Nor is there a run folder or a file of that name"),
        ("runs/pets-1", "There is no runs/pets-1. Expected a run folder"),
        ("pets-1/", "There is no pets-1/. Expected a run folder"),
        ("no_such_package:build", "cannot import 'no_such_package'"),
    ],
)
def test_a_name_that_nothing_goes_by_is_said_before_a_size_is_asked_for(
    run: Callable[..., Outcome], name: str, said: str, more: tuple[str, ...]
) -> None:
    done = run("inspect", name, *more)
    assert (done.code, done.data) == (2, "")
    assert said in done.text
    assert "which size" not in done.text
    assert run("inspect", name, "--input", "3x32x32", *more).text == done.text


@pytest.mark.parametrize("more", [(), ("--verify",)])
def test_a_file_that_is_not_there_is_said_to_be_none(run: Callable[..., Outcome], more: tuple[str, ...]) -> None:
    assert "pets.onnx cannot be read: No such file" in run("inspect", "pets.onnx", *more).text


def test_a_network_that_is_there_is_asked_for_its_size(run: Callable[..., Outcome]) -> None:
    assert "resnet18 takes pictures of which size?" in run("inspect", "resnet18").text


@pytest.mark.parametrize("shape", [(), 32, (3.0, 32.0, 32.0), {"side": 32}, b"", (None,)])
def test_what_is_no_shape_is_refused_in_python(shape: object) -> None:
    for network in ("lenet5", nn.Conv2d(3, 2, 1)):
        with pytest.raises(UsageError, match="expected channels, height and width as whole numbers"):
            inspect_network(network, shape)


@pytest.mark.parametrize("network", [nn.Conv2d, lambda x: x, None, 3])
def test_what_is_no_network_is_refused_in_python(network: object) -> None:
    with pytest.raises(UsageError, match=r"is no network\. Expected a torch module"):
        inspect_network(network, (3, 8, 8))


def test_what_the_hint_says_can_be_done_in_python() -> None:
    with pytest.raises(UsageError, match="which size") as asked:
        inspect_network("lenet5")
    assert "inspect('lenet5', (3, 224, 224))" in str(asked.value)
    assert inspect_network("lenet5", "1x32x32").totals == inspect_network("lenet5", np.array([1, 32, 32])).totals


def test_an_onnx_file_needs_no_torch(tmp_path: Path) -> None:
    graph = helper.make_graph(
        [helper.make_node("Conv", ["x", "w"], ["y"])],
        "one layer",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 32, 32])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.ones((6, 3, 5, 5), np.float32), "w")],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)]), tmp_path / "m.onnx")
    (tmp_path / "torch.py").write_text("raise ImportError('torch is not wanted here')\n")
    done = run_whyconv(tmp_path, "inspect", str(tmp_path / "m.onnx"))
    assert done.returncode == 0, done.stdout
    assert "40.96 x 784" in done.stdout


def test_a_file_whose_pictures_have_their_channels_last_is_asked_so(
    run: Callable[..., Outcome], tmp_path: Path
) -> None:
    graph = helper.make_graph(
        [
            helper.make_node("Transpose", ["x"], ["t"], perm=[0, 3, 1, 2]),
            helper.make_node("Conv", ["t", "w"], ["y"]),
        ],
        "channels last",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, "h", "w", 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.ones((6, 3, 5, 5), np.float32), "w")],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)]), tmp_path / "last.onnx")
    done = run("inspect", tmp_path / "last.onnx", "--input", "64x64x3", "--json")
    assert done.code == 0, done.text
    (layer,) = (each for each in NetworkReport.model_validate_json(done.data).layers if each.weights)
    assert (layer.weights, layer.connections) == (450, 450 * 60 * 60)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("resnet5", "--input", "3x32x32"), "Did you mean 'resnet50'"),
        (("resnet50",), "--input 3x224x224"),
        (("resnet50", "--input", "224x224x3"), "Did you mean --input 3x224x224"),
        (("resnet50", "--input", "big"), "channels, height and width"),
        (("resnet50", "--input", "3x0x5"), "numbers from 1 on"),
        (("lenet5", "--input", "1x32x32", "--layers", "al"), "Did you mean 'all'"),
        (("nothing.onnx",), "cannot be read"),
    ],
)
def test_what_cannot_be_done_is_told(words: tuple[str, ...], said: str, run: Callable[..., Outcome]) -> None:
    done = run("inspect", *words)
    assert done.code in (1, 2)
    assert said in done.text


@pytest.mark.parametrize("shape", [(512, 1, 1), (8, 3, 3), (6, 20, 1), (64, 64, 3)])
def test_maps_of_many_channels_may_be_narrow(
    shape: tuple[int, int, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outputs = 2 * shape[1] * shape[2]
    assert inspect_network(nn.Conv2d(shape[0], 2, 1), shape).totals.connections == shape[0] * outputs
    name = f"narrow_{shape[0]}"
    (tmp_path / f"{name}.py").write_text(f"from torch import nn\n\nnetwork = nn.Conv2d({shape[0]}, 2, 1)\n")
    monkeypatch.chdir(tmp_path)
    assert inspect_network(f"{name}:network", shape).totals.connections == shape[0] * outputs


def test_small_square_maps_may_be_put_into_a_network_of_the_catalogue() -> None:
    assert inspect_network("resnet18", (8, 3, 3)).input == [8, 3, 3]


@pytest.mark.parametrize(
    ("shape", "said"),
    [
        ((32, 30, 3), "did you mean (3, 32, 30)?"),
        ((5, 28, 1), "did you mean (1, 5, 28)?"),
        ((4, 3, 3), ""),
        ((8, 9, 2), ""),
    ],
)
def test_what_may_have_its_channels_last_is_said_where_a_network_fails_on_it(
    shape: tuple[int, int, int], said: str
) -> None:
    with pytest.raises(UsageError, match=f"Conv2d fails on a picture of shape \\(1, {shape[0]}, ") as caught:
        inspect_network(nn.Conv2d(3, 2, 1), shape)
    assert ("did you mean" in str(caught.value)) == bool(said)
    assert said in str(caught.value)
    assert "--input" not in str(caught.value)


def test_code_of_ones_own_that_fails_is_asked_about_channels_too(
    run: Callable[..., Outcome], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "its_own_three.py").write_text("from torch import nn\n\nnetwork = nn.Conv2d(3, 2, 1)\n")
    monkeypatch.chdir(tmp_path)
    done = run("inspect", "its_own_three:network", "--input", "32x30x3")
    assert done.code == 2
    assert "did you mean --input 3x32x30?" in done.text


def test_numbers_of_a_picture_are_told_as_they_were_given() -> None:
    with pytest.raises(UsageError, match=r"^\(3, 0, 5\): expected numbers from 1 on"):
        inspect_network(nn.Conv2d(3, 2, 1), (3, 0, 5))


def test_shapes() -> None:
    assert parse_shape("3x224x224") == parse_shape("3,224,224") == (3, 224, 224)
    assert parse_shape("1x80") == (1, 80)


@pytest.mark.parametrize("language", ["en", "ko"])
@pytest.mark.parametrize(("name", "shape"), [("resnet50", (3, 224, 224)), ("alexnet", (3, 224, 224))])
def test_the_table_fits_80_columns(name: str, shape: tuple[int, ...], language: Language) -> None:
    report = inspect_network(name, shape)
    for layers in ("some", "weighted"):
        lines = network_lines(report, language, layers)  # type: ignore[arg-type]
        assert all(cell_len(line) <= 80 for line in lines), max(lines, key=cell_len)
    sums = lines[lines.index("") + 1 : lines.index("", lines.index("") + 1)]
    (columns,) = {cell_len(line[: re.match(r"  .+?  +(?=\S)|  +", line).end()]) for line in sums}  # type: ignore[union-attr]
    assert columns > 20
    assert len(network_lines(report, language)) < 60
    assert len(network_lines(report, language, "all")) > len(report.layers)
