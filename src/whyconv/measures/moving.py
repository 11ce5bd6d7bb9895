"""What circular moves of the picture do to an array, followed through torch's operations, one rule for each.

An array moves along when a circular move of the picture by (a, b) pixels moves it circularly too, on its own grid: that
of the phases that were taken before it. Arrays on one grid may be added; arrays on grids that were chosen separately
may not. What a rule cannot show is refused, and the array after it is excused, so that one fault is told once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
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
    arrays = [each for each in _flat(list(step.given.values())) if isinstance(each, Tensor)]
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


def _flat(given: Sequence[object]) -> list[object]:
    found: list[object] = []
    for each in given:
        found += _flat(each) if isinstance(each, list | tuple) else [each]
    return found


def convolve(step: Step) -> Moving:
    """A sliding window of stride 1 whose places beyond the border are those of the other side."""
    state, weight = step.state("input"), step.given["weight"]
    if not state.is_map or id(weight) in step.states or step.given["transposed"]:
        return step.refused("condition_unknown", operation="convolution")
    reach = [spread * (size - 1) for spread, size in zip(_pair(step.given["dilation"]), weight.shape[2:], strict=True)]
    return _slid(step, state, reach, _pair(step.given["stride"]), _pair(step.given["padding"]), "condition_stride")


def pool(step: Step) -> list[State]:
    """Maximum or mean of windows."""
    state, array = step.state(), step.given["self"]
    kernel = _pair(step.given["kernel_size"])
    stride = _pair(step.given.get("stride") or kernel)
    padding, dilation = _pair(step.given.get("padding", 0)), _pair(step.given.get("dilation", 1))
    if not state.is_map:
        return [step.refused("condition_unknown", operation=step.name)] * len(step.made)
    if tuple(kernel) == tuple(array.shape[2:]) and not any(padding) and state.padded == (0, 0):
        found = replace(state, rows=None, columns=None)
    else:
        reach = [spread * (size - 1) for spread, size in zip(dilation, kernel, strict=True)]
        found = _slid(step, state, reach, stride, padding, "condition_pool")
    return [found, *[Places()] * (len(step.made) - 1)]


def _slid(
    step: Step, state: Moving, reach: Sequence[int], stride: Sequence[int], padding: Sequence[int], key: str
) -> Moving:
    is_wrong = False
    if max(stride) > 1:
        step.refuse(key, stride=max(stride))
        is_wrong = True
    if any(padding):
        step.refuse("condition_padding", padding=max(padding))
        is_wrong = True
    elif tuple(reach) != state.padded and max(stride) == 1:
        step.refuse("condition_shrinks", reach=shape_text(reach), padded=shape_text(state.padded))
        is_wrong = True
    return excused(step.made[0], state.grid) if is_wrong else replace(state, padded=(0, 0))


def pad(step: Step) -> Moving:
    """Padding with anything but the other side."""
    step.refuse("condition_padding", padding=max(map(abs, step.given.get("pad") or step.given["padding"])))
    return excused(step.made[0], step.state().grid)


def pool_adaptively(step: Step) -> list[State]:
    """Windows that cut the map into so many places; one place is the whole map."""
    state, places = step.state(), list(_pair(step.given["output_size"]))
    if places == [1, 1] and state.is_map:
        found = replace(state, rows=None, columns=None)
    else:
        found = step.refused("condition_places_left", places=shape_text(places))
    return [found, *[Places()] * (len(step.made) - 1)]


def reduce(step: Step) -> State | list[State]:
    """Numbers over axes; over both axes of places nothing moves any more."""
    state, array = step.state(), step.given["self"]
    dims = step.given.get("dim")
    axes = {axis % array.ndim for axis in (_flat([dims]) if dims not in (None, []) else range(array.ndim))}
    if 0 in axes:
        return [step.refused("condition_mixes")] * len(step.made)
    kept = None if step.given.get("keepdim") else axes
    found = replace(
        state,
        rows=None if state.rows in axes else _after(state.rows, kept),
        columns=None if state.columns in axes else _after(state.columns, kept),
    )
    is_placed = bool({state.rows, state.columns} & axes)
    if step.name in ("argmax", "argmin"):
        return Places() if is_placed else found
    if step.name in ("max", "min"):
        return [found, *[Places() if is_placed else found] * (len(step.made) - 1)]
    return [found] * len(step.made)


def _after(axis: int | None, gone: set[int] | None) -> int | None:
    return axis if axis is None or gone is None else axis - sum(each < axis for each in gone)


def soften(step: Step) -> Moving:
    """Softmax along an axis."""
    if step.given["dim"] % step.made[0].ndim == 0:
        return step.refused("condition_mixes")
    return step.state()


def normalize_batch(step: Step) -> list[State]:
    """Batch normalization, by statistics that were learned."""
    state = step.state("input")
    if step.given.get("training") or step.given.get("running_mean") is None:
        return [step.refused("condition_batch")] * len(step.made)
    if 1 in (state.rows, state.columns):
        return [step.refused("condition_numbers", shape=shape_text(step.made[0].shape))] * len(step.made)
    return [state] * len(step.made)


def normalize_group(step: Step) -> list[State]:
    """Statistics over groups of channels and all places, numbers for each channel."""
    state = step.state("input")
    found = state if state.is_map else step.refused("condition_unknown", operation=step.name)
    return [found, *[STILL] * (len(step.made) - 1)]


def normalize_layer(step: Step) -> list[State]:
    """Statistics over the last axes; where these are places, no numbers may be learned for each."""
    state, first = step.state("input"), step.made[0].ndim - len(step.given["normalized_shape"])
    is_over_places = any(axis is not None and axis >= first for axis in (state.rows, state.columns))
    if is_over_places and step.given.get("weight") is not None:
        found = step.refused("condition_numbers", shape=shape_text(step.given["normalized_shape"]))
    else:
        found = state
    return [found, *[Places()] * (len(step.made) - 1)]


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
    asked = range(array.ndim) if dims is None else [axis % array.ndim for axis in _flat([dims])]
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


def hand_on(step: Step) -> Moving:
    """The same array, or one that was moved around its own border by a fixed way."""
    return step.state()


def _moved(state: Moving, to: Callable[[int], int]) -> Moving:
    rows, columns = (None if axis is None else to(axis) for axis in (state.rows, state.columns))
    return replace(state, rows=rows, columns=columns)


def _pair(given: Any) -> Sequence[int]:  # noqa: ANN401
    sizes = [given] if isinstance(given, int) else list(given)
    return sizes * 2 if len(sizes) == 1 else sizes


RULES: dict[str, Rule] = {
    **dict.fromkeys(("convolution", "_convolution"), convolve),
    **dict.fromkeys(("max_pool2d", "max_pool2d_with_indices", "avg_pool2d"), pool),
    **dict.fromkeys(("_adaptive_avg_pool2d", "adaptive_avg_pool2d", "adaptive_max_pool2d"), pool_adaptively),
    **dict.fromkeys(("constant_pad_nd", "reflection_pad2d", "replication_pad2d"), pad),
    **dict.fromkeys(("mean", "sum", "amax", "amin", "max", "min", "prod", "var", "std", "var_mean"), reduce),
    **dict.fromkeys(("logsumexp", "linalg_vector_norm", "norm", "argmax", "argmin"), reduce),
    **dict.fromkeys(("_softmax", "_log_softmax"), soften),
    **dict.fromkeys(("native_batch_norm", "_native_batch_norm_legit"), normalize_batch),
    "_native_batch_norm_legit_no_training": normalize_batch,
    "native_group_norm": normalize_group,
    "native_layer_norm": normalize_layer,
    **dict.fromkeys(("view", "_unsafe_view", "reshape", "_reshape_alias"), reshape),
    **dict.fromkeys(("permute", "transpose", "t"), permute),
    "unsqueeze": unsqueeze,
    "squeeze": squeeze,
    "select": select,
    "unbind": unbind,
    **dict.fromkeys(("slice", "narrow", "split", "split_with_sizes"), cut),
    "cat": join,
    "expand": expand,
    "roll": hand_on,
}
# Of these the border of a padded map may be an argument.
TAKE_PADDED = ("convolution", "_convolution", "max_pool2d", "max_pool2d_with_indices", "avg_pool2d")
