"""Order and variation of the training pictures, as pure functions of (seed, epoch, picture).

Nothing here keeps state: a run that goes on after a stop, or that cuts its batches otherwise, sees the same
pictures varied in the same way.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from whyconv.settings import AugmentPlan

NUM_DRAWS = 11
_MIRROR = 4  # of the draws
_ORDER, _VARIATION, _FIRST_MIRROR = 1, 2, 3


def epoch_order(seed: int, epoch: int, num_pictures: int) -> NDArray[np.int64]:
    """The order in which the training pictures are visited, a permutation of 0 .. num_pictures - 1."""
    return _generator(seed, epoch, _ORDER).permutation(num_pictures)


def epoch_draws(seed: int, epoch: int, num_pictures: int) -> NDArray[np.float32]:
    """Uniform numbers in [0, 1], shape (num_pictures, 11): row i varies picture i in this epoch.

    Whether a picture is mirrored is drawn once and then alternates, so that any two epochs in turn show both.

    References:
        Jordan, *94 % on CIFAR-10 in 3.29 seconds on a single GPU* (2024), arXiv 2404.00498, section 3.6.
    """
    draws = _generator(seed, epoch, _VARIATION).random((num_pictures, NUM_DRAWS), dtype=np.float32)
    first = _generator(seed, 0, _FIRST_MIRROR).random(num_pictures, dtype=np.float32)
    draws[:, _MIRROR] = first if epoch % 2 else 1 - first
    return draws


def epoch_batches(order: NDArray[np.int64], batch: int) -> list[NDArray[np.int64]]:
    """Cuts the order into batches whose sizes differ by at most one, so that none is too small to normalize."""
    return np.array_split(order, max(1, round(len(order) / batch)))


def vary(pixels: Tensor, draws: NDArray[np.float32], plan: AugmentPlan) -> Tensor:
    """Varies a batch of pictures: crop, stretch, turn, move, mirror; brightness, contrast, saturation; cutout.

    Args:
        pixels: Pictures (n, c, side, side), any scale.
        draws: Uniform numbers in [0, 1], one row of eleven for each picture.
        plan: How far each variation may go.

    Returns:
        Pictures of the same shape and scale; what lies outside is filled by reflection.
    """
    moved = _shift(pixels, draws, plan) if _keeps_shape(plan) else _warp(pixels, draws, plan)
    recolored = _recolor(moved, draws[:, 7:10], plan.color) if plan.color else moved
    return _cut_out(recolored, draws[:, [6, 10]], plan.cutout_fraction) if plan.cutout_fraction else recolored


def _keeps_shape(plan: AugmentPlan) -> bool:
    return plan.min_area == plan.max_aspect == 1 and plan.max_degrees == 0


def _shift(pixels: Tensor, draws: NDArray[np.float32], plan: AugmentPlan) -> Tensor:
    """Moves by whole pixels, and mirrors: every pixel keeps its value, and it takes a quarter of the time of a warp."""
    side = pixels.shape[-1]
    most = round(plan.shift_fraction * side)
    moves = np.minimum((draws[:, 2:4] * (2 * most + 1)).astype(np.int64), 2 * most) - most
    places = np.arange(side)
    columns, rows = (_reflected(places + moves[:, axis, None], side) for axis in (0, 1))
    mirror = (draws[:, _MIRROR] < 0.5) & plan.flip
    columns = np.where(mirror[:, None], columns[:, ::-1], columns)
    pictures, channels = torch.arange(len(pixels)).view(-1, 1, 1, 1), torch.arange(pixels.shape[1]).view(1, -1, 1, 1)
    return pixels[
        pictures, channels, torch.from_numpy(rows)[:, None, :, None], torch.from_numpy(columns)[:, None, None, :]
    ]


def _reflected(places: NDArray[np.int64], side: int) -> NDArray[np.int64]:
    """Places outside of 0 .. side - 1, less than a side away, as a mirror at the border shows them."""
    return np.where(places < 0, -1 - places, np.where(places >= side, 2 * side - 1 - places, places))


def _warp(pixels: Tensor, draws: NDArray[np.float32], plan: AugmentPlan) -> Tensor:
    matrix = torch.from_numpy(_affine(draws, plan))
    grid = functional.affine_grid(matrix, list(pixels.shape), align_corners=False)
    return functional.grid_sample(pixels, grid, mode="bilinear", padding_mode="reflection", align_corners=False)


def _affine(draws: NDArray[np.float32], plan: AugmentPlan) -> NDArray[np.float32]:
    """Maps output places to input places, both in [-1, 1]: shape (n, 2, 3)."""
    signed = 2 * draws - 1
    area = plan.min_area + (1 - plan.min_area) * draws[:, 0]
    aspect = np.exp(signed[:, 1] * math.log(plan.max_aspect))
    scale_x, scale_y = np.sqrt(area * aspect), np.sqrt(area / aspect)
    move_x = signed[:, 2] * np.maximum(1 - scale_x, 2 * plan.shift_fraction)
    move_y = signed[:, 3] * np.maximum(1 - scale_y, 2 * plan.shift_fraction)
    mirror = np.where((draws[:, _MIRROR] < 0.5) & plan.flip, -1.0, 1.0)
    angle = signed[:, 5] * math.radians(plan.max_degrees)
    cosine, sine = np.cos(angle), np.sin(angle)
    rows = [
        [mirror * scale_x * cosine, -scale_y * sine, move_x],
        [mirror * scale_x * sine, scale_y * cosine, move_y],
    ]
    return np.stack([np.stack(row, axis=1) for row in rows], axis=1).astype(np.float32)


def _recolor(pixels: Tensor, draws: NDArray[np.float32], strength: float) -> Tensor:
    factors = torch.from_numpy(1 + strength * (2 * draws - 1)).view(-1, 3, 1, 1, 1)
    brightness, contrast, saturation = factors.unbind(dim=1)
    mean = pixels.mean(dim=(1, 2, 3), keepdim=True)
    recolored = (pixels - mean) * contrast + mean * brightness
    gray = recolored.mean(dim=1, keepdim=True)
    return (recolored - gray) * saturation + gray


def _cut_out(pixels: Tensor, draws: NDArray[np.float32], fraction: float) -> Tensor:
    """Covers a square around a random place with the picture's mean; part of it may lie outside.

    References:
        DeVries, Taylor, *Improved regularization of convolutional neural networks with cutout* (2017),
        arXiv 1708.04552.
    """
    side = pixels.shape[-1]
    places = torch.arange(side, dtype=torch.float32)
    centers = torch.from_numpy(draws) * side
    near = (places - centers[:, :, None]).abs() <= fraction * side / 2
    covered = near[:, 0, None, :, None] & near[:, 1, None, None, :]
    return torch.where(covered, pixels.mean(dim=(1, 2, 3), keepdim=True), pixels)


def _generator(seed: int, epoch: int, purpose: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, epoch, purpose])))
