"""How fast this machine is at the parts of a run on a frozen network: measured in a moment, before the plan is made."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from whyconv.nets.efficientnet import EfficientNetLite0
from whyconv.pretrained.backbone import FrozenNetwork, as_seen
from whyconv.pretrained.drawing import cut_name
from whyconv.pretrained.features import BATCH
from whyconv.pretrained.joining import Head
from whyconv.pretrained.tail import Tail
from whyconv.pretrained.tuning import TunedNetwork
from whyconv.training.loop import Pixels

_TORCH_PICTURES = 4
_ROUNDS = 2


@dataclass(frozen=True)
class Speeds:
    """Seconds, the least of a few tries after one to warm up.

    Attributes:
        per_look: The frozen network and one view of one picture, maps included.
        per_look_in_torch: The same in torch, where both are compared.
        per_picture: Tuning, forward and backward, of one picture, by the block it begins with.
    """

    per_look: float
    per_look_in_torch: float
    per_picture: dict[int, float]

    def ending(self, num_test: int, compared: int) -> float:
        """Seconds that the exported file's scores and its comparison with torch take, for each view."""
        return num_test * self.per_look + compared * self.per_look_in_torch


def measure(
    network: FrozenNetwork, published: EfficientNetLite0 | None, pixels: Pixels, cuts: Sequence[int], batch: int
) -> Speeds:
    """Times each part.

    Args:
        network: The frozen network.
        published: The same in torch; None for a file of the user's.
        pixels: Of training pictures.
        cuts: Blocks that tuning could begin with; with none nothing is tuned.
        batch: Pictures a step.
    """
    backbone = network.backbone
    some = np.resize(pixels[:BATCH], (BATCH, *pixels.shape[1:]))
    maps = [cut_name(cut) for cut in cuts]
    found = network.look(some, "upright", maps)[1]
    look = _least(lambda: network.look(some, "upright", maps[:1])) / BATCH
    if published is None:
        return Speeds(look, look, {})
    x = as_seen(some[:_TORCH_PICTURES], backbone.mean, backbone.std, "upright")
    per_picture = {}
    for cut, each in zip(cuts, found, strict=True):
        planes = torch.from_numpy(np.resize(each, (batch, *each.shape[1:]))).flatten(2).permute(1, 0, 2).contiguous()
        per_picture[cut] = _seconds_per_step(published, cut, planes, each.shape[2]) / batch
    return Speeds(look, _least(lambda: _forward(published, x)) / _TORCH_PICTURES, per_picture)


def _seconds_per_step(published: EfficientNetLite0, cut: int, planes: Tensor, side: int) -> float:
    head = Head(np.zeros((published.last.in_features, 2), np.float32), np.zeros(2, np.float32))
    network = TunedNetwork(Tail(published, cut, side), head)
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.0)

    def step() -> None:
        torch.autograd.backward(network(planes).square().sum())
        optimizer.step()

    return _least(step)


def _forward(network: nn.Module, x: Tensor) -> Tensor:
    with torch.inference_mode():
        answer: Tensor = network(x)
        return answer


def _least(work: Callable[[], object]) -> float:
    work()
    seconds = []
    for _ in range(_ROUNDS):
        began = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - began)
    return min(seconds)
