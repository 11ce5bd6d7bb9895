"""Networks as torch modules: plain numbers in, no settings."""

from whyconv.nets.catalogue import NETWORKS, allow_code, build_network, build_planned, require_network
from whyconv.nets.committee import Committee
from whyconv.nets.invariant import PlainCircular
from whyconv.nets.layers import (
    BlurPool2d,
    DenseMap2d,
    LocallyConnected2d,
    MaxBlurPool2d,
    PolyphasePool2d,
    SharedGlobal2d,
    SteppedGlobal2d,
    UnitBatchNorm2d,
    with_circular_borders,
    with_full_borders,
)
from whyconv.nets.lesson import Lesson
from whyconv.nets.plain import Plain
from whyconv.nets.swift import Swift
from whyconv.nets.twins import MatchedPerceptron, dense_twin, local_twin, restart, shared_global_twin
from whyconv.nets.windowed import Windowed

__all__ = [
    "NETWORKS",
    "BlurPool2d",
    "Committee",
    "DenseMap2d",
    "Lesson",
    "LocallyConnected2d",
    "MatchedPerceptron",
    "MaxBlurPool2d",
    "Plain",
    "PlainCircular",
    "PolyphasePool2d",
    "SharedGlobal2d",
    "SteppedGlobal2d",
    "Swift",
    "UnitBatchNorm2d",
    "Windowed",
    "allow_code",
    "build_network",
    "build_planned",
    "dense_twin",
    "local_twin",
    "require_network",
    "restart",
    "shared_global_twin",
    "with_circular_borders",
    "with_full_borders",
]
