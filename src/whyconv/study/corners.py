"""The four corners: networks with one hidden layer each, equal but for where it looks and what it shares.

                     every pixel seen       a window seen
    own weights      dense                  local
    shared weights   shared_global          convolution

All have the same hidden units (``maps`` at every pixel) behind the same ReLU and the same linear readout. Windows go
around the border: the picture is a ring along both axes, so that no place is special. Nothing is pooled locally and,
unless it is asked for, nothing is normalized: both would single out neighbors, or pixels of equal sign.

The readout sees the mean of each map over all places, times the side so that its spread does not shrink with the
picture; so every place counts the same. Or it sees all places, each with weights of its own.

Beside the dense corner, which has the convolution's units, there may be dense networks of a few units: with as many
parameters as the convolution, or as many multiply-adds. They have no maps, and the readout sees every unit.

References:
    Neyshabur, *Towards learning convolutions from scratch* (2020), arXiv 2007.13657, compares such networks;
    Novak and others, *Bayesian deep convolutional networks with many channels are Gaussian processes* (2019),
    arXiv 1810.05148: what sharing can do depends on whether the places are averaged.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from whyconv.nets.layers import LocallyConnected2d, SharedGlobal2d
from whyconv.results import Corner, Readout


@dataclass(frozen=True)
class Sizes:
    """Of a network with one hidden layer.

    Attributes:
        channels: Of the pictures.
        side: Of the pictures and of the hidden maps, in pixels.
        maps: Hidden maps.
        kernel: Side of the window of *local* and *convolution*; odd, at most ``side``.
        classes: Number of logits.
        readout: "mean" over the places of each map, or all "places".
        width: Hidden units of a dense network that has no maps; None: a unit for each map and place.
        is_normalized: Whether each map is normalized over pictures and places, before the ReLU.
    """

    channels: int
    side: int
    maps: int
    kernel: int
    classes: int
    readout: Readout = "mean"
    width: int | None = None
    is_normalized: bool = False

    @property
    def places(self) -> int:
        """Of each picture."""
        return self.side**2

    @property
    def hidden_shape(self) -> tuple[int, int]:
        """Maps and places of the hidden units; one map where there is a number of units alone."""
        return (self.maps, self.places) if self.width is None else (1, self.width)

    @property
    def units(self) -> int:
        """Hidden units."""
        return math.prod(self.hidden_shape)

    @property
    def features(self) -> int:
        """What the readout sees."""
        return self.maps if self.readout == "mean" and self.width is None else self.units


class OneHiddenLayer(nn.Module):
    """Hidden layer, batch normalization where there is one, ReLU, linear readout.

    Args:
        corner: Which hidden layer.
        sizes: Of everything.
        seed: Of the starting weights.
    """

    def __init__(self, corner: Corner, sizes: Sizes, seed: int = 0) -> None:
        super().__init__()
        self.corner = corner
        self.sizes = sizes
        self.hidden = _hidden_layer(corner, sizes)
        self.normalization = nn.BatchNorm2d(sizes.maps) if sizes.is_normalized else None
        self.readout = nn.Linear(sizes.features, sizes.classes)
        self._draw(torch.Generator().manual_seed(seed))

    def forward(self, x: Tensor) -> Tensor:
        """Maps pictures (n, c, side, side) to logits (n, classes)."""
        y: Tensor = self.hidden(x.flatten(1) if self.corner == "dense" else x)
        y = y.view(-1, *self.sizes.hidden_shape)
        if self.normalization is not None:
            y = self.normalization(y.unsqueeze(-1)).squeeze(-1)
        logits: Tensor = self.readout(features(y, self.sizes))
        return logits

    def _draw(self, generator: torch.Generator) -> None:
        """Weights normal with a variance that follows from the inputs of one unit; biases 0.

        References:
            He and others, *Delving deep into rectifiers* (2015), arXiv 1502.01852, equation 10.
        """
        with torch.no_grad():
            hidden = self.hidden.weight
            assert isinstance(hidden, Tensor)
            hidden.normal_(0, math.sqrt(2 / fan_in(self.corner, self.sizes)), generator=generator)
            self.readout.weight.normal_(0, 1 / math.sqrt(self.sizes.features), generator=generator)
            for layer in (self.hidden, self.readout):
                assert isinstance(layer.bias, Tensor)
                layer.bias.zero_()


def features(hidden: Tensor, sizes: Sizes) -> Tensor:
    """What the readout sees of hidden maps (..., maps, places) before their ReLU: (..., features)."""
    active = hidden.relu()
    is_mean = sizes.readout == "mean" and sizes.width is None
    return active.mean(-1) * sizes.side if is_mean else active.flatten(-2)


def fan_in(corner: Corner, sizes: Sizes) -> int:
    """Inputs of one hidden unit: what makes the twins start alike in spread."""
    window = sizes.kernel**2 if corner in ("local", "convolution") else sizes.places
    return sizes.channels * window


def num_hidden_parameters(corner: Corner, sizes: Sizes) -> int:
    """Weights and biases of the hidden layer."""
    detectors = sizes.units if corner in ("dense", "local") else sizes.maps
    return detectors * (fan_in(corner, sizes) + 1)


def num_parameters(corner: Corner, sizes: Sizes) -> int:
    """Weights and biases of the whole network."""
    normalizing = 2 * sizes.maps if sizes.is_normalized else 0
    return num_hidden_parameters(corner, sizes) + normalizing + sizes.classes * (sizes.features + 1)


def num_multiply_adds(corner: Corner, sizes: Sizes) -> int:
    """Multiply-adds of the two layers for one picture."""
    return sizes.units * fan_in(corner, sizes) + sizes.classes * sizes.features


def _hidden_layer(corner: Corner, sizes: Sizes) -> nn.Module:
    channels, maps, side, kernel = sizes.channels, sizes.maps, sizes.side, sizes.kernel
    match corner:
        case "dense":
            return nn.Linear(channels * sizes.places, sizes.units)
        case "local":
            return LocallyConnected2d(
                channels, maps, kernel, input_size=side, padding=kernel // 2, padding_mode="circular"
            )
        case "shared_global":
            return SharedGlobal2d(channels, maps, side)
        case "convolution":
            return nn.Conv2d(channels, maps, kernel, padding=kernel // 2, padding_mode="circular")
