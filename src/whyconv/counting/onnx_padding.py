"""How far a window of an ONNX file reaches over the borders, also where the file leaves that to its reader.

References:
    Conv and ConvTranspose: https://onnx.ai/onnx/operators.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any


def padding_of(
    attributes: Mapping[str, Any], lengths: Sequence[int], outputs: Sequence[int], kernel: Sequence[int]
) -> tuple[tuple[int, int], ...]:
    """Places before and after each axis of a window, also where the attributes leave them to the reader.

    Args:
        attributes: Of the node, by name.
        lengths: Of the axes that the window slides over; of a transposed convolution, those that it makes.
        outputs: Of the axes that it makes; of a transposed convolution, those that it takes.
        kernel: Taps along each axis.
    """
    depth, automatic = len(kernel), attributes.get("auto_pad", "NOTSET")
    automatic = automatic.decode() if isinstance(automatic, bytes) else automatic
    if not automatic.startswith("SAME") and not attributes.get("output_shape"):
        pads = attributes.get("pads") or [0] * (2 * depth)
        return tuple((pads[axis], pads[axis + depth]) for axis in range(depth))
    ones, zeros = [1] * depth, [0] * depth
    stride, dilation = attributes.get("strides") or ones, attributes.get("dilations") or ones
    added = attributes.get("output_padding") or zeros
    found = []
    for axis in range(depth):
        reach = dilation[axis] * (kernel[axis] - 1) + 1 + added[axis]
        total = max((outputs[axis] - 1) * stride[axis] + reach - lengths[axis], 0)
        small, large = total // 2, total - total // 2
        found.append((small, large) if automatic == "SAME_UPPER" else (large, small))
    return tuple(found)
