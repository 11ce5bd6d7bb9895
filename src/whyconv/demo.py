"""Something to try the verbs on: scikit-learn's handwritten digits as picture files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from whyconv import files

_TEST_FRACTION = 0.3
_SPLIT_SEED = 0


def load_digits() -> tuple[NDArray[np.uint8], NDArray[np.int32], NDArray[np.bool_]]:
    """The 1,797 handwritten digits: pixels uint8 (n, 8, 8), labels (n,), and which 30 % are for testing.

    Gray levels 0 to 16 are scaled to 0 to 255. The test part is drawn stratified with a fixed seed.

    References:
        Alpaydin, Kaynak, *Optical recognition of handwritten digits* (1998), UCI; as in scikit-learn.
    """
    from sklearn import datasets
    from sklearn.model_selection import train_test_split

    digits = datasets.load_digits()
    rows = np.arange(len(digits.target))
    _, test = train_test_split(rows, test_size=_TEST_FRACTION, stratify=digits.target, random_state=_SPLIT_SEED)
    pixels = np.rint(digits.images * (255 / 16)).astype(np.uint8)
    return pixels, digits.target.astype(np.int32), np.isin(rows, test)


def write_digits(folder: Path) -> Path:
    """Writes the digits to ``folder``/train/<digit>/ and ``folder``/test/<digit>/ as PNG files.

    Files that are there already are left as they are.

    Returns:
        ``folder``.
    """
    pixels, labels, is_test = load_digits()
    for part in ("train", "test"):
        for digit in range(10):
            (folder / part / str(digit)).mkdir(parents=True, exist_ok=True)
    for row, (picture, label) in enumerate(zip(pixels, labels, strict=True)):
        path = folder / ("test" if is_test[row] else "train") / str(label) / f"{row:04}.png"
        if not path.exists():
            Image.fromarray(picture).save(path)
    files.sync_folder(folder)
    return folder
