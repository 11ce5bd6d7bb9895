"""What a network says about pictures as they are kept: normalized, seen by every view, in batches."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from whyconv.settings import NetworkPlan
from whyconv.training.pixel_rows import Pixels
from whyconv.training.precision import Forward
from whyconv.training.views import seen

_EVALUATION_BATCH = 256
# Numbers of pictures that a graphics card is asked about at once.
_NUMBERS_ON_CARD = 4_000_000


def normalizing(plan: NetworkPlan, device: torch.device | str = "cpu") -> Callable[[Tensor], Tensor]:
    """``normalize`` for pixels that lie on ``device``, its constants made once."""
    mean, std = (
        torch.tensor(values, dtype=torch.float32, device=device).view(1, -1, 1, 1) for values in (plan.mean, plan.std)
    )
    return lambda pixels: (pixels - mean).div_(std).contiguous(memory_format=torch.channels_last)


def normalize(pixels: Tensor, plan: NetworkPlan) -> Tensor:
    """Brings pixels (n, c, h, w) from [0, 255] to mean 0 and deviation 1 over the training part, channel by channel."""
    return normalizing(plan, pixels.device)(pixels)


def network_logits(network: nn.Module, pixels: Pixels, plan: NetworkPlan) -> NDArray[np.float32]:
    """Logits (n, classes) of pictures uint8 (n, side, side, c), in evaluation mode, without gradients.

    The mean over the views of the plan.
    """
    network.eval()
    first = next(network.parameters(), None)
    return logits_of(network, pixels, plan, "cpu" if first is None else first.device)


@torch.inference_mode()
def _of_batch(
    ask: Forward, pixels: NDArray[np.uint8], plan: NetworkPlan, device: torch.device | str
) -> NDArray[np.float32]:
    x = normalize(torch.from_numpy(pixels).to(device).permute(0, 3, 1, 2).float(), plan)
    logits: Tensor = torch.stack([ask(seen(x, view)) for view in plan.views]).mean(dim=0)
    return logits.cpu().numpy()


def logits_of(
    ask: Forward, pixels: Pixels, plan: NetworkPlan, device: torch.device | str = "cpu"
) -> NDArray[np.float32]:
    """As ``network_logits``, of a network that is in evaluation mode already and may compute in another precision."""
    parts, start, size = [], 0, _EVALUATION_BATCH
    if torch.device(device).type != "cpu":
        size = max(size, _NUMBERS_ON_CARD // math.prod(pixels.shape[1:]))
    while start < len(pixels):
        try:
            parts.append(_of_batch(ask, pixels[start : start + size], plan, device))
        except torch.cuda.OutOfMemoryError:
            if size == 1:
                raise
            size //= 2
        else:
            start += size
    return np.concatenate(parts) if parts else np.zeros((0, len(plan.classes)), np.float32)
