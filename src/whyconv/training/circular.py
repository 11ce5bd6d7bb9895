"""Settings of a training whose answers circular moves of the picture are not to change."""

from __future__ import annotations

from collections.abc import Sequence

from whyconv.nets.invariant import fitting_side
from whyconv.settings import CAN_BE_CIRCULAR, SCRATCH, TrainSettings, View
from whyconv.training.views import from_afar

NETWORK = "plain_circular"
# That the certificate takes, about, when a training is finished.
CERTIFICATE_SECONDS = 20.0


def circular_settings(settings: TrainSettings, side: int) -> TrainSettings:
    """The settings with the network made plain, random weights unless a file is named, and a side that fits.

    Args:
        settings: With ``invariant`` asked for.
        side: Of the pictures in pixels, where none is asked for.
    """
    start = None if settings.start == SCRATCH else settings.start
    if settings.network not in CAN_BE_CIRCULAR:
        return settings.model_copy(update={"start": start})
    size = settings.size or fitting_side(side)
    return settings.model_copy(update={"start": start, "network": NETWORK, "size": size})


def views_kept(settings: TrainSettings, views: Sequence[View]) -> list[View]:
    """The views that answers may average: none from closer where they are to be invariant: these lose the border."""
    return from_afar(views) if settings.invariant else list(views)
