"""Networks as torch modules: plain numbers in, no settings."""

from whyconv.nets.catalogue import NETWORKS, build_network, require_network
from whyconv.nets.committee import Committee
from whyconv.nets.invariant import PlainCircular
from whyconv.nets.layers import (
    BlurPool2d,
    LocallyConnected2d,
    PolyphasePool2d,
    SharedGlobal2d,
    with_circular_borders,
    with_full_borders,
)
from whyconv.nets.lesson import Lesson
from whyconv.nets.plain import Plain
from whyconv.nets.swift import Swift
from whyconv.nets.twins import dense_twin, local_twin

__all__ = [
    "NETWORKS",
    "BlurPool2d",
    "Committee",
    "Lesson",
    "LocallyConnected2d",
    "Plain",
    "PlainCircular",
    "PolyphasePool2d",
    "SharedGlobal2d",
    "Swift",
    "build_network",
    "dense_twin",
    "local_twin",
    "require_network",
    "with_circular_borders",
    "with_full_borders",
]
