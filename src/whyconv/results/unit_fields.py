"""What single units of a few layers see of a picture."""

from __future__ import annotations

from whyconv.results.record import Record


class UnitField(Record):
    """The receptive field of one unit. Exact.

    Attributes:
        layer: Name of its layer.
        places: Of the layer's map (high, wide).
        place: Of the unit (row, column), counted from 0: the middle one.
        size: Pixels (high, wide), not cut at the picture's borders.
        box: The part of it that lies on the picture (top, left, high, wide) in pixels.
    """

    layer: str
    places: tuple[int, int]
    place: tuple[int, int]
    size: tuple[int, int]
    box: tuple[int, int, int, int]

    @property
    def is_cut(self) -> bool:
        """Whether some of the field lies in the padding."""
        return self.box[2:] != self.size


class UnitFields(Record):
    """The middle unit of a few layers, from the first to the last whose places have fields of one size.

    Attributes:
        picture: Pixels (high, wide).
        units: At most four, fields rising.
    """

    picture: tuple[int, int]
    units: list[UnitField]
