"""Networks counted: published sums, sums of layers, what is fixed, what is unused, what is not understood."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from whyconv.anatomy import inspect_network
from whyconv.counting.network import count_network
from whyconv.measures import trace
from whyconv.results.network import NetworkReport

SCHEMA = Path(__file__).resolve().parents[2] / "docs" / "schema" / "network.json"


# Parameters as published with the networks; multiply-adds of convolutions and linear layers as torchvision lists them.
@pytest.mark.parametrize(
    ("name", "side", "channels", "parameters", "billions"),
    [
        ("lenet5", 32, 1, 61_706, 0.000416),
        ("alexnet", 224, 3, 61_100_840, 0.71),
        ("resnet18", 224, 3, 11_689_512, 1.81),
        ("resnet50", 224, 3, 25_557_032, 4.09),
        ("mobilenet_v2", 224, 3, 3_504_872, 0.30),
    ],
)
def test_published_networks(name: str, side: int, channels: int, parameters: int, billions: float) -> None:
    report = inspect_network(name, (channels, side, side))
    assert report.totals.parameters == report.totals.trainable == parameters
    assert report.totals.nominal_multiply_adds == pytest.approx(billions * 1e9, rel=0.04)
    assert report.totals.not_analyzed == 0
    assert report.notes == []


def test_totals_are_sums_and_ratios_of_sums() -> None:
    report = inspect_network("alexnet", (3, 224, 224))
    totals, layers = report.totals, report.weighted
    assert totals.connections == sum(layer.connections for layer in layers)
    assert totals.locality_factor == totals.dense.weights / totals.connections
    assert totals.sharing_factor == totals.connections / totals.weights
    product = totals.locality_factor * totals.sharing_factor
    assert product == pytest.approx(totals.dense.weights / totals.weights)
    assert totals.parameters == sum(layer.num_new for layer in report.layers)
    first = layers[0]
    assert first.taps is not None
    assert first.taps.mean == pytest.approx(first.multiply_adds / first.weights)
    assert first.taps.least < first.taps.most == 55 * 55
    assert len(first.taps.along_axes[0]) == 11


class Partly(nn.Module):
    """Fixed weights, unused weights, frozen weights, and an operation that nobody knows."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("blur", torch.ones(3, 1, 3, 3) / 9)
        self.seen = nn.Conv2d(3, 4, 1)
        self.seen.weight.requires_grad = False
        self.unseen = nn.Linear(5, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.nn.functional.conv2d(x, self.blur, groups=3)
        return torch.fft.fft2(self.seen(x)).abs()


def test_what_is_not_learned_used_or_known_is_said() -> None:
    report = count_network(trace(Partly(), (3, 8, 8)), "partly")
    assert report.totals.parameters == 16 + 30
    assert report.totals.trainable == 4 + 30
    assert report.totals.unused == 30
    blur = report.layers[0]
    assert (blur.weights, blur.sharing_factor, blur.connections) == (0, None, 3 * 36 * 9)
    assert list(report.not_analyzed) == ["fft_c2c"]
    assert "aten._fft_c2c" in report.not_analyzed["fft_c2c"]
    unknown = next(layer for layer in report.layers if layer.kind == "not_analyzed")
    assert unknown.connections is None
    assert unknown.multiply_adds is None


def test_a_record_prints_a_table_and_survives_json() -> None:
    report = inspect_network("lenet5", (1, 32, 32))
    lines = repr(report).splitlines()
    assert len(lines) == 1 + 5 + 1
    assert all(len(line) <= 80 for line in lines[:-1])
    assert NetworkReport.model_validate_json(report.model_dump_json()) == report


def test_the_published_schema_is_that_of_the_record() -> None:
    assert json.loads(SCHEMA.read_text(encoding="utf-8")) == NetworkReport.model_json_schema()
