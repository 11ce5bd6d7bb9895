"""What circular moves of the picture do to an array, followed through torch's operations, one rule for each.

An array moves along when a circular move of the picture by (a, b) pixels moves it circularly too, on its own grid: that
of the phases that were taken before it. Arrays on one grid may be added; arrays on grids that were chosen separately
may not. What a rule cannot show is refused, and the array after it is excused, so that one fault is told once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor


@dataclass(frozen=True)
class Moving:
    """How an array moves.

    Attributes:
        rows: Its axis along which moves down appear; None: they change nothing.
        columns: Likewise for moves to the right.
        grid: Numbers of the phases that were taken on the way, in order.
        padded: Places added around the border, (rows, columns) in all.
        is_excused: A fault before it was told already.
    """

    rows: int | None = 2
    columns: int | None = 3
    grid: tuple[int, ...] = ()
    padded: tuple[int, int] = (0, 0)
    is_excused: bool = False

    @property
    def is_still(self) -> bool:
        """Whether no move changes it."""
        return self.rows is None and self.columns is None

    @property
    def is_map(self) -> bool:
        """Whether it is an array (n, c, h, w) that moves."""
        return (self.rows, self.columns) == (2, 3)


@dataclass(frozen=True)
class Phase:
    """A choice among the components of maps of a grid."""

    number: int
    stride: int
    grid: tuple[int, ...]
    is_excused: bool = False


@dataclass(frozen=True)
class Places:
    """Positions in a map, as numbers: they change when the picture moves."""


State = Moving | Phase | Places
Refuse = Callable[..., None]
STILL = Moving(None, None)


@dataclass(frozen=True, eq=False)
class Step:
    """One operation of torch.

    Attributes:
        name: Without namespace and overload: "convolution".
        given: Arguments by name.
        states: Of arrays that depend on the picture, by ``id``.
        made: What came out.
        refuse: Tells a fault: ``refuse(key, **values)``.
    """

    name: str
    given: dict[str, Any]
    states: dict[int, State]
    made: list[Tensor]
    refuse: Refuse

    def state(self, name: str = "self") -> Moving:
        """Of an argument; at rest where it does not depend on the picture."""
        found = self.states.get(id(self.given.get(name)), STILL)
        assert isinstance(found, Moving)
        return found

    def refused(self, key: str, **values: object) -> Moving:
        """Tells a fault and returns what the array is taken for from here on."""
        self.refuse(key, **values)
        return excused(self.made[0])


Rule = Callable[[Step], "State | list[State]"]


def excused(made: Tensor, grid: tuple[int, ...] = ()) -> Moving:
    """What an array is taken for after a fault: a map if it looks like one."""
    if made.ndim == 4 and max(made.shape[2:]) > 1:
        return Moving(grid=grid, is_excused=True)
    return Moving(None, None, is_excused=True)


def shape_text(shape: Sequence[int]) -> str:
    """Returns ``33 x 33``."""
    return " x ".join(map(str, shape))


def together(step: Step) -> Moving:
    """Numbers computed one by one from several arrays: all must lie on each other wherever the picture lies."""
    depth = step.made[0].ndim
    arrays = [each for each in flat(list(step.given.values())) if isinstance(each, Tensor)]
    moving = [(each, step.states[id(each)]) for each in arrays if id(each) in step.states]
    states = [(each, state) for each, state in moving if isinstance(state, Moving)]
    rows = {state.rows + depth - each.ndim for each, state in states if state.rows is not None}
    columns = {state.columns + depth - each.ndim for each, state in states if state.columns is not None}
    placed = [state for _, state in states if not state.is_still]
    is_excused = any(state.is_excused for _, state in states)
    grids, padded = {state.grid for state in placed}, {state.padded for state in placed}
    if len(rows) > 1 or len(columns) > 1 or len(padded) > 1:
        return step.refused("condition_unknown", operation=step.name)
    if len(grids) > 1 and not is_excused:
        return step.refused("condition_branches")
    row, column = next(iter(rows), None), next(iter(columns), None)
    found = Moving(row, column, next(iter(grids), ()), next(iter(padded), (0, 0)), is_excused)
    for each in arrays:
        state = step.states.get(id(each))
        axes = (state.rows, state.columns) if isinstance(state, Moving) else (None, None)
        for axis, own in ((row, axes[0]), (column, axes[1])):
            if axis is not None and own is None and _differs_along(each, axis - depth, is_known=state is None):
                return step.refused("condition_numbers", shape=shape_text(each.shape))
    return found


def _differs_along(array: Tensor, axis: int, *, is_known: bool) -> bool:
    """Whether an array that does not move has different numbers along an axis, counted from the last."""
    if array.ndim < -axis or array.shape[axis] == 1:
        return False
    return not is_known or not bool((array == array.narrow(axis, 0, 1)).all())


def flat(given: Sequence[object]) -> list[object]:
    """Every part of lists in lists."""
    found: list[object] = []
    for each in given:
        found += flat(each) if isinstance(each, list | tuple) else [each]
    return found
