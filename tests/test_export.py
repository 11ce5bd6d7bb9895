"""The exported file answers as torch does, through the recognizer and through onnx's own reference."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx.reference import ReferenceEvaluator
from torch import nn

from tiny_training import bars, tiny_plan
from whyconv.errors import ModelFileError, StoppedError
from whyconv.export import compare, describe_layers, export, export_maps, metadata_for
from whyconv.images.prepare import PicturePolicy
from whyconv.model_file import METADATA_KEY
from whyconv.onnx_file.seal import SEAL_KEY
from whyconv.recognizer import Answers, open_recognizer
from whyconv.training.evaluate import softmax
from whyconv.training.logits import network_logits
from whyconv.training.start import start_network

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


@pytest.fixture(
    scope="module",
    params=[
        ("plain", 1, 8, ["upright"], 1),
        ("plain", 3, 16, ["upright", "closer", "mirrored", "closer_mirrored"], 1),
        ("lesson", 3, 8, ["upright", "mirrored"], 1),
        ("plain", 1, 8, ["upright", "mirrored"], 3),
        ("swift", 3, 16, ["upright", "mirrored"], 1),
    ],
    ids=str,
)
def exported(request, tmp_path_factory):
    name, channels, side, views, members = request.param
    plan = tiny_plan(side, channels, network=name, views=views, members=members)
    network = start_network(plan)
    path = tmp_path_factory.mktemp("export") / "model.onnx"
    export(
        path,
        network,
        metadata_for(plan.network, PicturePolicy(side=side, channels=channels), 1.7, {"train": 64}),
        plan.network,
    )
    return path, network, plan


def test_onnxruntime_answers_as_torch_does_for_any_number_of_pictures(exported) -> None:
    path, network, plan = exported
    recognizer = open_recognizer(path)
    for n in (1, 2, 17, 300):
        pixels = bars(n, side=plan.network.side, channels=plan.network.in_channels).pixels
        parity = compare(recognizer, network, plan.network, pixels)
        assert parity.is_equal
        assert parity.n == parity.num_same_answer == n
        # The second way: the training's own logits, softmax in NumPy.
        expected = softmax(network_logits(network, pixels, plan.network) / 1.7)
        np.testing.assert_allclose(recognizer.run(pixels).probabilities, expected, atol=1e-5)


def test_onnxs_own_reference_agrees(exported) -> None:
    path, network, plan = exported
    pixels = bars(3, side=plan.network.side, channels=plan.network.in_channels).pixels
    found = ReferenceEvaluator(str(path)).run(["probabilities"], {"pixels": pixels})[0]
    np.testing.assert_allclose(found, softmax(network_logits(network, pixels, plan.network) / 1.7), atol=1e-5)


def test_a_changed_weight_is_noticed(exported) -> None:
    path, network, plan = exported
    pixels = bars(40, side=plan.network.side, channels=plan.network.in_channels).pixels
    head = getattr(network, "members", [network])[0].head
    before = [each.clone() for each in head.parameters()]
    with torch.no_grad():
        head.weight.mul_(-3)
    try:
        assert not compare(open_recognizer(path), network, plan.network, pixels).is_equal
    finally:
        with torch.no_grad():
            for parameter, value in zip(head.parameters(), before, strict=True):
                parameter.copy_(value)


def test_the_file_says_what_it_is_and_holds_no_paths(exported) -> None:
    path, _, plan = exported
    model = onnx.load(path)
    assert [each.key for each in model.metadata_props] == [METADATA_KEY, SEAL_KEY]
    metadata = open_recognizer(path).metadata
    assert metadata.classes == ("lies", "stands")
    assert metadata.temperature == 1.7
    assert metadata.views == tuple(plan.network.views)
    assert b"site-packages" not in path.read_bytes()
    assert not list(path.parent.glob("*.data"))


def test_every_layers_map_is_an_output_and_is_described(exported) -> None:
    path, network, _ = exported
    export_maps(path.with_name("why.onnx"), path)
    model = onnx.load(path.with_name("why.onnx"))
    rows = describe_layers(path)
    outputs = {each.name for each in model.graph.output}
    assert {row["map"] for row in rows} <= outputs
    convolutions = [module for module in network.modules() if isinstance(module, nn.Conv2d)]
    described = [row for row in rows if row["kind"] == "Conv"]
    assert [row["kernel"] for row in described] == [list(module.kernel_size) for module in convolutions]
    assert [row["output"][0] for row in described] == [module.out_channels for module in convolutions]


@pytest.mark.parametrize("error", [IndexError("list index out of range"), ModelFileError("no")], ids=str)
def test_layers_that_cannot_be_counted_are_described_without_counts(exported, error, monkeypatch) -> None:
    def fail(*_: object) -> None:
        raise error

    path, _, _ = exported
    counted = describe_layers(path)
    monkeypatch.setattr("whyconv.counting.network.count_network", fail)
    described = describe_layers(path)
    assert any("connections" in row for row in counted)
    assert not any("not_counted" in row for row in counted)
    names = {"map", "kind", "kernel", "stride", "padding", "dilation", "groups", "output"}
    reason = "no" if isinstance(error, ModelFileError) else "IndexError: list index out of range"
    assert described == [
        {name: value for name, value in row.items() if name in names}
        | ({"not_counted": reason} if "connections" in row else {})
        for row in counted
    ]


def test_of_a_layer_that_is_not_understood_the_reason_stands_in_place_of_its_counts(tmp_path: Path) -> None:
    nodes = [
        onnx.helper.make_node("MatMul", ["x", "w"], ["wide"]),
        onnx.helper.make_node("Relu", ["wide"], ["bright"]),
        onnx.helper.make_node("MatMul", ["bright", "v"], ["answer"]),
    ]
    ends = [onnx.helper.make_tensor_value_info(*each) for each in (("x", 1, ["n", 4]), ("answer", 1, ["n"]))]
    weights = [
        onnx.numpy_helper.from_array(np.ones(shape, np.float32), name) for name, shape in (("w", (4, 3)), ("v", 3))
    ]
    onnx.save(
        onnx.helper.make_model(onnx.helper.make_graph(nodes, "g", ends[:1], ends[1:], weights)), tmp_path / "m.onnx"
    )
    wide, bright, answer = describe_layers(tmp_path / "m.onnx")
    assert wide["connections"] == 12
    assert "not_counted" not in wide
    assert "not_counted" not in bright
    assert answer["not_counted"] == "a product of a matrix and a vector, or with a stack of matrices"
    assert "connections" not in answer


def test_a_stop_while_layers_are_counted_stays_a_stop(exported, monkeypatch) -> None:
    def stop(*_: object) -> None:
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt as interrupt:
            raise RuntimeError("wrapped") from interrupt

    monkeypatch.setattr("whyconv.counting.network.count_network", stop)
    with pytest.raises(KeyboardInterrupt):
        describe_layers(exported[0])


def test_a_network_that_onnx_cannot_say_is_an_error(tmp_path: Path) -> None:
    class Odd(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if x.mean().item() > 0:
                return x.mean(dim=(2, 3))
            return x.amax(dim=(2, 3))

    plan = tiny_plan(channels=3)
    with pytest.raises(ModelFileError, match="written as ONNX: Could not guard on data-dependent expression") as failed:
        export(
            tmp_path / "m.onnx",
            Odd(),
            metadata_for(plan.network, PicturePolicy(side=8, channels=3), 1.0, {}),
            plan.network,
        )
    assert str(failed.value).isprintable()
    assert not (tmp_path / "m.onnx").exists()


class Normed(nn.Module):
    """A user's network whose answer is not ``head(features(x))``."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.convolution, self.norm = nn.Conv2d(1, 6, 3), nn.LayerNorm(6)
        self.head = nn.Linear(6, 2)

    def features(self, x: torch.Tensor) -> torch.Tensor:
        return self.convolution(x).relu().mean(dim=(2, 3))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.norm(self.features(x)))


