"""Each optimizer against steps computed by hand in NumPy, from the formulas of its docstring."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from whyconv.training.optimizers import FORMULAS, build_optimizer, rate_fraction

RATE, B, R, E, D = 0.03, 0.9, 0.999, 1e-8, 0.1


def by_hand(name: str, w: np.ndarray, gradients: list[np.ndarray]) -> np.ndarray:
    v, s = np.zeros_like(w), np.zeros_like(w)
    r = 0.95 if name == "muon" else R  # a layer that is no convolution moves by Adam
    for t, g in enumerate(gradients, 1):
        if name == "gd":
            w = w - RATE * g
        elif name == "momentum":
            v = B * v + g
            w = w - RATE * v
        elif name == "rmsprop":
            s = 0.9 * s + 0.1 * g**2
            w = w - RATE * g / (np.sqrt(s) + E)
        else:
            if name == "adamw":
                w = (1 - RATE * D) * w
            v, s = B * v + (1 - B) * g, r * s + (1 - r) * g**2
            w = w - RATE * (v / (1 - B**t)) / (np.sqrt(s / (1 - r**t)) + E)
    return w


@pytest.mark.parametrize("name", sorted(FORMULAS))
def test_five_steps_equal_those_computed_by_hand(name: str) -> None:
    generator = np.random.default_rng(0)
    layer = nn.Linear(3, 4, bias=False).double()
    start = layer.weight.detach().numpy().copy()
    gradients = [generator.normal(size=(4, 3)) for _ in range(5)]
    optimizer = build_optimizer(name, layer, learning_rate=RATE, momentum=B, weight_decay=D if name == "adamw" else 0.0)
    for gradient in gradients:
        layer.weight.grad = torch.from_numpy(gradient)
        optimizer.step()
    np.testing.assert_allclose(layer.weight.detach().numpy(), by_hand(name, start, gradients), rtol=1e-12)


def test_the_lectures_momentum_is_the_same_path_with_a_ten_times_larger_rate() -> None:
    generator = np.random.default_rng(1)
    layer = nn.Linear(2, 2, bias=False).double()
    w, v = layer.weight.detach().numpy().copy(), np.zeros((2, 2))
    optimizer = build_optimizer("momentum", layer, learning_rate=RATE, momentum=B)
    for _ in range(6):
        gradient = generator.normal(size=(2, 2))
        layer.weight.grad = torch.from_numpy(gradient)
        optimizer.step()
        v = B * v + (1 - B) * gradient
        w = w - RATE / (1 - B) * v
    np.testing.assert_allclose(layer.weight.detach().numpy(), w, rtol=1e-12)


def test_weight_decay_spares_biases_and_normalization() -> None:
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
    decayed, spared = build_optimizer("adamw", network, learning_rate=0.1, weight_decay=0.5).param_groups
    assert [tuple(each.shape) for each in decayed["params"]] == [(2, 1, 3, 3)]
    assert decayed["weight_decay"] == 0.5
    assert [tuple(each.shape) for each in spared["params"]] == [(2,), (2,), (2,)]
    assert spared["weight_decay"] == 0


def test_the_rate_rises_on_a_line_and_falls_on_half_a_cosine() -> None:
    rates = [rate_fraction("cosine", step, 100, 0.1) for step in range(100)]
    assert rates[0] == pytest.approx(1 / 11)
    assert rates[4] == pytest.approx(5 / 11)
    assert rates[10] == 1.0
    assert rates[55] == pytest.approx(0.5 * (1 + math.cos(math.pi * 45 / 90)))
    assert 0 < rates[99] < 0.001


def test_the_rate_falls_on_a_line_or_stays() -> None:
    np.testing.assert_allclose([rate_fraction("linear", step, 50, 0.0) for step in range(50)], 1 - np.arange(50) / 50)
    assert rate_fraction("linear", 75, 100, 0.5) == pytest.approx(0.5)
    assert {rate_fraction("constant", step, 9, 0.3) for step in range(9)} == {1.0}
