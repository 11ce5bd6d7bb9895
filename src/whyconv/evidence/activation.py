"""The class activation map: the parts of a logit that each place of the last map brings, exactly.

Where the head is a mean over places and a linear layer, the logit of a class is a sum over places; where it is the
largest value of each channel, that value belongs to the place where it is. So the map and the bias together are the
logit, not nearly but up to rounding.

References:
    Zhou and others, *Learning deep features for discriminative localization* (2016), arXiv 1512.04150, section 2, for
    the mean. Oquab and others, *Is object localization for free?* (2015), CVPR, for the largest value.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from whyconv.evidence.heads import Head
from whyconv.results.evidence import Pooling

Map = NDArray[np.float64]


def logit_parts(maps: NDArray[np.float32], head: Head, label: int) -> Map:
    """Returns what each place brings to the logit of a class, for every view.

    Args:
        maps: Of the views, (views, c, h, w), or (views, h, w, c) as ``head.layout`` says.
        head: Of the network.
        label: Number of the class.

    Returns:
        float64 (views, h, w), in units of the logit; the sum over places and the bias are the logit of a view.
    """
    numbers = np.asarray(maps, np.float64)
    numbers = np.moveaxis(numbers, -1, 1) if head.layout == "channels last" else numbers
    shares = _shares(numbers, head.pooling)
    return np.asarray(np.einsum("c,vchw->vhw", head.weights[label] * head.factor, numbers * shares))


def _shares(maps: Map, pooling: Pooling) -> Map:
    """How much of each number goes into its channel's pooled one: the same for all, or all for the largest."""
    if pooling == "mean":
        return np.full(maps.shape, 1 / (maps.shape[2] * maps.shape[3]))
    is_largest = maps == maps.max(axis=(2, 3), keepdims=True)
    return np.asarray(is_largest / is_largest.sum(axis=(2, 3), keepdims=True))