class Headless(nn.Module):
    """Two fully connected layers under other names, listed in another order than they are called."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.last, self.first = nn.Linear(5, 2), nn.Linear(64, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(self.first(x.flatten(1)).relu())


class Tokens(nn.Module):
    """A fully connected layer at every place; the answer is the mean over places."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.each = nn.Conv2d(1, 5, 3), nn.Linear(5, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        places = self.first(x).flatten(2).transpose(1, 2).reshape(-1, 5)
        return self.each(places).reshape(x.shape[0], -1, 2).mean(dim=1)


def as_file(path: Path, network: nn.Module, plan):
    policy = PicturePolicy(side=plan.network.side, channels=plan.network.in_channels)
    export(path, network.eval(), metadata_for(plan.network, policy, 1.3, {}), plan.network)
    return open_recognizer(path, num_threads=1)


@pytest.mark.parametrize("build", [Normed, Headless])
def test_a_users_network_answers_as_it_was_trained_and_gives_what_its_last_layer_takes(tmp_path: Path, build) -> None:
    plan, network, pixels = tiny_plan(), build(), bars(20).pixels
    recognizer = as_file(tmp_path / "m.onnx", network, plan)
    assert compare(recognizer, network, plan.network, pixels).is_equal
    answers = recognizer.run(pixels)
    last = network.head if build is Normed else network.last
    again = softmax((answers.features @ last.weight.detach().numpy().T + last.bias.detach().numpy()) / 1.3)
    np.testing.assert_allclose(again, answers.probabilities, atol=1e-5)


