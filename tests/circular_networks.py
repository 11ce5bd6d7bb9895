"""Networks that keep answers under circular moves or break them, and what the certificate says of them."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from whyconv.measures import conditions
from whyconv.measures.certificate import try_shifts
from whyconv.nets import PolyphasePool2d
from whyconv.results.certificate import Certificate


def circular(inputs: int, outputs: int, kernel: int = 3, **words: object) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, padding_mode="circular", **words)


class Residual(nn.Module):
    """A block whose branches are both subsampled; faults can be planted."""

    def __init__(self, *, is_separate: bool = False, learned: bool = False, shortcut: nn.Module | None = None) -> None:
        super().__init__()
        self.stem = circular(1, 6)
        self.look = nn.Sequential(circular(6, 6), nn.BatchNorm2d(6), nn.ReLU(), circular(6, 6))
        words = {"choice": "learned", "channels": 6} if learned else {}
        self.pool = PolyphasePool2d(2, blur_taps=3, **words)
        self.shortcut = shortcut or nn.Conv2d(6, 6, 1)
        self.is_separate = is_separate
        self.head = nn.Linear(6, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.stem(x))
        y, beside = self.look(x), self.shortcut(x)
        phase = None if self.is_separate else self.pool.choose(y)
        pooled = beside if beside.shape != y.shape else self.pool(beside, phase)
        return self.head(F.relu(self.pool(y, phase) + pooled).mean(dim=(2, 3)))


class Asked(nn.Module):
    """A function of maps between two circular convolutions, then the mean."""

    def __init__(self, function: Callable[[Tensor], Tensor], head: nn.Module | None = None) -> None:
        super().__init__()
        self.first, self.function = circular(1, 4), function
        self.head = head or nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.function(self.first(x)))


def mean(x: Tensor) -> Tensor:
    return x.mean(dim=(2, 3))


def stack(*layers: nn.Module, features: int = 4, classes: int = 3) -> nn.Sequential:
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(features, classes))


def sharpened(network: nn.Module, side: int = 8) -> nn.Module:
    """The same with logits of mean 0 and deviation 2 over pictures, so that probabilities show what changes."""
    last = [each for each in network.modules() if isinstance(each, nn.Linear)][-1]
    with torch.no_grad():
        logits = network.eval()(some_pictures(64, side, seed=9))
        scale = 2 / logits.std(dim=0)
        last.weight.mul_(scale[:, None])
        last.bias.copy_((last.bias - logits.mean(dim=0)) * scale)
    return network


def some_pictures(n: int = 12, side: int = 8, seed: int = 0) -> Tensor:
    """Noise, brighter and darker."""
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(n, 1, side, side, generator=generator) * torch.rand(n, 1, 1, 1, generator=generator)


def told(network: nn.Module, side: int = 8) -> dict[str, set[str]]:
    """Key of each reason -> layers it is told of."""
    found: dict[str, set[str]] = {}
    for note in conditions(network, (1, side, side)).reasons:
        found.setdefault(note.key, set()).add(note.values["layer"])
    return found


def tried(network: nn.Module, pictures: Tensor) -> Certificate:
    """The shifts alone, whatever the graph says."""
    found = conditions(network, pictures.shape[1:])
    return try_shifts(network, pictures, None, found, seconds=30)
