"""Muon against singular values computed by LAPACK, and against torch's own Adam."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, weight_norm

from whyconv.training.checkpoint import load_state, require_fitting, save_state
from whyconv.training.muon import Muon, _owners, kernels_of, orthogonal


def stretched(value: np.ndarray) -> np.ndarray:
    for _ in range(3):
        value = 3.4445 * value - 4.7750 * value**3 + 2.0315 * value**5
    return value


def turned(gradient: np.ndarray) -> np.ndarray:
    left, values, right = np.linalg.svd(gradient.reshape(len(gradient), -1), full_matrices=False)
    return (left @ np.diag(stretched(values / np.linalg.norm(values))) @ right).reshape(gradient.shape)


@pytest.mark.parametrize("shape", [(5, 9), (9, 5), (4, 4)])
def test_orthogonal_changes_the_singular_values_only(shape: tuple[int, int]) -> None:
    matrix = np.random.default_rng(0).normal(size=shape)
    np.testing.assert_allclose(orthogonal(torch.from_numpy(matrix)).numpy(), turned(matrix), atol=1e-6)


@pytest.mark.parametrize("shape", [(64, 576), (256, 64), (2, 32, 96)])
def test_rounded_products_are_as_near_as_bfloat16_is(shape: tuple[int, ...]) -> None:
    matrix = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    found = orthogonal(torch.from_numpy(matrix), rounds=True)
    assert found.dtype == torch.float32
    for each, given in zip(found.reshape(-1, *shape[-2:]).numpy(), matrix.reshape(-1, *shape[-2:]), strict=True):
        expected = turned(given)
        # 2^-9 is half a step of bfloat16; the two products have two rounded factors each.
        assert np.linalg.norm(each - expected) < 4 * 2**-9 * np.linalg.norm(expected)
        assert np.linalg.norm(each - expected) > 1e-5 * np.linalg.norm(expected)


def test_singular_values_come_near_to_one() -> None:
    values = stretched(np.linspace(0.05, 1, 200))
    assert 0.5 < values.min() < values.max() < 1.3


def test_kernels_keep_their_length_and_move_by_the_learning_rate() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4)).double()
    layer = network[0]
    expected = layer.weight.detach().numpy().copy()
    optimizer = Muon(network, 0.1, momentum=0.6)
    velocity = np.zeros_like(expected)
    for gradient in np.random.default_rng(1).normal(size=(3, *expected.shape)):
        layer.weight.grad = torch.from_numpy(gradient.copy())
        optimizer.step()
        velocity = 0.6 * velocity + gradient
        expected = expected * np.sqrt(4) / np.linalg.norm(expected) - 0.1 * turned(gradient + 0.6 * velocity)
    np.testing.assert_allclose(layer.weight.detach().numpy(), expected, atol=1e-6)


def test_without_normalization_kernels_keep_the_length_they_began_with() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 2, 3))
    torch.nn.init.constant_(network[2].weight, 0.01)
    before = [layer.weight.norm().item() for layer in (network[0], network[2])]
    optimizer = Muon(network, 1e-9, momentum=0.6, other_learning_rate=1e-9)
    for seed in range(3):
        torch.manual_seed(seed)
        optimizer.zero_grad()
        network(torch.randn(2, 3, 8, 8)).square().mean().backward()
        optimizer.step()
    after = [layer.weight.norm().item() for layer in (network[0], network[2])]
    assert after == pytest.approx(before, rel=1e-5)


def test_the_length_a_kernel_began_with_is_gone_on_with(tmp_path: Path) -> None:
    def begun() -> tuple[nn.Conv2d, Muon]:
        torch.manual_seed(0)
        layer = nn.Conv2d(3, 4, 3)
        return layer, Muon(layer, 0.5)

    def step(layer: nn.Conv2d, optimizer: Muon, seed: int) -> None:
        torch.manual_seed(seed)
        optimizer.zero_grad()
        layer(torch.randn(2, 3, 8, 8)).square().mean().backward()
        optimizer.step()

    straight, stopped, resumed = begun(), begun(), begun()
    for seed in range(4):
        step(*straight, seed)
    step(*stopped, 0)
    step(*stopped, 1)
    save_state(tmp_path / "state", {"network": stopped[0].state_dict()}, stopped[1], {})
    tensors, _ = load_state(tmp_path / "state", resumed[1])
    require_fitting(tmp_path / "state", resumed[1])
    resumed[0].load_state_dict(tensors["network"])
    step(*resumed, 2)
    step(*resumed, 3)
    assert torch.equal(straight[0].weight, resumed[0].weight)


@pytest.mark.parametrize("size", [1, 2, 3, 8])
def test_no_process_has_more_than_a_third_above_the_least_possible(size: int) -> None:
    """The bound of Graham (1969) for the longest first: 4/3 - 1/(3 size) of the best division there is."""
    shapes = [torch.Size(each) for each in ((64, 27), (64, 576), (128, 576), (128, 1152), (128, 1152), (10, 128))]
    costs = [rows * columns * min(rows, columns) for rows, columns in shapes]
    owners = _owners(shapes, size)
    loads = [sum(cost for cost, owner in zip(costs, owners, strict=True) if owner == rank) for rank in range(size)]
    assert sum(loads) == sum(costs)
    best = min(
        max(sum(cost for cost, owner in zip(costs, each, strict=True) if owner == rank) for rank in range(size))
        for each in product(range(min(size, 4)), repeat=len(costs))
    )
    assert max(loads) <= (4 / 3 - 1 / (3 * size)) * best


def test_what_is_no_kernel_moves_as_torchs_adam_has_it() -> None:
    ours, theirs = (nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2)).double() for _ in range(2))
    theirs.load_state_dict(ours.state_dict())
    steps = (Muon(ours, 0.5, other_learning_rate=0.1), torch.optim.Adam(theirs.parameters(), 0.1, betas=(0.9, 0.95)))
    for step in range(5):
        for network, optimizer in zip((ours, theirs), steps, strict=True):
            torch.manual_seed(step)
            optimizer.zero_grad()
            (network(torch.randn(5, 3).double()) - 1).square().mean().backward()
            optimizer.step()
    for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-8)


def test_kernels_are_those_of_convolutions_that_learn() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 2), nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4), nn.Linear(4, 2))
    network[0].weight.requires_grad_(False)
    assert [id(each) for each in kernels_of(network)] == [id(network[1].weight)]
    kernels, others = Muon(network, 0.3, other_learning_rate=0.01).param_groups
    assert (kernels["lr"], others["lr"]) == (0.3, 0.01)
    assert len(others["params"]) == 6


class _Tied(nn.Module):
    """One kernel, applied twice: under two names, or under one."""

    def __init__(self, num_names: int) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layers = nn.ModuleList(nn.Conv2d(4, 4, 3, padding=1, bias=False) for _ in range(num_names))
        self.normalized = nn.BatchNorm2d(4)
        for layer in self.layers:
            layer.weight = self.layers[0].weight

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.normalized(self.layers[-1](self.layers[0](x)))
        return found


def test_a_kernel_of_two_layers_is_moved_once_in_each_step() -> None:
    one, two = _Tied(1), _Tied(2)
    for network in (one, two):
        optimizer = Muon(network, 0.02)
        for seed in range(3):
            torch.manual_seed(seed)
            optimizer.zero_grad()
            network(torch.randn(2, 4, 6, 6)).pow(3).sum().backward()
            optimizer.step()
    assert torch.equal(one.layers[0].weight, two.layers[0].weight)


@pytest.mark.parametrize("parametrized", [parametrizations.weight_norm, parametrizations.spectral_norm, weight_norm])
@pytest.mark.filterwarnings("ignore:.*weight_norm.*deprecated:FutureWarning")
def test_what_a_computed_kernel_is_computed_from_moves_as_torchs_adam_has_it(
    parametrized: Callable[[nn.Module], nn.Module],
) -> None:
    networks = []
    for _ in range(2):
        torch.manual_seed(0)
        networks.append(nn.Sequential(parametrized(nn.Conv2d(2, 3, 3)), nn.BatchNorm2d(3)).double())
    ours, theirs = networks
    steps = (Muon(ours, 0.5, other_learning_rate=0.1), torch.optim.Adam(theirs.parameters(), 0.1, betas=(0.9, 0.95)))
    for seed in range(3):
        for network, optimizer in zip((ours, theirs), steps, strict=True):
            torch.manual_seed(seed)
            optimizer.zero_grad()
            (network(torch.randn(2, 2, 5, 5).double()) - 1).pow(3).mean().backward()
            optimizer.step()
    for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-8)
