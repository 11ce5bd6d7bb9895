"""Maps of several views of one picture, brought back onto the picture and averaged.

The answer is that of the mean of the views' logits. So each view's parts of the logit are put where they come from:
mirrored back, moved into the middle that a view from closer shows; where a place of one view lies over several of the
other's, its value is divided by area. Nothing gets lost: the mean map and the bias still are the logit.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from whyconv.evidence.activation import Map
from whyconv.images.closer import margin

Box = tuple[float, float, float, float]
Place = tuple[int, int]
# Of a place: edges that are the same but for rounding share less.
_ROUNDING = 1e-9


def on_the_picture(maps: Map, views: Sequence[str], box: Box, side: int) -> Map:
    """Returns the mean over views (h, w) of maps (views, h, w), all on the places of the upright view.

    Args:
        maps: Of each view, over what that view shows.
        views: "upright", "mirrored", "closer" or "closer_mirrored", one for each map.
        box: Top, left, height and width in pixels of what a map lies over, in the view's own pixels.
        side: Of the picture in pixels.
    """
    height, width = maps.shape[1:]
    rows, columns = _edges(box[0], box[2], height), _edges(box[1], box[3], width)
    moved = []
    for one, view in zip(maps, views, strict=True):
        down, across = _weights(rows, columns, view, side)
        moved.append(down @ one @ across.T)
    return np.asarray(np.mean(moved, axis=0))


def sources_of(place: Place, shape: Place, view: str, box: Box, side: int) -> list[Place]:
    """Returns the places of a view of which something is put to one place of the upright view.

    Args:
        place: Row and column in the upright view.
        shape: Places down and across.
        view: As for ``on_the_picture``, and so ``box`` and ``side``.
        box: What a map lies over.
        side: Of the picture in pixels.
    """
    rows, columns = _edges(box[0], box[2], shape[0]), _edges(box[1], box[3], shape[1])
    weights = zip(_weights(rows, columns, view, side), place, strict=True)
    down, across = (np.flatnonzero(each[at] > _ROUNDING).tolist() for each, at in weights)
    return [(row, column) for row in down for column in across]


def _weights(rows: Map, columns: Map, view: str, side: int) -> tuple[Map, Map]:
    """How the places of a view are shared out down and across, each (targets, sources)."""
    across = _turned(_seen_from(columns, view, side), view, side)
    return _shared_out(_seen_from(rows, view, side), rows), _shared_out(across, columns)


def _edges(start: float, length: float, count: int) -> NDArray[np.float64]:
    """Where places begin and end (count + 1,)."""
    return start + length * np.arange(count + 1) / count


def _seen_from(edges: NDArray[np.float64], view: str, side: int) -> NDArray[np.float64]:
    """Edges in a view as edges in the picture, but for its turning."""
    if not view.startswith("closer"):
        return edges
    cut = margin(side)
    return cut + edges * (side - 2 * cut) / side


def _turned(edges: NDArray[np.float64], view: str, side: int) -> NDArray[np.float64]:
    return side - edges if view.endswith("mirrored") else edges


def _shared_out(sources: NDArray[np.float64], targets: NDArray[np.float64]) -> Map:
    """Which fraction of each source place lies over each target place (targets, sources); columns sum to 1.

    What lies before the first target counts to the first, what lies behind the last to the last.
    """
    bounds = np.concatenate([[-np.inf], targets[1:-1], [np.inf]])
    begins, ends = np.minimum(sources[:-1], sources[1:]), np.maximum(sources[:-1], sources[1:])
    shared = np.minimum(bounds[1:, None], ends) - np.maximum(bounds[:-1, None], begins)
    return np.asarray(np.clip(shared, 0, None) / (ends - begins))
