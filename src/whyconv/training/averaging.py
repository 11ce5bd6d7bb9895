"""The moving mean of a network's weights over the steps, which is what is validated and kept."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def share_kept(share: float, step: int) -> float:
    """Of the old values after ``step`` steps: ``share``, and less in the first steps."""
    return min(share, (1 + step) / (10 + step))


def move_mean_on_card(mean: nn.Module, network: nn.Module, moved: Tensor | None) -> None:
    """As ``move_mean``, all tensors together, for networks on a graphics card.

    Args:
        mean: The averaged network, changed in place.
        network: The current one.
        moved: Share of the new values, on the card; None: they are taken over.
    """
    pairs = list(zip(tensors_of(mean), tensors_of(network), strict=True))
    floats = [pair for pair in pairs if pair[0].is_floating_point()]
    with torch.no_grad():
        olds, news = [old for old, _ in floats], [new for _, new in floats]
        if moved is None:
            torch._foreach_copy_(olds, news)
        else:
            ways = torch._foreach_sub(news, olds)
            torch._foreach_mul_(ways, moved)
            torch._foreach_add_(olds, ways)
        for old, new in pairs:
            if not old.is_floating_point():
                old.copy_(new)


def move_mean(mean: nn.Module, network: nn.Module, share: float, step: int) -> None:
    """Moves averaged weights towards the current ones, faster in the first steps.

    Args:
        mean: The averaged network, changed in place.
        network: The current one.
        share: Of the old value that is kept, in [0, 1).
        step: How many steps were taken.
    """
    decay = share_kept(share, step)
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
