"""The errors of all layers, split by cause."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from whyconv.measures.moved_maps import MovedMap
from whyconv.results import Estimate
from whyconv.results.equivariance import CAUSES, Cause, CauseShare

# Errors up to here are those of rounding in float32, whose sums come in another order for another batch.
ROUNDING = 1e-4

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Measured:
    """Errors of each picture (n,) at one map or at the logits; None where they cannot be measured.

    As in ``LayerEquivariance``; of the logits only ``whole`` and ``head_alone``.
    """

    at_jump: Floats | None = None
    within: Floats | None = None
    whole: Floats | None = None
    whole_at_jump: Floats | None = None
    head_alone: Floats | None = None


def shares(
    maps: Sequence[MovedMap],
    measured: Sequence[Measured],
    head: str,
    estimate: Callable[[Floats], Estimate],
    *,
    has_new_pixels: bool,
) -> tuple[Literal["inside", "whole", ""], list[CauseShare]]:
    """Splits the error of the logits: what each cause adds to the one before it.

    Args:
        maps: In the order in which they are computed.
        measured: One for each, and one for the logits.
        head: Name of the layer that reads the last map.
        estimate: Of differences (n,), paired by picture.
        has_new_pixels: Whether the logits saw pixels that no place had before. They change answers whatever the head
            is, so it has no share, and is named only where moving the last map alone changes answers.

    Returns:
        What told sampling and border apart, and the share of each cause. The border's share is an odd size's where
        nothing else can be at fault at the border.
    """
    last = measured[len(maps) - 1] if maps else Measured()
    logits = measured[-1].whole
    assert logits is not None
    nothing = np.zeros_like(logits)
    whole = last.whole if maps else nothing
    told_by, place, stride, border = _told(last) if maps else ("inside", nothing, nothing, nothing)
    found: dict[Cause, Floats | None] = {"place": place, "stride": stride, "border": border, "odd_size": nothing}
    found["head"] = None if whole is None or has_new_pixels else logits - whole
    alone: dict[Cause, Floats | None] = {"place": last.at_jump, "stride": last.within, "border": last.whole_at_jump}
    alone["head"] = measured[-1].head_alone
    layers = {cause: _layers(cause, maps, measured) for cause in CAUSES}
    if not layers["border"] and layers["odd_size"]:
        found["border"], found["odd_size"] = nothing, border
        alone["odd_size"] = alone.pop("border")
    elif layers["odd_size"]:
        found["odd_size"] = None
    by_itself = alone["head"]
    if head and not (has_new_pixels and by_itself is not None and by_itself.mean() <= ROUNDING):
        layers["head"] = [head]

    def known(errors: Floats | None) -> Estimate | None:
        return None if errors is None else estimate(errors)

    return told_by, [
        CauseShare(cause=cause, error=known(found[cause]), alone=known(alone.get(cause)), layers=layers[cause])
        for cause in CAUSES
    ]


def _told(last: Measured) -> tuple[Literal["inside", "whole", ""], Floats | None, Floats | None, Floats | None]:
    """What operations that depend on the place, sampling and the border add at the last map."""
    if last.at_jump is not None and last.within is not None and last.whole is not None:
        return "inside", last.at_jump, last.within - last.at_jump, last.whole - last.within
    if last.whole_at_jump is not None and last.whole is not None:
        # The two shifts are not equally far: their difference is no cause's share.
        return "whole", None, None, None
    return "", None, None, None


def _layers(cause: Cause, maps: Sequence[MovedMap], measured: Sequence[Measured]) -> list[str]:
    """Where a cause comes in: layers that can bring it by structure, but for "place", which only measuring shows."""
    if cause != "place":
        return [one.node.name for one in maps if cause in one.brings]
    before: set[str] = set()  # values that depend on their place already
    names = []
    for one, found in zip(maps, measured, strict=False):
        if found.at_jump is None or found.at_jump.mean() <= ROUNDING:
            continue
        if not before.intersection(one.node.inputs):
            names.append(one.node.name)
        before.add(one.output)
    return names
