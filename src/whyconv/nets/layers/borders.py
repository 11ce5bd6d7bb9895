"""Other borders for convolutions that are there already: around to the other side, or padded in full."""

from __future__ import annotations

from typing import TypeVar

from torch import nn

from whyconv.errors import UsageError

Network = TypeVar("Network", bound=nn.Module)


def with_circular_borders(network: Network) -> Network:
    """Lets every two-dimensional convolution pad circularly by as much as it pads now; changes it in place.

    Weights stay, but they were learned beside other borders. A convolution that does not pad stays as it is.

    Args:
        network: Its ``nn.Conv2d`` are changed; pooling, and padding by functions, are not seen.

    Returns:
        The same network.
    """
    for convolution in _convolutions(network):
        convolution.padding_mode = "circular"
    return network


def with_full_borders(network: Network) -> Network:
    """Lets every two-dimensional convolution pad with zeros so far that each weight meets each pixel; in place.

    That is d (k - 1) on every side: a map of n places becomes one of n + d (k - 1). With less padding the outer weights
    never meet the outermost pixels, and a network can tell by that where a thing lies.

    Args:
        network: Its ``nn.Conv2d`` are changed, and must have a stride of 1: others skip places whatever the border.

    Returns:
        The same network, whose maps are larger now.

    Raises:
        UsageError: A convolution strides; nothing was changed.

    References:
        Kayhan, van Gemert, *On translation invariance in CNNs: convolutional layers can exploit absolute spatial
        location* (2020), arXiv 2003.07064, section 3, "F-Conv".
    """
    strided = [name for name, each in network.named_modules() if isinstance(each, nn.Conv2d) and max(each.stride) > 1]
    if strided:
        raise UsageError(
            f"Convolutions that stride skip places whatever their border: {', '.join(map(repr, strided))}. Expected a "
            "stride of 1; subsample after them, with BlurPool2d or PolyphasePool2d."
        )
    for convolution in _convolutions(network):
        high, wide = (
            spread * (size - 1) for spread, size in zip(convolution.dilation, convolution.kernel_size, strict=True)
        )
        convolution.padding_mode, convolution.padding = "zeros", (high, wide)
        convolution._reversed_padding_repeated_twice = [wide, wide, high, high]
    return network


def _convolutions(network: nn.Module) -> list[nn.Conv2d]:
    return [each for each in network.modules() if isinstance(each, nn.Conv2d)]
