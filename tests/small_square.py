"""A control square small enough for a test: bars that stand or lie, few maps, few steps."""

from __future__ import annotations

from tiny_training import bars
from whyconv.results import SquareProtocol
from whyconv.study import SquarePictures

SMALL = SquareProtocol(
    side=8,
    channels=1,
    kernel=3,
    maps=4,
    multiplier=3,
    num_draws=3,
    sizes=[10, 60],
    learning_rates=[0.02, 0.1],
    steps=25,
    batch=16,
    controlled=["moved"],
)


def small_pictures() -> SquarePictures:
    return SquarePictures(bars(60, seed=1), bars(20, seed=2), bars(40, seed=3), num_classes=2, mean=[60.0], std=[60.0])
