"""The plain network: convolutions with normalization, then global average pooling."""

from __future__ import annotations

import math

from torch import Tensor, nn

_MAX_PLACES = 32


class Plain(nn.Module):
    """Stages of two 3x3 convolutions, halved between stages; then the mean over places; then one linear layer.

    Because the last map is averaged over all places, it does not matter much where in the picture a detector fired.
    Sides from 6 pixels up; the first layer strides on large pictures so that the first map has at most 32 places a
    side.

    Args:
        in_channels: 1 for gray pictures, 3 for color.
        num_classes: Number of logits, >= 2.
        side: Side of the square picture in pixels.
        width: Filters of the first stage; doubled each stage, at most eightfold.
        dropout: Probability of zeroing a feature before the linear layer.
    """

    def __init__(self, in_channels: int, num_classes: int, side: int, width: int = 48, dropout: float = 0.0) -> None:
        super().__init__()
        stride = max(1, 2 ** math.ceil(math.log2(side / _MAX_PLACES)))
        kernel = 3 if stride == 1 else 2 * stride + 1
        num_stages = max(2, min(4, round(math.log2(side / stride)) - 1))
        widths = [width * min(2**stage, 8) for stage in range(num_stages)]
        self.stem = _Unit(in_channels, widths[0], kernel=kernel, stride=stride)
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
    """Convolution, normalization, activation."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int = 3, stride: int = 1) -> None:
        convolution = nn.Conv2d(in_channels, out_channels, kernel, stride=stride, padding=kernel // 2, bias=False)
        nn.init.kaiming_normal_(convolution.weight, mode="fan_in", nonlinearity="relu")
        super().__init__(convolution, nn.BatchNorm2d(out_channels), nn.ReLU())


class _Stage(nn.Module):
    """Pooling (but in the first stage), a widening unit, and a unit whose output is added to its input."""

    def __init__(self, in_channels: int, out_channels: int, pool: bool) -> None:
        super().__init__()
        self.pool = nn.MaxPool2d(2) if pool else nn.Identity()
        self.widen = _Unit(in_channels, out_channels)
        self.refine = _Unit(out_channels, out_channels)

    def forward(self, x: Tensor) -> Tensor:
        x = self.widen(self.pool(x))
        return x + self.refine(x)
