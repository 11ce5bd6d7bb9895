"""What the views from closer leave out of a picture: one rule for networks, exported files and maps."""

from __future__ import annotations

# Of the side: what is seen from closer.
CLOSER_FRACTION = 0.85


def margin(side: int) -> int:
    """Pixels that a view from closer leaves out on each of the four sides of a picture."""
    return round(side * (1 - CLOSER_FRACTION) / 2)
