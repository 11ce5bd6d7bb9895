"""ONNX files: the same counts as the torch network they came from, and files that are none of ours."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from numpy.typing import NDArray
from onnx import TensorProto, helper
from torch import Tensor, nn

from onnx_by_hand import drawn, export, write
from whyconv.counting.dependency import dependency_set
from whyconv.counting.network import count_network
from whyconv.counting.onnx_graph import read_onnx
from whyconv.counting.receptive_field import receptive_fields
from whyconv.errors import ModelFileError
from whyconv.export import Answering
from whyconv.measures import trace
from whyconv.nets import Lesson, Plain
from whyconv.nets.layers import LocallyConnected2d
from whyconv.results.network import NetworkReport
from whyconv.settings import NetworkPlan, View

COUNTED = ("weights", "connections", "density", "locality_factor", "sharing_factor", "multiply_adds")
SUMS = ("parameters", "as_used", "connections", "locality_factor", "sharing_factor", "multiply_adds", "not_analyzed")


def counted(report: NetworkReport) -> list[tuple[Any, ...]]:
    return [tuple(getattr(layer, name) for name in COUNTED) for layer in report.weighted]


def sums(report: NetworkReport) -> dict[str, Any]:
    return {name: getattr(report.totals, name) for name in SUMS}


class Mixed(nn.Module):
    """Something of everything."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, (3, 5), stride=2, padding=2, dilation=(2, 1), padding_mode="circular")
        self.norms = nn.Sequential(nn.GroupNorm(2, 8), nn.PReLU(8), nn.AvgPool2d(3, 2, 1, ceil_mode=True))
        self.each = nn.Linear(8, 8)
        self.depthwise = nn.Conv2d(8, 8, 3, padding=1, groups=8, padding_mode="replicate")
        self.scale = nn.Parameter(torch.ones(8, 1, 1))
        self.up = nn.ConvTranspose2d(16, 4, 4, 2, 1, groups=2)
        self.local = LocallyConnected2d(4, 4, 3, 10, padding=1)
        self.attention = nn.MultiheadAttention(4, 2, batch_first=True)
        self.head = nn.Linear(4, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norms(self.first(x))
        x = self.each(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        x = x + self.depthwise(x) * self.scale
        x = self.up(torch.cat([x, F.max_pool2d(x, 3, 1, 1)], 1))
        x = self.local(x)
        tokens = x.flatten(2).transpose(1, 2)
        tokens = tokens + self.attention(tokens, tokens, tokens, need_weights=False)[0]
        return self.head(tokens.mean(1))


def test_a_mixed_network_counts_the_same_both_ways(tmp_path: Path) -> None:
    network = drawn(Mixed())
    ours = count_network(trace(network, (3, 16, 16)), "torch")
    file = count_network(read_onnx(export(network, torch.zeros(2, 3, 16, 16), tmp_path / "m.onnx")), "onnx")
    # In the file, queries, keys and values of the attention are one product.
    assert sums(file) == {**sums(ours), "sharing_factor": pytest.approx(ours.totals.sharing_factor)} | {
        "locality_factor": file.totals.locality_factor
    }
    assert sorted(counted(file)[:6]) == sorted(counted(ours)[:6])
    assert sum(layer.multiply_adds for layer in file.layers if layer.kind == "attention") == 2 * 100 * 100 * 4


class Mixing(nn.Module):
    """A layer across the places of each channel."""

    def __init__(self, has_bias: bool) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, 1)
        self.mixing = nn.Linear(16, 7, bias=has_bias)

    def forward(self, x: Tensor) -> Tensor:
        return self.mixing(self.first(x).flatten(2)).relu()


@pytest.mark.parametrize("has_bias", [True, False])
def test_the_bias_of_a_layer_across_places_is_found_in_a_file(has_bias: bool, tmp_path: Path) -> None:
    network = drawn(Mixing(has_bias))
    layer = read_onnx(export(network, torch.zeros(2, 3, 4, 4), tmp_path / "m.onnx"))
    mixing = count_network(layer, "onnx").weighted[1]
    assert mixing.num_parameters == 16 * 7 + 7 * has_bias
    assert mixing.flops == 4 * 7 * (2 * 16 - 1 + has_bias)
    assert mixing.local is not None
    assert mixing.local.biases == 4 * 7 * has_bias


@pytest.mark.parametrize(
    "views", [["upright"], ["upright", "mirrored"], ["upright", "closer", "mirrored", "closer_mirrored"]]
)
def test_our_own_file_counts_as_the_network_in_it(views: list[View], tmp_path: Path) -> None:
    network = drawn(Lesson(3, 10, 24))
    plan = NetworkPlan.model_construct(mean=(0.5,) * 3, std=(0.2,) * 3, views=views)
    pixels = torch.zeros(2, 24, 24, 3, dtype=torch.uint8)
    path = export(Answering(network, plan, 1.3), pixels, tmp_path / "m.onnx")
    read, traced = read_onnx(path), trace(network, (3, 24, 24))
    ours, file = count_network(traced, "torch"), count_network(read, "onnx")
    assert sums(file) == sums(ours)
    assert counted(file) == counted(ours)
    assert [layer.name for layer in file.weighted] == [layer.name for layer in ours.weighted]
    fields = [{f.name: (f.is_whole, f.axes) for f in receptive_fields(graph)} for graph in (read, traced)]
    assert fields[0]["convolutions.3"] == fields[1]["convolutions.3"] != (False, ())


def test_normalization_folded_by_the_exporter_changes_parameters_only(tmp_path: Path) -> None:
    network = drawn(Plain(3, 10, 8, width=8))
    ours = count_network(trace(network, (3, 8, 8)), "torch")
    file = count_network(read_onnx(export(network, torch.zeros(2, 3, 8, 8), tmp_path / "m.onnx")), "onnx")
    assert counted(file) == counted(ours)
    scales = sum(layer.num_parameters for layer in ours.layers if layer.kind == "normalization")
    assert file.totals.parameters == ours.totals.parameters - scales // 2
    assert [note.key for note in file.notes] == ["network_read_from_onnx"]


def moved(path: Path, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Which outputs each input of one picture alone moves (inputs, outputs), when onnxruntime computes them."""
    session = onnxruntime.InferenceSession(path)
    still = np.random.default_rng(0).uniform(0.5, 1, (1, *shape)).astype(np.float32)
    pictures = [(still + one.reshape(still.shape)).astype(np.float32) for one in np.eye(still.size)]
    answers = [session.run(None, {"x": picture})[0].ravel() for picture in (still, *pictures)]
    return np.stack([abs(answer - answers[0]) > 1e-5 for answer in answers[1:]])


@pytest.mark.parametrize(
    ("name", "opset", "attributes"),
    [
        *(("Softmax", opset, {}) for opset in (9, 11, 12, 13, 20)),
        *(("LogSoftmax", opset, {}) for opset in (11, 13)),
        *(("Softmax", opset, {"axis": axis}) for opset in (11, 13) for axis in (1, 2, -1, -2)),
        *(("LRN", 13, {"size": size, "alpha": 1.0}) for size in (1, 3, 5, 9)),
    ],
)
def test_what_normalizes_connects_what_the_runtime_does(
    name: str, opset: int, attributes: dict[str, Any], tmp_path: Path
) -> None:
    node = helper.make_node(name, ["x"], ["y"], **attributes)
    path = write(tmp_path / "m.onnx", [node], {}, [1, 4, 3, 2], opset)
    graph = read_onnx(path)
    truth = moved(path, (4, 3, 2))
    assert count_network(graph, name).layers[0].connections == truth.sum()
    at_other_places = truth.reshape(4, 6, 4, 6).any((0, 2)) & ~np.eye(6, dtype=bool)
    assert (graph.nodes[0].reach != "same") == at_other_places.any()


@pytest.mark.parametrize("size", [2, 4, 8])
def test_of_an_even_number_of_channels_one_more_comes_after(size: int, tmp_path: Path) -> None:
    """By ONNX's formula, from floor((size - 1) / 2) before to ceil((size - 1) / 2) after: onnxruntime refuses these."""
    path = write(tmp_path / "m.onnx", [helper.make_node("LRN", ["x"], ["y"], size=size)], {}, [1, 4, 3, 2])
    met = [other for each in range(4) for other in range(4) if each - (size - 1) // 2 <= other <= each + size // 2]
    assert count_network(read_onnx(path), "even").layers[0].connections == 6 * len(met)


def test_channels_beyond_the_first_and_the_last_are_no_data_in_a_file(tmp_path: Path) -> None:
    """Torch writes local response normalization as padding and a mean over neighboring channels."""
    network = nn.Sequential(nn.Conv2d(3, 6, 3), nn.LocalResponseNorm(4), nn.MaxPool2d(2))
    graph = read_onnx(export(network.eval(), torch.zeros(2, 3, 8, 8), tmp_path / "m.onnx"))
    pooling = next(layer for layer in count_network(graph, "file").layers if layer.kind == "pooling")
    met = [other for each in range(6) for other in range(6) if -2 <= other - each <= 1]
    assert pooling.connections == 36 * len(met)
    assert not [node for node in graph.nodes if node.reach == "unknown"]


def resized(path: Path, scales: list[float], opset: int, **attributes: Any) -> Path:
    """A file that enlarges a map of 3 x 3: by scales, or to twice and three times its sides where there are none."""
    arrays = {"scales": np.array([1, 1, *scales], np.float32), "sizes": np.array([1, 1, 6, 9])}
    arrays |= {"none": np.zeros(0, np.float32)}  # what operator set 11 does not let out
    name = "Upsample" if opset < 10 else "Resize"
    empty = "none" if opset < 13 else ""
    how = ["scales"] if opset < 11 else [empty, "scales"] if scales else [empty, empty, "sizes"]
    used = {each: arrays[each] for each in how if each}
    return write(path, [helper.make_node(name, ["x", *how], ["y"], **attributes)], used, [1, 1, 3, 3], opset)


def is_known(path: Path) -> bool:
    """Holds what each place of an enlarged map sees against the runtime; returns whether it is said."""
    graph = read_onnx(path)
    if graph.nodes[0].reason == "not by whole factors":
        return False
    truth = moved(path, (1, 3, 3))
    height, width = graph.shapes[graph.outputs[0]][2:]
    for place in np.ndindex(height, width):
        expected = truth[:, np.ravel_multi_index(place, (height, width))].reshape(3, 3)
        found = dependency_set(graph, graph.outputs[0], [place])
        assert (found.mask == expected).all(), place
        assert not found.is_bound
    return True


SCALES = [[2.0, 2.0], [3.0, 2.0], [2.3, 2.3], [2.0, 2.3], [1.2, 1.0], [4.0, 4.0], [5.0, 3.0]]
HALVES = ("half_pixel", "pytorch_half_pixel")
PLACINGS = (*HALVES, "asymmetric", "align_corners")


@pytest.mark.parametrize("opset", [11, 13, 19])
@pytest.mark.parametrize("placing", PLACINGS)
@pytest.mark.parametrize("rounding", ["floor", "ceil", "round_prefer_floor", "round_prefer_ceil"])
def test_places_behind_the_nearest_of_a_file(rounding: str, placing: str, opset: int, tmp_path: Path) -> None:
    more = {"coordinate_transformation_mode": placing, "nearest_mode": rounding}
    is_usual = (placing in HALVES and "round" in rounding) or (placing == "asymmetric" and rounding == "floor")
    for scales in (*SCALES, []):
        known = is_known(resized(tmp_path / "m.onnx", scales, opset, **more))
        is_double = (placing, rounding, scales) == ("asymmetric", "round_prefer_floor", [2.0, 2.0])
        assert known or not (is_usual or is_double) or any(scale != int(scale) for scale in scales), scales


@pytest.mark.parametrize("opset", [11, 13, 19])
@pytest.mark.parametrize("placing", PLACINGS)
@pytest.mark.parametrize("mode", ["linear", "cubic"])
def test_places_behind_a_resize_of_a_file(mode: str, placing: str, opset: int, tmp_path: Path) -> None:
    more = {"coordinate_transformation_mode": placing, "mode": mode}
    for scales in (*SCALES, []):
        known = is_known(resized(tmp_path / "m.onnx", scales, opset, **more))
        is_usual = mode == "linear" and placing in HALVES and all(scale == int(scale) for scale in scales)
        assert known or not is_usual, scales


@pytest.mark.parametrize("opset", [9, 10])
@pytest.mark.parametrize("mode", ["nearest", "linear"])
def test_places_behind_a_resize_of_an_old_file(mode: str, opset: int, tmp_path: Path) -> None:
    for scales in SCALES:
        known = is_known(resized(tmp_path / "m.onnx", scales, opset, mode=mode))
        assert known == (mode == "nearest" and all(scale == int(scale) for scale in scales)), scales


def test_a_resize_of_some_axes_by_scales_that_are_computed_is_not_known(tmp_path: Path) -> None:
    arrays = {"scales": np.array([2.0], np.float32), "one": np.ones(1, np.float32)}
    for name, is_exact in (("scales", True), ("computed", False)):
        nodes = [
            helper.make_node("Mul", ["scales", "one"], ["computed"]),
            helper.make_node("Resize", ["x", "", name], ["y"], mode="linear", axes=[3]),
        ]
        path = write(tmp_path / "m.onnx", nodes, arrays, [1, 1, 3, 3])
        said = onnx.load(path)
        said.graph.output[0].CopyFrom(helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 1, 3, 6]))
        onnx.save(said, path)
        assert is_known(path) == is_exact


KERNEL = np.ones((2, 1, 3, 3), np.float32)


@pytest.mark.parametrize("automatic", ["SAME_UPPER", "SAME_LOWER"])
def test_padding_that_the_file_leaves_to_the_reader(automatic: str, tmp_path: Path) -> None:
    node = helper.make_node("Conv", ["x", "w"], ["y"], auto_pad=automatic, strides=[2, 2])
    graph = read_onnx(write(tmp_path / "m.onnx", [node], {"w": KERNEL}, ["n", 1, 6, 6]))
    convolution = graph.nodes[0].convolution
    assert convolution is not None
    assert convolution.output_shape == (2, 3, 3)
    padding = (0, 1) if automatic == "SAME_UPPER" else (1, 0)
    assert [axis.padding for axis in convolution.axes] == [padding, padding]
    assert convolution.connections == 2 * 8 * 8


@pytest.mark.parametrize(
    ("kernel", "settings"),
    [
        (3, {"output_shape": [5, 5]}),
        (4, {"output_shape": [5, 5]}),  # an odd number of places: more of them lie before
        (4, {"output_shape": [7, 6], "strides": [1, 2]}),
        (2, {"output_shape": [10, 10], "strides": [2, 2], "output_padding": [1, 1]}),
        (3, {"output_shape": [10, 10], "strides": [2, 2], "auto_pad": "SAME_UPPER"}),
        (3, {"output_shape": [10, 10], "strides": [2, 2], "auto_pad": "SAME_LOWER"}),
    ],
)
def test_a_transposed_convolution_that_is_told_its_size_meets_what_it_meets(
    kernel: int, settings: dict[str, Any], tmp_path: Path
) -> None:
    node = helper.make_node("ConvTranspose", ["x", "w"], ["y"], **settings)
    path = write(tmp_path / "m.onnx", [node], {"w": np.ones((1, 1, kernel, kernel), np.float32)}, ["n", 1, 5, 5])
    met = onnxruntime.InferenceSession(path).run(None, {"x": np.eye(25, dtype=np.float32).reshape(25, 1, 5, 5)})[0]
    graph = read_onnx(path)
    assert graph.nodes[0].convolution is not None
    assert graph.nodes[0].convolution.connections == np.count_nonzero(met)
    for y, x in np.ndindex(met.shape[2:]):
        mask = dependency_set(graph, graph.nodes[0].outputs[0], [(y, x)]).mask
        assert (mask == (met[:, 0, y, x] != 0).reshape(5, 5)).all(), (y, x)


def test_weights_in_other_files_are_not_opened(tmp_path: Path) -> None:
    node = helper.make_node("Conv", ["x", "w"], ["y"])
    path = write(tmp_path / "m.onnx", [node], {"w": KERNEL}, [1, 1, 6, 6])
    model = onnx.load(path)
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/hostname")
    path.write_bytes(model.SerializeToString())
    report = count_network(read_onnx(path), "external")
    assert (report.totals.parameters, report.totals.connections) == (18, 2 * 16 * 9)


def test_of_quantized_layers_the_whole_numbers_are_the_parameters(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "s", "z"], ["a"]),
        helper.make_node("DequantizeLinear", ["w", "ws", "wz"], ["kernel"], axis=0),
        helper.make_node("DequantizeLinear", ["b", "bs", "bz"], ["bias"]),
        helper.make_node("Conv", ["a", "kernel", "bias"], ["y"]),
    ]
    scale, zero = np.float32(0.1), np.int8(0)
    arrays = {"w": KERNEL.astype(np.int8), "ws": np.ones(2, np.float32), "wz": np.zeros(2, np.int8)}
    arrays |= {"b": np.ones(2, np.int32), "bs": scale, "bz": np.int32(0), "s": scale, "z": zero}
    report = count_network(read_onnx(write(tmp_path / "m.onnx", nodes, arrays, [1, 1, 6, 6])), "quantized")
    assert {one.name: one.count for one in report.parameters} == {"w": 18, "b": 2}
    assert (report.totals.weights, report.totals.connections) == (18, 2 * 16 * 9)


