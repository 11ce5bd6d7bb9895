"""Whoever asks inside ``torch.inference_mode``, where torch shows operations whole, gets the same answers."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import whyconv
from whyconv.measures import certify, conditions, effective_field, equivariance, identities, verify, verify_network

SHAPE = (1, 8, 8)


def network() -> nn.Module:
    layers = (
        nn.Conv2d(1, 3, 3, padding=1, padding_mode="circular"),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(3, 2),
    )
    return nn.Sequential(*layers)


@torch.inference_mode()
def test_convolutions_are_counted() -> None:
    network = nn.Sequential(nn.Conv2d(3, 6, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(6 * 14 * 14, 10))
    found = whyconv.inspect(network, (3, 32, 32))
    assert not found.not_analyzed
    assert found.totals.connections == 28 * 28 * 6 * (5 * 5 * 3) + 6 * 14 * 14 * 10
    assert whyconv.inspect("lenet5", (1, 32, 32)).totals.connections == 416_520


MEASURED: dict[str, Callable[[nn.Module, Tensor], object]] = {
    "conditions": lambda network, x: conditions(network, SHAPE),
    "certify": lambda network, x: certify(network, x, seconds=1).num_changed,
    "effective_field": lambda network, x: effective_field(network, x, "0"),
    "equivariance": lambda network, x: equivariance(network, x, "circular"),
    "identities": lambda network, x: identities(network, SHAPE),
    "verify": lambda network, x: verify(nn.Conv2d(1, 2, 3), SHAPE).proofs[-1],
    "verify_network": lambda network, x: verify_network(network, SHAPE),
}


@pytest.mark.parametrize("name", MEASURED)
def test_what_is_measured_is_the_same(name: str) -> None:
    asked, x = network(), torch.rand(4, *SHAPE)
    outside = MEASURED[name](asked, x)
    with torch.inference_mode():
        assert MEASURED[name](asked, x) == outside
