"""Residual networks: every few convolutions learn what to add to what came in."""

from __future__ import annotations

from torch import Tensor, nn

from whyconv.nets.published import start_for_relu

_WIDTHS = (64, 128, 256, 512)


class ResNet(nn.Module):
    """A residual network with torchvision's names; where a block halves the map, its 3x3 convolution does.

    Takes pictures of every size. The map is halved five times on the way: of pictures under 33 pixels a side one
    place is left, so that layers near the end see little but padding around it.

    Args:
        depths: Blocks in each of the four stages.
        bottleneck: Blocks of 1x1, 3x3 and 1x1, four times as wide outside as inside; else of two 3x3.
        in_channels: 1 for gray pictures, 3 for color.
        num_classes: Number of logits.

    References:
        He, Zhang, Ren, Sun, Deep residual learning for image recognition (2015), arXiv 1512.03385, table 1. There
        the first 1x1 of a bottleneck has the stride; torchvision's weights are of the form used here.
    """

    def __init__(self, depths: tuple[int, ...], bottleneck: bool, in_channels: int, num_classes: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, 64, 7, stride=2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU()
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        block = _Bottleneck if bottleneck else _Basic
        channels = 64
        for number, (depth, width) in enumerate(zip(depths, _WIDTHS, strict=True), start=1):
            blocks = []
            for index in range(depth):
                blocks.append(block(channels, width, stride=2 if number > 1 and index == 0 else 1))
                channels = width * block.expansion
            self.add_module(f"layer{number}", nn.Sequential(*blocks))
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(channels, num_classes)
        start_for_relu(self)

    def forward(self, x: Tensor) -> Tensor:
        """Maps pictures (n, c, side, side) to logits (n, classes)."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        for number in range(1, len(_WIDTHS) + 1):
            x = self.get_submodule(f"layer{number}")(x)
        return self.fc(self.avgpool(x).flatten(1))


def resnet18(in_channels: int = 3, num_classes: int = 1000, side: int = 224) -> ResNet:
    """ResNet-18: 11,689,512 parameters."""
    return ResNet((2, 2, 2, 2), False, in_channels, num_classes)


def resnet34(in_channels: int = 3, num_classes: int = 1000, side: int = 224) -> ResNet:
    """ResNet-34: 21,797,672 parameters."""
    return ResNet((3, 4, 6, 3), False, in_channels, num_classes)


def resnet50(in_channels: int = 3, num_classes: int = 1000, side: int = 224) -> ResNet:
    """ResNet-50: 25,557,032 parameters."""
    return ResNet((3, 4, 6, 3), True, in_channels, num_classes)


def resnet101(in_channels: int = 3, num_classes: int = 1000, side: int = 224) -> ResNet:
    """ResNet-101: 44,549,160 parameters."""
    return ResNet((3, 4, 23, 3), True, in_channels, num_classes)


def resnet152(in_channels: int = 3, num_classes: int = 1000, side: int = 224) -> ResNet:
    """ResNet-152: 60,192,808 parameters."""
    return ResNet((3, 8, 36, 3), True, in_channels, num_classes)


def _downsample(in_channels: int, out_channels: int, stride: int) -> nn.Sequential | None:
    """What brings the input to the shape of the sum; None where it has it already."""
    if stride == 1 and in_channels == out_channels:
        return None
    convolution = nn.Conv2d(in_channels, out_channels, 1, stride=stride, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(out_channels))


class _Basic(nn.Module):
    """Two 3x3 convolutions."""

    expansion = 1

    def __init__(self, in_channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, width, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU()
        self.downsample = _downsample(in_channels, width, stride)

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        return self.relu(y + (x if self.downsample is None else self.downsample(x)))


class _Bottleneck(nn.Module):
    """Narrow by a 1x1 convolution, look around by a 3x3, widen by a 1x1."""

    expansion = 4

    def __init__(self, in_channels: int, width: int, stride: int) -> None:
        super().__init__()
        out_channels = width * self.expansion
        self.conv1 = nn.Conv2d(in_channels, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride=stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, out_channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out_channels)
        self.relu = nn.ReLU()
        self.downsample = _downsample(in_channels, out_channels, stride)

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        return self.relu(y + (x if self.downsample is None else self.downsample(x)))
