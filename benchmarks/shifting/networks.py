"""The arms of the comparison: one network, in which only what halves the maps, or what looks at it, differs."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from whyconv.nets import MaxBlurPool2d, PolyphasePool2d, Windowed
from whyconv.nets.layers.blur_pool import largest_around
from whyconv.nets.swift import Swift

# What the network sees of pictures of 32 pixels a side, and windows of that.
SEEN, WINDOW = 28, 26
WIDTHS = (24, 96, 96)
_NUM_CLASSES = 10


def arms() -> dict[str, Callable[[], nn.Module]]:
    """The networks that are compared, by name; each call makes one with random weights, without whitening."""
    return {
        "plain": lambda: SwiftLike(lambda channels: nn.MaxPool2d(2, ceil_mode=True)),
        "blur": lambda: SwiftLike(lambda channels: MaxBlurPool2d()),
        "adaptive": lambda: SwiftLike(lambda channels: _Polyphase(PolyphasePool2d(2))),
        "learned": lambda: SwiftLike(
            lambda channels: _Polyphase(PolyphasePool2d(2, choice="learned", channels=channels))
        ),
        "realistic": lambda: Windowed(SwiftLike(lambda channels: MaxBlurPool2d()), SEEN, WINDOW),
    }


class SwiftLike(nn.Module):
    """``Swift`` with fewer filters, another halving, and a stem that keeps the side, so that polyphases can be taken.

    Args:
        halving: Makes what halves a map of so many channels.
        widths: Filters of each block.
    """

    def __init__(self, halving: Callable[[int], nn.Module], widths: Sequence[int] = WIDTHS) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 24, 2, bias=False)
        self.stem.weight.requires_grad_(False)
        maps = [24, *widths]
        self.blocks = nn.Sequential(
            *(_Block(before, after, halving(after)) for before, after in zip(maps, widths, strict=False))
        )
        self.head = nn.Linear(widths[-1], _NUM_CLASSES, bias=False)
        nn.init.normal_(self.head.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Maps pictures (n, 3, side, side) to logits (n, 10)."""
        maps = self.blocks(functional.gelu(self.stem(functional.pad(x, (0, 1, 0, 1), mode="reflect"))))
        return self.head(maps.amax(dim=(2, 3)) / maps.shape[1])

    def whiten(self, x: Tensor) -> None:
        """Sets the first layer from pictures (n, 3, side, side), as ``Swift`` does."""
        whitened = Swift(3, _NUM_CLASSES, SEEN)
        whitened.whiten(x)
        self.stem.load_state_dict(whitened.stem.state_dict())


class _Block(nn.Module):
    """Widening convolution, halving, normalization, activation; refining convolution, normalization, activation."""

    def __init__(self, before: int, after: int, halving: nn.Module) -> None:
        super().__init__()
        self.widen, self.refine = _identity_like(before, after), _identity_like(after, after)
        self.widen_norm, self.refine_norm = _shifting_norm(after), _shifting_norm(after)
        self.halving = halving

    def forward(self, x: Tensor) -> Tensor:
        x = functional.gelu(self.widen_norm(self.halving(self.widen(x))))
        return functional.gelu(self.refine_norm(self.refine(x)))


class _Polyphase(nn.Module):
    """The largest of 2x2 at every place, then every second place from where the map says; odd maps get a row more."""

    def __init__(self, pool: PolyphasePool2d) -> None:
        super().__init__()
        self.pool = pool

    def forward(self, x: Tensor) -> Tensor:
        x = largest_around(x)
        more = x.shape[2] % 2
        x = functional.pad(x, (0, more, 0, more), mode="replicate") if more else x
        return self.pool(x).to(x.dtype)


def _identity_like(before: int, after: int) -> nn.Conv2d:
    convolution = nn.Conv2d(before, after, 3, padding=1, bias=False)
    with torch.no_grad():
        nn.init.dirac_(convolution.weight[:before])
    return convolution


def _shifting_norm(channels: int) -> nn.BatchNorm2d:
    norm = nn.BatchNorm2d(channels, momentum=0.4)
    norm.weight.requires_grad_(False)
    return norm
