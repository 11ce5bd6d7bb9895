"""Whether two pictures show the same thing once one is laid exactly over the other.

One picture is shifted, stretched, brightened and given contrast until it fits the other best; what then
remains is compared tile by tile. A copy leaves only the noise of its compression everywhere. Two pictures
of different things before the same background agree in most tiles and fail in a few, so the worst tile
decides, not the mean.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np

_TILES = 8
_DAMPING = 1e-4
# Motion: shift and stretch along x, then along y; light: gain and offset.
AT_REST = np.array([0, 1, 0, 1], np.float32)
_LEAST, _MOST = np.array([-0.4, 0.7, -0.4, 0.7], np.float32), np.array([0.4, 1.4, 0.4, 1.4], np.float32)
_SAME_LIGHT = np.array([1, 0], np.float32)
# Gray levels at which a camera or an editor has lost what was there.
_BLACK, _WHITE = 3.0, 252.0


@dataclass(frozen=True)
class Fit:
    """How one picture of each pair was laid over the other, and what remained.

    Attributes:
        motion: float32 (n, 4): shift and stretch along x, shift and stretch along y. Coordinates run from
            -1 to 1 over the picture; a stretch of 1 changes nothing.
        error: float32 (n,), >= 0: root mean square of what remains, as a fraction of the picture's detail
            (see ``detail_of``). 0 is a perfect copy, 1 and more an unrelated picture.
        worst: float32 (n,), >= 0: the same over the worst of 8 x 8 tiles.
        overlap: float32 (n,), in [0, 1]: fraction of the picture that the other covers.
        gain: float32 (n,): contrast of the second picture over that of the first.
    """

    motion: np.ndarray
    error: np.ndarray
    worst: np.ndarray
    overlap: np.ndarray
    gain: np.ndarray


def lay_over(moving: np.ndarray, fixed: np.ndarray, *, start: np.ndarray | None = None, num_steps: int = 8) -> Fit:
    """Lays each picture of ``moving`` over its partner in ``fixed``.

    Shift, stretch, gain and offset are found by Gauss-Newton steps on the squared difference.

    Args:
        moving: float32 (n, side, side, channels), gray levels in [0, 255].
        fixed: The same shape.
        start: float32 (n, 4), the motion to begin with; None begins with none.
        num_steps: Number of Gauss-Newton steps.

    Returns:
        The motion and what remains, one entry a pair.

    References:
        B. Lucas and T. Kanade, "An iterative image registration technique", IJCAI (1981); with gain and
        offset as in S. Baker and I. Matthews, "Lucas-Kanade 20 years on", IJCV 56 (2004), part 3.
    """
    num_pairs = len(moving)
    planes_moving, planes_fixed = _planes(moving), _planes(fixed)
    motion = np.tile(AT_REST, (num_pairs, 1)) if start is None else start.astype(np.float32)
    light = np.tile(_SAME_LIGHT, (num_pairs, 1))
    for _ in range(num_steps):
        warped, weight = _warp(planes_moving, motion)
        weight = weight * _unclipped(warped, planes_fixed)
        step = _gauss_newton_step(warped, planes_fixed, weight, light)
        light = light + step[:, :2]
        motion = np.clip(motion + step[:, 2:], _LEAST, _MOST)
    warped, weight = _warp(planes_moving, motion)
    light = _best_light(warped, planes_fixed, weight * _unclipped(warped, planes_fixed))
    rest = planes_fixed - light[:, :1, None, None] * warped - light[:, 1:, None, None]
    rest = _excuse_clipping(rest, warped, planes_fixed)
    return _summarize(rest, planes_fixed, weight, motion, light[:, 0])


def _planes(pictures: np.ndarray) -> np.ndarray:
    """Returns (n, channels, side, side), smoothed by 1-2-1 so that the gradient is that of what is seen."""
    planes: np.ndarray = np.ascontiguousarray(np.moveaxis(pictures, -1, 1), dtype=np.float32)
    for axis in (-1, -2):
        before, after = np.roll(planes, 1, axis), np.roll(planes, -1, axis)
        edge = [slice(None)] * 4
        edge[axis] = slice(0, 1)
        before[tuple(edge)] = planes[tuple(edge)]
        edge[axis] = slice(-1, None)
        after[tuple(edge)] = planes[tuple(edge)]
        planes = (before + 2 * planes + after) / 4
    return planes


def _warp(planes: np.ndarray, motion: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Moves each picture; also returns which pixels have something under them, (n, 1, side, side)."""
    side = planes.shape[-1]
    across, inside_x = _interpolation(motion[:, 0], motion[:, 1], side)
    down, inside_y = _interpolation(motion[:, 2], motion[:, 3], side)
    warped = down[:, None] @ planes @ across.transpose(0, 2, 1)[:, None]
    return warped, (inside_y[:, :, None] * inside_x[:, None, :])[:, None]


