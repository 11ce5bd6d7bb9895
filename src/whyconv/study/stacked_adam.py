"""Adam for networks that lie on top of each other, each with a learning rate and a decay of its own."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

_MOMENTUM, _SQUARES, _TINY = 0.9, 0.999, 1e-8
# Numbers of one network from which on going through memory once, and not for each operation, is worth a call a network.
_MANY = 10_000


class StackedAdam:
    """Adam with decoupled weight decay.

    Weights of which a network has few are taken for all networks at once; the others network by network by torch's
    own, which goes through memory once.

    Args:
        weights: Each with a first axis for the networks; changed by steps.
        fades: Of each of the weights: whether a step first forgets rate times decay of it.
        rates: Highest learning rate of each network (networks,).
        decays: Weight decay of each network (networks,).

    References:
        Kingma, Ba, *Adam* (2015), arXiv 1412.6980, algorithm 1; Loshchilov, Hutter, *Decoupled weight decay
        regularization* (2019), arXiv 1711.05101, algorithm 2.
    """

    def __init__(self, weights: Sequence[Tensor], fades: Sequence[bool], rates: Tensor, decays: Tensor) -> None:
        self._rates, self._decays = rates, decays
        self._steps = 0
        is_large = [math.prod(weight.shape[1:]) >= _MANY for weight in weights]
        self._small = [
            (row, weight, torch.zeros_like(weight), torch.zeros_like(weight), faded)
            for row, (weight, faded, large) in enumerate(zip(weights, fades, is_large, strict=True))
            if not large
        ]
        self._large = [row for row, large in enumerate(is_large) if large]
        self._by_torch = [
            _torchs([weights[row].detach()[network] for row in self._large], [fades[row] for row in self._large], decay)
            for network, decay in enumerate(decays.tolist() if self._large else [])
        ]

    def step(self, gradients: Sequence[Tensor], length: float) -> None:
        """Takes a step of all networks.

        Args:
            gradients: One for each of the weights, of its shape.
            length: What the rates are multiplied by, in [0, 1].
        """
        self._steps += 1
        for network, (optimizer, rate) in enumerate(zip(self._by_torch, self._rates.tolist(), strict=False)):
            for row, group in zip(self._large, optimizer.param_groups, strict=True):
                # As the weights lie in memory: torch's own takes number after number.
                group["params"][0].grad = gradients[row][network].contiguous()
                group["lr"] = rate * length
            optimizer.step()
        self._step_of_small(gradients, length)

    @torch.no_grad()
    def _step_of_small(self, gradients: Sequence[Tensor], length: float) -> None:
        corrections = 1 - _MOMENTUM**self._steps, (1 - _SQUARES**self._steps) ** 0.5
        for row, weight, mean, square, faded in self._small:
            gradient = gradients[row]
            mean.lerp_(gradient, 1 - _MOMENTUM)
            square.mul_(_SQUARES).addcmul_(gradient, gradient, value=1 - _SQUARES)
            spread = square.sqrt().div_(corrections[1]).add_(_TINY)
            if faded:
                weight.mul_(_for_each(1 - self._rates * length * self._decays, weight))
            rate = _for_each(self._rates * length / corrections[0], weight)
            weight.sub_(torch.div(mean, spread, out=spread).mul_(rate))


def _torchs(weights: Sequence[Tensor], fades: Sequence[bool], decay: float) -> torch.optim.AdamW:
    groups = [
        {"params": [weight], "weight_decay": decay if faded else 0.0}
        for weight, faded in zip(weights, fades, strict=True)
    ]
    return torch.optim.AdamW(groups, betas=(_MOMENTUM, _SQUARES), eps=_TINY, fused=True)


def _for_each(numbers: Tensor, weight: Tensor) -> Tensor:
    """One number a network (networks,), as it is multiplied with a weight (networks, ...)."""
    return numbers.view(-1, *[1] * (weight.ndim - 1))
