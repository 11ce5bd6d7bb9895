"""What the published networks have in common: the smallest picture they take, and how their weights start."""

from __future__ import annotations

from torch import nn

from whyconv.errors import UsageError


def require_side(name: str, side: int, least: int) -> None:
    """Makes sure that every map of a network has at least one place.

    Raises:
        UsageError: The pictures are too small.
    """
    if side < least:
        raise UsageError(
            f"{name} needs pictures of at least {least} pixels a side, for each of its layers makes them smaller; got "
            f"{side}. Take larger ones, or another network: resnet18 takes every size."
        )


def start_for_relu(network: nn.Module) -> None:
    """Draws the weights of all convolutions so that the spread of the values stays the same from ReLU to ReLU.

    References:
        He, Zhang, Ren, Sun, Delving deep into rectifiers (2015), arXiv 1502.01852, equation 10.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_in", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
