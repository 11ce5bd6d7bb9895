"""What a network says about pictures as they are kept: normalized, seen by every view, in batches."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from whyconv.settings import NetworkPlan
from whyconv.training.pixel_rows import Pixels
from whyconv.training.precision import Forward
from whyconv.training.views import seen

_EVALUATION_BATCH = 256


def normalize(pixels: Tensor, plan: NetworkPlan) -> Tensor:
    """Brings pixels (n, c, h, w) from [0, 255] to mean 0 and deviation 1 over the training part, channel by channel."""
    mean = torch.tensor(plan.mean, dtype=torch.float32).view(1, -1, 1, 1)
    std = torch.tensor(plan.std, dtype=torch.float32).view(1, -1, 1, 1)
    return ((pixels - mean) / std).contiguous(memory_format=torch.channels_last)


def network_logits(network: nn.Module, pixels: Pixels, plan: NetworkPlan) -> NDArray[np.float32]:
    """Logits (n, classes) of pictures uint8 (n, side, side, c), in evaluation mode, without gradients.

    The mean over the views of the plan.
    """
    network.eval()
    return logits_of(network, pixels, plan)


def logits_of(ask: Forward, pixels: Pixels, plan: NetworkPlan) -> NDArray[np.float32]:
    """As ``network_logits``, of a network that is in evaluation mode already and may compute in another precision."""
    parts = []
    with torch.inference_mode():
        for start in range(0, len(pixels), _EVALUATION_BATCH):
            batch = torch.from_numpy(pixels[start : start + _EVALUATION_BATCH].transpose(0, 3, 1, 2)).float()
            x = normalize(batch, plan)
            logits = torch.stack([ask(seen(x, view)) for view in plan.views]).mean(dim=0)
            parts.append(logits.numpy())
    return np.concatenate(parts) if parts else np.zeros((0, len(plan.classes)), np.float32)
