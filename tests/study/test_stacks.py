"""Many networks on top of each other are the networks one by one, and what is not trained twice would be the same."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from small_square import SMALL, small_pictures
from whyconv.results import CONTROLS, CORNERS, Corner, Readout
from whyconv.study.control_square import make_study
from whyconv.study.controls import UNMOVED, make_controls, match_weights
from whyconv.study.corners import OneHiddenLayer, Sizes
from whyconv.study.protocol import Training
from whyconv.study.rings import move, random_shifts
from whyconv.study.stacks import WARMUP_FRACTION, Stack, train_stack
from whyconv.training.optimizers import rate_fraction

STEPS = 12


def networks(corner: Corner, readout: Readout = "mean", members: int = 3) -> list[OneHiddenLayer]:
    return [OneHiddenLayer(corner, Sizes(2, 8, 4, 3, 5, readout), seed).double() for seed in range(members)]


def batches(members: int = 3) -> list[tuple[torch.Tensor, torch.Tensor]]:
    generator = torch.Generator().manual_seed(1)
    return [
        (
            torch.randn(6, members, 2, 8, 8, dtype=torch.float64, generator=generator),
            torch.randint(0, 5, (members, 6), generator=generator),
        )
        for _ in range(STEPS)
    ]


@pytest.mark.parametrize("readout", ["mean", "places"])
@pytest.mark.parametrize("corner", CORNERS)
def test_a_stack_answers_and_learns_as_its_members_do(corner: Corner, readout: Readout) -> None:
    members = networks(corner, readout)
    stack = Stack.of(members)
    x = batches()[0][0]
    alone = torch.stack([member(x[:, row]) for row, member in enumerate(members)])
    assert torch.allclose(stack(x), alone, atol=1e-10)
    rates = [0.01, 0.05, 0.2]
    train_stack(stack, torch.tensor(rates, dtype=torch.float64), batches(), STEPS)
    for row, (member, rate) in enumerate(zip(members, rates, strict=True)):
        _train_alone(member, rate, row)
        for name, weight in member.named_parameters():
            assert torch.allclose(stack.weights[name][row], weight, atol=1e-8), name
    assert torch.equal(stack.members([2, 0]).weights["hidden.bias"], stack.weights["hidden.bias"][[2, 0]])


def _train_alone(network: OneHiddenLayer, rate: float, row: int) -> None:
    optimizer = torch.optim.Adam(network.parameters(), eps=1e-8)
    for step, (x, labels) in enumerate(batches()):
        optimizer.param_groups[0]["lr"] = rate * rate_fraction("cosine", step, STEPS, WARMUP_FRACTION)
        optimizer.zero_grad()
        functional.cross_entropy(network(x[:, row]), labels[row]).backward()
        optimizer.step()


@pytest.mark.parametrize(
    ("corner", "control"), [(corner, control) for control in CONTROLS for corner in UNMOVED[control]]
)
def test_adam_leaves_unmoved_corners_unmoved_too(corner: Corner, control: str) -> None:
    """Why accuracies under a control that leaves a corner unmoved are not measured a second time."""
    changed = make_controls(8, 3, 7)[control]  # type: ignore[index]
    plain, matched = networks(corner, members=1), networks(corner, members=1)
    matched[0].load_state_dict(match_weights(matched[0], changed))
    ends = []
    for start, change in ((plain, lambda x: x), (matched, changed)):
        stack = Stack.of(start)
        train_stack(stack, torch.tensor([0.05]).double(), [(change(x[:, :1]), y[:1]) for x, y in batches()], STEPS)
        ends.append(stack(change(batches()[0][0][:, :1])))
    assert torch.allclose(ends[0], ends[1], atol=1e-7)


@pytest.mark.parametrize("corner", ["shared_global", "convolution"])
def test_shared_corners_learn_the_same_from_moved_pictures(corner: Corner) -> None:
    study = make_study(small_pictures(), SMALL)
    still, moved = (study.run(Training(corner, place, None, 60)) for place in ("still", "moved"))
    assert still.learning_rate == moved.learning_rate
    assert still.by_draw == pytest.approx(moved.by_draw, abs=0.03)  # single precision: one picture of 40 may turn


def test_pictures_move_around_the_ring() -> None:
    x = torch.arange(2 * 16).view(2, 1, 4, 4)
    moved = move(x, torch.tensor([[1, 0], [0, 3]]).numpy())
    assert torch.equal(moved[0], x[0].roll(1, -2))
    assert torch.equal(moved[1], x[1].roll(3, -1))
    shifts = random_shifts(np.random.default_rng(0), (500,), 4)
    assert set(map(tuple, shifts.tolist())) == {(i, j) for i in range(4) for j in range(4)}


def test_the_batches_are_the_same_for_every_corner() -> None:
    study = make_study(small_pictures(), SMALL)
    first, second = (
        list(study.batches(Training(corner, "moved", "signs", 10), range(2), 3)) for corner in ("dense", "local")
    )
    assert all(torch.equal(a[0], b[0]) and torch.equal(a[1], b[1]) for a, b in zip(first, second, strict=True))
    # Draws differ, learning rates of one draw do not.
    pictures = first[0][0]
    assert torch.equal(pictures[:, 0], pictures[:, 1])
    assert not torch.equal(pictures[:, 1], pictures[:, 2])
    assert pictures.shape == (10, 4, 1, 8, 8)
