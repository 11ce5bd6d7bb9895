"""What connects with what, and what is shared: integer arithmetic, without torch."""

from whyconv.counting.axis import Axis, PaddingMode
from whyconv.counting.convolution import Convolution
from whyconv.counting.graph import Graph, Node, Parameter

__all__ = ["Axis", "Convolution", "Graph", "Node", "PaddingMode", "Parameter"]