def test_logits_stand_for_the_features_where_the_last_layer_takes_several_vectors_a_picture(tmp_path: Path) -> None:
    recognizer, pixels = (
        as_file(tmp_path / "m.onnx", Tokens(), tiny_plan(views=["upright", "mirrored"])),
        bars(7).pixels,
    )
    together = recognizer.run(pixels)
    np.testing.assert_allclose(softmax(together.features / 1.3), together.probabilities, atol=1e-6)
    np.testing.assert_allclose(recognizer.run(pixels[4:5]).features, together.features[4:5], atol=1e-6)


def test_a_file_of_another_answer_than_the_trained_networks_is_found_out(tmp_path: Path, monkeypatch) -> None:
    """The proof asks the network itself, not what was wrapped around it for the export."""
    plan, network = tiny_plan(), Normed()
    taken = lambda network, x: (network.head(network.features(x)), network.features(x))  # noqa: E731
    monkeypatch.setattr("whyconv.export.logits_and_features", taken)
    assert not compare(as_file(tmp_path / "m.onnx", network, plan), network, plan.network, bars(20).pixels).is_equal


def test_a_tie_counts_as_the_same_answer_and_nothing_else_does() -> None:
    plan = tiny_plan()

    class Even(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.zeros(len(x), 2)

    class Says:
        metadata = metadata_for(plan.network, PicturePolicy(side=8, channels=1), 1.0, {})

        def __init__(self, second: float) -> None:
            self.row = np.array([1 - second, second], np.float32)

        def run(self, pixels: np.ndarray) -> Answers:
            return Answers(np.tile(self.row, (len(pixels), 1)), None)

    pixels = bars(4).pixels
    assert compare(Says(0.50001), Even(), plan.network, pixels).is_equal
    assert not compare(Says(0.51), Even(), plan.network, pixels).is_equal


def test_a_stop_inside_the_export_stays_a_stop(tmp_path: Path) -> None:
    class Stopping(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            raise StoppedError("stopped", exit_code=143)

    with pytest.raises(StoppedError) as stopped:
        as_file(tmp_path / "m.onnx", Stopping(), tiny_plan())
    assert stopped.value.exit_code == 143


def test_the_exporter_is_not_heard_and_other_threads_are(tmp_path: Path, capsys) -> None:
    def say(words: str) -> None:
        for stream in (sys.stdout, sys.stderr):
            stream.write(words)
            stream.flush()

    class Talking(Normed):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            say("the exporter's thread")
            other = threading.Thread(target=say, args=("another thread",))
            other.start()
            other.join()
            return super().forward(x)

    as_file(tmp_path / "m.onnx", Talking(), tiny_plan())
    for heard in capsys.readouterr():
        assert "another thread" in heard
        assert "exporter" not in heard
