"""Subsampling that moves along: of the ways to take every s-th place, the one is taken that the map itself picks.

A map (h, w) has s x s components: the places (i + s u, j + s v), for each phase (i, j). Moving the map around its
border puts the components in another order, each moved around its own border. A choice by a number that neither
notices, such as a component's norm, is a choice of the same places wherever the picture lies.
"""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional

from whyconv.errors import UsageError
from whyconv.nets.layers.blur_pool import BlurPool2d

Choice = Literal["largest", "learned"]
# Scores that differ by less than this part of the largest count as equal; rounding moves them by far less.
TIE = 2e-5
_HIDDEN = 8


class PhaseChoice(nn.Module):
    """Picks a component of each picture's map.

    "largest": the one of the largest Euclidean norm over all channels and places. "learned": the one to which two small
    circular convolutions and a mean over places give the largest score; while training, noise takes part in the
    choice (Gumbel), and gradients reach the scores as if the choice were soft.

    Scores within ``TIE`` of the best are a tie, as between mirror images, or of a map that is the same everywhere.
    Among those the largest of a second number decides, which moves along too: of e, the sum of squares over channels,
    the sum of (e + e right of it / 2 + e below it / 4)^3 over the component's places. It tells arrangements of the same
    numbers apart. Components equal in this too differ by a move mostly, so that any will do; the first is taken.

    Args:
        stride: Of the subsampling, s.
        choice: "largest" or "learned".
        channels: Of the maps; for "learned" only.

    References:
        Chaman, Dokmanic, *Truly shift-invariant convolutional neural networks* (2021), arXiv 2011.14214, section 4.
        Rojas-Gomez and others, *Learnable polyphase sampling for shift invariant and equivariant convolutional
        networks* (2022), arXiv 2210.08001, section 4. The rule for ties is ours.
    """

    def __init__(self, stride: int, choice: Choice = "largest", channels: int | None = None) -> None:
        super().__init__()
        if stride < 2 or choice not in get_args(Choice) or (choice == "learned") != (channels is not None):
            raise UsageError(
                f"A choice of phases with stride={stride}, choice='{choice}', channels={channels} cannot be. Expected "
                "a stride of at least 2, and 'largest' without channels or 'learned' with them."
            )
        self.stride, self.choice = stride, choice
        self.scorer = PhaseScorer(channels) if channels is not None else None

    def forward(self, x: Tensor) -> Tensor:
        """Maps (n, c, h, w) to (n, stride x stride): 1 for the component that is picked, i stride + j, else 0.

        Raises:
            UsageError: The sides are no multiples of the stride.
        """
        scores = self.scores(x)
        if self.scorer is not None and self.training:
            return functional.gumbel_softmax(scores, hard=True).to(x.dtype)
        best = scores.max(dim=1, keepdim=True).values
        is_tied = scores >= best - TIE * _scale(scores)
        picked = torch.where(is_tied, self.second_scores(x), -1.0).argmax(dim=1, keepdim=True)
        return (picked == torch.arange(self.stride**2, device=x.device)).to(x.dtype)

    def scores(self, x: Tensor) -> Tensor:
        """What decides first (n, stride x stride): norms, or what was learned; larger is better."""
        require_multiple(x, self.stride)
        if self.scorer is not None:
            return self.scorer(_components(x, self.stride))
        return _summed(_energy(x), self.stride).sqrt()

    def second_scores(self, x: Tensor) -> Tensor:
        """What decides between equals (n, stride x stride), >= 0; relative to the map's mean energy."""
        energy = _energy(x)
        energy = energy / energy.mean(dim=(1, 2), keepdim=True).clamp_min(torch.finfo(energy.dtype).tiny)
        right = torch.roll(energy, -self.stride, dims=2)
        below = torch.roll(energy, -self.stride, dims=1)
        return _summed((energy + right / 2 + below / 4) ** 3, self.stride)

    def margin(self, x: Tensor) -> Tensor:
        """How far each picture's choice is from being another one (n,), relative to the best score; larger is safer.

        Scores have to change by about so much, relative to the largest, for another component to be picked: the nearest
        any other score comes to the border of a tie, or, where there is a tie, the second number's gap if that is less.
        """
        scores, second = self.scores(x), self.second_scores(x)
        best = scores.max(dim=1, keepdim=True).values
        behind = (best - scores) / _scale(scores).clamp_min(torch.finfo(scores.dtype).tiny)
        others = torch.ones_like(scores).scatter(1, scores.argmax(dim=1, keepdim=True), 0.0) > 0
        border = torch.where(others, (behind - TIE).abs(), 1.0).amin(dim=1)
        first, second = torch.where(behind <= TIE, second, -1.0).topk(2, dim=1).values.unbind(dim=1)
        gap = torch.where(second < 0, 1.0, (first - second) / first.clamp_min(torch.finfo(first.dtype).tiny))
        return torch.minimum(border, gap)

    def extra_repr(self) -> str:
        """What stands in the brackets when it is printed."""
        return f"stride={self.stride}, choice={self.choice!r}"


