"""The exported file answers as torch does, through the recognizer and through onnx's own reference."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx.reference import ReferenceEvaluator
from torch import nn

from tiny_training import bars, tiny_plan
from whyconv.errors import ModelFileError
from whyconv.export import compare, describe_layers, export, export_maps, metadata_for
from whyconv.images.prepare import PicturePolicy
from whyconv.model_file import METADATA_KEY
from whyconv.recognizer import open_recognizer
from whyconv.training.evaluate import softmax
from whyconv.training.loop import network_logits
from whyconv.training.start import start_network

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")


@pytest.fixture(
    scope="module", params=[("plain", 1, 8, False), ("plain", 3, 16, True), ("lesson", 3, 8, False)], ids=str
)
def exported(request, tmp_path_factory):
    name, channels, side, mirror = request.param
    plan = tiny_plan(side, channels, network=name, mirror=mirror)
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
    before = [each.clone() for each in network.head.parameters()]
    with torch.no_grad():
        network.head.weight.mul_(-1)
    try:
        assert not compare(open_recognizer(path), network, plan.network, pixels).is_equal
    finally:
        with torch.no_grad():
            for parameter, value in zip(network.head.parameters(), before, strict=True):
                parameter.copy_(value)


def test_the_file_says_what_it_is_and_holds_no_paths(exported) -> None:
    path, _, plan = exported
    model = onnx.load(path)
    assert [each.key for each in model.metadata_props] == [METADATA_KEY]
    metadata = open_recognizer(path).metadata
    assert metadata.classes == ("lies", "stands")
    assert metadata.temperature == 1.7
    assert metadata.views == (("upright", "mirrored") if plan.network.mirror_views else ("upright",))
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


def test_a_network_that_onnx_cannot_say_is_an_error(tmp_path: Path) -> None:
    class Odd(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if x.mean().item() > 0:
                return x.mean(dim=(2, 3))
            return x.amax(dim=(2, 3))

    plan = tiny_plan(channels=3)
    with pytest.raises(ModelFileError, match="cannot be written as ONNX"):
        export(
            tmp_path / "m.onnx",
            Odd(),
            metadata_for(plan.network, PicturePolicy(side=8, channels=3), 1.0, {}),
            plan.network,
        )
    assert not (tmp_path / "m.onnx").exists()
