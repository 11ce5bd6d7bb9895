"""A network that looks at a picture through windows of it, one pixel or more apart, and answers with their mean."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from whyconv.errors import UsageError
from whyconv.results.windows import window_places

# Of the side: what a window leaves out along each axis.
_LEFT_OUT = 1 / 8
_LEAST_SIDE = 6


def window_for(side: int) -> int:
    """The side of the windows on pictures of a side, in pixels: about seven eighths of it, an even number less.

    Raises:
        UsageError: The picture is so small that no network of the catalogue would take its windows.
    """
    window = side - 2 * max(1, round(side * _LEFT_OUT / 2))
    if window < _LEAST_SIDE:
        raise UsageError(
            f"Pictures of {side} x {side} pixels are too small to be looked at through windows: {window} pixels a side "
            f"would be left, and networks take at least {_LEAST_SIDE}. Expected pictures of at least "
            f"{_LEAST_SIDE + 2} pixels a side: --size."
        )
    return window


class Windowed(nn.Module):
    """The mean of a network's answers to windows of a picture, each of pixels that are there.

    A picture that is moved brings in new pixels on one side. Windows inside it do not notice that until they come to
    the border: most of what is seen through them stays the same, and what changes is one part of a mean. Nothing is
    filled in.

    Answering, there are three windows along each axis, nine in all. Training, each picture is seen through one window,
    at a place drawn anew: any whole pixel. Drawn numbers are torch's own.

    Args:
        network: Maps (n, c, window, window) to logits.
        side: Of the pictures in pixels.
        window: Of the windows in pixels, at most ``side``. On pictures of another side, windows are as much larger or
            smaller, as in training that begins with small pictures.

    Raises:
        UsageError: The window is no part of the picture.

    References:
        Shifman, Weiss, *Lost in translation: modern neural networks still struggle with small realistic image
        transformations* (2024), arXiv 2404.07153, for why moves that bring in new pixels are what counts. Krizhevsky,
        Sutskever, Hinton, *ImageNet classification with deep convolutional neural networks* (2012), section 4.1, for
        answers averaged over windows.
    """

    def __init__(self, network: nn.Module, side: int, window: int) -> None:
        super().__init__()
        if not 1 <= window <= side:
            raise UsageError(f"A window of {window} pixels is no part of pictures of {side}: expected 1 to {side}.")
        self.network, self.side, self.window = network, side, window

    @property
    def num_windows(self) -> int:
        """How many windows an answer is the mean of."""
        return len(window_places(self.side, self.window)) ** 2

    def forward(self, x: Tensor) -> Tensor:
        """Maps pictures (n, c, h, h) to logits (n, classes); in training mode to those of one window of each."""
        window = self._window_of(x.shape[2])
        if self.training:
            return self.network(drawn_windows(x, window))
        return mean_of_windows(self.network(self.windows(x)), len(window_places(x.shape[2], window)) ** 2)

    def windows(self, x: Tensor) -> Tensor:
        """The windows of pictures (n, c, h, h), one after the other: (windows n, c, window, window)."""
        window = self._window_of(x.shape[2])
        places = window_places(x.shape[2], window)
        return torch.cat([x[:, :, top : top + window, left : left + window] for top in places for left in places])

    def extra_repr(self) -> str:
        """What stands in the brackets when it is printed."""
        return f"side={self.side}, window={self.window}"

    def _window_of(self, side: int) -> int:
        return self.window if side == self.side else max(1, round(side * self.window / self.side))


def mean_of_windows(values: Tensor, num_windows: int) -> Tensor:
    """The mean over windows of what (windows n, d) has of them, picture by picture: (n, d)."""
    return values.view(num_windows, -1, values.shape[1]).mean(dim=0)


def drawn_windows(x: Tensor, window: int) -> Tensor:
    """One window of each picture (n, c, h, h), at a place drawn for it: (n, c, window, window)."""
    n, channels, side = x.shape[:3]
    within = torch.arange(window, device=x.device)
    rows, columns = (torch.randint(side - window + 1, (n, 1), device=x.device) + within for _ in range(2))
    pictures = torch.arange(n, device=x.device).view(-1, 1, 1, 1)
    maps = torch.arange(channels, device=x.device).view(1, -1, 1, 1)
    found = x[pictures, maps, rows[:, None, :, None], columns[:, None, None, :]]
    return found.contiguous(memory_format=torch.channels_last)


def without_windows(network: nn.Module) -> nn.Module:
    """What looks through the windows; a network that has none is returned as it is."""
    return network.network if isinstance(network, Windowed) else network
