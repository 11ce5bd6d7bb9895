"""Operations that move, join, select and combine numbers without weights of their own, entered into a graph."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

from whyconv.counting.axis import Axis
from whyconv.counting.building import Builder, Call, Crop, More, Value
from whyconv.counting.graph import Reach
from whyconv.counting.layout import (
    Dim,
    Factor,
    Layout,
    broadcast,
    canonical_shape,
    disagree,
    feature_layout,
    guessed_layout,
    is_place,
    merged,
    permute,
    picture_layout,
    place_roles,
    places,
    reshape,
)
from whyconv.counting.windows import pad, unfold_crops
from whyconv.results.network import LayerKind

_TURNED = "places meet that lie in another order"


def relabel(builder: Builder, call: Call, x: Value, layout: Layout | None) -> Value:
    """The same numbers in another shape: a node only where it changes what counts as a place.

    Args:
        builder: Where to.
        call: The operation.
        x: The numbers.
        layout: After the operation; None where nobody knows.
    """
    if layout is None:
        guess = guessed_layout(call.shape, x.layout[0])
        return builder.add(call, "reshape", "unknown", [x], [guess], reason="places are cut unevenly")[0]
    before, after = builder.shapes[x.name], canonical_shape(layout)
    if before == after:
        return replace(x, shape=call.shape, layout=layout)
    if x.map and builder.shapes[x.map] == after:
        return Value(x.map, call.shape, layout)
    if len(after) == 2 or math.prod(before[2:]) == 1:
        made = builder.add(call, "reshape", "all", [x], [layout])[0]
        return replace(made, map=x.map or x.name)
    axes = _patches(before[2:], layout)
    if axes:
        return builder.add(call, "reshape", "window", [x], [layout], axes=axes)[0]
    return builder.add(call, "reshape", "unknown", [x], [layout], reason="places become channels, or the reverse")[0]


def _patches(lengths: Sequence[int], layout: Layout) -> tuple[Axis, ...]:
    """The axes of windows side by side, where the inner part of every spatial axis went to the channels."""
    outer = {
        factor.role: factor for dim in layout for factor in dim if is_place(factor) and factor.role in places(layout)
    }
    sizes = places(layout)
    if len(sizes) != len(lengths):
        return ()
    found = []
    for axis, length in enumerate(lengths):
        size = sizes.get(f"x{axis}", 0)
        if not size or length % size:
            return ()
        inner = length // size
        steps = [f.step for dim in layout for f in dim if f.role == f"x{axis}" and f.size == size]
        if inner > 1 and inner not in steps:
            return ()
        found.append(Axis(length, inner, inner))
    return tuple(found) if outer else ()


def turn(builder: Builder, call: Call, x: Value, order: Sequence[int]) -> Value:
    """Enters a permutation of the axes."""
    return relabel(builder, call, x, permute(x.layout, order))


def refit(builder: Builder, call: Call, x: Value) -> Value:
    """Enters a reshape."""
    return relabel(builder, call, x, reshape(x.layout, call.shape))


def grow(builder: Builder, call: Call, x: Value) -> list[Value]:
    """Enters repetition along axes, such as the expansion of axes of size 1."""
    depth = len(call.shape)
    layout = ((),) * (depth - len(x.layout)) + x.layout
    new: list[Dim] = []
    for axis, (dim, size) in enumerate(zip(layout, call.shape, strict=True)):
        if math.prod(factor.size for factor in dim) == size:
            new.append(dim)
        else:
            new.append((Factor(dim[0].role if len(dim) == 1 else ("c" if axis else "n"), size),))
    if tuple(new) == x.layout:
        return [x]
    is_spread = any(is_place(f) for dim, old in zip(new, layout, strict=True) if dim != old for f in dim)
    from_one = all(length == 1 for length in builder.shapes[x.name][2:])
    reach: Reach = "same" if not is_spread else ("all" if from_one else "unknown")
    return builder.add(
        call, "reshape", reach, [x], [tuple(new)], reason="" if reach != "unknown" else "places are repeated"
    )


def select(  # noqa: PLR0913
    builder: Builder, call: Call, x: Value, axis: int, *, start: int = 0, step: int = 1, drop: bool = False
) -> list[Value]:
    """Enters a part along one axis, for each output of the call; ``drop`` takes the axis away."""
    if not drop and call.shapes == (x.shape,) and step > 0:
        return [x]
    dim = x.layout[axis]
    layouts = []
    for shape in call.shapes:
        kept: Dim = (Factor(dim[0].role if len(dim) == 1 else "c", 1 if drop else shape[axis]),)
        layouts.append(x.layout[:axis] + (() if drop else (kept,)) + x.layout[axis + 1 :])
    if not any(is_place(factor) and factor.size > 1 for factor in dim):
        return builder.add(call, "slice", "same", [x], layouts)
    lengths = places(x.layout)
    if drop or len(call.shapes) > 1 or len(dim) > 1 or step < 1 or lengths.get(dim[0].role) != dim[0].size:
        return builder.add(call, "slice", "unknown", [x], layouts, reason="a part of the places is taken")
    role, count = dim[0].role, call.shape[axis]
    crop = _crop(x, [(start, step, count) if name == role else (0, 1, size) for name, size in lengths.items()])
    if start:
        made = builder.add(call, "slice", "unknown", [x], layouts, reason="a part of the places is taken")
    else:
        axes = tuple(
            Axis(length, 1, step, num_outputs=count) if name == role else Axis(length, 1)
            for name, length in lengths.items()
        )
        made = builder.add(call, "slice", "window", [x], layouts, axes=axes)
    return [replace(made[0], crop=crop)]


def _crop(x: Value, rows: Sequence[tuple[int, int, int]]) -> Crop:
    """Where a part lies in the map that ``x`` itself may be a part of."""
    if x.crop is None:
        return Crop(x.name, tuple(rows))
    inner = (
        (first + stride * start, stride * step, count)
        for (first, stride, _), (start, step, count) in zip(x.crop.rows, rows, strict=True)
    )
    return Crop(x.crop.source, tuple(inner))


def join(builder: Builder, call: Call, values: Sequence[Value], axis: int, *, is_new: bool = False) -> list[Value]:
    """Enters concatenation along an axis, or along a new one."""
    deepest = max(values, key=lambda value: len(value.layout))
    dims = list(deepest.layout)
    if len(values) > 1 and not is_new and not call.weights:
        if {factor.role for factor in dims[axis]} <= {"n"} and axis == 0:
            if not any(map(builder.is_computed, values)):
                dims[0] = (Factor("n", call.shape[0]),)  # views of one picture side by side: each is computed alike
                return [replace(values[0], shape=call.shape, layout=tuple(dims))]
            pictures = math.gcd(*(value.shape[0] for value in values))
            dims[0] = merged((Factor("c", call.shape[0] // pictures), Factor("n", pictures)))
            return builder.add(call, "concatenate", "same", values, [tuple(dims)])
        if windows := unfold_crops(builder, call, values, axis) or _ring(builder, call, values, axis):
            return windows
    if is_new and not call.weights:
        spread = [replace(value, layout=(*value.layout[:axis], (), *value.layout[axis:])) for value in values]
        if windows := unfold_crops(builder, call, spread, axis):
            return windows
    if is_new:
        dims.insert(axis, (Factor("c", call.shape[axis]),))
        reach, reason = _meeting([value.layout for value in values])
        return builder.add(call, "concatenate", reach, values, [tuple(dims)], reason=reason)
    touched = {factor.role for value in values for factor in value.layout[axis] if factor.size > 1 and is_place(factor)}
    role = min(touched) if touched else next((f.role for f in dims[axis] if not is_place(f)), "c")
    dims[axis] = (Factor(role, call.shape[axis]),)
    beside = [(*value.layout[:axis], (), *value.layout[axis + 1 :]) for value in values]
    reach, reason = ("unknown", "places are joined") if touched else _meeting(beside)
    return builder.add(call, "concatenate", reach, values, [tuple(dims)], reason=reason)


def _ring(builder: Builder, call: Call, values: Sequence[Value], axis: int) -> list[Value] | None:
    """Enters a map with its own end before it and its own start after it as circular padding; None where it is none."""
    whole = next((value for value in values if value.crop is None), values[0])
    lengths = places(whole.layout)
    roles = [factor.role for factor in whole.layout[axis]]
    if len(roles) != 1 or lengths.get(roles[0]) != whole.shape[axis]:
        return None
    index, length = values.index(whole), whole.shape[axis]
    around = (
        [(length - before.shape[axis], 1, before.shape[axis]) for before in values[:index]],
        [(0, 1, after.shape[axis]) for after in values[index + 1 :]],
    )
    if max(map(len, around)) > 1:
        return None
    expected = [
        Crop(whole.name, tuple(row if name == roles[0] else (0, 1, size) for name, size in lengths.items()))
        for rows in around
        for row in rows
    ]
    if expected != [value.crop for value in values if value is not whole]:
        return None
    before, after = (sum(row[2] for row in rows) for rows in around)
    pads = [(before, after) if each == axis else (0, 0) for each in range(len(whole.shape))]
    return pad(builder, call, whole, pads, "circular")


def combine(builder: Builder, call: Call, values: Sequence[Value], kind: LayerKind = "pointwise") -> list[Value]:
    """Enters an operation on numbers at the same place of each array."""
    layout = values[0].layout if len(values) == 1 else broadcast([value.layout for value in values])
    if len(layout) != len(call.shape) or any(
        math.prod(factor.size for factor in dim) != size for dim, size in zip(layout, call.shape, strict=True)
    ):
        layout = _spread(layout, call.shape)
    reach, reason = _meeting([value.layout for value in values])
    return builder.add(call, kind, reach, values, [layout] * len(call.shapes), reason=reason)


def _meeting(layouts: Sequence[Layout]) -> tuple[Reach, str]:
    """What is known of places where arrays meet number by number, and why it is not."""
    return ("unknown", _TURNED) if disagree(layouts) else ("same", "")


def _spread(layout: Layout, shape: Sequence[int]) -> Layout:
    """The layout where weights are larger than the array they are combined with."""
    full = ((),) * (len(shape) - len(layout)) + layout
    guess = picture_layout(shape) if len(shape) > 2 else feature_layout(shape)
    return tuple(
        dim if math.prod(factor.size for factor in dim) == size else other
        for dim, size, other in zip(full, shape, guess, strict=True)
    )


def summarize(
    builder: Builder, call: Call, x: Value, axes: Sequence[int], *, keeps: bool, kind: LayerKind = "pooling"
) -> list[Value]:
    """Enters a sum, mean or maximum over whole axes."""
    gone = {axis % len(x.layout) for axis in axes} if axes else set(range(len(x.layout)))
    layout = tuple(
        (Factor(dim[0].role if dim else "c", 1),) if axis in gone else dim
        for axis, dim in enumerate(x.layout)
        if keeps or axis not in gone
    )
    touched = {f.role for axis in gone for f in x.layout[axis] if is_place(f)}
    left = {role for role in places(layout) if places(layout)[role] > 1}
    more: More = {"connections": x.size}
    if touched and left and not keeps:
        more["reason"] = "one axis of places is taken away"
    reach: Reach = "same" if not touched else ("all" if not left else "unknown")
    if reach == "unknown" and keeps:
        lengths = places(x.layout)
        more = {"axes": tuple(Axis(n, n, n) if role in touched else Axis(n, 1) for role, n in lengths.items())}
        reach = "window"
    return builder.add(call, kind, reach, [x], [layout] * len(call.shapes), **more)


def normalize(builder: Builder, call: Call, x: Value, axes: Sequence[int], *, reads_statistics: bool) -> list[Value]:
    """Enters normalization or softmax.

    Args:
        builder: Where to.
        call: The operation.
        x: The array.
        axes: Over which mean and deviation, or the sum, are taken; none where they are stored.
        reads_statistics: Whether they come from the array itself.
    """
    dims = [x.layout[axis] for axis in axes] if reads_statistics else []
    each = math.prod(factor.size for dim in dims for factor in dim)
    layouts = [x.layout] + [feature_layout(shape) for shape in call.shapes[1:]]
    touched = place_roles(dims)
    more: More = {"connections": x.size * each}
    reach: Reach = "all" if touched else "same"
    if touched and place_roles(x.layout) - touched:
        reach, more["axes"], more["reason"] = _along(x.layout, dims, touched)
    return builder.add(call, "normalization", reach, [x], layouts, **more)


def _along(layout: Layout, dims: Sequence[Dim], touched: set[str]) -> tuple[Reach, tuple[Axis, ...], str]:
    """The reach of what takes all places along some spatial axes together, its axes, and why it is not known."""
    lengths, taken = places(layout), places(tuple(dims))
    if any(taken.get(role) != lengths.get(role) for role in touched):
        return "unknown", (), "places are taken together along one axis, in parts"
    # A ring of as many taps as there are places meets each of them once, wherever it begins.
    rings = {role: Axis(n, n, 1, ((n - 1) // 2, n // 2), mode="circular") for role, n in lengths.items()}
    return "window", tuple(rings[role] if role in touched else Axis(n, 1) for role, n in lengths.items()), ""


def assemble(builder: Builder, call: Call, parts: Sequence[Value]) -> Value:
    """Enters an array that was written part by part in place."""
    layout = guessed_layout(call.shape, parts[0].layout[0])
    reason = "written in place, part by part"
    return builder.add(call, "concatenate", "unknown", parts, [layout], reason=reason)[0]
