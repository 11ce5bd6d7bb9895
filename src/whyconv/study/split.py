"""From the accuracies of the corners to what locality gains and what sharing gains, in both orders."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from whyconv.results import CORNERS, ArmName, Corner, Estimate, GainSplit, Place
from whyconv.training.intervals import mean


def accuracy_of(by_draw: Sequence[float], over: Literal["seeds", "draws"] = "draws") -> Estimate:
    """Mean accuracy over draws with its t interval, which is cut at 0 and 1."""
    found = mean(by_draw, over)
    return found.model_copy(update={"low": max(0.0, found.low), "high": min(1.0, found.high)})


def difference(first: Sequence[float], second: Sequence[float], over: Literal["seeds", "draws"] = "draws") -> Estimate:
    """Mean of first - second, paired by draw, with its t interval."""
    return mean([a - b for a, b in zip(first, second, strict=True)], over)


def split_gain(
    by_draw: Mapping[Corner, Sequence[float]], place: Place, n_train: int, arm: ArmName = "plain"
) -> GainSplit:
    """Splits the convolution's gain over the dense layer.

    Args:
        by_draw: Accuracy of each draw, for every corner; entry d of each was trained on the same pictures.
        place: Whether pictures were moved.
        n_train: Pictures to learn from.
        arm: What else was done.
    """
    dense, local, shared, convolution = (by_draw[corner] for corner in CORNERS)
    crosswise = [c - a - b + d for d, a, b, c in zip(dense, local, shared, convolution, strict=True)]
    return GainSplit(
        place=place,
        arm=arm,
        n_train=n_train,
        gain=difference(convolution, dense),
        locality_first=difference(local, dense),
        sharing_second=difference(convolution, local),
        sharing_first=difference(shared, dense),
        locality_second=difference(convolution, shared),
        interaction=mean(crosswise),
    )
