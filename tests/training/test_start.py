"""The network before step 1 is the plan's, whatever the plan is asked beside it."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from tiny_training import tiny_plan
from whyconv.training.start import start_network


class Drawing(nn.Module):
    """Draws random numbers when it answers, in evaluation too."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(1, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(x.mean(dim=(2, 3)) + torch.rand(len(x), 1))


def test_asking_about_further_sides_moves_no_random_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("whyconv.training.start.build_planned", lambda plan: Drawing())
    found = []
    for sides in ([], [6], [6, 7, 8]):
        network = start_network(tiny_plan(sides=sides))
        found.append((torch.get_rng_state(), network.head.weight))
    assert all(torch.equal(state, found[0][0]) for state, _ in found)
    assert all(torch.equal(weight, found[0][1]) for _, weight in found)
