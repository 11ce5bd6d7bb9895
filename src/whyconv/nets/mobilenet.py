"""MobileNetV2: space and channels are looked at in turn, between narrow maps that are added up."""

from __future__ import annotations

from torch import Tensor, nn

from whyconv.nets.published import start_for_relu

# Widening, channels, blocks, stride of the first block.
_STAGES = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))


class MobileNetV2(nn.Module):
    """MobileNetV2 with torchvision's names: 3,504,872 parameters.

    Takes pictures of every size; of those under 33 pixels a side one place is left at the end.

    Args:
        in_channels: 1 for gray pictures, 3 for color.
        num_classes: Number of logits.
        side: Side of the square picture in pixels; 224 in the paper.

    References:
        Sandler, Howard, Zhu, Zhmoginov, Chen, MobileNetV2: inverted residuals and linear bottlenecks (2018),
        arXiv 1801.04381, table 2.
    """

    def __init__(self, in_channels: int = 3, num_classes: int = 1000, side: int = 224) -> None:
        super().__init__()
        layers: list[nn.Module] = [_Unit(in_channels, 32, 3, stride=2)]
        channels = 32
        for widening, width, depth, stride in _STAGES:
            for index in range(depth):
                layers.append(_InvertedResidual(channels, width, widening, stride if index == 0 else 1))
                channels = width
        layers.append(_Unit(channels, 1280, 1))
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(1280, num_classes))
        start_for_relu(self)

    def forward(self, x: Tensor) -> Tensor:
        """Maps pictures (n, c, side, side) to logits (n, classes)."""
        return self.classifier(self.features(x).mean(dim=(2, 3)))


class _Unit(nn.Sequential):
    """Convolution, normalization, ReLU cut off at 6."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__(
            nn.Conv2d(in_channels, out_channels, kernel, stride, kernel // 2, groups=groups, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.ReLU6(),
        )


class _InvertedResidual(nn.Module):
    """Widen by a 1x1 convolution, look around within each channel, narrow without activation."""

    def __init__(self, in_channels: int, out_channels: int, widening: int, stride: int) -> None:
        super().__init__()
        wide = in_channels * widening
        widen = [_Unit(in_channels, wide, 1)] if widening > 1 else []
        self.conv = nn.Sequential(
            *widen,
            _Unit(wide, wide, 3, stride=stride, groups=wide),
            nn.Conv2d(wide, out_channels, 1, bias=False),
            nn.BatchNorm2d(out_channels),
        )
        self.is_added = stride == 1 and in_channels == out_channels

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv(x) if self.is_added else self.conv(x)
