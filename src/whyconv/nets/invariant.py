"""The plain network made so that circular moves of the picture change no answer: a control, not a better network."""

from __future__ import annotations

import math

from torch import Tensor, nn
from torch.nn import functional

from whyconv.errors import UsageError
from whyconv.nets.layers import PolyphasePool2d

_MAX_PLACES = 32
_BLUR_TAPS = 3


def circular_strides(side: int) -> tuple[int, int]:
    """Halvings before the first stage and between stages, for pictures of a side in pixels.

    As many as ``Plain`` has: until the first map has at most 32 places a side, then between two to four stages.
    """
    before = max(0, math.ceil(math.log2(side / _MAX_PLACES)))
    stages = max(2, min(4, round(math.log2(side / 2**before)) - 1))
    return before, stages - 1


def whole_stride(side: int) -> int:
    """Pixels from place to place of ``PlainCircular``'s last map; the side has to be a multiple of it."""
    return 2 ** sum(circular_strides(side))


def fitting_side(side: int) -> int:
    """The smallest side from ``side`` on that ``PlainCircular`` takes, in pixels."""
    while side % whole_stride(side):
        side += 1
    return side


class PlainCircular(nn.Module):
    """``Plain`` on a ring: every border leads to the other side, and every subsampling starts where the map says.

    Instead of max pooling by 2: the maximum over 2x2 at every place, a binomial blur, and ``PolyphasePool2d``. Instead
    of a first convolution that strides: one halving after another, each after a unit of 3x3 convolutions, of fewer
    filters where maps are large. The head is the mean over places and one linear layer. So logits stay as they are, up
    to rounding, when the picture moves around its border by whole pixels. Real moves bring in new pixels; nothing is
    promised about them.

    Args:
        in_channels: 1 for gray pictures, 3 for color.
        num_classes: Number of logits, >= 2.
        side: Side of the square picture in pixels, from 6 on.
        width: Filters of the first stage; doubled each stage, at most eightfold.
        dropout: Probability of zeroing a feature before the linear layer.

    Raises:
        UsageError: The side is no multiple of the whole stride.

    References:
        Chaman, Dokmanic, *Truly shift-invariant convolutional neural networks* (2021), arXiv 2011.14214.
    """

    def __init__(self, in_channels: int, num_classes: int, side: int, width: int = 48, dropout: float = 0.0) -> None:
        super().__init__()
        _require_fitting(side)
        before, between = circular_strides(side)
        narrow = [max(8, width // 2 ** (before - step)) for step in range(before)]
        widths = [width * min(2**stage, 8) for stage in range(between + 1)]
        stem: list[nn.Module] = []
        for current, following in zip([in_channels, *narrow], [*narrow, widths[0]], strict=True):
            stem += [_Unit(current, following), _pool()]
        self.stem = nn.Sequential(*stem[:-1])
        self.stages = nn.Sequential(
            *(
                _Stage(previous, current, pool=stage > 0)
                for stage, (previous, current) in enumerate(zip([widths[0], *widths], widths, strict=False))
            )
        )
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(widths[-1], num_classes)

    def features(self, x: Tensor) -> Tensor:
        """Maps pictures (n, c, side, side) to feature vectors (n, width of the last stage)."""
        return self.stages(self.stem(x)).mean(dim=(2, 3))

    def forward(self, x: Tensor) -> Tensor:
        """Maps pictures (n, c, side, side) to logits (n, classes)."""
        return self.head(self.dropout(self.features(x)))


class _Unit(nn.Sequential):
    """Circular convolution, normalization, activation."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        convolution = nn.Conv2d(in_channels, out_channels, 3, padding=1, padding_mode="circular", bias=False)
        nn.init.kaiming_normal_(convolution.weight, mode="fan_in", nonlinearity="relu")
        super().__init__(convolution, nn.BatchNorm2d(out_channels), nn.ReLU())


class _Stage(nn.Module):
    """Pooling (but in the first stage), a widening unit, and a unit whose output is added to its input."""

    def __init__(self, in_channels: int, out_channels: int, pool: bool) -> None:
        super().__init__()
        self.largest = _LargestAround() if pool else nn.Identity()
        self.pool = _pool() if pool else nn.Identity()
        self.widen = _Unit(in_channels, out_channels)
        self.refine = _Unit(out_channels, out_channels)

    def forward(self, x: Tensor) -> Tensor:
        x = self.widen(self.pool(self.largest(x)))
        return x + self.refine(x)


class _LargestAround(nn.Module):
    """At every place the maximum of it, the one right of it, the one below and the one between, around the border."""

    def forward(self, x: Tensor) -> Tensor:
        return functional.max_pool2d(functional.pad(x, (0, 1, 0, 1), mode="circular"), 2, stride=1)


def _pool() -> PolyphasePool2d:
    return PolyphasePool2d(2, blur_taps=_BLUR_TAPS)


def _require_fitting(side: int) -> None:
    stride = whole_stride(side)
    if side < 6:
        raise UsageError(f"plain_circular takes pictures from 6 x 6 pixels up; got {side} x {side}.")
    if side % stride:
        below = side - side % stride
        fitting = [each for each in (below, below + stride) if each >= 6 and not each % whole_stride(each)]
        raise UsageError(
            f"plain_circular halves pictures of {side} x {side} pixels {int(math.log2(stride))} times, and {side} is "
            f"no multiple of {stride}: places would be left over that no circular move brings back. Expected a side "
            f"such as {' or '.join(map(str, fitting or [fitting_side(side)]))}: --size."
        )
