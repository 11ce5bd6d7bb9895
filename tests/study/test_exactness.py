"""Fifty steps of gradient descent, twice: unmoved corners have the same loss at every step, the others do not."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from whyconv.results import CONTROLS, CORNERS, Readout, UnmovedCheck
from whyconv.study.controls import UNMOVED, Control, make_controls, multiplier_for
from whyconv.study.corners import OneHiddenLayer, Sizes
from whyconv.study.exactness import check_corners, descend, largest_difference

ROUNDING = 1e-9
STEPS = 50


def material(channels: int, side: int, n: int = 16) -> tuple[torch.Tensor, torch.Tensor]:
    random = np.random.default_rng(4)
    # Neighbors alike, as in pictures.
    rough = torch.from_numpy(random.normal(size=(n, channels, side, side)))
    smooth = rough + rough.roll(1, -1) + rough.roll(1, -2)
    return smooth / smooth.std(), torch.arange(n) % 3


def checks(sizes: Sizes, controls: dict[str, Control] | None = None) -> list[UnmovedCheck]:
    x, labels = material(sizes.channels, sizes.side)
    controls = controls or make_controls(sizes.side, multiplier_for(sizes.side, sizes.kernel), 0)
    return list(check_corners(x, labels, sizes, controls, steps=STEPS, seed=1))


@pytest.mark.parametrize(
    ("channels", "side", "kernel", "readout"), [(1, 8, 3, "mean"), (1, 8, 3, "places"), (3, 16, 5, "mean")]
)
def test_unmoved_is_unmoved_and_the_others_are_moved(channels: int, side: int, kernel: int, readout: Readout) -> None:
    found = checks(Sizes(channels, side, 2, kernel, 3, readout))
    assert len(found) == len(CORNERS) * 4
    for check in found:
        assert check.steps == STEPS
        assert check.is_unmoved == (check.difference < ROUNDING), check
        assert check.is_unmoved or check.difference > 1e-3, check
    said = {name: tuple(one.corner for one in found if one.change == name and one.is_unmoved) for name in CONTROLS}
    assert said == UNMOVED


def test_a_control_that_is_not_what_it_says_is_noticed() -> None:
    """Coordinates multiplied by 3 but for two pixels: no longer a map that shared-global can follow."""
    controls = make_controls(8, 3, 0)
    source = controls["multiplied"].source.copy()
    source[[9, 30]] = source[[30, 9]]
    controls["multiplied"] = Control("multiplied", source, np.ones(64))
    found = {(one.corner, one.change): one.difference for one in checks(Sizes(1, 8, 2, 3, 3), controls)}
    assert found["dense", "multiplied"] < ROUNDING
    assert found["shared_global", "multiplied"] > 1e-4


def test_the_descent_is_that_of_torch() -> None:
    x, labels = material(1, 8)
    network = OneHiddenLayer("convolution", Sizes(1, 8, 2, 3, 3), 1).double()
    ours = list(descend(network, network.state_dict(), x, labels, steps=20, seed=0))
    optimizer = torch.optim.SGD(network.parameters(), lr=0.05)
    theirs = []
    for _ in range(20):
        optimizer.zero_grad()
        loss = functional.cross_entropy(network(x), labels)
        theirs.append(loss.item())
        loss.backward()
        optimizer.step()
    assert largest_difference(theirs, ours) < 1e-12
    assert ours[-1] < ours[0]
