"""Which pictures each step sees, and how they are varied: what a training asks of them, and all that are at hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from whyconv.settings import steps_per_epoch
from whyconv.training.augment import epoch_batches, epoch_draws, epoch_order
from whyconv.training.pixel_rows import LabelledPixels


class Visits(Protocol):
    """The steps of one epoch."""

    @property
    def sizes(self) -> Sequence[int]:
        """Pictures of each batch."""

    def rows(self, step: int) -> NDArray[np.int64]:
        """Which pictures a step of the epoch sees, in the order in which they are divided among processes."""

    def draws(self, step: int) -> NDArray[np.float32]:
        """Uniform numbers in [0, 1] by which they are varied, row for row: shape (n, 11)."""


class Visited(Protocol):
    """Pictures that a training visits."""

    def steps_per_epoch(self, batch: int) -> int:
        """Steps after which validation is asked."""

    def visits(self, seed: int, epoch: int, batch: int) -> Visits:
        """The steps of an epoch, counted from 1."""

    def seen(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
        """Pixels (n, side, side, channels), 0-255, and labels (n,) of pictures that ``visits`` names, of one step."""

    def name_of(self, row: int) -> str:
        """What a picture that ``visits`` names is called in messages."""


class AtHand:
    """Pictures any of which can be read at any time.

    Args:
        data: Pixels and labels.
    """

    def __init__(self, data: LabelledPixels) -> None:
        self.data = data

    def steps_per_epoch(self, batch: int) -> int:
        """Steps of one pass."""
        return steps_per_epoch(len(self.data), batch)

    def visits(self, seed: int, epoch: int, batch: int) -> Visits:
        """A pass in random order."""
        return _Pass(seed, epoch, len(self.data), batch)

    def seen(self, rows: NDArray[np.int64]) -> tuple[NDArray[np.uint8], NDArray[np.int32]]:
        """Pixels and labels of some."""
        return self.data.pixels[rows], self.data.labels[rows]

    def name_of(self, row: int) -> str:
        """Its row: names are not known here."""
        return f"row {row}"


class _Pass:
    def __init__(self, seed: int, epoch: int, count: int, batch: int) -> None:
        # In the order of the disk.
        self._batches = [np.sort(each) for each in epoch_batches(epoch_order(seed, epoch, count), batch)]
        self._draws = epoch_draws(seed, epoch, count)
        self.sizes = [len(each) for each in self._batches]

    def rows(self, step: int) -> NDArray[np.int64]:
        return self._batches[step]

    def draws(self, step: int) -> NDArray[np.float32]:
        return self._draws[self._batches[step]]
