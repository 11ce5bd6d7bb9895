"""GoogLeNet: nine blocks in which kernels of several sizes look at the same map side by side."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from whyconv.nets.published import require_side, start_for_relu

_LEAST_SIDE = 15
# Filters of each block: 1x1; 1x1 then 3x3; 1x1 then "5x5"; 1x1 after pooling.
_BLOCKS = {
    "inception3a": (64, (96, 128), (16, 32), 32),
    "inception3b": (128, (128, 192), (32, 96), 64),
    "inception4a": (192, (96, 208), (16, 48), 64),
    "inception4b": (160, (112, 224), (24, 64), 64),
    "inception4c": (128, (128, 256), (24, 64), 64),
    "inception4d": (112, (144, 288), (32, 64), 64),
    "inception4e": (256, (160, 320), (32, 128), 128),
    "inception5a": (256, (160, 320), (32, 128), 128),
    "inception5b": (384, (192, 384), (48, 128), 128),
}


class GoogLeNet(nn.Module):
    """GoogLeNet with batch normalization and torchvision's names, without auxiliary heads: 6,624,904 parameters.

    As in torchvision's weights the paper's 5x5 kernels are 3x3 here; with them it would have more parameters.

    Args:
        in_channels: 1 for gray pictures, 3 for color.
        num_classes: Number of logits.
        side: Side of the square picture in pixels, at least 15; 224 in the paper.

    Raises:
        UsageError: ``side`` is too small.

    References:
        Szegedy et al., Going deeper with convolutions (2014), arXiv 1409.4842, table 1; with the normalization of
        Ioffe, Szegedy, Batch normalization (2015), arXiv 1502.03167.
    """

    # Files of weights may have heads that help during training only; names that begin so are not used.
    unused_weights = ("aux1.", "aux2.")

    def __init__(self, in_channels: int = 3, num_classes: int = 1000, side: int = 224) -> None:
        super().__init__()
        require_side("googlenet", side, _LEAST_SIDE)
        self.conv1 = _Unit(in_channels, 64, 7, stride=2)
        self.maxpool1 = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.conv2 = _Unit(64, 64, 1)
        self.conv3 = _Unit(64, 192, 3)
        self.maxpool2 = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.maxpool3 = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.maxpool4 = nn.MaxPool2d(2, 2, ceil_mode=True)
        channels = 192
        for name, widths in _BLOCKS.items():
            block = _Inception(channels, *widths)
            self.add_module(name, block)
            channels = block.out_channels
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.dropout = nn.Dropout(0.2)
        self.fc = nn.Linear(channels, num_classes)
        start_for_relu(self)

    def forward(self, x: Tensor) -> Tensor:
        """Maps pictures (n, c, side, side) to logits (n, classes)."""
        x = self.conv3(self.conv2(self.maxpool1(self.conv1(x))))
        pools = {"inception3a": self.maxpool2, "inception4a": self.maxpool3, "inception5a": self.maxpool4}
        for name in _BLOCKS:
            x = self.get_submodule(name)(pools[name](x) if name in pools else x)
        return self.fc(self.dropout(self.avgpool(x).flatten(1)))


class _Unit(nn.Module):
    """Convolution, normalization, ReLU."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, kernel, stride=stride, padding=kernel // 2, bias=False)
        self.bn = nn.BatchNorm2d(out_channels, eps=0.001)
        self.relu = nn.ReLU()

    def forward(self, x: Tensor) -> Tensor:
        return self.relu(self.bn(self.conv(x)))


class _Inception(nn.Module):
    """Four branches side by side, their maps stacked."""

    def __init__(self, channels: int, one: int, three: tuple[int, int], five: tuple[int, int], pooled: int) -> None:
        super().__init__()
        self.branch1 = _Unit(channels, one, 1)
        self.branch2 = nn.Sequential(_Unit(channels, three[0], 1), _Unit(*three, 3))
        self.branch3 = nn.Sequential(_Unit(channels, five[0], 1), _Unit(*five, 3))
        self.branch4 = nn.Sequential(nn.MaxPool2d(3, stride=1, padding=1), _Unit(channels, pooled, 1))
        self.out_channels = one + three[1] + five[1] + pooled

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.branch1(x), self.branch2(x), self.branch3(x), self.branch4(x)], dim=1)
