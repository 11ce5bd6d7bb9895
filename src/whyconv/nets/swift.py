"""The swift network: whitened patches, dense 3x3 convolutions that start near the identity, global pooling."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from whyconv.nets.layers import MaxBlurPool2d
from whyconv.settings import Pooling

Total = Callable[[Tensor], Tensor]

_MAX_PLACES = 32
_SMALL_SIDE = 16
_MAX_DIRECTIONS = 32
_MAX_PATCHES = 2_000_000
# For moments of up to 192 numbers; all of 2,000 pictures of 128 pixels would be 60 times as many.
_ENOUGH_PATCHES = 500_000
# Pixels a side: the moments of a patch are the square of its pixels, and their eigenvectors take the third power.
_WIDEST_PATCH = 16
# Added to the variance along a direction before it is brought to 1: what hardly varies is not blown up.
_LEAST_VARIANCE = 5e-4


class Swift(nn.Module):
    """Made to learn fast on an ordinary processor.

    The first layer brings small patches of the picture to uncorrelated numbers of variance 1: its weights are the
    directions in which the patches of the training pictures vary most, and their negatives, found by ``whiten`` and
    not learned. Then blocks of two 3x3 convolutions; in each, the first widens and its map is halved before it is
    normalized, so that little is computed at high resolution. The 3x3 convolutions start as the identity on the maps
    that they take over, which does what the skips of residual networks do. Normalization has no factor of its own.
    The largest value of each last map is what the picture is known by, wherever it stood.

    Works for sides from 6 pixels up, and for other sides than it was built for.

    Args:
        in_channels: 1 for gray pictures, 3 for color.
        num_classes: Number of logits, >= 2.
        side: Side of the square picture in pixels.
        widths: Filters of each block; by default those of ``widths_for``.
        filter_size: Pixels a side of the blocks' filters, odd.
        pooling: "largest" of 2x2; or "smooth", the same at every place and a blur before every other one is left out,
            so that less changes where the picture moves by a pixel.

    References:
        Page, *How to train your ResNet* (2019), for whitened patches, and pooling before normalization. Zagoruyko,
        Komodakis, *DiracNets* (2017), arXiv 1706.00388, for the identity. Jordan, *94 % on CIFAR-10 in 3.29 seconds
        on a single GPU* (2024), arXiv 2404.00498, for their combination.
    """

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        side: int,
        widths: Sequence[int] = (),
        filter_size: int = 3,
        *,
        pooling: Pooling = "largest",
    ) -> None:
        super().__init__()
        stride = stride_for(side)
        kernel = 2 if stride == 1 else 2 * stride
        num_directions = min(_MAX_DIRECTIONS, in_channels * kernel**2)
        widths = list(widths) or widths_for(side)
        self.stem = nn.Conv2d(in_channels, 2 * num_directions, kernel, stride=stride, bias=False)
        self.stem.weight.requires_grad_(False)
        maps = [2 * num_directions, *widths]
        self.blocks = nn.Sequential(*(_Block(*pair, filter_size, pooling) for pair in zip(maps, widths, strict=False)))
        self.head = nn.Linear(widths[-1], num_classes, bias=False)
        nn.init.normal_(self.head.weight)

    def features(self, x: Tensor) -> Tensor:
        """Maps pictures (n, c, side, side) to feature vectors (n, filters of the last block).

        They are scaled down by their number, so that the last layer's weights of about 1, which learn at the pace of
        the others, start with small logits.
        """
        maps = self.blocks(functional.gelu(self.stem(x)))
        return maps.amax(dim=(2, 3)) / maps.shape[1]

    def forward(self, x: Tensor) -> Tensor:
        """Maps pictures (n, c, side, side) to logits (n, classes)."""
        return self.head(self.features(x))

    @torch.no_grad()
    def whiten(self, x: Tensor, total: Total | None = None, rank: int = 0, size: int = 1) -> None:
        """Sets the first layer's weights from pictures as the network will see them.

        Each filter is an eigenvector of the patches' second moments, divided by the root of its eigenvalue; the
        strongest come first, then their negatives. Of patches wider than 16 pixels only what is constant in blocks is
        looked at: the strongest directions of pictures are smooth ones.

        Args:
            x: Training pictures (n, c, side, side), normalized, as ``to_whiten`` makes them; ``enough_to_whiten`` says
                how many.
            total: Adds up what several processes have found, where they do this together.
            rank: Of this process, from 0.
            size: Number of processes.
        """
        kernel, stride = self.stem.kernel_size[0] // self._block, max(1, self.stem.stride[0] // self._block)
        num_directions = self.stem.out_channels // 2
        moments, count = _second_moments(x, kernel, stride, slice(rank, None, size))
        if total is not None:
            moments, count = total(moments), total(count)
        moments = moments / int(count)
        variances, directions = torch.linalg.eigh(moments)
        strongest = slice(-num_directions, None)
        filters = (directions[:, strongest] / (variances[strongest] + _LEAST_VARIANCE).sqrt()).T.flip(0)
        filters = torch.cat([filters, -filters]).reshape(2 * num_directions, x.shape[1], kernel, kernel)
        # The sum over a block's pixels, each with an equal part of the weight, is the weight times their mean.
        wide = filters.repeat_interleave(self._block, 2).repeat_interleave(self._block, 3) / self._block**2
        self.stem.weight.copy_(wide)

    def to_whiten(self, x: Tensor) -> Tensor:
        """Pictures (n, c, side, side) as ``whiten`` takes them: the same; means of blocks where patches are wide."""
        return x if self._block == 1 else functional.avg_pool2d(x, self._block)

    @property
    def _block(self) -> int:
        return max(1, self.stem.kernel_size[0] // _WIDEST_PATCH)

    def enough_to_whiten(self, side: int) -> int:
        """The number of pictures of ``side`` pixels whose patches are enough for ``whiten``."""
        places = (side - self.stem.kernel_size[0]) // self.stem.stride[0] + 1
        return math.ceil(_ENOUGH_PATCHES / places**2)


def stride_for(side: int) -> int:
    """The power of two by which the first layer strides, so that its map has at most 32 places a side."""
    return max(1, 2 ** math.ceil(math.log2(side / _MAX_PLACES)))


def widths_for(side: int) -> list[int]:
    """Filters of each block, as many blocks as halve the map to about 3 places a side.

    256, in the first a quarter of that; half as many where the picture has at most 16 pixels a side.
    """
    widest = 128 if side <= _SMALL_SIDE else 256
    num_blocks = max(1, min(4, math.floor(math.log2(max(6, side) / stride_for(side) / 3))))
    return [widest // 4, *[widest] * (num_blocks - 1)] if num_blocks > 1 else [widest]


class _Block(nn.Module):
    """Widening convolution, pooling, normalization, activation; refining convolution, normalization, activation."""

    def __init__(self, in_channels: int, out_channels: int, filter_size: int, pooling: Pooling) -> None:
        super().__init__()
        self.widen = _identity_like(in_channels, out_channels, filter_size)
        self.widen_norm = _shifting_norm(out_channels)
        self.refine = _identity_like(out_channels, out_channels, filter_size)
        self.refine_norm = _shifting_norm(out_channels)
        self.smooth = MaxBlurPool2d() if pooling == "smooth" else None

    def forward(self, x: Tensor) -> Tensor:
        x = self.widen(x)
        x = functional.max_pool2d(x, 2) if self.smooth is None else self.smooth(x)
        x = functional.gelu(self.widen_norm(x))
        return functional.gelu(self.refine_norm(self.refine(x)))


def _identity_like(in_channels: int, out_channels: int, filter_size: int) -> nn.Conv2d:
    """A convolution whose first filters hand the maps on as they are; the others are random."""
    convolution = nn.Conv2d(in_channels, out_channels, filter_size, padding=filter_size // 2, bias=False)
    nn.init.dirac_(convolution.weight.data[:in_channels])
    return convolution


def _shifting_norm(channels: int) -> nn.BatchNorm2d:
    """Normalization that learns a shift but no factor; its running statistics follow within a few steps."""
    norm = nn.BatchNorm2d(channels, momentum=0.4)
    norm.weight.requires_grad_(False)
    return norm


def _second_moments(x: Tensor, kernel: int, stride: int, pieces: slice) -> tuple[Tensor, Tensor]:
    """Sums of products of the numbers of the patches that the first layer sees, (c k k, c k k), and how many patches.

    A few pictures at a time, and of these ``pieces`` some only. Each is summed in single precision, all of them in
    double: who computes which piece hardly matters then. Directions of little variance would blow up what it did.
    """
    size = x.shape[1] * kernel**2
    places = ((x.shape[2] - kernel) // stride + 1) * ((x.shape[3] - kernel) // stride + 1)
    total, count = torch.zeros(size, size, dtype=torch.float64), 0
    for some in torch.split(x, max(1, _MAX_PATCHES // places // kernel**2))[pieces]:
        patches = some.unfold(2, kernel, stride).unfold(3, kernel, stride).permute(0, 2, 3, 1, 4, 5).reshape(-1, size)
        total += (patches.T @ patches).double()
        count += len(patches)
    return total, torch.tensor(count)
