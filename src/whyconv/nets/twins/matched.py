"""A multilayer perceptron with as many parameters, or multiply-adds, as a convolutional network."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import torch
from torch import nn

from whyconv.errors import UsageError
from whyconv.nets.twins.counted import Counted, count

Matched = Literal["parameters", "multiply_adds"]

_WORDS = {"parameters": "parameters", "multiply_adds": "multiply-adds"}


@dataclass(frozen=True)
class _Sizes:
    """Of a perceptron whose hidden layers are of one width."""

    inputs: int
    outputs: int
    depth: int

    def count(self, width: int, match: Matched) -> int:
        """Parameters, or multiply-adds for one picture."""
        products = self.inputs * width + (self.depth - 1) * width**2 + width * self.outputs
        return products + (self.depth * width + self.outputs if match == "parameters" else 0)

    def nearest_width(self, aim: int, match: Matched) -> int:
        """The width whose count is nearest to ``aim``, at least 1; of two the narrower."""
        too_wide = 2
        while self.count(too_wide, match) < aim:
            too_wide *= 2
        narrow = 1
        while too_wide - narrow > 1:
            middle = (narrow + too_wide) // 2
            narrow, too_wide = (middle, too_wide) if self.count(middle, match) <= aim else (narrow, middle)
        return min((narrow, too_wide), key=lambda width: abs(self.count(width, match) - aim))


class MatchedPerceptron(nn.Sequential):
    """Flatten; hidden linear layers of one width, each with ReLU behind it; a linear layer. Printing it says the match.

    Attributes:
        match: What it has as much of: "parameters" or "multiply_adds".
        aim: How many the convolutional network has.
        reached: How many this one has.
        width: Units of each hidden layer.
        depth: Hidden layers.
    """

    def __init__(
        self,
        input_shape: Sequence[int],
        original: Counted,
        match: Matched,
        *,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        sizes = _Sizes(math.prod(input_shape), math.prod(original.output_shape), original.depth)
        self.match = match
        self.aim = original.parameters if match == "parameters" else original.multiply_adds
        self.depth = original.depth
        self.width = sizes.nearest_width(self.aim, match)
        self.reached = sizes.count(self.width, match)
        widths = [sizes.inputs, *[self.width] * sizes.depth]
        parts: list[nn.Module] = [nn.Flatten()]
        for fan_in, width in pairwise(widths):
            parts += [nn.Linear(fan_in, width, device=device, dtype=dtype), nn.ReLU()]
        parts.append(nn.Linear(self.width, sizes.outputs, device=device, dtype=dtype))
        parts += [nn.Unflatten(1, original.output_shape)] if len(original.output_shape) > 1 else []
        super().__init__(*parts)

    def extra_repr(self) -> str:
        """Says what was aimed at and what was reached."""
        percent = 100 * self.reached / self.aim
        return (
            f"{self.depth} hidden layers of {self.width} units: {self.reached:,} {_WORDS[self.match]}, "
            f"{percent:.1f} % of {self.aim:,}"
        )


def matched_perceptron(
    network: nn.Module, input_shape: tuple[int, ...], match: Matched, max_bytes: float
) -> MatchedPerceptron:
    """See ``dense_twin``; weights are drawn as torch draws them.

    Raises:
        UsageError: The network has no convolution, or the perceptron would take more than ``max_bytes``.
    """
    original = count(network, input_shape)
    if not original.depth:
        raise UsageError(
            f"A picture of shape {tuple(input_shape)} reaches no convolution in this {type(network).__name__}; "
            "a perceptron gets a hidden layer for each on the longest path."
        )
    sample = next(network.parameters(), torch.empty(0))
    planned = MatchedPerceptron(input_shape, original, match, device="meta", dtype=sample.dtype)
    num_bytes = sum(each.numel() * each.element_size() for each in planned.parameters())
    if num_bytes > max_bytes and not sample.is_meta:
        raise UsageError(
            f"The perceptron would take {num_bytes:,} bytes, with {planned.depth} hidden layers of {planned.width} "
            f"units; at most {max_bytes:,.0f} are allowed. Allow more with max_bytes."
        )
    made = MatchedPerceptron(input_shape, original, match, device=sample.device, dtype=sample.dtype)
    return made.train(network.training)
