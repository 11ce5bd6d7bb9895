"""A network's twins: the same connections without sharing, and one layer as the dense layer it is a part of."""

from whyconv.nets.twins.dense import dense_twin
from whyconv.nets.twins.local import local_twin

__all__ = ["dense_twin", "local_twin"]
