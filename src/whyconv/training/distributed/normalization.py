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
# Torch 2.11 refuses 0; 1 + this is 1.
_NO_EPS = 1e-30


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
    if not layer.training:
        return type(layer).forward(layer, x)
    with torch.no_grad():
        mean, variance, count = _moments(x.detach(), total)
        if layer.running_mean is not None and layer.running_var is not None:
            assert layer.num_batches_tracked is not None
            layer.num_batches_tracked.add_(1)
            momentum = layer.momentum if layer.momentum is not None else 1 / float(layer.num_batches_tracked)
            layer.running_mean.lerp_(mean, momentum)
            layer.running_var.lerp_(variance * (count / max(1.0, count - 1)), momentum)
    return _Normalize.apply(x, layer.weight, layer.bias, mean, variance, layer.eps, count, total)  # type: ignore[no-untyped-call]


def _moments(x: Tensor, total: Total) -> tuple[Tensor, Tensor, float]:
    """Mean and variance of each channel over all processes, and of how many numbers; agreed on at once.

    What each has is torch's own mean and variance, so that a mean far from 0 costs no digits; what that mean differs by
    from the mean of all is added in double precision.

    References:
        Chan, Golub, LeVeque, *Algorithms for computing the sample variance* (1983), The American Statistician 37, for
        variances put together from parts.
    """
    own_mean, squares, num_own = _own_moments(x)
    own_mean, squares = own_mean.double(), squares.double()
    own = torch.cat([num_own * own_mean, squares + num_own * own_mean.square(), own_mean.new_tensor([num_own])])
    found = total(own)
    count = float(found[-1])
    mean, mean_square = (found[:-1] / count).chunk(2)
    return mean.float(), (mean_square - mean.square()).clamp_min_(0).float(), count


def _own_moments(x: Tensor) -> tuple[Tensor, Tensor, int]:
    """Mean of each channel, sum of squares of what differs from it, and of how many numbers.

    Torch's own batch normalization notes them for its running statistics: some ten times as fast as ``torch.var_mean``
    on bfloat16 with the channels last.
    """
    num_own = x.numel() // x.shape[1]
    mean, variance = torch.zeros(2, x.shape[1], device=x.device)
    if num_own == 1:  # which torch refuses to normalize
        return x.float().flatten(), torch.zeros_like(mean), num_own
    functional.batch_norm(x, mean, variance, training=True, momentum=1.0)
    return mean, variance * (num_own - 1), num_own


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
        scale = torch.rsqrt(variance + context.eps)
        # The sums alone, as torch has them: of gradient x normalized, and of the gradient.
        unused = torch.ones_like(mean)
        _, of_weight, of_bias = torch.ops.aten.native_batch_norm_backward(
            gradient, x, unused, mean, variance, mean, scale, True, context.eps, [False, True, True]
        )
        found = context.total(torch.stack([of_bias, of_weight]))
        mean_gradient, mean_product = found / context.count
        factor = scale if weight is None else scale * weight
        # d J / d x = factor (g - mean(g) - normalized mean(g normalized)), the means over all processes: a line in g
        # and a line in x for each channel.
        slope = -factor * scale * mean_product
        of_x = _lines(gradient, factor, -factor * mean_gradient - slope * mean).add_(_lines(x, slope, None))
        wants_weight, wants_bias = context.needs_input_grad[1], context.needs_input_grad[2]
        return (
            of_x,
            of_weight if wants_weight else None,
            of_bias if wants_bias else None,
            *(None,) * 5,
        )


def _lines(x: Tensor, slope: Tensor, offset: Tensor | None) -> Tensor:
    """For each channel, slope x + offset; torch is fastest at it as batch normalization with nothing to normalize."""
    return functional.batch_norm(
        x, torch.zeros_like(slope), torch.ones_like(slope), slope, offset, training=False, eps=_NO_EPS
    )
