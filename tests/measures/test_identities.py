"""Whole networks are bound to their twins as the chain rule says; and a twin with a mistake is found out."""

from __future__ import annotations

from importlib import import_module
from itertools import product

import pytest
import torch
from torch import nn
from torch.func import jacrev

from twin_networks import BUILDERS, drawn_network
from whyconv.counting import Axis, Convolution
from whyconv.errors import UsageError
from whyconv.measures import identities
from whyconv.nets import SteppedGlobal2d, dense_twin

module = import_module("whyconv.measures.identities")


@pytest.mark.parametrize("name", BUILDERS)
def test_the_identities_hold_on_whole_networks(name: str) -> None:
    network, shape = drawn_network(name)
    found = identities(network, shape)
    assert found.not_tried == ""
    assert found.largest_forward < 1e-12, found
    assert found.largest_gradient < 1e-11, found
    convolutions = {part for part in network.modules() if isinstance(part, nn.Conv2d)}
    assert len(found.layers) == len(convolutions)


def test_idle_taps_are_those_that_only_meet_zeros() -> None:
    (layer,) = identities(nn.Conv2d(3, 5, 3, stride=2, padding=1), (3, 10, 9)).layers
    counted = Convolution((Axis(10, 3, 2, (1, 1)), Axis(9, 3, 2, (1, 1))), 3, 5)
    assert layer.num_local_weights == 5 * 5 * 5 * 3 * 9
    assert layer.num_idle_weights == layer.num_local_weights - counted.connections == 645


def test_the_pixels_seen_are_the_support_of_the_jacobian() -> None:
    for name in ("odd zeros", "odd reflect", "odd circular", "small ring"):
        network, (channels, *size) = drawn_network(name)
        convolution = network[0]
        with torch.no_grad():
            convolution.weight.abs_().add_(0.1)
        x = torch.randn(channels, *size, dtype=torch.float64)
        jacobian = jacrev(lambda x, layer=convolution: layer(x[None])[0, 0])(x)[:, :, 0].flatten(2)
        seen = module.pixels_seen(convolution, tuple(size))
        for row, column in product(range(seen.shape[0]), range(seen.shape[1])):
            support = jacobian[row, column].flatten().nonzero()
            met = seen[row, column]
            assert set(met[met >= 0].tolist()) == set(support.flatten().tolist())


def test_a_dense_twin_that_is_too_large_is_left_out_and_said() -> None:
    found = identities(nn.Sequential(nn.Conv2d(2, 3, 3), nn.Flatten()), (2, 9, 9), max_bytes=100_000)
    assert found.dense is None
    assert found.layers[0].dense_gradient is None
    assert "at most 100,000 are allowed" in found.not_tried
    assert found.largest_forward < 1e-12


def test_a_wrong_twin_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def shifted(*args, **kwargs):
        twin = dense_twin(*args, **kwargs)
        with torch.no_grad():
            twin[0][1].weight.copy_(twin[0][1].weight.roll(1, 0))
        return twin

    network = nn.Sequential(nn.Conv2d(2, 3, 3, padding=1), nn.Flatten())
    monkeypatch.setattr(module, "dense_twin", shifted)
    found = identities(network, (2, 5, 5))
    assert found.dense > 0.1
    assert found.layers[0].dense_gradient > 0.1
    monkeypatch.setattr(SteppedGlobal2d, "window", property(lambda self: ([0, 1, 2], [0, 1, 2])))
    assert identities(network, (2, 5, 5)).layers[0].window_gradient > 0.1


def test_the_network_is_left_as_it_was() -> None:
    network = nn.Sequential(nn.Conv2d(2, 3, 3), nn.Dropout(), nn.Flatten()).train()
    network[0].weight.requires_grad_(False)
    before = network[0].weight.clone()
    identities(network, (2, 5, 5))
    assert torch.equal(network[0].weight, before)
    assert network.training
    assert network[0].bias.grad is None
    assert not network[0].weight.requires_grad


def test_a_network_with_two_answers_is_refused() -> None:
    class Pair(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Conv2d(1, 1, 1)

        def forward(self, x):
            return self.layer(x), x

    with pytest.raises(UsageError, match="answers with a tuple"):
        identities(Pair(), (1, 3, 3))
