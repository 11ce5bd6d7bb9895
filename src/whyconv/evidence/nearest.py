"""Training pictures that the network takes for alike: the nearest feature vectors of the run.

Distance is one less the cosine of the angle between two feature vectors. The last layer multiplies features with its
weights, so their common length makes an answer surer but no other one; and the cosine distance is in [0, 2] whatever
the network, so that runs can be compared.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from whyconv.images.png import as_png_text
from whyconv.results.evidence import NearPicture, WhyNoNearest
from whyconv.untrusted import MOST_JSON_BYTES, content_of, json_values

# A thousand pictures with 50,000 features each.
_MOST_NUMBERS = 50_000_000
FEATURES, THUMBNAILS, EXAMPLES = "features.npy", "thumbnails.npy", "examples.jsonl"


@dataclass(frozen=True)
class Examples:
    """Training pictures of a run, row for row.

    Attributes:
        directions: float32 (n, d), feature vectors of length 1.
        thumbnails: uint8 (n, side, side, channels), read from the file as they are asked for.
        names: Path, part and label of each; None where the run does not say.
    """

    directions: NDArray[np.float32]
    thumbnails: NDArray[np.uint8]
    names: list[tuple[str, str, str]] | None

    def __len__(self) -> int:
        return len(self.directions)


def read_examples(run: Path | None) -> Examples | WhyNoNearest:
    """Reads the examples of a run; or says why there are none.

    Args:
        run: The run folder; None for a lone file.
    """
    if run is None or not run.is_dir():
        return "no_run"
    try:
        features = np.load(run / FEATURES, mmap_mode="r", allow_pickle=False)
        thumbnails = np.load(run / THUMBNAILS, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return "no_files"
    if features.ndim != 2 or thumbnails.ndim != 4 or len(features) != len(thumbnails) or not len(features):
        return "no_files"
    if features.size > _MOST_NUMBERS or features.itemsize > 8:
        return "no_files"
    if thumbnails.dtype != np.uint8 or not np.issubdtype(features.dtype, np.floating):
        return "no_files"
    return Examples(_directions(features), thumbnails, _names(run / EXAMPLES, len(features)))


def nearest(examples: Examples, features: NDArray[np.float32] | None, count: int) -> list[NearPicture] | WhyNoNearest:
    """Returns the examples nearest to a picture, nearest first; or why that cannot be told.

    Args:
        examples: Of the run.
        features: Of the picture (d,); None where the file gives none.
        count: How many, at most.
    """
    if features is None:
        return "no_features"
    if features.shape != examples.directions.shape[1:] or not np.isfinite(features).all():
        return "unlike"
    distances = 1 - examples.directions @ _directions(features[None])[0]
    order = np.argsort(distances, kind="stable")[:count]
    return [_near(examples, int(row), float(distances[row])) for row in order]


def _near(examples: Examples, row: int, distance: float) -> NearPicture:
    path, part, label = examples.names[row] if examples.names is not None else (None, "train", None)
    png = as_png_text(np.array(examples.thumbnails[row]))
    return NearPicture(path=path, label=label, part=part, distance=max(0.0, distance), png=png)


def _directions(features: NDArray[np.floating]) -> NDArray[np.float32]:
    """Vectors of length 1; of length 0 where all numbers are 0."""
    numbers = features.astype(np.float64)
    lengths = np.linalg.norm(numbers, axis=1, keepdims=True)
    return (numbers / np.where(lengths == 0, 1, lengths)).astype(np.float32)


def _names(path: Path, count: int) -> list[tuple[str, str, str]] | None:
    """The rows of ``examples.jsonl``; None where it is missing, damaged or of other pictures."""
    try:
        rows = [json_values(line) for line in content_of(path, MOST_JSON_BYTES).decode("utf-8").splitlines()]
        names = [(str(row["path"]), str(row["part"]), str(row["label"])) for row in rows]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return names if len(names) == count else None
