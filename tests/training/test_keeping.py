"""Which epoch is kept, on losses made up for it and in a training."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from tiny_training import bars, tiny_plan
from whyconv.training.keeping import is_as_good
from whyconv.training.loop import train_network
from whyconv.training.start import start_network


@pytest.mark.parametrize("shift", [-0.5, 0.0, 0.05, 0.1, 0.15, 0.5])
def test_within_one_standard_error_of_the_paired_difference(shift: float) -> None:
    generator = np.random.default_rng(1)
    least, losses = generator.exponential(size=(2, 50)) + np.array([[0], [shift]])
    expected = np.mean(losses - least) <= stats.sem(losses - least)
    assert is_as_good(torch.from_numpy(losses), torch.from_numpy(least)) == expected


def test_one_picture_has_no_error_to_hide_in() -> None:
    assert is_as_good(torch.tensor([1.0]), torch.tensor([1.0]))
    assert not is_as_good(torch.tensor([1.01]), torch.tensor([1.0]))


def test_a_training_that_validation_cannot_tell_apart_keeps_its_last_epoch() -> None:
    # So little that no weight changes: what a larger rate leaves is rounding, which differs from machine to machine.
    plan = tiny_plan(epochs=8, learning_rate=1e-30, patience=8)
    outcome = train_network(start_network(plan), bars(64), bars(16), plan)
    assert outcome.best_epoch == outcome.num_epochs == 8
