"""Red-Green: what a network does at the border decides whether it can tell where a thing is.

A black picture has a red and a green square of 4 x 4 pixels. Class 0 has red to the left of green, class 1 green to
the left of red. In training class 0 lies in the upper half and class 1 in the lower: where they are is an easier clue
than their order. The similar test is like training; the dissimilar test has the same pictures moved by half of the
side, so that who went by the place is wrong.

Four networks that differ in their border alone: *valid*, no padding; *zero*, zeros so that the size stays; *circular*,
borders joined; *full*, so many zeros that every tap of a kernel meets every pixel. The last two cannot tell a picture
from the moved one: on the ring nothing marks a place, and full convolutions without biases compute what they would on a
plane without end. (Moved by a multiple of the stride.) That is certified here on trained networks.

The authors' program draws the pictures of training, validation and test from one seed, so that its test pictures are
training pictures. Here all are drawn anew, and what is learned by heart does not count.

References:
    Kayhan, van Gemert, *On translation invariance in CNNs* (CVPR 2020), arXiv 2003.07064, the task, the networks and
    the numbers that are printed as published; sizes as in the authors' program, github.com/oskyhn/CNNs-Without-Borders.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

SIDE, SQUARE = 32, 4
# Rows of class 0; those of class 1 are half of the side below.
_ROWS = range(3, 11)
# Columns of the left square; those of the right one begin so far right that a pixel stays between.
_LEFT, _GAP, _COLUMNS = range(10), SQUARE + 1, SIDE - SQUARE


@dataclass(frozen=True, eq=False)
class RedGreen:
    """Pictures of one part.

    Attributes:
        similar: float32 (n, 3, 32, 32), 0 or 1: class 0 above, class 1 below.
        dissimilar: The same pictures moved by half of the side.
        labels: int64 (n,), 0 and 1 in turn.
    """

    similar: NDArray[np.float32]
    dissimilar: NDArray[np.float32]
    labels: NDArray[np.int64]


def draw_red_green(n: int, random: np.random.Generator) -> RedGreen:
    """Draws n pictures: the left square's column evenly, then the right one's evenly, both rows evenly."""
    labels = np.arange(n) % 2
    similar = np.zeros((n, 3, SIDE, SIDE), np.float32)
    for picture, label in zip(similar, labels, strict=True):
        left = random.integers(_LEFT.start, _LEFT.stop)
        right = random.integers(left + _GAP, _COLUMNS)
        rows = random.integers(_ROWS.start, _ROWS.stop, 2) + label * SIDE // 2
        for channel, row, column in ((label, rows[0], left), (1 - label, rows[1], right)):
            picture[channel, row : row + SQUARE, column : column + SQUARE] = 1
    return RedGreen(similar, np.roll(similar, SIDE // 2, axis=2), labels)


def column_probabilities() -> dict[tuple[int, int], Fraction]:
    """Of class 0: (column of red, column of green) -> probability. Class 1 has the two the other way round."""
    found: dict[tuple[int, int], Fraction] = {}
    for left in _LEFT:
        rights = range(left + _GAP, _COLUMNS)
        found |= {(left, right): Fraction(1, len(_LEFT) * len(rights)) for right in rights}
    return found


def best_on_the_ring(stride: int) -> Fraction:
    """The best accuracy of any rule that cannot tell columns from those moved around the ring by ``stride``. Exact.

    On the ring, right of by g is left of by side - g: much of the order is hidden. Rows tell nothing, since those of
    the classes differ by a move alone.

    Args:
        stride: Of the whole network, in pixels; it divides half of the side.
    """
    by_class: list[dict[tuple[int, int], Fraction]] = [{}, {}]
    for (left, right), probability in column_probabilities().items():
        for label, columns in enumerate(((left, right), (right, left))):
            moved = [tuple((one + move) % SIDE for one in columns) for move in range(0, SIDE, stride)]
            seen = min((red, green) for red, green in moved)
            by_class[label][seen] = by_class[label].get(seen, Fraction(0)) + probability
    seen_at_all = by_class[0].keys() | by_class[1].keys()
    return sum((max(one.get(seen, Fraction(0)) for one in by_class) for seen in seen_at_all), Fraction(0)) / 2
