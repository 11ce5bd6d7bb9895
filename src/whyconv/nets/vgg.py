"""VGG-16: thirteen 3x3 convolutions in five stages with pooling between, then three fully connected layers."""

from __future__ import annotations

from torch import Tensor, nn

from whyconv.nets.published import require_side, start_for_relu

_LEAST_SIDE = 32
# Convolutions and filters of each stage.
_STAGES = ((2, 64), (2, 128), (3, 256), (3, 512), (3, 512))


class VGG16(nn.Module):
    """VGG-16 (configuration D) with torchvision's names: 138,357,544 parameters, 124 million of them not shared.

    The last map is averaged to 7 x 7 places whatever the picture's size, so that the fully connected layers fit.

    Args:
        in_channels: 1 for gray pictures, 3 for color.
        num_classes: Number of logits.
        side: Side of the square picture in pixels, at least 32; 224 in the paper.

    Raises:
        UsageError: ``side`` is too small.

    References:
        Simonyan, Zisserman, Very deep convolutional networks for large-scale image recognition (2014),
        arXiv 1409.1556, table 1.
    """

    def __init__(self, in_channels: int = 3, num_classes: int = 1000, side: int = 224) -> None:
        super().__init__()
        require_side("vgg16", side, _LEAST_SIDE)
        layers: list[nn.Module] = []
        channels = in_channels
        for count, width in _STAGES:
            for _ in range(count):
                layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
                channels = width
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d((7, 7))
        self.classifier = nn.Sequential(
            *(nn.Linear(channels * 7 * 7, 4096), nn.ReLU(), nn.Dropout()),
            *(nn.Linear(4096, 4096), nn.ReLU(), nn.Dropout()),
            nn.Linear(4096, num_classes),
        )
        start_for_relu(self)

    def forward(self, x: Tensor) -> Tensor:
        """Maps pictures (n, c, side, side) to logits (n, classes)."""
        return self.classifier(self.avgpool(self.features(x)).flatten(1))
