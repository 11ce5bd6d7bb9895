"""A dense layer between pictures and maps: every output sees every pixel, with weights of its own."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from whyconv.errors import UsageError


class DenseMap2d(nn.Sequential):
    """Flatten, ``Linear``, unflatten: maps (n, c, h, w) to (n, channels, h', w').

    The second part has the weights: ``[1].weight`` of the shape (outputs, inputs) and ``[1].bias`` (outputs,), both
    in the order of a flattened (c, h, w).

    Args:
        input_shape: Of one picture, (c, h, w).
        output_shape: Of what it is mapped to, (channels, h', w').
        bias: Whether a number is added to each output.
        fan_in: The number of inputs by which ``restart`` scales the starting weights; None: all inputs of one output.
        device: Of the parameters.
        dtype: Of the parameters.
    """

    def __init__(
        self,
        input_shape: tuple[int, int, int],
        output_shape: tuple[int, int, int],
        bias: bool = True,
        *,
        fan_in: float | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        num_inputs, num_outputs = math.prod(input_shape), math.prod(output_shape)
        super().__init__(
            nn.Flatten(-3),
            nn.Linear(num_inputs, num_outputs, bias=bias, device=device, dtype=dtype),
            nn.Unflatten(-1, output_shape),
        )
        self.input_shape = input_shape
        self.output_shape = output_shape
        self.fan_in = float(num_inputs) if fan_in is None else fan_in

    def forward(self, x: Tensor) -> Tensor:
        """Maps (n, c, h, w) to (n, channels, h', w'); n may be left out.

        Raises:
            UsageError: The picture is not of the size that the layer was made for.
        """
        if x.ndim not in (3, 4) or tuple(x.shape[-3:]) != self.input_shape:
            expected = ", ".join(map(str, self.input_shape))
            raise UsageError(
                f"This dense layer was made for inputs of shape (n, {expected}); got {tuple(x.shape)}. "
                "Its weights belong to pixels: for another size make another layer."
            )
        for part in self:
            x = part(x)
        return x
