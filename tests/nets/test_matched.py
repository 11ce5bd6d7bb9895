"""Perceptrons of a network's size: counts by hand and by torch's own counter, and no width comes nearer."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from twin_networks import drawn_network
from whyconv.errors import UsageError
from whyconv.nets import build_network, dense_twin
from whyconv.nets.twins.counted import count

# Convolutions on the longest path, by hand from the tables of the papers.
DEPTHS = {"lenet5": 2, "vgg16": 13, "resnet18": 17, "resnet50": 49, "googlenet": 21}


@pytest.mark.parametrize("name", DEPTHS)
def test_counts_of_published_networks(name: str) -> None:
    side = 32 if name == "lenet5" else 224
    with torch.device("meta"):
        network = build_network(name, in_channels=3, num_classes=10, side=side).eval()
    found = count(network, (3, side, side))
    assert found.depth == DEPTHS[name]
    assert found.output_shape == (10,)
    assert found.parameters == sum(each.numel() for each in network.parameters())
    with FlopCounterMode(display=False) as counter:
        network(torch.zeros(1, 3, side, side, device="meta"))
    assert found.multiply_adds * 2 == counter.get_total_flops()


def test_depth_follows_sums_joins_views_and_layers_used_again() -> None:
    for name, depth in {"residual": 5, "joined": 2, "tied": 4, "odd circular": 2}.items():
        network, shape = drawn_network(name)
        assert count(network, shape).depth == depth, name

    class InPlace(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Conv2d(1, 1, 1)

        def forward(self, x):
            y = torch.zeros_like(x)
            y[:, :, 1:] += self.layer(self.layer(x))[:, :, 1:]
            self.layer(self.layer(self.layer(x)))
            return y

    assert count(InPlace(), (1, 4, 4)).depth == 2


@pytest.mark.parametrize("match", ["parameters", "multiply_adds"])
@pytest.mark.parametrize("name", ["lenet5", "residual", "plain"])
def test_no_width_comes_nearer(name: str, match: str) -> None:
    network, shape = drawn_network(name)
    twin = dense_twin(network, shape, match=match)
    x = torch.randn(3, *shape, dtype=torch.float64)
    assert twin(x).shape == network(x).shape
    layers = [part for part in twin if isinstance(part, nn.Linear)]
    assert len(layers) == 1 + count(network, shape).depth
    assert {layer.out_features for layer in layers[:-1]} == {twin.width}
    products = sum(layer.weight.numel() for layer in layers)
    reached = products if match == "multiply_adds" else sum(each.numel() for each in twin.parameters())
    assert reached == twin.reached
    inputs, outputs = layers[0].in_features, layers[-1].out_features

    def other(width: int) -> int:
        products = inputs * width + (twin.depth - 1) * width * width + width * outputs
        return products if match == "multiply_adds" else products + twin.depth * width + outputs

    gap = abs(twin.reached - twin.aim)
    assert all(abs(other(width) - twin.aim) >= gap for width in range(1, 3 * twin.width + 3))
    assert f"{twin.depth} hidden layers of {twin.width} units: {twin.reached:,}" in repr(twin)
    assert f"% of {twin.aim:,}" in repr(twin)


def test_maps_come_out_as_maps_and_modes_are_kept() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3, stride=2)).train()
    twin = dense_twin(network, (3, 9, 9), match="multiply_adds")
    assert twin(torch.zeros(2, 3, 9, 9)).shape == (2, 4, 4, 4)
    assert twin.training
    assert not dense_twin(network.eval(), (3, 9, 9), match="parameters").training


def test_refusals() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten())
    with pytest.raises(UsageError, match=r"'parameter': expected one of units, parameters.*Did you mean"):
        dense_twin(network, (3, 9, 9), match="parameter")
    with pytest.raises(UsageError, match=r"would take [\d,]+ bytes, with 1 hidden layers of \d+ units"):
        dense_twin(network, (3, 9, 9), match="multiply_adds", max_bytes=1000)
    with pytest.raises(UsageError, match="reaches no convolution"):
        dense_twin(nn.Flatten(), (3, 9, 9), match="parameters")

    class Two(nn.Sequential):
        def forward(self, x):
            return super().forward(x), x

    with pytest.raises(UsageError, match="answer to one picture is tuple"):
        dense_twin(Two(*network), (3, 9, 9), match="parameters")
