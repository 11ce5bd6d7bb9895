r"""Muon: the kernels of every convolution are moved by the orthogonal matrix nearest to their gradient.

With G the gradient of a convolution's weights, written as a matrix (filters, all that one filter sees), a the learning
rate and b the momentum, in every step:

    M <- b M + G;   U = orthogonal(G + b M);   W <- W sqrt(filters) / |W|;   W <- W - a U

|W| is the root of the sum of squares: where normalization follows a convolution, its length means nothing, and holding
it fixed lets one learning rate serve from the first step to the last. In a network without any normalization it does
mean something, and each kernel is held at the length that it began with in place of sqrt(filters). ``orthogonal``
brings all singular values near to 1, so that rare directions of the gradient move as far as the common ones.

Several processes at one training divide the kernels among themselves: each finds the orthogonal matrices of its own.

What is no kernel (biases, normalization, fully connected layers, and that from which a kernel is computed, as by weight
normalization) is moved by Adam, with a learning rate of its own.

References:
    Jordan and others, *Muon: an optimizer for hidden layers in neural networks* (2024),
    https://kellerjordan.github.io/posts/muon. Bernstein, Newhouse, *Old optimizer, new norm* (2024), arXiv 2409.20325.
    Kingma, Ba, *Adam* (2015), arXiv 1412.6980.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from whyconv.training.distributed import ALONE, Group

_ITERATIONS = 3
# Of x -> a x + b x^3 + c x^5, which brings singular values from (0, 1] near to 1 in a few turns.
_A, _B, _C = 3.4445, -4.7750, 2.0315
_ADAM_MOMENTUM, _ADAM_SQUARES, _ADAM_TINY = 0.9, 0.95, 1e-8
_TINY = 1e-7
_NORMALIZATION = (
    *(nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm),
    *(nn.InstanceNorm1d, nn.InstanceNorm2d, nn.InstanceNorm3d, nn.GroupNorm, nn.LayerNorm, nn.RMSNorm),
)


class Muon(torch.optim.Optimizer):
    """The steps above, for all trainable parameters of a network.

    Args:
        network: Whose parameters are moved.
        learning_rate: a of the kernels, > 0.
        momentum: b, in [0, 1).
        other_learning_rate: Adam's, of everything else; 0: the same as of the kernels.
        processes: Of the training; all have the same gradients.
        rounds: Take the largest products in bfloat16, to whose precision the matrices are near to orthogonal anyway.
    """

    def __init__(
        self,
        network: nn.Module,
        learning_rate: float,
        *,
        momentum: float = 0.6,
        other_learning_rate: float = 0.0,
        processes: Group = ALONE,
        rounds: bool = False,
    ) -> None:
        self._processes, self._rounds = processes, rounds
        self._is_normalized = any(isinstance(each, _NORMALIZATION) for each in network.modules())
        kernels = kernels_of(network)
        is_kernel = {id(each) for each in kernels}
        others = [each for each in network.parameters() if each.requires_grad and id(each) not in is_kernel]
        groups = [
            {"params": kernels, "lr": learning_rate, "is_orthogonal": True},
            {"params": others, "lr": other_learning_rate or learning_rate, "is_orthogonal": False},
        ]
        super().__init__([group for group in groups if group["params"]], {"momentum": momentum})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Moves every parameter that has a gradient; a ``closure``, as torch's own optimizers take, is refused."""
        assert closure is None
        for group in self.param_groups:
            given = [(each, each.grad) for each in group["params"] if each.grad is not None]
            if group["is_orthogonal"]:
                ahead = [self._ahead(kernels, gradient, group["momentum"]) for kernels, gradient in given]
                turns = _orthogonal_together(ahead, self._processes, rounds=self._rounds)
                for (kernels, _), turn in zip(given, turns, strict=True):
                    length = self.state[kernels].get("length", len(kernels) ** 0.5)
                    kernels.mul_(length / kernels.norm().clamp_min(_TINY))
                    _move(kernels, turn.view_as(kernels), group["lr"])
                continue
            for parameter, gradient in given:
                self._adapt(parameter, gradient, group)

    def _ahead(self, kernels: Tensor, gradient: Tensor, momentum: float) -> Tensor:
        """G + b M as a matrix, M moved on."""
        state = self.state[kernels]
        if not state:
            state["velocity"] = torch.zeros_like(kernels)
            if not self._is_normalized:
                length = kernels.norm()
                state["length"] = torch.where(length > 0, length, len(kernels) ** 0.5)
        velocity = state["velocity"].mul_(momentum).add_(gradient)
        return gradient.add(velocity, alpha=momentum).flatten(1)

    def _adapt(self, parameter: Tensor, gradient: Tensor, group: dict[str, Any]) -> None:
        state = self.state[parameter]
        rate, is_on_card = group["lr"], isinstance(group["lr"], Tensor)
        if not state:
            zero = torch.zeros((), device=rate.device if is_on_card else "cpu")
            state.update(count=zero, mean=torch.zeros_like(parameter), square=torch.zeros_like(parameter))
        state["count"] += 1
        # Nothing is asked of a card here, which would have to be waited for.
        count = state["count"] if is_on_card else float(state["count"])
        state["mean"].lerp_(gradient, 1 - _ADAM_MOMENTUM)
        state["square"].lerp_(gradient.square(), 1 - _ADAM_SQUARES)
        root = (state["square"] / (1 - _ADAM_SQUARES**count)).sqrt_().add_(_ADAM_TINY)
        if is_on_card:
            parameter.sub_(state["mean"] / root * (rate / (1 - _ADAM_MOMENTUM**count)))
        else:
            parameter.addcdiv_(state["mean"], root, value=-rate / (1 - _ADAM_MOMENTUM**count))