def _interpolation(shift: np.ndarray, stretch: np.ndarray, side: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns the matrices (n, side, side) of linear interpolation along one axis, and the pixels inside."""
    grid = (np.arange(side, dtype=np.float32) + 0.5) * 2 / side - 1
    source = ((stretch[:, None] * grid + shift[:, None]) + 1) * side / 2 - 0.5
    inside = (source >= -0.5) & (source <= side - 0.5)
    source = np.clip(source, 0, side - 1)
    matrix = np.maximum(0, 1 - np.abs(source[:, :, None] - np.arange(side, dtype=np.float32)))
    return matrix, inside.astype(np.float32)


def _gauss_newton_step(warped: np.ndarray, fixed: np.ndarray, weight: np.ndarray, light: np.ndarray) -> np.ndarray:
    """Returns the change (n, 6) of gain, offset, x shift, x stretch, y shift, y stretch."""
    num_pairs, side = len(warped), warped.shape[-1]
    grid = (np.arange(side, dtype=np.float32) + 0.5) * 2 / side - 1
    gain = light[:, :1, None, None]
    slope_y = gain * np.gradient(warped, axis=-2) * (side / 2)
    slope_x = gain * np.gradient(warped, axis=-1) * (side / 2)
    columns = [warped, np.ones_like(warped), slope_x, slope_x * grid, slope_y, slope_y * grid[:, None]]
    jacobian = np.stack([(column * weight).reshape(num_pairs, -1) for column in columns], axis=1)
    rest = ((fixed - gain * warped - light[:, 1:, None, None]) * weight).reshape(num_pairs, -1, 1)
    return _solve(jacobian @ jacobian.transpose(0, 2, 1), jacobian @ rest)


def _best_light(warped: np.ndarray, fixed: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Returns gain and offset (n, 2) that fit best where the pictures now lie."""
    num_pairs = len(warped)
    columns = [warped * weight, np.ones_like(warped) * weight]
    jacobian = np.stack([column.reshape(num_pairs, -1) for column in columns], axis=1)
    target = (fixed * weight).reshape(num_pairs, -1, 1)
    return _solve(jacobian @ jacobian.transpose(0, 2, 1), jacobian @ target)


def _solve(normal: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Solves the damped normal equations of each pair; the damping keeps flat pictures solvable."""
    size = normal.shape[-1]
    scale = np.maximum(np.einsum("nii->ni", normal), 1e-3)
    damped = normal.astype(np.float64) + _DAMPING * scale[:, :, None] * np.eye(size)
    return np.linalg.solve(damped, right.astype(np.float64))[..., 0].astype(np.float32)


def _unclipped(warped: np.ndarray, fixed: np.ndarray) -> np.ndarray:
    """Returns 1 where neither picture is clipped to black or white, else 0; all 1 if little would remain."""
    free = (np.minimum(warped, fixed) > _BLACK) & (np.maximum(warped, fixed) < _WHITE)
    enough = free.mean((1, 2, 3), keepdims=True) > 0.25
    return np.where(enough, free, True).astype(np.float32)


def _excuse_clipping(rest: np.ndarray, warped: np.ndarray, fixed: np.ndarray) -> np.ndarray:
    """Removes differences that clipping explains: white may stand for anything brighter, black for darker."""
    may_be_brighter = (warped >= _WHITE) | (fixed <= _BLACK)
    may_be_darker = (warped <= _BLACK) | (fixed >= _WHITE)
    rest = np.where(may_be_brighter, np.minimum(rest, 0), rest)
    return np.where(may_be_darker, np.maximum(rest, 0), rest)


def _summarize(rest: np.ndarray, fixed: np.ndarray, weight: np.ndarray, motion: np.ndarray, gain: np.ndarray) -> Fit:
    """Turns what remains at each pixel into one error a picture and one for its worst tile."""
    num_pairs, side = len(rest), rest.shape[-1]
    squares = (rest**2 * weight).mean(1)
    tile = side // _TILES
    tiles = squares.reshape(num_pairs, _TILES, tile, _TILES, tile).sum((2, 4))
    pixels = weight[:, 0].reshape(num_pairs, _TILES, tile, _TILES, tile).sum((2, 4))
    # A tile of which less than half is covered says little.
    means = np.where(pixels >= tile * tile / 2, tiles / np.maximum(pixels, 1), 0)
    covered = np.maximum(weight.sum((1, 2, 3)), 1)
    detail = np.maximum(detail_of(fixed), 1e-3)
    return Fit(
        motion=motion,
        error=np.sqrt(squares.sum((1, 2)) / covered) / detail,
        worst=np.sqrt(means.max((1, 2))) / detail,
        overlap=covered / (side * side),
        gain=gain,
    )


def detail_of(planes: np.ndarray) -> np.ndarray:
    """Returns how much there is to see in each picture beyond smooth shading.

    A sky, a wall and a blurred backdrop are slow changes of brightness, and any two of them can be fitted to
    each other by stretch and contrast. So the quadratic surface closest to the picture is taken away first.

    Args:
        planes: float32 (n, channels, side, side), gray levels.

    Returns:
        Standard deviation of what is left, float32 (n,), in gray levels.
    """
    basis = _smooth_surfaces(planes.shape[-1])
    flat = planes.reshape(*planes.shape[:2], -1)
    rest = flat - (flat @ basis) @ basis.T
    return np.asarray(np.sqrt((rest**2).mean((1, 2))))


@cache
def _smooth_surfaces(side: int) -> np.ndarray:
    """Returns an orthonormal basis of the quadratic surfaces over a square, float32 (side * side, 6)."""
    y, x = np.meshgrid(np.linspace(-1, 1, side), np.linspace(-1, 1, side), indexing="ij")
    surfaces = np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=-1).reshape(side * side, -1)
    return np.linalg.qr(surfaces)[0].astype(np.float32)
