"""LeNet-5: two convolutions, each followed by subsampling, then three fully connected layers."""

from __future__ import annotations

from torch import Tensor, nn

from whyconv.nets.published import require_side

_LEAST_SIDE = 16


class LeNet5(nn.Module):
    """LeNet-5 as it is taught: 61,706 parameters for gray pictures of 32 x 32 and 10 classes.

    The first layer has 156 = 6 x (5 x 5 + 1) parameters for gray pictures, and 456 for color.

    In three points the paper differs: subsampling is plain averaging of 2 x 2 here, and has a factor and a bias for
    each map there; the second convolution sees all six maps here, and a chosen few each there; the answer is a fully
    connected layer here, and distances to drawn digits there.

    Args:
        in_channels: 1 for gray pictures, 3 for color.
        num_classes: Number of logits.
        side: Side of the square picture in pixels, at least 16.

    Raises:
        UsageError: ``side`` is too small.

    References:
        LeCun, Bottou, Bengio, Haffner, Gradient-based learning applied to document recognition (1998).
    """

    def __init__(self, in_channels: int = 1, num_classes: int = 10, side: int = 32) -> None:
        super().__init__()
        require_side("lenet5", side, _LEAST_SIDE)
        places = ((side - 4) // 2 - 4) // 2
        self.conv1 = nn.Conv2d(in_channels, 6, 5)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.pool = nn.AvgPool2d(2)
        self.tanh = nn.Tanh()
        self.fc1 = nn.Linear(16 * places * places, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Maps pictures (n, c, side, side) to logits (n, classes)."""
        x = self.pool(self.tanh(self.conv1(x)))
        x = self.pool(self.tanh(self.conv2(x)))
        x = self.tanh(self.fc1(x.flatten(1)))
        return self.fc3(self.tanh(self.fc2(x)))
