"""Batch normalization that shares nothing over the places of a picture."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from whyconv.errors import UsageError
from whyconv.nets.layers.locally_connected import Pair, as_pair


class UnitBatchNorm2d(nn.BatchNorm1d):
    """``torch.nn.BatchNorm2d`` with a mean, a deviation, a factor and a shift for each unit instead of each map.

    ``weight``, ``bias``, ``running_mean`` and ``running_var`` have the shape (num_channels * h * w,). Where all units
    of a map have the map's numbers, it computes in evaluation what ``BatchNorm2d`` computes. In training it takes
    means over the pictures of a batch alone, so it needs at least 2 of them, and many for steady statistics.

    Args:
        num_channels: Of the input.
        input_size: Height and width of the input in pixels.
        eps: Added to variances.
        momentum: Share of a batch in the running statistics; None: plain means of all batches.
        affine: Whether there are factors and shifts.
        device: Of the parameters.
        dtype: Of the parameters.

    References:
        Ioffe, Szegedy, *Batch normalization* (2015), arXiv 1502.03167: section 3 for units, 3.2 for maps, which are
        normalized jointly over the places for the sake of the convolution's sharing.
    """

    def __init__(  # noqa: PLR0913
        self,
        num_channels: int,
        input_size: Pair,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        *,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        self.input_shape = (num_channels, *as_pair(input_size))
        num_units = self.input_shape[0] * self.input_shape[1] * self.input_shape[2]
        super().__init__(num_units, eps, momentum, affine, device=device, dtype=dtype)

    def forward(self, x: Tensor) -> Tensor:
        """Maps (n, num_channels, h, w) to the same shape.

        Raises:
            UsageError: The picture is not of the size that the layer was made for.
        """
        if x.ndim != 4 or tuple(x.shape[1:]) != self.input_shape:
            expected = ", ".join(map(str, self.input_shape))
            raise UsageError(f"This layer was made for inputs of shape (n, {expected}); got {tuple(x.shape)}.")
        return super().forward(x.flatten(1)).view(x.shape)

    def extra_repr(self) -> str:
        """Says the shape, and what ``BatchNorm2d`` says."""
        return f"input_shape={self.input_shape}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}"
