"""The moving mean of a network's weights over the steps, which is what is validated and kept."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def move_mean(mean: nn.Module, network: nn.Module, share: float, step: int) -> None:
    """Moves averaged weights towards the current ones, faster in the first steps.

    Args:
        mean: The averaged network, changed in place.
        network: The current one.
        share: Of the old value that is kept, in [0, 1).
        step: How many steps were taken.
    """
    decay = min(share, (1 + step) / (10 + step))
    with torch.no_grad():
        for old, new in zip(tensors_of(mean), tensors_of(network), strict=True):
            if old.is_floating_point():
                old.lerp_(new, 1 - decay)
            else:
                old.copy_(new)


def tensors_of(network: nn.Module) -> list[Tensor]:
    """Parameters and buffers, each once also where it has two names."""
    return [*network.parameters(), *network.buffers()]


def copied(network: nn.Module) -> dict[str, Tensor]:
    """The state dict, as it is now."""
    return {key: value.detach().clone() for key, value in network.state_dict().items()}
