"""Pictures on a ring: moved around both borders, what leaves on one side comes in on the other."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


def random_shifts(random: np.random.Generator, shape: tuple[int, ...], side: int) -> NDArray[np.int64]:
    """Steps down and right for each picture, uniform over the ring: int64 (*shape, 2)."""
    return random.integers(0, side, (*shape, 2))


def move(pictures: Tensor, shifts: NDArray[np.int64]) -> Tensor:
    """Moves each picture around the ring.

    Args:
        pictures: (..., c, side, side).
        shifts: Steps down and right, (..., 2).

    Returns:
        The moved pictures: what was at (i, j) is at (i + down, j + right), modulo the side.
    """
    side = pictures.shape[-1]
    places = torch.arange(side)
    rows, columns = (((places - torch.from_numpy(shifts[..., axis, None])) % side) for axis in (0, 1))
    source = (rows.unsqueeze(-1) * side + columns.unsqueeze(-2)).flatten(-2).unsqueeze(-2)
    flat = pictures.flatten(-2)
    return flat.gather(-1, source.expand(flat.shape)).view(pictures.shape)
