"""The network before step 1: built by the plan, with random weights that follow from the seed."""

from __future__ import annotations

import torch
from torch import nn

from whyconv.nets import build_network
from whyconv.settings import Plan


def start_network(plan: Plan) -> nn.Module:
    """Builds the plan's network; the same plan gives the same weights bit for bit."""
    torch.manual_seed(plan.seed)
    sizes = plan.network
    return build_network(sizes.name, in_channels=sizes.in_channels, num_classes=len(sizes.classes), side=sizes.side)
