"""Batch normalization over the pictures of all processes: what one process would compute on the whole batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm

Total = Callable[[Tensor], Tensor]


@contextmanager
def normalizing_together(network: nn.Module, total: Total) -> Iterator[None]:
    """Inside, layers of batch normalization that train take mean and variance over all processes.

    torch's own ``SyncBatchNorm`` does so on graphics cards only.

    Args:
        network: Whose layers these are.
        total: The sum of a tensor over all processes; each calls it as often, in the same order.
    """
    layers = [each for each in network.modules() if isinstance(each, _BatchNorm)]
    for layer in layers:
        layer.forward = partial(_normalized, layer, total)  # type: ignore[method-assign]
    try:
        yield
    finally:
        for layer in layers:
            del layer.forward


def _normalized(layer: _BatchNorm, total: Total, x: Tensor) -> Tensor:
    if not layer.training or layer.running_mean is None or layer.running_var is None:
        return type(layer).forward(layer, x)
    with torch.no_grad():
        mean, variance, count = _moments(x.detach(), total)
        assert layer.num_batches_tracked is not None
        layer.num_batches_tracked.add_(1)
        momentum = layer.momentum if layer.momentum is not None else 1 / float(layer.num_batches_tracked)
        layer.running_mean.lerp_(mean, momentum)
        layer.running_var.lerp_(variance * (count / max(1.0, count - 1)), momentum)
    return _Normalize.apply(x, layer.weight, layer.bias, mean, variance, layer.eps, count, total)  # type: ignore[no-untyped-call]


def _moments(x: Tensor, total: Total) -> tuple[Tensor, Tensor, float]:
    """Mean and variance of each channel over all processes, and of how many numbers; agreed on at once.

    Each process sums squares of distances to its own mean, so that a mean far from 0 costs no digits; what that mean
    differs by from the mean of all is added in double precision.

    References:
        Chan, Golub, LeVeque, *Algorithms for computing the sample variance* (1983), The American Statistician 37, for
        variances put together from parts.
    """
    axes = [axis for axis in range(x.ndim) if axis != 1]
    num_own = x.numel() // x.shape[1]
    own_mean = x.sum(axes, dtype=torch.float32) / num_own
    squares = (x.float() - own_mean.view(_along(x))).square_().sum(axes).double()
    own_mean = own_mean.double()
    own = torch.cat([num_own * own_mean, squares + num_own * own_mean.square(), own_mean.new_tensor([num_own])])
    found = total(own)
    count = float(found[-1])
    mean, mean_square = (found[:-1] / count).chunk(2)
    return mean.float(), (mean_square - mean.square()).clamp_min_(0).float(), count


class _Normalize(Function):
    """(x - mean) / sqrt(variance + eps) * weight + bias, whose moments depend on the pictures of all processes.

    References:
        Ioffe, Szegedy, *Batch normalization* (2015), arXiv 1502.03167, section 3, for the derivatives.
    """

    @staticmethod
    def forward(  # noqa: PLR0913, PLR0917
        context: Any,  # noqa: ANN401 - of torch
        x: Tensor,
        weight: Tensor | None,
        bias: Tensor | None,
        mean: Tensor,
        variance: Tensor,
        eps: float,
        count: float,
        total: Total,
    ) -> Tensor:
        context.save_for_backward(x, weight, mean, variance)
        context.eps, context.count, context.total = eps, count, total
        return functional.batch_norm(x, mean, variance, weight, bias, training=False, eps=eps)

    @staticmethod
    @once_differentiable
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        x, weight, mean, variance = context.saved_tensors
        axes = [axis for axis in range(x.ndim) if axis != 1]
        scale = torch.rsqrt(variance + context.eps)
        centered = x.float() - mean.view(_along(x))
        own = torch.stack([gradient.sum(axes, dtype=torch.float32), (gradient * centered).sum(axes) * scale])
        of_bias, of_weight = own[0].clone(), own[1].clone()
        mean_gradient, mean_product = context.total(own) / context.count
        factor = scale if weight is None else scale * weight
        # d J / d x = factor (g - mean(g) - normalized mean(g normalized)), the means over all processes.
        found = centered.mul_((-factor * scale * mean_product).view(_along(x)))
        found.addcmul_(gradient.float(), factor.view(_along(x))).sub_((factor * mean_gradient).view(_along(x)))
        wants_weight, wants_bias = context.needs_input_grad[1], context.needs_input_grad[2]
        return (
            found.to(x.dtype),
            of_weight if wants_weight else None,
            of_bias if wants_bias else None,
            *(None,) * 5,
        )


def _along(x: Tensor) -> list[int]:
    return [1, -1, *[1] * (x.ndim - 2)]
