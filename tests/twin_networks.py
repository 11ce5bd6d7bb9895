"""Small networks with everything that makes twins hard: branches, ties, layers used again, odd sizes, all paddings."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from whyconv.nets import Plain, Swift, build_network


class Residual(nn.Module):
    """Two residual blocks, the second with stride 2 and a convolution on its short way."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(6)
        self.one = nn.Sequential(
            nn.Conv2d(6, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(), nn.Conv2d(6, 6, 3, padding=1)
        )
        self.two = nn.Sequential(nn.Conv2d(6, 8, 3, stride=2, padding=1), nn.ReLU(), nn.Conv2d(8, 8, 3, padding=1))
        self.short = nn.Conv2d(6, 8, 1, stride=2)
        self.head = nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.stem(x)).relu()
        x = functional.relu(x + self.one(x))
        x = functional.relu(self.short(x) + self.two(x))
        return self.head(functional.max_pool2d(x, 2).mean((2, 3)))


class Joined(nn.Module):
    """Branches of different kernels side by side, and a depthwise layer behind."""

    def __init__(self) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            [nn.Conv2d(2, 2, 1), nn.Conv2d(2, 3, 3, padding=1), nn.Conv2d(2, 1, (5, 3), padding="same")]
        )
        self.depthwise = nn.Conv2d(6, 12, 3, groups=6)
        self.head = nn.Linear(12 * 5 * 4, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.cat([branch(x) for branch in self.branches], dim=1)
        return self.head(self.depthwise(torch.tanh(x)).flatten(1))


class Tied(nn.Module):
    """One layer used three times, and another with its weights but biases of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(2, 4, 3, padding=1)
        self.again = nn.Conv2d(4, 4, 3, padding=1, groups=2)
        self.alias = nn.ModuleList([self.again])
        self.tied = nn.Conv2d(4, 4, 3, padding=1, groups=2)
        self.tied.weight = self.again.weight

    def forward(self, x: Tensor) -> Tensor:
        x = self.first(x).tanh()
        for _ in range(2):
            x = x + self.again(x).tanh()
        return (self.tied(x) * self.alias[0](x)).mean((2, 3))


def odd(mode: str) -> nn.Module:
    """Strides, dilations and kernels that differ along the axes, on odd sizes, with groups."""
    return nn.Sequential(
        nn.Conv2d(2, 4, (5, 3), stride=(2, 1), padding=(2, 1), dilation=(1, 2), padding_mode=mode),
        nn.Tanh(),
        nn.Conv2d(4, 6, (2, 3), stride=2, padding=(1, 2), groups=2, padding_mode=mode, bias=False),
        nn.Flatten(),
    )


def small_ring() -> nn.Module:
    """Kernels that reach farther than the picture, so that taps meet a pixel twice, and more outputs than pixels."""
    return nn.Sequential(
        nn.Conv2d(1, 3, (5, 2), padding=(2, 3), dilation=(1, 3), padding_mode="circular"), nn.Flatten()
    )


BUILDERS: dict[str, tuple[Callable[[], nn.Module], tuple[int, int, int]]] = {
    "lenet5": (lambda: build_network("lenet5", in_channels=1, num_classes=4, side=16), (1, 16, 16)),
    "residual": (Residual, (3, 9, 7)),
    "plain": (lambda: Plain(3, 4, 12, width=6), (3, 12, 12)),
    "swift": (lambda: Swift(1, 4, 8, widths=[6, 8]), (1, 9, 9)),
    "joined": (Joined, (2, 7, 6)),
    "tied": (Tied, (2, 5, 6)),
    "odd zeros": (lambda: odd("zeros"), (2, 11, 9)),
    "odd reflect": (lambda: odd("reflect"), (2, 11, 9)),
    "odd replicate": (lambda: odd("replicate"), (2, 11, 9)),
    "odd circular": (lambda: odd("circular"), (2, 11, 9)),
    "small ring": (small_ring, (1, 4, 4)),
    "lone": (lambda: nn.Conv2d(2, 3, 3, stride=2, padding=2), (2, 5, 6)),
}


def drawn_network(name: str) -> tuple[nn.Module, tuple[int, int, int]]:
    """One of these in double precision and evaluation, with statistics of its own, and the shape of its pictures."""
    torch.manual_seed(len(name))
    build, shape = BUILDERS[name]
    network = build().double().eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight, 1, 0.3)
            nn.init.normal_(module.bias)
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
    return network, shape
