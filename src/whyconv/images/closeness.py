"""Which pairs among suspects are copies: a glance, a look, and then a close look at the pictures themselves.

The limits were set between two measured heaps. Planted copies of 250 flower photos and 250 hand-sign photos
(JPEG quality 50, resized by 0.5 and 1.5, cropped by 5 %, contrast by 0.7 and 1.3) leave at the close look, in
99 of 100 cases, an error of at most 0.26 and a worst tile of at most 0.54. The closest of 2.1 million pairs of
different hand-sign photos, many of one hand before one wall, leave 0.29 and 0.80. The limits of the first two
looks only spare work: they let 99 of 100 of the same copies pass.

With these limits, of copies of 150 photos of either set: compressed at 50 to 95 and resized by 0.5 to 1.5, all
are found; cropped by 2 to 5 %, 99 %; by 10 %, 47 %; brighter or darker by a quarter, 98 %; mirrored, all. Of
the 3,670 flower photos 24 are grouped, each looked at by eye, none wrongly; of 2,059 hand signs, none.

The close look compares colors, of which compression keeps every other row and column only: of pictures of 32
pixels, 1 in 35 copies at quality 75 was lost there, though nearly all of each agrees in brightness. Where that is
so, colors may differ more. Of 65,729 photos (flowers, hands, CIFAR-10) four pairs agree so much in brightness and
were refused for their colors: all were seen to be copies, made gray or with another background.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from whyconv.images.closeups import CLOSEUP_SIDE, Closeups
from whyconv.images.hashing import THUMBNAIL_SIDE
from whyconv.images.likeness import AT_REST, Fit, lay_over

# Bits of 64 in which the hashes of a copy may differ: a crop by 5 % moves at most 16 in 99 of 100 cases.
MAX_HASH_DISTANCE = 16
# Least correlation of thumbnails as they lie; a crop by 5 % keeps this in 97 of 100 cases.
_MIN_CORRELATION = 0.78
# Less in common than this is a detail of a picture rather than a copy of it.
_MIN_OVERLAP = 0.75
# A copy with less contrast than this is hardly the same picture, and nearly flat ones fit anything.
_GAINS = (0.4, 2.5)
# Motion is worth its price: moved and stretched far enough, one plain shape fits any other. At 4, a crop by 5 %
# may still leave four fifths of the error that an uncropped copy may, one by 25 % none at all.
_PRICE = 4.0
# Error, worst tile and motion up to which thumbnails are the same picture but for its colors; and the error and worst
# tile that these may leave at the close look. Compressed ones of 32 pixels left 0.44 and 1.10, one made gray 0.52.
_SAME_ERROR, _SAME_WORST, _SAME_MOTION = 0.12, 0.20, 0.01
_COLOR_ERROR, _COLOR_WORST = 0.46, 1.20
# Pairs laid over each other at once: many where they are small, or most of the time would be Python's own.
_MOST_AT_ONCE, _MOST_PIXELS = 256, 64 * 64 * 64


@dataclass(frozen=True)
class _Look:
    """One way to look at pairs.

    Attributes:
        side: Of the pictures that it sees, in pixels.
        see: From indices (k,) to pictures, float32 (k, side, side, channels).
        num_steps: Gauss-Newton steps from where the look before left off.
        max_error: Largest error that passes without motion.
        max_worst: Largest error of a tile that passes without motion.
        price: How much of both limits is taken away by a motion over half the picture.
        has_color: Whether pairs that were the same in brightness pass with more, for what is left is their color.
    """

    side: int
    see: Callable[[np.ndarray], np.ndarray]
    num_steps: int
    max_error: float
    max_worst: float
    price: float = 0.0
    has_color: bool = False

    def admits(self, fit: Fit, were_same: np.ndarray) -> np.ndarray:
        """Returns which pairs pass, bool (k,), of which some ``were_same`` to the look before."""
        motion = np.abs(fit.motion - AT_REST).max(1)
        left = np.maximum(0, 1 - self.price * motion)
        is_close = (fit.error <= self.max_error * left) & (fit.worst <= self.max_worst * left)
        if self.has_color:
            is_close |= were_same & (fit.error <= _COLOR_ERROR) & (fit.worst <= _COLOR_WORST)
        return np.asarray(is_close & (fit.overlap >= _MIN_OVERLAP) & (fit.gain >= _GAINS[0]) & (fit.gain <= _GAINS[1]))


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
    thumbnails: np.ndarray, closeups: Closeups, pairs: tuple[np.ndarray, np.ndarray], *, is_mirrored: bool = False
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
    motion = np.tile(AT_REST, (len(originals), 1))
    errors = np.zeros(len(originals), np.float32)
    are_same = np.zeros(len(originals), bool)
    for look in _looks(thumbnails, closeups):
        parts = list(_batches(len(originals), look.side))
        if not parts:
            break
        fits = [_fit(look, originals[part], suspects[part], motion[part], is_mirrored) for part in parts]
        keep = np.concatenate([look.admits(fit, are_same[part]) for fit, part in zip(fits, parts, strict=True)])
        originals, suspects = originals[keep], suspects[keep]
        motion = np.concatenate([fit.motion for fit in fits])[keep]
        errors = np.concatenate([fit.error for fit in fits])[keep]
        are_same = np.concatenate([_is_same(fit) for fit in fits])[keep]
    return originals, suspects, errors


def _looks(thumbnails: np.ndarray, closeups: Closeups) -> tuple[_Look, ...]:
    return (
        _Look(
            THUMBNAIL_SIDE // 2, lambda rows: _halved(thumbnails[rows])[..., None], 3, max_error=0.42, max_worst=np.inf
        ),
        _Look(
            THUMBNAIL_SIDE,
            lambda rows: thumbnails[rows, :, :, None].astype(np.float32),
            4,
            max_error=0.40,
            max_worst=0.95,
        ),
        _Look(CLOSEUP_SIDE, closeups.take, 3, max_error=0.30, max_worst=0.60, price=_PRICE, has_color=True),
    )


def _is_same(fit: Fit) -> np.ndarray:
    is_at_rest = np.abs(fit.motion - AT_REST).max(1) <= _SAME_MOTION
    return np.asarray(is_at_rest & (fit.error <= _SAME_ERROR) & (fit.worst <= _SAME_WORST))


def _fit(look: _Look, originals: np.ndarray, suspects: np.ndarray, motion: np.ndarray, is_mirrored: bool) -> Fit:
    """Lays originals over suspects by brightness, which is quicker, and then compares in color, if there is any."""
    moving, fixed = look.see(originals), look.see(suspects)
    moving = moving[:, :, ::-1] if is_mirrored else moving
    gray = lay_over(moving.mean(3, keepdims=True), fixed.mean(3, keepdims=True), start=motion, num_steps=look.num_steps)
    return gray if moving.shape[3] == 1 else lay_over(moving, fixed, start=gray.motion, num_steps=0)


def _halved(thumbnails: np.ndarray) -> np.ndarray:
    """Returns thumbnails at half their size, float32 (n, 16, 16)."""
    # Four strided sums take a tenth of the time that a mean over two axes takes.
    rows = thumbnails[:, ::2].astype(np.uint16) + thumbnails[:, 1::2]
    return np.asarray((rows[:, :, ::2] + rows[:, :, 1::2]).astype(np.float32) / 4)


def _centered_halves(thumbnails: np.ndarray) -> np.ndarray:
    small = _halved(thumbnails).reshape(len(thumbnails), (THUMBNAIL_SIDE // 2) ** 2)
    return np.asarray(small - small.mean(1, keepdims=True))


def _batches(count: int, side: int) -> Iterator[slice]:
    batch = min(_MOST_AT_ONCE, _MOST_PIXELS // side**2)
    return (slice(start, min(start + batch, count)) for start in range(0, count, batch))
