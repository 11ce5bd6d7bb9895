"""Which unusual picture files a tool reads as a person sees them.

    python benchmarks/odd_pictures.py whyconv
    PEERS/fastai/bin/python benchmarks/odd_pictures.py fastai torchvision
    PEERS/keras/bin/python benchmarks/odd_pictures.py keras keras-load-img

The files of reading/oddities.py: EXIF orientations, 16 bits and fractions, transparency, a palette, CMYK. A file counts
as right where the mean difference from the truth is at most 4 of 255 levels, as refused where the tool raises an error,
and as wrong otherwise: what a network would be trained on without a word.

One line of JSON for each reader: its version, the counts, and for each file the mean difference, or the error's name.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from reading.oddities import Oddity, oddities
from reading.readers import READERS, Reader

MOST_LEVELS = 4.0


def main() -> None:
    """Puts every reader that is named to the test."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("readers", nargs="+", choices=READERS)
    for name in parser.parse_args().readers:
        reader = READERS[name]
        row = {"reader": name, "version": reader.version(), **put_to_the_test(reader, list(oddities()))}
        sys.stdout.write(json.dumps(row) + "\n")
        sys.stdout.flush()


def put_to_the_test(reader: Reader, files: Sequence[Oddity]) -> dict[str, Any]:
    """Has every file read from a folder of its own, and compares."""
    found: dict[str, float | str] = {}
    with tempfile.TemporaryDirectory() as place:
        for number, oddity in enumerate(files):
            path = Path(place, str(number), oddity.name)
            path.parent.mkdir()
            path.write_bytes(oddity.content)
            try:
                found[oddity.name] = difference(reader.read(path), oddity.upright)
            except Exception as error:  # noqa: BLE001  # of whatever kind: it is refused
                found[oddity.name] = type(error).__name__
    levels = [value for value in found.values() if isinstance(value, float)]
    num_right = sum(value <= MOST_LEVELS for value in levels)
    counts = {"right": num_right, "wrong": len(levels) - num_right, "refused": len(found) - len(levels)}
    return {"files": len(found), **counts, "levels": found}


def difference(seen: np.ndarray, upright: NDArray[np.uint8]) -> float:
    """Mean difference in levels; 255 where the picture has another shape, as a turned one.

    One channel counts as gray; a fourth is what a network of three would not be given.
    """
    seen = seen[:, :, None] if seen.ndim == 2 else seen
    if seen.shape[:2] != upright.shape[:2] or seen.shape[2] not in {1, 3}:
        return 255.0
    return round(float(np.abs(seen.astype(float) - upright).mean()), 2)


if __name__ == "__main__":
    main()
