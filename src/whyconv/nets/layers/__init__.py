"""Layers that torch does not have: the two corners between dense and convolution."""

from whyconv.nets.layers.locally_connected import LocallyConnected2d
from whyconv.nets.layers.shared_global import SharedGlobal2d

__all__ = ["LocallyConnected2d", "SharedGlobal2d"]
