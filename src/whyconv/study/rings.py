"""Pictures moved: around a ring, where what leaves on one side comes in on the other, or with the border repeated."""

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
    return _fetch(pictures, *((torch.arange(side) - one) % side for one in _down_and_right(shifts)))


def slide(pictures: Tensor, shifts: NDArray[np.int64]) -> Tensor:
    """Moves each picture (..., c, side, side) by its steps (..., 2); what comes in repeats the pixel at the border."""
    side = pictures.shape[-1]
    return _fetch(pictures, *((torch.arange(side) - one).clamp(0, side - 1) for one in _down_and_right(shifts)))


def _down_and_right(shifts: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
    return torch.from_numpy(shifts[..., 0, None]), torch.from_numpy(shifts[..., 1, None])


def _fetch(pictures: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Pictures (..., c, side, side) whose pixel (i, j) comes from (rows[..., i], columns[..., j])."""
    side = pictures.shape[-1]
    source = (rows.unsqueeze(-1) * side + columns.unsqueeze(-2)).flatten(-2).unsqueeze(-2)
    flat = pictures.flatten(-2)
    return flat.gather(-1, source.expand(flat.shape)).view(pictures.shape)
