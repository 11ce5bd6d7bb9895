"""Many trainings of one corner at once: their weights lie on top of each other, and one product serves them all.

Networks of one hidden layer on small pictures are so small that a step of one of them is mostly waiting. Here the
members of a stack differ in their draw of pictures, starting weights, order and learning rate; the arithmetic is that
of ``OneHiddenLayer``, and a test compares the two.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from typing import Self

import torch
from torch import Tensor, nn
from torch.nn import functional

from whyconv.nets.layers import LocallyConnected2d
from whyconv.results import Corner
from whyconv.study.corners import OneHiddenLayer, Sizes, features
from whyconv.study.stacked_adam import StackedAdam
from whyconv.training.optimizers import rate_fraction

WARMUP_FRACTION = 0.05
# Of batch normalization, as torch has them.
_NORMALIZING_TINY, _OF_THE_BATCH = 1e-5, 0.1
_STATISTICS = ("normalization.running_mean", "normalization.running_var")


class Stack:
    """Networks of the same corner and sizes, each with weights of its own.

    Args:
        corner: Of all members.
        sizes: Of all members.
        weights: By name as in ``OneHiddenLayer``, each with a first axis for the members; changed by training. What
            batch normalization has learned of the maps' statistics is among them.
    """

    def __init__(self, corner: Corner, sizes: Sizes, weights: dict[str, Tensor]) -> None:
        self.corner = corner
        self.sizes = sizes
        self.statistics = {name: weight for name, weight in weights.items() if name in _STATISTICS}
        self.weights = {
            name: weight.requires_grad_()
            for name, weight in weights.items()
            if name not in _STATISTICS and weight.is_floating_point()
        }

    @classmethod
    def of(cls, networks: list[OneHiddenLayer]) -> Self:
        """A stack of these networks; their weights are copied."""
        states = [network.state_dict() for network in networks]
        weights = {name: torch.stack([state[name] for state in states]) for name in states[0]}
        return cls(networks[0].corner, networks[0].sizes, weights)

    def members(self, rows: list[int]) -> Stack:
        """A stack of some members, their weights copied."""
        everything = self.weights | self.statistics
        return Stack(self.corner, self.sizes, {name: one.detach()[rows] for name, one in everything.items()})

    def __call__(self, x: Tensor, *, learns: bool = False) -> Tensor:
        """Maps pictures (n, members, c, side, side) to logits (members, n, classes).

        Args:
            x: The pictures.
            learns: Whether maps are normalized by these pictures' statistics, which are noted down, instead of by the
                statistics noted before.
        """
        hidden = self._hidden(x)
        seen = features(self._normalized(hidden, learns) if self.sizes.is_normalized else hidden, self.sizes)
        return torch.baddbmm(self.weights["readout.bias"][:, None], seen, self.weights["readout.weight"].mT)

    def _normalized(self, hidden: Tensor, learns: bool) -> Tensor:
        """Hidden maps (members, n, maps, places), each normalized over its pictures and places.

        References:
            Ioffe, Szegedy, *Batch normalization* (2015), arXiv 1502.03167, section 3.2.
        """
        if learns:
            variance, middle = torch.var_mean(hidden, (1, 3), correction=0)
            count = hidden.shape[1] * hidden.shape[3]
            noted = (middle.detach(), variance.detach() * count / (count - 1))
            for name, found in zip(_STATISTICS, noted, strict=True):
                self.statistics[name].lerp_(found, _OF_THE_BATCH)
        else:
            middle, variance = (self.statistics[name] for name in _STATISTICS)
        factor = self.weights["normalization.weight"] * (variance + _NORMALIZING_TINY).rsqrt()
        shift = self.weights["normalization.bias"] - middle * factor
        return torch.addcmul(shift[:, None, :, None], hidden, factor[:, None, :, None])

    def _hidden(self, x: Tensor) -> Tensor:
        """Hidden maps before their ReLU, (members, n, maps, places)."""
        weight, bias = self.weights["hidden.weight"], self.weights["hidden.bias"]
        num_pictures, members = x.shape[:2]
        shape = (members, num_pictures, *self.sizes.hidden_shape)
        y: Tensor
        match self.corner:
            case "dense":
                # In this order the weights' gradient lies in memory as they do.
                y = torch.baddbmm(bias[:, :, None], weight, x.transpose(0, 1).flatten(2).mT)
                return y.mT.reshape(shape)
            case "shared_global":
                return _around_the_ring(x, weight).flatten(-2) + bias[:, None, :, None]
            case "local":
                flat = {"weight": weight.movedim(0, 2).flatten(2, 3), "bias": bias.movedim(0, 2).flatten(2, 3)}
                y = torch.func.functional_call(self._windows, flat, (x.flatten(1, 2),))
                return y.view(num_pictures, members, *shape[2:]).transpose(0, 1)
            case "convolution":
                # One by one: for groups of a few channels torch's convolution takes four times as long.
                around = functional.pad(x.transpose(0, 1), (*[self.sizes.kernel // 2] * 4, 0, 0), mode="circular")
                answers = [functional.conv2d(*each) for each in zip(around, weight, bias, strict=True)]
                return torch.stack(answers).view(shape)

    @cached_property
    def _windows(self) -> nn.Module:
        """A layer whose groups are the members; without weights of its own."""
        one, members = self.sizes, num_members(self)
        return LocallyConnected2d(
            *(members * one.channels, members * one.maps, one.kernel, one.side),
            padding=one.kernel // 2,
            groups=members,
            padding_mode="circular",
            device="meta",
        )


def train_stack(
    stack: Stack,
    rates: Tensor,
    batches: Iterable[tuple[Tensor, Tensor]],
    num_steps: int,
    decays: Tensor | None = None,
) -> None:
    """Trains every member by Adam on its own batches; rates rise for a twentieth and fall along half a cosine.

    Each step first forgets rate times decay of the weights; biases, and the factors of a normalization, are not
    forgotten.

    Args:
        stack: Its weights are changed.
        rates: Highest learning rate of each member (members,).
        batches: ``num_steps`` pairs of pictures (n, members, c, side, side) and labels (members, n).
        num_steps: As many as there are batches.
        decays: Weight decay of each member (members,); None for none.
    """
    weights = list(stack.weights.values())
    forgotten = [name in ("hidden.weight", "readout.weight") for name in stack.weights]
    adam = StackedAdam(weights, forgotten, rates, torch.zeros_like(rates) if decays is None else decays)
    for step, (pictures, labels) in enumerate(batches):
        logits = stack(pictures, learns=True)
        # The sum over members: each member's gradient is that of its own mean.
        loss = functional.cross_entropy(logits.flatten(0, 1), labels.flatten(), reduction="sum") / labels.shape[1]
        gradients = torch.autograd.grad(loss, weights)
        adam.step(gradients, rate_fraction("cosine", step, num_steps, WARMUP_FRACTION))


def num_members(stack: Stack) -> int:
    """How many networks lie on top of each other."""
    return len(stack.weights["readout.bias"])


def _around_the_ring(x: Tensor, kernels: Tensor) -> Tensor:
    """Circular correlations of each member's pictures with its own kernels, as ``SharedGlobal2d`` has them.

    Args:
        x: (n, members, c, side, side).
        kernels: (members, maps, c, side, side).

    Returns:
        (members, n, maps, side, side).
    """
    side = x.shape[-1]
    own = (side - 1) // 2
    waves = torch.fft.rfft2(x).permute(1, 3, 4, 0, 2)
    taps = torch.fft.rfft2(kernels.roll((-own, -own), dims=(-2, -1))).conj().permute(0, 3, 4, 2, 1)
    products = waves * taps if x.shape[2] == 1 else waves @ taps
    y: Tensor = torch.fft.irfft2(products.permute(0, 3, 4, 1, 2), s=(side, side))
    return y
