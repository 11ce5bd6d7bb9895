"""Several networks of one kind that answer together."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn


class Committee(nn.Module):
    """Networks that differ by their random start; the answer is the mean of their logits.

    In training mode each has its own answer, so that each learns by its own cost; they see the same pictures. What
    one of them makes of a picture by luck, the others mostly do not.

    Args:
        build: Makes one network, with new random weights at every call.
        num_members: >= 2.

    References:
        Lakshminarayanan and others, *Simple and scalable predictive uncertainty estimation using deep ensembles*
        (2017), arXiv 1612.01474.
    """

    def __init__(self, build: Callable[[], nn.Module], num_members: int) -> None:
        super().__init__()
        self.members = nn.ModuleList(build() for _ in range(num_members))

    def forward(self, x: Tensor) -> Tensor:
        """Maps pictures to logits (n, classes); in training mode to those of each member (n, members, classes)."""
        logits = torch.stack([member(x) for member in self.members], dim=1)
        return logits if self.training else logits.mean(dim=1)