def test_what_is_unknown_is_listed(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["a"]),
        helper.make_node("NoSuchOperation", ["a"], ["b"], domain="example.org"),
        helper.make_node("Relu", ["b"], ["y"]),
    ]
    report = count_network(read_onnx(write(tmp_path / "m.onnx", nodes, {"w": KERNEL}, [1, 1, 6, 6])), "unknown")
    assert list(report.not_analyzed) == ["NoSuchOperation", "Relu"]
    assert report.totals.not_analyzed == 2


def test_bad_files_are_told(tmp_path: Path) -> None:
    node = helper.make_node("Relu", ["x"], ["y"])
    is_open = write(tmp_path / "open.onnx", [node], {}, ["n", 3, "h", "w"])
    with pytest.raises(ModelFileError, match="--input"):
        read_onnx(is_open)
    assert read_onnx(is_open, (3, 8, 8)).shapes["v0"] == (1, 3, 8, 8)
    with pytest.raises(ModelFileError, match="takes pictures of shape"):
        read_onnx(is_open, (1, 8, 8))
    (tmp_path / "bad.onnx").write_bytes(b"no onnx at all")
    with pytest.raises(ModelFileError, match="not an ONNX file"):
        read_onnx(tmp_path / "bad.onnx")
    with pytest.raises(ModelFileError, match="cannot be read"):
        read_onnx(tmp_path / "none.onnx")
