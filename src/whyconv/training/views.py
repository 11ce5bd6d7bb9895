"""The views of a picture whose answers are averaged: as it is, mirrored, from closer."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor
from torch.nn import functional

from whyconv.images.closer import CLOSER_FRACTION, margin
from whyconv.settings import AugmentPlan, View


def views_for(augment: AugmentPlan) -> list[View]:
    """The views that training has prepared the network for.

    Mirrored ones where training mirrors; closer ones where it crops to less than their area.
    """
    views: list[View] = ["upright"]
    if augment.min_area < CLOSER_FRACTION**2:
        views.append("closer")
    return [*views, *_mirrored(views)] if augment.flip else views


def _mirrored(views: Sequence[View]) -> list[View]:
    return ["mirrored" if view == "upright" else "closer_mirrored" for view in views]


def from_afar(views: Sequence[View]) -> list[View]:
    """The views that show the whole picture: what validation looks at after every epoch, to be quick."""
    return [view for view in views if not view.startswith("closer")]


def seen(x: Tensor, view: View) -> Tensor:
    """Pictures (n, c, side, side) as one view shows them, in the same shape and scale."""
    if view.startswith("closer"):
        x = _from_closer(x)
    return x.flip(3) if view.endswith("mirrored") else x


def _from_closer(x: Tensor) -> Tensor:
    """The middle of the pictures, enlarged to their size: bilinear between the centers of pixels.

    The middle has ``CLOSER_FRACTION`` of the side, rounded so that the same number of pixels goes on all sides.
    """
    side, edge = x.shape[2], margin(x.shape[2])
    middle = x[:, :, edge : side - edge, edge : side - edge]
    return functional.interpolate(middle, size=(side, side), mode="bilinear", align_corners=False)
