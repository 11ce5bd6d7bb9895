"""Which pairs among suspects are copies: coarse looks first, then a close one at the pictures themselves.

The limits below were set between two measured heaps. Planted copies of 250 flower photos and 250 hand-sign
photos (JPEG quality 50, resized by 0.5 and 1.5, cropped by 5 %, contrast by 0.7 and 1.3) leave in 99 of 100
cases an error of at most 0.26 and a worst tile of at most 0.54. The closest of 2.1 million pairs of different
hand-sign photos, many of one hand before one wall, leave 0.29 and 0.80.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator

import numpy as np

from whyconv.errors import PictureError
from whyconv.images.hashing import THUMBNAIL_SIDE
from whyconv.images.likeness import Fit, lay_over
from whyconv.images.prepare import PicturePolicy, prepare
from whyconv.images.sources.listing import Pictures
from whyconv.images.threads import map_in_order

# Bits of 64 in which the hashes of a copy may differ: a crop by 5 % moves at most 16 in 99 of 100 cases.
MAX_HASH_DISTANCE = 16
# Least correlation of thumbnails as they lie; a crop by 5 % keeps this in 97 of 100 cases.
_MIN_CORRELATION = 0.78
_MAX_ERROR, _MAX_WORST = 0.30, 0.60
# Thumbnails of 32 pixels show less and are laid over each other less exactly.
_MAX_COARSE_ERROR, _MAX_COARSE_WORST = 0.40, 0.95
_MIN_OVERLAP = 0.75
_GAINS = (0.4, 2.5)

_BATCH = 64
_CLOSEUP = PicturePolicy(side=64, channels=3, fit="stretch")
_MAX_KEPT = 4096


class Closeups:
    """Pictures at 64 x 64 in color, decoded when asked for; the latest 4,096 are kept (50 MB).

    Args:
        pictures: Where they are read from.
        num_threads: Number of threads that decode; None means one for each core.
    """

    def __init__(self, pictures: Pictures, num_threads: int | None = None) -> None:
        self._pictures = pictures
        self._num_threads = num_threads
        self._kept: OrderedDict[int, np.ndarray] = OrderedDict()

    def take(self, indices: np.ndarray) -> np.ndarray:
        """Returns float32 (k, 64, 64, 3), 0-255; a picture that cannot be read any more is all gray."""
        wanted = np.unique(indices).tolist()
        missing = [index for index in wanted if index not in self._kept]
        for index, pixels in zip(missing, map_in_order(self._decode, missing, self._num_threads), strict=True):
            self._kept[index] = pixels
        for index in wanted:
            self._kept.move_to_end(index)
        found = np.stack([self._kept[index] for index in indices.tolist()]).astype(np.float32)
        while len(self._kept) > _MAX_KEPT:
            self._kept.popitem(last=False)
        return found

    def _decode(self, index: int) -> np.ndarray:
        try:
            return prepare(self._pictures.read(index), _CLOSEUP)
        except PictureError:
            return np.full((_CLOSEUP.side, _CLOSEUP.side, 3), 128, np.uint8)


def correlated(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Tells which pairs of thumbnails agree as they lie, at half their size.

    Args:
        left: uint8 (n, 32, 32), gray levels.
        right: The same shape.

    Returns:
        bool (n,).
    """
    first, second = _centered_halves(left), _centered_halves(right)
    scale = np.sqrt((first**2).sum(1) * (second**2).sum(1))
    return np.asarray((first * second).sum(1) >= _MIN_CORRELATION * np.maximum(scale, 1e-6))


def confirm(
    thumbnails: np.ndarray,
    closeups: Closeups,
    pairs: tuple[np.ndarray, np.ndarray],
    *,
    is_mirrored: bool = False,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Keeps the pairs that are copies once laid over each other.

    Args:
        thumbnails: uint8 (n, 32, 32), of all pictures.
        closeups: The pictures themselves.
        pairs: Originals and suspects, int64 (m,) each.
        is_mirrored: Turns the originals left to right first.

    Returns:
        Originals, suspects and error of each pair that is a copy.
    """
    originals, suspects = pairs
    coarse = [lay_over(*halves) for halves in _thumbnail_batches(thumbnails, originals, suspects, is_mirrored)]
    keep = _accepted(coarse, _MAX_COARSE_ERROR, _MAX_COARSE_WORST)
    originals, suspects = originals[keep], suspects[keep]
    motions = np.concatenate([part.motion for part in coarse])[keep] if coarse else np.zeros((0, 4), np.float32)
    fine = [
        _look_closely(closeups, originals[part], suspects[part], motions[part], is_mirrored)
        for part in _batches(len(originals))
    ]
    keep = _accepted(fine, _MAX_ERROR, _MAX_WORST)
    errors = np.concatenate([part.error for part in fine]) if fine else np.zeros(0, np.float32)
    return originals[keep], suspects[keep], errors[keep]


def _look_closely(
    closeups: Closeups, originals: np.ndarray, suspects: np.ndarray, motion: np.ndarray, is_mirrored: bool
) -> Fit:
    """Lays the pictures themselves over each other: by brightness, and then compares in color."""
    moving, fixed = closeups.take(originals), closeups.take(suspects)
    moving = moving[:, :, ::-1] if is_mirrored else moving
    gray = lay_over(moving.mean(3, keepdims=True), fixed.mean(3, keepdims=True), start=motion, num_steps=3)
    return lay_over(moving, fixed, start=gray.motion, num_steps=0)


def _centered_halves(thumbnails: np.ndarray) -> np.ndarray:
    half = THUMBNAIL_SIDE // 2
    small = thumbnails.reshape(-1, half, 2, half, 2).mean((2, 4), dtype=np.float32).reshape(-1, half * half)
    return np.asarray(small - small.mean(1, keepdims=True))


def _thumbnail_batches(
    thumbnails: np.ndarray, originals: np.ndarray, suspects: np.ndarray, is_mirrored: bool
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    for part in _batches(len(originals)):
        moving = thumbnails[originals[part]].astype(np.float32)[..., None]
        moving = moving[:, :, ::-1] if is_mirrored else moving
        yield moving, thumbnails[suspects[part]].astype(np.float32)[..., None]


def _batches(count: int) -> Iterator[slice]:
    return (slice(start, min(start + _BATCH, count)) for start in range(0, count, _BATCH))


def _accepted(fits: Iterable[Fit], max_error: float, max_worst: float) -> np.ndarray:
    verdicts = [
        (part.error <= max_error)
        & (part.worst <= max_worst)
        & (part.overlap >= _MIN_OVERLAP)
        & (part.gain >= _GAINS[0])
        & (part.gain <= _GAINS[1])
        for part in fits
    ]
    return np.concatenate(verdicts) if verdicts else np.zeros(0, bool)