class PolyphasePool2d(nn.Module):
    """Takes every ``stride``-th place of a map, from where the map itself says, see ``PhaseChoice``.

    The output moves along with circular moves of the map, by whole places of its own grid; so the mean over its places
    does not change at all. Gradients flow through the places that are taken.

    Where branches are added after it, both must be taken at the same phase, or their grids do not lie on each other::

        phase = pool.choose(x)
        y = pool(x, phase) + pool(shortcut, phase)

    Args:
        stride: From place to place of the output.
        choice: "largest" or "learned".
        channels: Of the maps; for "learned" only.
        blur_taps: Of a circular binomial filter before it, 2, 3 or 5; 0: none. The choice is made on the blurred map.
    """

    def __init__(
        self, stride: int = 2, *, choice: Choice = "largest", channels: int | None = None, blur_taps: int = 0
    ) -> None:
        super().__init__()
        self.stride = stride
        self.blur = BlurPool2d(blur_taps, stride=1) if blur_taps else nn.Identity()
        self.choice = PhaseChoice(stride, choice, channels)

    def choose(self, x: Tensor) -> Tensor:
        """Returns the phase that ``x`` (n, c, h, w) picks, to be handed on: (n, stride x stride), a 1 and else 0."""
        return self.choice(self.blur(x))

    def forward(self, x: Tensor, phase: Tensor | None = None) -> Tensor:
        """Maps (n, c, h, w) to (n, c, h / stride, w / stride).

        Args:
            x: The map.
            phase: From ``choose``, of this map or of another of the same grid; None: what this map picks.

        Raises:
            UsageError: The sides are no multiples of the stride.
        """
        require_multiple(x, self.stride)
        x = self.blur(x)
        phase = self.choice(x) if phase is None else phase
        s = self.stride
        weights = phase.to(x.dtype)[:, :, None, None, None].unbind(dim=1)
        taken = [x[:, :, i::s, j::s] * weights[i * s + j] for i in range(s) for j in range(s)]
        return sum(taken[1:], taken[0])


class PhaseScorer(nn.Module):
    """A score for each component: convolution, ReLU, convolution, mean over places."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.look = nn.Conv2d(channels, _HIDDEN, 3, padding=1, padding_mode="circular")
        self.judge = nn.Conv2d(_HIDDEN, 1, 3, padding=1, padding_mode="circular")

    def forward(self, components: Tensor) -> Tensor:
        """Maps (n, k, c, h, w) to (n, k)."""
        num_components = components.shape[1]
        maps = self.judge(functional.relu(self.look(components.flatten(0, 1))))
        return maps.mean(dim=(1, 2, 3)).view(-1, num_components)


def require_multiple(x: Tensor, stride: int) -> None:
    """Makes sure that a map can be taken apart.

    Raises:
        UsageError: It has no components of equal size.
    """
    if x.ndim != 4 or x.shape[2] % stride or x.shape[3] % stride:
        raise UsageError(
            f"A map of {' x '.join(map(str, x.shape[2:]))} places has no {stride} x {stride} components of one size. "
            f"Expected (n, c, h, w) with sides that are multiples of {stride}."
        )


def _components(x: Tensor, stride: int) -> Tensor:
    """(n, stride x stride, c, h / stride, w / stride)."""
    return torch.stack([x[:, :, i::stride, j::stride] for i in range(stride) for j in range(stride)], dim=1)


def _energy(x: Tensor) -> Tensor:
    """Sum of squares over channels (n, h, w); no gradient passes, as none helps a choice."""
    return x.detach().to(torch.promote_types(x.dtype, torch.float32)).square().sum(dim=1)


def _summed(energy: Tensor, stride: int) -> Tensor:
    """(n, h, w) summed over the places of each component (n, stride x stride)."""
    high, wide = energy.shape[1] // stride, energy.shape[2] // stride
    return energy.view(-1, high, stride, wide, stride).sum(dim=(1, 3)).flatten(1)


def _scale(scores: Tensor) -> Tensor:
    return scores.detach().abs().amax(dim=1, keepdim=True)
