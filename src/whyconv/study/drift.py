"""How far the filters of a locally connected layer have drifted apart, place by place.

Taps that only ever meet padding never learn, so that at the border they would look like drift: each place is compared
over the taps that meet data there.

References:
    Ott, Linstead, LaHaye, Baldi, *Learning in the machine: to share or not to share?* (2020), arXiv 1909.11483, watches
    how alike the filters of free convolutional networks become over places.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from whyconv.nets.layers import LocallyConnected2d
from whyconv.results.price import CosineAtDistance

Floats = NDArray[np.float64]
# More places than these are thinned out for the comparison of every place with every other one.
_MOST_PLACES = 1024
_TINY = 1e-30


def meets_data(layer: LocallyConnected2d) -> Floats:
    """Which weights meet data and not only padding: 1 or 0 (places_h, places_w, out_channels, taps)."""
    ones = layer.weight.new_ones(1, layer.in_channels, *layer.input_size)
    with torch.enable_grad():
        (counts,) = torch.autograd.grad(layer(ones).sum(), layer.weight)
    return _flat(counts != 0)


def filters_of(layer: LocallyConnected2d) -> Floats:
    """The weights (places_h, places_w, out_channels, taps); a tap is an input channel at a place of the kernel."""
    return _flat(layer.weight)


def drift_map(filters: Floats, live: Floats) -> Floats:
    """|w_place - mean w| / |mean w| at each place (places_h, places_w), over the taps that meet data there.

    Args:
        filters: (places_h, places_w, out_channels, taps).
        live: 1 where a weight meets data; the mean of a tap is over the places where it does.
    """
    mean = _mean_filter(filters, live)
    apart = np.sqrt((live * (filters - mean) ** 2).sum((2, 3)))
    size = np.sqrt((live * mean**2).sum((2, 3)))
    return np.asarray(apart / np.maximum(size, _TINY))


def leading_direction(filters: Floats, live: Floats) -> tuple[Floats, float]:
    """How far each place's filter lies along the direction in which filters differ most, and that direction's share.

    Args:
        filters: (places_h, places_w, out_channels, taps).
        live: 1 where a weight meets data.

    Returns:
        Values from -1 to 1 (places_h, places_w), the farthest place being 1; and the share of the variance over places
        in [0, 1]. All 0 where all filters are the same.
    """
    places = filters.shape[:2]
    apart = (live * (filters - _mean_filter(filters, live))).reshape(places[0] * places[1], -1)
    total = float((apart**2).sum())
    if total <= _TINY:
        return np.zeros(places), 0.0
    # Eigenvectors of the places' products: there are fewer places than weights.
    values, vectors = np.linalg.eigh(apart @ apart.T)
    along = vectors[:, -1]
    farthest = along[np.abs(along).argmax()]
    return (along / farthest).reshape(places), float(values[-1] / total)


def cosines_by_distance(filters: Floats, before: Floats, live: Floats) -> list[CosineAtDistance]:
    """Mean cosine of the filters of two places, and of what training added to them, by the places' distance.

    Args:
        filters: (places_h, places_w, out_channels, taps), after training.
        before: The same before it.
        live: 1 where a weight meets data; two places are compared over the taps that do at both.
    """
    high, wide = filters.shape[:2]
    step = max(1, -(-high * wide // _MOST_PLACES))
    chosen = np.arange(0, high * wide, step)
    rows, columns = chosen // wide, chosen % wide
    first, second = np.triu_indices(len(chosen), 1)
    apart = np.hypot(rows[first] - rows[second], columns[first] - columns[second])
    distances = np.rint(apart).astype(np.int64)
    own, added = (_cosines(each, live, rows, columns)[first, second] for each in (filters, filters - before))
    return [
        CosineAtDistance(
            distance=int(distance),
            num_pairs=int((distances == distance).sum()),
            filters=float(own[distances == distance].mean()),
            changes=float(added[distances == distance].mean()),
        )
        for distance in np.unique(distances)
    ]


def _cosines(filters: Floats, live: Floats, rows: NDArray[np.int64], columns: NDArray[np.int64]) -> Floats:
    """Mean over output channels of the cosine of every two places (places, places); 0 where a filter is 0."""
    total = np.zeros((len(rows), len(rows)))
    for channel in range(filters.shape[2]):
        alive = live[rows, columns, channel]
        filled = filters[rows, columns, channel] * alive
        squares = filled**2 @ alive.T
        sizes = np.sqrt(squares * squares.T)
        total += np.where(sizes > _TINY, (filled @ filled.T) / np.maximum(sizes, _TINY), 0.0)
    return np.asarray(total / filters.shape[2])


def _mean_filter(filters: Floats, live: Floats) -> Floats:
    """Mean over the places where each tap meets data (out_channels, taps)."""
    return np.asarray((live * filters).sum((0, 1)) / np.maximum(live.sum((0, 1)), 1))


def _flat(weights: Tensor) -> Floats:
    return np.asarray(weights.detach().double().flatten(3).cpu().numpy())
