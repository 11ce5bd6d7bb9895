"""An axis of a window over what was padded before: padding that reflects, repeats or goes around may repeat zeros."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

from whyconv.counting.axis import Axis

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class BorderedAxis(Axis):
    """An axis that lies on a border, which is no data where it is constant, and leads back to data where it is not.

    ``length`` is that of the data, within the border; what an input is follows from both. Counts are made place by
    place, for no formula knows every order of borders.

    Attributes:
        outer: Slides over the data with its border.
        border: Makes it of the data: a window of one tap, with what is added before and after.
    """

    outer: Axis = field(kw_only=True)
    border: Axis = field(kw_only=True)

    @staticmethod
    def of(outer: Axis, border: Axis) -> BorderedAxis:
        """The axis ``outer`` as one over what lies within ``border``."""
        return BorderedAxis(
            border.length,
            outer.kernel,
            outer.stride,
            outer.padding,
            outer.dilation,
            outer.mode,
            outer.output_length,
            outer=outer,
            border=border,
        )

    def __post_init__(self) -> None:
        """Asks nothing: ``outer`` was asked whether it can slide."""

    def sources(self, outputs: NDArray[np.int64] | None = None) -> NDArray[np.int64]:
        """As of every axis."""
        import numpy as np

        within, met = self.border.sources()[:, 0], self.outer.sources(outputs)
        return np.where(met < 0, -1, within[met])

    @cached_property
    def tap_counts(self) -> list[int]:
        """As of every axis."""
        return [int(count) for count in (self.sources() >= 0).sum(axis=0)]

    @cached_property
    def num_outputs_on_data(self) -> int:
        """As of every axis."""
        return int((self.sources() >= 0).any(axis=1).sum())

    @cached_property
    def num_inputs_met(self) -> int:
        """As of every axis."""
        return _num_different(self.sources().reshape(1, -1))[0]

    @cached_property
    def num_places_reached(self) -> int:
        """As of every axis: of the data with its border."""
        return self.outer.num_places_reached

    @cached_property
    def num_connections(self) -> int:
        """As of every axis."""
        return sum(_num_different(self.sources()))

    @cached_property
    def inputs_per_output(self) -> tuple[int, int]:
        """As of every axis."""
        counts = _num_different(self.sources())
        return min(counts), max(counts)

    def num_inputs_at(self, output: int) -> int:
        """As of every axis."""
        import numpy as np

        return _num_different(self.sources(np.array([output])))[0]


def _num_different(places: NDArray[np.int64]) -> list[int]:
    """In each row, how many different places there are; -1 is none."""
    import numpy as np

    ordered = np.sort(places, axis=1)
    is_new = np.diff(ordered, axis=1, prepend=-1) != 0
    return [int(count) for count in (is_new & (ordered >= 0)).sum(axis=1)]
