"""Networks as torch modules: plain numbers in, no settings."""

from whyconv.nets.catalogue import NETWORKS, build_network, require_network
from whyconv.nets.committee import Committee
from whyconv.nets.layers import LocallyConnected2d, SharedGlobal2d
from whyconv.nets.lesson import Lesson
from whyconv.nets.plain import Plain
from whyconv.nets.swift import Swift
from whyconv.nets.twins import dense_twin, local_twin

__all__ = [
    "NETWORKS",
    "Committee",
    "Lesson",
    "LocallyConnected2d",
    "Plain",
    "SharedGlobal2d",
    "Swift",
    "build_network",
    "dense_twin",
    "local_twin",
    "require_network",
]
