"""How fast this machine is at the parts of a run on a frozen network: measured in a moment, before the plan is made."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from whyconv.nets.efficientnet import EfficientNetLite0
from whyconv.pretrained.backbone import FrozenNetwork, as_seen
from whyconv.pretrained.drawing import cut_name
from whyconv.pretrained.features import BATCH
from whyconv.pretrained.joining import Head
from whyconv.pretrained.tail import Tail
from whyconv.pretrained.tuning import NUMBERS, TunedNetwork
from whyconv.settings import Numbers
from whyconv.training.pixel_rows import Pixels

_TORCH_PICTURES = 2
_ROUNDS = 2
_FEATURE_FRACTION, _LEAST_COSINE = 0.05, 0.98


@dataclass(frozen=True)
class Speeds:
    """Seconds, the least of a few tries after one to warm up.

    Attributes:
        per_look: The frozen network and one view of one picture, maps included.
        per_look_in_torch: The same in torch, where both are compared.
        per_picture: Tuning, forward and backward, of one picture, by the block it begins with.
        numbers: That tuning is quickest in, of those that compute well enough.
    """

    per_look: float
    per_look_in_torch: float
    per_picture: dict[int, float]
    numbers: Numbers = "float32"

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
    planes = {cut: _planes(each, batch) for cut, each in zip(cuts, found, strict=True)}
    tails = {cut: _tunable(published, cut, found[index].shape[2]) for index, cut in enumerate(cuts)}
    deepest = cuts[0]
    numbers, seconds = quickest_numbers(tails[deepest], planes[deepest])
    per_picture = {deepest: seconds / batch}
    for cut in cuts[1:]:
        step = partial(_step, tails[cut], planes[cut].to(NUMBERS[numbers]), _optimizer(tails[cut]))
        per_picture[cut] = _least(step) / batch
    return Speeds(look, _least(partial(_forward, published, x)) / _TORCH_PICTURES, per_picture, numbers)


def quickest_numbers(network: TunedNetwork, planes: Tensor) -> tuple[Numbers, float]:
    """bfloat16 where it is quicker here and gives nearly the same features and gradients; else float32.

    Nearly: no feature differs by more than a twentieth of the largest, and the gradients of each layer's weights point
    the same way (cosine of at least 0.98).

    Args:
        network: Last blocks and head.
        planes: What goes into them, float32 (channels, n, places).

    Returns:
        Which, and the seconds of a step in it.
    """
    narrow = planes.to(torch.bfloat16)
    optimizer = _optimizer(network)
    exact_gradients = _gradients(network, planes, optimizer)
    seconds = _least(partial(_step, network, planes, optimizer), is_warm=True)
    with torch.inference_mode():
        exact, near = network.tail(planes), network.tail(narrow)
    if float((exact - near).abs().max()) > _FEATURE_FRACTION * float(exact.abs().max()):
        return "float32", seconds
    pairs = zip(exact_gradients, _gradients(network, narrow, optimizer), strict=True)
    if not min(float(functional.cosine_similarity(one, other, dim=0)) for one, other in pairs) >= _LEAST_COSINE:
        return "float32", seconds
    narrow_seconds = _least(partial(_step, network, narrow, optimizer), is_warm=True)
    return ("bfloat16", narrow_seconds) if narrow_seconds < seconds else ("float32", seconds)


def _gradients(network: TunedNetwork, planes: Tensor, optimizer: torch.optim.Optimizer) -> list[Tensor]:
    """Of each layer's weights, after a step."""
    _step(network, planes, optimizer)
    return [each.grad.flatten().clone() for each in network.parameters() if each.grad is not None]


def _planes(maps: NDArray[np.float32], batch: int) -> Tensor:
    """Maps (n, c, h, w), repeated to a batch, as (c, batch, places)."""
    repeated = np.resize(maps, (batch, *maps.shape[1:]))
    return torch.from_numpy(repeated).flatten(2).permute(1, 0, 2).contiguous()


def _tunable(published: EfficientNetLite0, cut: int, side: int) -> TunedNetwork:
    """Last blocks and a head of two classes that are answered alike by no picture."""
    weights = np.random.default_rng(0).normal(size=(published.last.in_features, 2)) / 36
    return TunedNetwork(Tail(published, cut, side), Head(weights.astype(np.float32), np.zeros(2, np.float32)))


def _optimizer(network: nn.Module) -> torch.optim.Optimizer:
    """One whose steps change nothing."""
    return torch.optim.AdamW(network.parameters(), lr=0.0, weight_decay=0.0)


def _step(network: TunedNetwork, planes: Tensor, optimizer: torch.optim.Optimizer) -> None:
    labels = torch.arange(planes.shape[1]) % 2
    optimizer.zero_grad(set_to_none=True)
    torch.autograd.backward(functional.cross_entropy(network(planes), labels))
    optimizer.step()


def _forward(network: nn.Module, x: Tensor) -> Tensor:
    with torch.inference_mode():
        answer: Tensor = network(x)
        return answer


def _least(work: Callable[[], object], *, is_warm: bool = False) -> float:
    if not is_warm:
        work()
    seconds = []
    for _ in range(_ROUNDS):
        began = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - began)
    return min(seconds)
