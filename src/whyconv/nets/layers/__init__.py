"""Layers that torch does not have: the corners between dense and convolution, and subsampling that moves along."""

from whyconv.nets.layers.blur_pool import BlurPool2d
from whyconv.nets.layers.borders import with_circular_borders, with_full_borders
from whyconv.nets.layers.locally_connected import LocallyConnected2d
from whyconv.nets.layers.polyphase_pool import PhaseChoice, PolyphasePool2d
from whyconv.nets.layers.shared_global import SharedGlobal2d

__all__ = [
    "BlurPool2d",
    "LocallyConnected2d",
    "PhaseChoice",
    "PolyphasePool2d",
    "SharedGlobal2d",
    "with_circular_borders",
    "with_full_borders",
]
