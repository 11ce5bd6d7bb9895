"""Exported files to ask for evidence: networks with random weights, and one that has learned where digits lie."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from tiny_training import tiny_plan
from whyconv.demo import load_digits
from whyconv.evidence import Explainer, open_explainer
from whyconv.export import export, metadata_for
from whyconv.images.prepare import PicturePolicy
from whyconv.settings import NetworkPlan, View
from whyconv.training.start import start_network

TEMPERATURE = 1.7
CANVAS = 20


def export_random(
    path: Path, name: str, side: int = 16, channels: int = 3, views: Sequence[View] = ("upright",), members: int = 1
) -> Explainer:
    """A network of whyconv as it starts, with noise on its weights: some start as the identity and see no neighbors."""
    plan = tiny_plan(side, channels, network=name, views=views, members=members)
    torch.manual_seed(5)
    network = start_network(plan)
    with torch.no_grad():
        for layer in network.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.bias.normal_()
            elif isinstance(layer, nn.Conv2d):
                layer.weight += 0.1 * torch.randn_like(layer.weight)
    return export_network(path, network, plan.network)


def export_network(path: Path, network: nn.Module, plan: NetworkPlan) -> Explainer:
    policy = PicturePolicy(side=plan.side, channels=plan.in_channels)
    export(path, network, metadata_for(plan, policy, TEMPERATURE, {"train": 64}), plan)
    return open_explainer(path)


def drawn(explainer: Explainer, n: int = 1, seed: int = 0) -> np.ndarray:
    policy = explainer.recognizer.policy
    shape = (n, policy.side, policy.side, policy.channels)
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


class Placed(NamedTuple):
    """Digits on an empty canvas, each in one quadrant: pixels, labels, top and left half as 0 or 1."""

    pixels: np.ndarray
    labels: np.ndarray
    down: np.ndarray
    right: np.ndarray


def placed_digits(n: int, seed: int, *, is_test: bool) -> Placed:
    """Digits 0, 1 and 2 of 8 x 8 pixels, one within each canvas of 20 x 20, inside one of its quadrants."""
    digits, labels, in_test = load_digits()
    rows = np.flatnonzero((in_test == is_test) & (labels < 3))
    generator = np.random.default_rng(seed)
    chosen = generator.choice(rows, n)
    down, right = generator.integers(0, 2, (2, n))
    pixels = np.zeros((n, CANVAS, CANVAS, 1), np.uint8)
    for row, (index, low, far) in enumerate(zip(chosen, down, right, strict=True)):
        top, left = (CANVAS // 2 * half + generator.integers(0, CANVAS // 2 - 7) for half in (low, far))
        pixels[row, top : top + 8, left : left + 8, 0] = digits[index].reshape(8, 8)
    return Placed(pixels, labels[chosen].astype(np.int64), down, right)


def learned_network(plan: NetworkPlan) -> nn.Module:
    """Three convolutions, the mean over places and a linear layer, trained on ``placed_digits`` for some seconds."""
    torch.manual_seed(0)
    network = nn.Sequential(
        *(nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 32, 3, stride=2, padding=1), nn.ReLU()),
        *(nn.Conv2d(32, 32, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(32, 3)),
    )
    data = placed_digits(1500, 0, is_test=False)
    x = (torch.from_numpy(data.pixels).permute(0, 3, 1, 2).float() - plan.mean[0]) / plan.std[0]
    y = torch.from_numpy(data.labels)
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
    for step in range(180):
        rows = torch.randint(len(x), (100,), generator=torch.Generator().manual_seed(step))
        loss = nn.functional.cross_entropy(network(x[rows]), y[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return network.eval()
