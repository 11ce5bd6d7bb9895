"""The lecture's own network: convolution and pooling layers, then fully connected layers, then softmax."""

from __future__ import annotations

from torch import Tensor, nn


class Lesson(nn.Module):
    """Convolution, ReLU and 2x2 max pooling, two or three times; flatten; two fully connected layers.

    The softmax is part of the cost (cross-entropy) and of the exported file. Flattening ties the fully
    connected layers to places: the answer may change when the picture is moved.

    Args:
        in_channels: 1 for gray pictures, 3 for color.
        num_classes: Number of logits, >= 2.
        side: Side of the square picture in pixels, >= 6.
    """

    def __init__(self, in_channels: int, num_classes: int, side: int) -> None:
        super().__init__()
        kernel = 5 if side >= 24 else 3
        widths = [8, 16] if side < 48 else [8, 16, 32]
        layers: list[nn.Module] = []
        place = side
        for previous, current in zip([in_channels, *widths], widths, strict=False):
            layers += [nn.Conv2d(previous, current, kernel, padding=kernel // 2), nn.ReLU(), nn.MaxPool2d(2)]
            place //= 2
        self.convolutions = nn.Sequential(*layers)
        self.fully_connected = nn.Sequential(nn.Linear(widths[-1] * place * place, 120), nn.ReLU())
        self.head = nn.Linear(120, num_classes)

    def features(self, x: Tensor) -> Tensor:
        """Maps pictures (n, c, side, side) to feature vectors (n, 120)."""
        return self.fully_connected(self.convolutions(x).flatten(1))

    def forward(self, x: Tensor) -> Tensor:
        """Maps pictures (n, c, side, side) to logits (n, classes)."""
        return self.head(self.features(x))
