"""Smooth pictures in three colors, with what the tiny model says about them."""

from __future__ import annotations

import numpy as np

from tiny_model import BIASES, SIDE, TEMPERATURE, WEIGHTS
from whyconv.novelty import KnownPictures


def pictures(n: int, seed: int) -> KnownPictures:
    """Pictures of classes drawn from one seed."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, 3, n).astype(np.int32)
    colors = np.eye(3)[labels] * 180 + generator.normal(40, 8, (n, 3))
    slopes = np.linspace(-30, 30, SIDE)[None, :, None, None] * generator.random((n, 1, 1, 1))
    values = colors[:, None, None] + slopes + generator.normal(0, 4, (n, SIDE, SIDE, 3))
    return known(values.clip(0, 255).astype(np.uint8), labels)


def known(pixels: np.ndarray, labels: np.ndarray) -> KnownPictures:
    features = (pixels.mean(axis=(1, 2)) / 255).astype(np.float32)
    return KnownPictures(pixels, labels, features, (features @ WEIGHTS.T + BIASES) / TEMPERATURE)
