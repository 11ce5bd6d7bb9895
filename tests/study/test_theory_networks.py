"""The networks of the self-test on theory: against torch's layers, and against each other."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from whyconv.results import BORDERS, Border
from whyconv.study.theory.border_networks import largest_difference, make_network
from whyconv.study.theory.borders import draw_red_green
from whyconv.study.theory.windows import Activation, Windows, WindowStack, train
from whyconv.training.optimizers import rate_fraction

ROW = torch.arange(5)[:, None] + torch.arange(3)  # five windows of three among seven
ACTIVATIONS: tuple[Activation, ...] = ("threshold", "square", "relu")


def windows(activation: Activation = "relu", readout: str = "places") -> Windows:
    return Windows(7, ROW, 2, activation, readout, start_offset=0.3)  # type: ignore[arg-type]


def test_the_convolution_is_that_of_torch() -> None:
    stack = WindowStack("convolution", windows(), [4])
    x = torch.randn(6, 7)
    hidden = functional.conv1d(x[:, None], stack.weights["hidden"][0][:, None]) + 0.3
    expected = hidden.relu().transpose(1, 2).flatten(1) @ stack.weights["readout"][0].flatten()
    assert torch.allclose(stack(x[None])[0], expected, atol=1e-6)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("readout", ["mean", "places"])
def test_with_equal_kernels_the_three_answer_alike(activation: Activation, readout: str) -> None:
    of = windows(activation, readout)
    stacks = {one: WindowStack(one, of, [1, 2]) for one in ("convolution", "local", "dense")}
    kernel = stacks["convolution"].weights["hidden"].detach()
    matrix = torch.zeros(2, 5, 2, 7)
    for place, inputs in enumerate(ROW):
        matrix[:, place, :, inputs] = kernel
    with torch.no_grad():
        stacks["local"].weights["hidden"].copy_(kernel[:, None].expand(2, 5, 2, 3))
        stacks["dense"].weights["hidden"].copy_(matrix.flatten(1, 2))
        for one in ("local", "dense"):
            stacks[one].weights["readout"].copy_(stacks["convolution"].weights["readout"])
        x = torch.randn(2, 6, 7)
        answers = [stack(x) for stack in stacks.values()]
    assert torch.allclose(answers[0], answers[1], atol=1e-6)
    assert torch.allclose(answers[0], answers[2], atol=1e-6)


def test_members_of_a_stack_train_as_if_alone() -> None:
    batches = [(torch.randn(2, 8, 7), torch.randn(2, 8).sign()) for _ in range(5)]
    both = WindowStack("local", windows("threshold"), [1, 2])
    train(both, torch.tensor([0.1, 0.2]), batches, 5)
    for member, (seed, rate) in enumerate([(1, 0.1), (2, 0.2)]):
        alone = WindowStack("local", windows("threshold"), [seed])
        train(alone, torch.tensor([rate]), [(x[[member]], y[[member]]) for x, y in batches], 5)
        for name, weight in alone.weights.items():
            assert torch.allclose(weight[0], both.weights[name][member], atol=1e-6)


def test_the_trainer_takes_the_steps_of_torch() -> None:
    batches = [(torch.randn(1, 8, 7), torch.randn(1, 8).sign()) for _ in range(6)]
    ours, theirs = (WindowStack("dense", windows("threshold"), [3]) for _ in range(2))
    train(ours, torch.tensor([0.1]), batches, 6)
    optimizer = torch.optim.SGD(theirs.weights.values(), 0.1, momentum=0.9)
    for step, (x, y) in enumerate(batches):
        for group in optimizer.param_groups:
            group["lr"] = 0.1 * rate_fraction("cosine", step, 6, 0.05)
        optimizer.zero_grad()
        functional.soft_margin_loss(theirs(x), y).backward()
        optimizer.step()
    for name, weight in ours.weights.items():
        assert torch.allclose(weight, theirs.weights[name], atol=1e-6)


@pytest.mark.parametrize("border", BORDERS)
def test_only_ring_and_full_answer_moved_pictures_alike(border: Border) -> None:
    pictures = draw_red_green(20, np.random.default_rng(0))
    difference = largest_difference(make_network(border, 4, seed=0), pictures)
    assert (difference < 1e-12) == (border in ("circular", "full"))


def test_a_bias_gives_full_convolutions_the_place_away() -> None:
    network = make_network("full", 4, seed=0)
    generator = torch.Generator().manual_seed(1)
    for layer in network:
        if isinstance(layer, nn.Conv2d):
            layer.bias = nn.Parameter(torch.rand(layer.out_channels, generator=generator))
    assert largest_difference(network, draw_red_green(20, np.random.default_rng(0))) > 1e-3
