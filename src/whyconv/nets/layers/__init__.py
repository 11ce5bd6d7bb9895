"""Layers torch lacks: the corners between dense and convolution, their company, subsampling that moves along."""

from whyconv.nets.layers.blur_pool import BlurPool2d, MaxBlurPool2d
from whyconv.nets.layers.borders import with_circular_borders, with_full_borders
from whyconv.nets.layers.dense_map import DenseMap2d
from whyconv.nets.layers.locally_connected import LocallyConnected2d
from whyconv.nets.layers.polyphase_pool import PhaseChoice, PolyphasePool2d
from whyconv.nets.layers.shared_global import SharedGlobal2d
from whyconv.nets.layers.stepped_global import SteppedGlobal2d
from whyconv.nets.layers.unit_norm import UnitBatchNorm2d

__all__ = [
    "BlurPool2d",
    "DenseMap2d",
    "LocallyConnected2d",
    "MaxBlurPool2d",
    "PhaseChoice",
    "PolyphasePool2d",
    "SharedGlobal2d",
    "SteppedGlobal2d",
    "UnitBatchNorm2d",
    "with_circular_borders",
    "with_full_borders",
]
