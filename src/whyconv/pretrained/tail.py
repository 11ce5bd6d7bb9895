"""The last blocks of EfficientNet-Lite0 as matrix products, which train many times quicker than its own layers.

A map of few places is kept as (channels, pictures x places). A 1x1 convolution is then one product. A convolution
within each channel is one product for each channel, with the matrix (places in, places out) that the lecture writes it
as: of 7 x 7 places it has 49 x 49 entries, k k of them different. On maps so small that is less work than going from
window to window. Normalization stands still, folded into the weights before it.

Weights are float32. Maps may be bfloat16, where the machine is quicker with them: then each product rounds its weights
to that first, and what flows back to them is float32 again.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

from whyconv.nets.efficientnet import Block, EfficientNetLite0, padding_around


class Tail(nn.Module):
    """What comes after block ``first_block`` - 1, up to the features.

    Args:
        network: Whose weights are copied, in evaluation mode.
        first_block: From 0; the number of blocks: only the last convolution.
        side: Places a side of the map that comes in.
    """

    def __init__(self, network: EfficientNetLite0, first_block: int, side: int) -> None:
        super().__init__()
        self.first_block = first_block
        self.blocks = nn.ModuleList()
        for block in list(network.blocks())[first_block:]:
            self.blocks.append(_ProductBlock(block, side))
            side = -(-side // block.stride)
        self.last = _Pointwise(*folded(*dict(network.convolutions())["_conv_head"]))

    def forward(self, x: Tensor) -> Tensor:
        """Maps (channels, n, places), float32 or bfloat16, to features (n, 1280), float32."""
        count = x.shape[1]
        x = x.flatten(1)
        for block in self.blocks:
            x = block(x, count)
        x = functional.relu6(self.last(x))
        return x.view(len(x), count, -1).to(torch.float32).mean(dim=2).t()

    def convolutions(self) -> Iterator[tuple[str, Tensor, Tensor]]:
        """Yields name, weights and biases of each convolution, as the network without normalization has them."""
        for index, block in enumerate(self.blocks, self.first_block):
            assert isinstance(block, _ProductBlock)
            for name, layer in block.layers():
                yield f"_blocks.{index}.{name}", *layer.as_convolution()
        yield "_conv_head", *self.last.as_convolution()


class _Pointwise(nn.Module):
    """A 1x1 convolution: (out, in) weights and (out, 1) biases."""

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight.flatten(1).clone())
        self.bias = nn.Parameter(bias[:, None].clone())

    def forward(self, x: Tensor) -> Tensor:
        return torch.addmm(self.bias.to(x.dtype), self.weight.to(x.dtype), x)

    def as_convolution(self) -> tuple[Tensor, Tensor]:
        return self.weight.detach()[:, :, None, None], self.bias.detach()[:, 0]


class _Depthwise(nn.Module):
    """A convolution within each channel: (channels, k k) weights, and where in the matrix each of them stands."""

    places: Tensor

    def __init__(self, weight: Tensor, bias: Tensor, side: int, stride: int) -> None:
        super().__init__()
        self.kernel, self.side = weight.shape[-1], side
        self.weight = nn.Parameter(weight.flatten(1).clone())
        self.bias = nn.Parameter(bias[:, None, None].clone())
        self.register_buffer("places", window_places(self.kernel, side, stride).flatten(1), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Maps (channels, n, places in) to (channels, n, places out)."""
        matrices = (self.weight.to(x.dtype) @ self.places.to(x.dtype)).view(len(self.weight), self.side**2, -1)
        return torch.baddbmm(self.bias.to(x.dtype), x, matrices)

    def as_convolution(self) -> tuple[Tensor, Tensor]:
        weight = self.weight.detach().view(-1, 1, self.kernel, self.kernel)
        return weight, self.bias.detach()[:, 0, 0]


class _ProductBlock(nn.Module):
    def __init__(self, block: Block, side: int) -> None:
        super().__init__()
        self.is_added = block.is_added
        layers = {name: folded(*pair) for name, pair in block.convolutions()}
        self.widen = _Pointwise(*layers["_expand_conv"])
        self.within = _Depthwise(*layers["_depthwise_conv"], side, block.stride)
        self.narrow = _Pointwise(*layers["_project_conv"])

    def forward(self, x: Tensor, count: int) -> Tensor:
        y = functional.relu6(self.widen(x))
        y = functional.relu6(self.within(y.view(len(y), count, -1)))
        y = self.narrow(y.flatten(1))
        return x + y if self.is_added else y

    def layers(self) -> Iterator[tuple[str, _Pointwise | _Depthwise]]:
        yield "_expand_conv", self.widen
        yield "_depthwise_conv", self.within
        yield "_project_conv", self.narrow


def folded(convolution: nn.Conv2d, normalization: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """Weights and biases of a convolution that gives what the two layers give in evaluation mode."""
    fused = fuse_conv_bn_eval(convolution.eval(), normalization.eval())
    assert fused.bias is not None
    return fused.weight.detach(), fused.bias.detach()


def window_places(kernel: int, side: int, stride: int) -> Tensor:
    """Tells which place of the input each window weight meets for each place of the output.

    Returns:
        Zeros and ones (kernel^2, side^2, places out^2); weights (c, kernel^2) times this are the matrices by which
        rows of places are multiplied. What lies in the padding is met by none.
    """
    before, _ = padding_around(side, kernel, stride)
    places = -(-side // stride)
    line = torch.zeros(kernel, side, places)
    for out in range(places):
        for offset in range(kernel):
            seen = out * stride + offset - before
            if 0 <= seen < side:
                line[offset, seen, out] = 1
    both = torch.einsum("aio,bjp->abijop", line, line)
    return both.reshape(kernel**2, side**2, places**2)
