"""Steps of stacked networks are the steps that torch's AdamW takes with each of them alone."""

from __future__ import annotations

import pytest
import torch

from whyconv.study.stacked_adam import StackedAdam

RATES, DECAYS = [0.1, 0.02, 0.5], [0.0, 0.3, 1.0]
LARGE, SMALL = (120, 100), (7, 5)


@pytest.mark.parametrize("is_turned", [False, True])
@pytest.mark.parametrize("shapes", [(LARGE, SMALL, LARGE, SMALL), (SMALL, SMALL), (LARGE,)])
def test_each_network_steps_as_it_would_alone(shapes: tuple[tuple[int, int], ...], is_turned: bool) -> None:
    random = torch.Generator().manual_seed(0)
    starts = [torch.randn(3, *shape, generator=random, dtype=torch.float64) for shape in shapes]
    fades = [place < 2 for place in range(len(shapes))]
    weights = [start.clone() for start in starts]
    adam = StackedAdam(weights, fades, *(torch.tensor(each, dtype=torch.float64) for each in (RATES, DECAYS)))
    alone = [[start[row].clone() for start in starts] for row in range(3)]
    theirs = [
        torch.optim.AdamW(
            [
                {"params": [weight], "lr": rate, "weight_decay": decay if faded else 0.0}
                for weight, faded in zip(some, fades, strict=True)
            ],
            eps=1e-8,
        )
        for some, rate, decay in zip(alone, RATES, DECAYS, strict=True)
    ]
    for length in (1.0, 0.5, 0.25):
        gradients = [torch.randn(*start.shape, generator=random, dtype=torch.float64) for start in starts]
        # The same numbers, otherwise in memory: as the gradient of a transposed weight lies there.
        adam.step([each.mT.contiguous().mT if is_turned else each for each in gradients], length)
        for row, (optimizer, rate) in enumerate(zip(theirs, RATES, strict=True)):
            for group, weight, gradient in zip(optimizer.param_groups, alone[row], gradients, strict=True):
                group["lr"], weight.grad = rate * length, gradient[row]
            optimizer.step()
    for place, weight in enumerate(weights):
        assert torch.allclose(weight, torch.stack([some[place] for some in alone]), rtol=1e-7, atol=1e-9)
