"""Arrays of random pictures for tests, and what was read of them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from whyconv.images.sources import Pictures

_RANDOM = np.random.default_rng(0)


def shots(n: int, *shape: int) -> NDArray[np.uint8]:
    """Returns n random pictures (n, 6, 5, 3), or (n, *shape)."""
    return _RANDOM.integers(0, 256, (n, *(shape or (6, 5, 3))), dtype=np.uint8)


def spoken(pictures: Pictures) -> list[str | None]:
    """The label of each picture as text; None where it has none."""
    return [pictures.classes[label] if label >= 0 else None for label in pictures.labels]
