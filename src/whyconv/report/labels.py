"""Names beside dots: each where it covers no dot and no other name, as near as that allows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

from whyconv.report.names import text_width

_NEAR = 12.0
_RINGS = (1.0, 2.2, 3.6, 5.2, 7.0)
# Right, left, above, below, and aslant: the sooner the better.
_SIDES = ((1, 0), (-1, 0), (0, -1), (0, 1), (1, -1), (1, 1), (-1, -1), (-1, 1))
_FAR = 0.5
# What a pixel covered costs: of a line less than of a dot or a name, and outside of the frame most.
_OF_LINE, _OF_DOT, _OUTSIDE = 0.5, 10.0, 30.0


@dataclass(frozen=True)
class Box:
    """A rectangle in pixels."""

    left: float
    top: float
    right: float
    bottom: float

    def overlap(self, other: Box) -> float:
        """Area that both cover."""
        across = min(self.right, other.right) - max(self.left, other.left)
        down = min(self.bottom, other.bottom) - max(self.top, other.top)
        return max(0.0, across) * max(0.0, down)

    @property
    def area(self) -> float:
        """Of all of it."""
        return (self.right - self.left) * (self.bottom - self.top)


def place_labels(
    dots: Sequence[tuple[float, float, str]],
    frame: Box,
    size: float,
    lines: Sequence[Box] = (),
    radius: float = 6.0,
) -> list[Box]:
    """Finds a place for the name of each dot.

    Args:
        dots: Position of each dot in pixels, and its name.
        frame: That no name should leave.
        size: Of the letters, in pixels.
        lines: Boxes about lines, which names may cover where all else is worse.
        radius: Of a dot.

    Returns:
        The box of each name; where there is no free place, the one that covers least.
    """
    taken = [Box(x - radius, y - radius, x + radius, y + radius) for x, y, _ in dots]
    boxes = []
    for x, y, name in dots:
        width = text_width(name, size)
        costs = [(_cost(box, far, taken, lines, frame), box) for box, far in _candidates(x, y, width, size * 1.2)]
        found = min(costs, key=lambda pair: pair[0])[1]
        taken.append(found)
        boxes.append(found)
    return boxes


def _candidates(x: float, y: float, width: float, height: float) -> list[tuple[Box, float]]:
    """Boxes around a dot, and how far from the best place each lies."""
    found = []
    for ring, (rank, (right, down)) in product(_RINGS, enumerate(_SIDES)):
        middle_x = x + right * (_NEAR + width / 2)
        middle_y = y + down * (_NEAR * ring + height / 2) if down else y
        if right and not down:
            middle_x += right * _NEAR * (ring - 1)
        box = Box(middle_x - width / 2, middle_y - height / 2, middle_x + width / 2, middle_y + height / 2)
        found.append((box, rank * _FAR + 8 * (ring - 1)))
    return found


def _cost(box: Box, far: float, taken: Sequence[Box], lines: Sequence[Box], frame: Box) -> float:
    covered = _OF_DOT * sum(box.overlap(other) for other in taken)
    crossed = _OF_LINE * sum(box.overlap(other) for other in lines)
    return far + covered + crossed + _OUTSIDE * (box.area - box.overlap(frame))
