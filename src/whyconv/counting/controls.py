"""Where the pixels of a square picture go, and which are turned, in the three controls of the control square."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def draw_permutation_and_signs(side: int, seed: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Draws both once, the same for the same side and seed.

    Returns:
        For each place where its pixel comes from, and 1 or -1 for each place: (side * side,) both.
    """
    random = np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, side])))
    return random.permutation(side**2), random.choice([-1.0, 1.0], side**2)


def multiply_coordinates(side: int, multiplier: int) -> NDArray[np.int64]:
    """Pixel (i, j) goes to (multiplier i, multiplier j) modulo side: for each place, where its pixel comes from.

    Args:
        side: Of the picture, in pixels; a power of two.
        multiplier: Odd.
    """
    inverse = pow(multiplier, -1, side)
    places = inverse * np.arange(side) % side
    return (places[:, None] * side + places[None, :]).reshape(-1)
