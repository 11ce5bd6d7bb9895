"""Networks as torch modules: plain numbers in, no settings."""

from whyconv.nets.catalogue import NETWORKS, build_network, require_network
from whyconv.nets.lesson import Lesson
from whyconv.nets.plain import Plain

__all__ = ["NETWORKS", "Lesson", "Plain", "build_network", "require_network"]
