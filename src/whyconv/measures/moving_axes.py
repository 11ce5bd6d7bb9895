"""How arrays move after their axes were cut, joined, or put in another order."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

from torch import Tensor

from whyconv.measures.moving import Moving, State, Step, flat, shape_text, together


def reshape(step: Step) -> Moving:
    """Places may not become features, and pictures may not be mixed."""
    state, array, made = step.state(), step.given["self"], step.made[0]
    rows, columns = _place(array, state.rows, made), _place(array, state.columns, made)
    if state.rows is not None and state.columns == state.rows + 1 and None in (rows, columns):
        # Both axes of places as one, in order.
        rows = columns = _place(array.flatten(state.rows, state.columns), state.rows, made)
    is_lost = (rows is None) != (state.rows is None) or (columns is None) != (state.columns is None)
    if array.shape[0] != made.shape[0]:
        return step.refused("condition_mixes")
    if is_lost:
        return step.refused("condition_flatten", shape=shape_text(array.shape[1:]))
    return replace(state, rows=rows, columns=columns)


def _place(array: Tensor, axis: int | None, made: Tensor) -> int | None:
    """The axis of ``made`` that is the given axis of ``array``, all of it and nothing else."""
    if axis is None:
        return None
    before = math.prod(array.shape[:axis])
    for place in range(made.ndim):
        if math.prod(made.shape[:place]) == before and made.shape[place] == array.shape[axis]:
            return place
    return None


def permute(step: Step) -> Moving:
    """Axes change places; pictures stay first."""
    depth = step.made[0].ndim
    if step.name == "permute":
        order = [axis % depth for axis in step.given["dims"]]
    else:
        order = list(range(depth))
        one, other = (step.given.get(name, default) % depth for name, default in (("dim0", 0), ("dim1", 1)))
        order[one], order[other] = other, one
    if order[0] != 0:
        return step.refused("condition_mixes")
    return _moved(step.state(), order.index)


def unsqueeze(step: Step) -> Moving:
    """One axis more."""
    at = step.given["dim"] % step.made[0].ndim
    return step.refused("condition_mixes") if at == 0 else _moved(step.state(), lambda axis: axis + (axis >= at))


def squeeze(step: Step) -> Moving:
    """Axes of one number go; those of places have more."""
    array, dims = step.given["self"], step.given.get("dim")
    asked = range(array.ndim) if dims is None else [axis % array.ndim for axis in flat([dims])]
    gone = {axis for axis in asked if array.shape[axis] == 1}
    return _moved(step.state(), lambda axis: axis - sum(each < axis for each in gone))


def select(step: Step) -> Moving:
    """One of an axis, for features; of places it would be a place."""
    state, axis = step.state(), step.given["dim"] % step.given["self"].ndim
    if axis == 0 or axis in (state.rows, state.columns):
        return step.refused("condition_slice")
    return _moved(state, lambda each: each - (each > axis))


def unbind(step: Step) -> list[State]:
    """All of an axis, one by one."""
    return [select(step)] * len(step.made)


def cut(step: Step) -> list[State]:
    """A part of an axis, or several: of features, or all of the places."""
    state, array = step.state(), step.given["self"]
    axis = step.given.get("dim", 0) % array.ndim
    if axis in (state.rows, state.columns):
        if (step.given.get("step") or 1) > 1:
            return [step.refused("condition_stride", stride=step.given["step"])]
        if any(each.shape[axis] != array.shape[axis] for each in step.made):
            return [step.refused("condition_slice")] * len(step.made)
    if axis == 0 and any(each.shape[0] != array.shape[0] for each in step.made):
        return [step.refused("condition_mixes")] * len(step.made)
    return [state] * len(step.made)


def join(step: Step) -> Moving:
    """Features side by side."""
    found, axis = together(step), step.given.get("dim", 0) % step.made[0].ndim
    if axis == 0 or axis in (found.rows, found.columns):
        return step.refused("condition_mixes" if axis == 0 else "condition_unknown", operation="cat")
    return found


def expand(step: Step) -> Moving:
    """Repeated along axes of one number."""
    more = step.made[0].ndim - step.given["self"].ndim
    return step.refused("condition_mixes") if more else step.state()


def roll(step: Step) -> Moving:
    """Moved around its own border by a fixed way; rows and columns in one axis would go over into each other."""
    state, axes = step.state(), {axis % step.made[0].ndim for axis in step.given.get("dims") or [0]}
    if 0 in axes or (state.rows in axes and state.rows == state.columns):
        return step.refused("condition_unknown", operation="roll")
    return state


def _moved(state: Moving, to: Callable[[int], int]) -> Moving:
    rows, columns = (None if axis is None else to(axis) for axis in (state.rows, state.columns))
    return replace(state, rows=rows, columns=columns)
