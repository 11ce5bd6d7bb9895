"""AlexNet: five convolutions with large first kernels, then three fully connected layers."""

from __future__ import annotations

from torch import Tensor, nn

from whyconv.nets.published import require_side, start_for_relu

_LEAST_SIDE = 63


class AlexNet(nn.Module):
    """AlexNet in its form for one processor, with torchvision's names: 61,100,840 parameters.

    The last map is averaged to 6 x 6 places whatever the picture's size, so that the fully connected layers fit.

    Args:
        in_channels: 1 for gray pictures, 3 for color.
        num_classes: Number of logits.
        side: Side of the square picture in pixels, at least 63; 224 in the paper.

    Raises:
        UsageError: ``side`` is too small.

    References:
        Krizhevsky, One weird trick for parallelizing convolutional neural networks (2014), arXiv 1404.5997.
    """

    def __init__(self, in_channels: int = 3, num_classes: int = 1000, side: int = 224) -> None:
        super().__init__()
        require_side("alexnet", side, _LEAST_SIDE)
        self.features = nn.Sequential(
            *(nn.Conv2d(in_channels, 64, 11, stride=4, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2)),
            *(nn.Conv2d(64, 192, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, 2)),
            *(nn.Conv2d(192, 384, 3, padding=1), nn.ReLU()),
            *(nn.Conv2d(384, 256, 3, padding=1), nn.ReLU()),
            *(nn.Conv2d(256, 256, 3, padding=1), nn.ReLU(), nn.MaxPool2d(3, 2)),
        )
        self.avgpool = nn.AdaptiveAvgPool2d((6, 6))
        self.classifier = nn.Sequential(
            *(nn.Dropout(), nn.Linear(256 * 6 * 6, 4096), nn.ReLU()),
            *(nn.Dropout(), nn.Linear(4096, 4096), nn.ReLU()),
            nn.Linear(4096, num_classes),
        )
        start_for_relu(self)

    def forward(self, x: Tensor) -> Tensor:
        """Maps pictures (n, c, side, side) to logits (n, classes)."""
        return self.classifier(self.avgpool(self.features(x)).flatten(1))
