"""What connects with what, and what is shared: integer arithmetic, without torch."""

from whyconv.counting.axis import Axis, PaddingMode
from whyconv.counting.convolution import Convolution

__all__ = ["Axis", "Convolution", "PaddingMode"]
