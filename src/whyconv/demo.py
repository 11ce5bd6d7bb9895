"""Something to try the verbs on: scikit-learn's handwritten digits as picture files."""

from __future__ import annotations

import io
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from whyconv import files
from whyconv.errors import StorageError

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

    A new folder appears whole or not at all. In one that is there, files are left as they are, and missing ones
    are put back.

    Returns:
        ``folder``.

    Raises:
        StorageError: Something else is in the way, or the system does not take them.
    """
    try:
        if folder.exists():
            _fill(folder, files.write_bytes)
        else:
            _make(folder)
    except StorageError:
        raise
    except OSError as error:
        way_out = "Move it away, or work in another folder." if os.path.lexists(folder) else "Work in another folder."
        raise StorageError(f"{folder} cannot be written: {error.strerror or error}. {way_out}") from error
    return folder


def _make(folder: Path) -> None:
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=folder.parent) as unfinished:
        made = Path(unfinished) / folder.name
        # Nobody sees these before they are all there, so that they need not be flushed one by one.
        _fill(made, Path.write_bytes)
        made.rename(folder)
    files.sync_folder(folder.parent)


def _fill(folder: Path, write: Callable[[Path, bytes], object]) -> None:
    pixels, labels, is_test = load_digits()
    for part in ("train", "test"):
        for digit in range(10):
            (folder / part / str(digit)).mkdir(parents=True, exist_ok=True)
    for row, (picture, label) in enumerate(zip(pixels, labels, strict=True)):
        path = folder / ("test" if is_test[row] else "train") / str(label) / f"{row:04}.png"
        if not path.exists():
            write(path, _as_png(picture))


def _as_png(picture: NDArray[np.uint8]) -> bytes:
    content = io.BytesIO()
    Image.fromarray(picture).save(content, "png")
    return content.getvalue()