def _move(parameter: Tensor, way: Tensor, rate: float | Tensor) -> None:
    if isinstance(rate, Tensor):
        parameter.addcmul_(way.to(parameter.dtype), rate, value=-1)
    else:
        parameter.add_(way, alpha=-rate)


def orthogonal(matrix: Tensor, iterations: int = _ITERATIONS, *, rounds: bool = False) -> Tensor:
    """A matrix with the singular vectors of ``matrix``, whose singular values are all near 1.

    Each iteration is X <- P X with P = a + b G + c G^2 and G = X X^T, and so G <- P G P: all but the first and the last
    product are of the shorter side's size alone.

    Args:
        matrix: Shape (m, n), or several of that (..., m, n).
        iterations: Of Newton and Schulz' kind; each multiplies small singular values by about 3.4.
        rounds: Take these two products, the largest, in bfloat16.
    """
    x = matrix / (torch.linalg.matrix_norm(matrix, keepdim=True) + _TINY)
    is_tall = x.shape[-2] > x.shape[-1]
    x = x.mT if is_tall else x
    x = x.bfloat16() if rounds else x
    gram = (x @ x.mT).to(matrix.dtype)
    together = None
    for turn in range(iterations):
        factor = _B * gram + _C * gram @ gram
        factor.diagonal(dim1=-2, dim2=-1).add_(_A)
        together = factor if together is None else factor @ together
        if turn + 1 < iterations:
            gram = factor @ gram @ factor
    x = x if together is None else together.to(x.dtype) @ x
    return (x.mT if is_tall else x).to(matrix.dtype)


def _orthogonal_together(matrices: Sequence[Tensor], processes: Group, *, rounds: bool) -> list[Tensor]:
    """``orthogonal`` of each, the work divided among the processes; on processors the same numbers as of one."""
    if processes.size == 1 or not matrices:
        if matrices and matrices[0].is_cuda:
            return _orthogonal_by_shape(matrices, rounds=rounds)
        return [orthogonal(each, rounds=rounds) for each in matrices]
    owners = _owners([each.shape for each in matrices], processes.size)
    own = [
        orthogonal(each, rounds=rounds) if owner == processes.rank else torch.zeros_like(each)
        for each, owner in zip(matrices, owners, strict=True)
    ]
    # Zeros of all others are added, which changes no number.
    found = processes.total(torch.cat([each.flatten() for each in own]))
    parts = torch.split(found, [each.numel() for each in own])
    return [each.view_as(matrix) for each, matrix in zip(parts, matrices, strict=True)]


def _orthogonal_by_shape(matrices: Sequence[Tensor], *, rounds: bool) -> list[Tensor]:
    """``orthogonal`` of each, those of one shape in one go, which fills a graphics card better."""
    found: dict[int, Tensor] = {}
    for shape in dict.fromkeys(each.shape for each in matrices):
        places = [place for place, each in enumerate(matrices) if each.shape == shape]
        stacked = orthogonal(torch.stack([matrices[place] for place in places]), rounds=rounds)
        found |= zip(places, stacked, strict=True)
    return [found[place] for place in range(len(matrices))]


def _owners(shapes: Sequence[torch.Size], size: int) -> list[int]:
    """Which process has which matrix: the costliest first, each to the one that has least to do."""
    costs = [rows * columns * min(rows, columns) for rows, columns in shapes]
    load, owners = [0] * size, [0] * len(costs)
    for place in sorted(range(len(costs)), key=lambda place: -costs[place]):
        owners[place] = min(range(size), key=lambda rank: load[rank])
        load[owners[place]] += costs[place]
    return owners


def kernels_of(network: nn.Module) -> list[Tensor]:
    """The weights of the convolutions that learn: each once, and only what is a parameter, not computed from others."""
    convolutions = [each for each in network.modules() if isinstance(each, nn.Conv1d | nn.Conv2d | nn.Conv3d)]
    weights = [dict(each.named_parameters(recurse=False)).get("weight") for each in convolutions]
    return list(dict.fromkeys(each for each in weights if each is not None and each.requires_grad))
