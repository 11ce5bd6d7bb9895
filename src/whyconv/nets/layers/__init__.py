"""Layers that torch does not have: the corners between dense and convolution, and what goes with them."""

from whyconv.nets.layers.dense_map import DenseMap2d
from whyconv.nets.layers.locally_connected import LocallyConnected2d
from whyconv.nets.layers.shared_global import SharedGlobal2d
from whyconv.nets.layers.stepped_global import SteppedGlobal2d
from whyconv.nets.layers.unit_norm import UnitBatchNorm2d

__all__ = ["DenseMap2d", "LocallyConnected2d", "SharedGlobal2d", "SteppedGlobal2d", "UnitBatchNorm2d"]
