"""Pictures that lie many in one file: in arrays, columns of tables, archives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol, Self

import numpy as np

from whyconv.images.sources.listing import Stat


class Container(Protocol):
    """A file of pictures; rows are counted from 0."""

    def read(self, row: int) -> bytes | np.ndarray:
        """Returns the bytes of a picture file, or pixels; raises PictureError."""

    def stat(self, row: int) -> Stat:
        """Returns size, time and mark; raises PictureError."""


@dataclass(frozen=True, eq=False)
class ContainedPictures:
    """Pictures in one or more containers.

    Attributes:
        containers: The files.
        container_of: int64 (n,), the container that a picture lies in.
        row_of: int64 (n,), its row there.
    """

    containers: Sequence[Container]
    container_of: np.ndarray
    row_of: np.ndarray

    def read(self, row: int) -> bytes | np.ndarray:
        """Returns the bytes or pixels of one picture; raises PictureError where they cannot be read."""
        return self.containers[int(self.container_of[row])].read(int(self.row_of[row]))

    def stat(self, row: int) -> Stat:
        """Returns size, time and mark; raises PictureError."""
        return self.containers[int(self.container_of[row])].stat(int(self.row_of[row]))

    def take(self, rows: np.ndarray) -> Self:
        """Returns the pictures of ``rows`` only."""
        return replace(self, container_of=self.container_of[rows], row_of=self.row_of[rows])
