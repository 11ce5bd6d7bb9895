"""How arrays move after windows, sums over places and normalization."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from whyconv.measures.moving import STILL, Moving, Places, State, Step, excused, flat, shape_text


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
    axes = {axis % array.ndim for axis in (flat([dims]) if dims not in (None, []) else range(array.ndim))}
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
    if is_over_places and any(step.given.get(name) is not None for name in ("weight", "bias")):
        found = step.refused("condition_numbers", shape=shape_text(step.given["normalized_shape"]))
    else:
        found = state
    return [found, *[Places()] * (len(step.made) - 1)]


def _pair(given: Any) -> Sequence[int]:  # noqa: ANN401
    sizes = [given] if isinstance(given, int) else list(given)
    return sizes * 2 if len(sizes) == 1 else sizes
