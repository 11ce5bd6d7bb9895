"""Matrix products, entered into a graph as what they are: linear layers, convolutions by unfolding, attention."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from whyconv.counting.axis import Axis
from whyconv.counting.building import Builder, Call, More, Value
from whyconv.counting.convolution import Convolution
from whyconv.counting.graph import Node, Reach
from whyconv.counting.layout import Dim, Factor, Layout, is_place, num_pictures, place_roles, places, spots


@dataclass(frozen=True)
class Product:
    """A product of an array with weights.

    Attributes:
        contracted: The axis of the array that is summed over.
        batched: Axes of the array along which there are weights for each entry.
        produced: The axis of the result that the weights bring; the other axes keep their order.
        size: Its size.
        has_bias: Whether something is added.
    """

    contracted: int
    batched: tuple[int, ...]
    produced: int
    size: int
    has_bias: bool = False


def multiply_weights(
    builder: Builder, call: Call, x: Value, product: Product, *, is_fixed: bool = False
) -> list[Value]:
    """Enters a product of ``x`` with weights; where they are ``is_fixed``, none of them is free."""
    parts = _split(x, product)
    made = _unfolded(builder, call, x, product, parts) or _at_places(builder, call, x, product, parts)
    if is_fixed:
        builder.fix_last()
    return made


class _Parts(NamedTuple):
    """What the axes of an array are to a product.

    Attributes:
        inside: Summed over.
        batched: Along which there are weights for each entry.
        free: The others.
        layout: Of the result.
    """

    inside: Dim
    batched: list[Dim]
    free: list[Dim]
    layout: Layout


def _split(x: Value, product: Product) -> _Parts:
    kept = [axis for axis in range(len(x.layout)) if axis != product.contracted]
    rest = [x.layout[axis] for axis in kept]
    rest.insert(product.produced, (Factor("c", product.size),))
    return _Parts(
        x.layout[product.contracted],
        [x.layout[axis] for axis in kept if axis in product.batched],
        [x.layout[axis] for axis in kept if axis not in product.batched],
        tuple(rest),
    )


def _sizes(dims: Sequence[Dim], roles: str) -> int:
    return math.prod(factor.size for dim in dims for factor in dim if factor.role[0] in roles)


def _unfolded(builder: Builder, call: Call, x: Value, product: Product, parts: _Parts) -> list[Value] | None:
    """A product over the taps of windows that were unfolded before: a convolution or a locally connected layer."""
    window = _window_of(builder, x)
    if window is None:
        return None
    source, axes = window
    inside, batched, free, layout = parts
    taps = sorted(factor for factor in inside if factor.role[0] == "k")
    is_whole = [(factor.role, factor.size) for factor in taps] == [
        (f"k{index}", axis.kernel) for index, axis in enumerate(axes) if axis.kernel > 1
    ]
    groups, spots = _sizes(batched, "c"), math.prod(axis.output_length for axis in axes)
    local = _sizes(batched, "x")
    if not is_whole or any(is_place(factor) for factor in inside) or _sizes(free, "ck") > 1 or local not in (1, spots):
        return None
    channels = _sizes([inside], "c")
    convolution = Convolution(axes, groups * channels, groups * product.size, groups, product.has_bias)
    more: More = {"axes": axes, "convolution": convolution, "weights": None}
    if local == 1:
        return builder.add(call, "convolution", "window", [source], [layout], **more)
    more["weights"] = convolution.local_weights
    return builder.add(call, "locally_connected", "window", [source], [layout], **more)


def _window_of(builder: Builder, x: Value) -> tuple[Value, tuple[Axis, ...]] | None:
    """The map that windows were cut from, and how, where ``x`` is nothing but these windows."""
    node = builder.makers.get(x.map or x.name)
    if node is None or not _cuts_windows(node) or not any(f.role[0] == "k" for dim in x.layout for f in dim):
        return None
    axes = node.axes
    name = node.inputs[0]
    before = builder.makers.get(name)
    while before is not None and _cuts_windows(before):
        pairs = list(zip(before.axes, axes, strict=True))
        if not all(_is_idle(first) or _is_idle(second) for first, second in pairs):
            return None
        axes = tuple(second if _is_idle(first) else first for first, second in pairs)
        name = before.inputs[0]
        before = builder.makers.get(name)
    shape = builder.shapes[name]
    return Value(name, shape, ()), axes


def _cuts_windows(node: Node) -> bool:
    return node.kind == "reshape" and node.reach == "window"


def _is_idle(axis: Axis) -> bool:
    return axis.kernel == 1 and axis.stride == 1 and not any(axis.padding)


def _at_places(builder: Builder, call: Call, x: Value, product: Product, parts: _Parts) -> list[Value]:
    """A linear layer: on all numbers, at every place, or on patches; what is none of these is counted as it is."""
    inside, batched, free, layout = parts
    inner = list(spots(inside))
    outer = places(tuple(free))
    width = math.prod(factor.size for factor in inside)
    groups = _sizes(batched, "c")
    is_plain = _sizes(free, "ck") == 1 and _sizes(batched, "xk") == 1
    if is_plain and not inner:
        axes = tuple(Axis(length, 1) for length in outer.values())
        convolution = Convolution(axes, groups * width, groups * product.size, groups, product.has_bias)
        reach: Reach = "same" if axes else "all"
        return builder.add(call, "linear", reach, [x], [layout], axes=axes, convolution=convolution)
    if is_plain and not outer:
        convolution = Convolution((), groups * width, groups * product.size, groups, product.has_bias)
        return builder.add(call, "linear", "all", [x], [layout], convolution=convolution)
    if is_plain and (axes := _patches(inner, outer)):
        channels = groups * width // math.prod(factor.size for factor in inner)
        convolution = Convolution(axes, channels, groups * product.size, groups, product.has_bias)
        return builder.add(call, "convolution", "window", [x], [layout], axes=axes, convolution=convolution)
    num_outputs = math.prod(call.shape) // num_pictures(layout)
    weights = math.prod(factor.size for dim in batched for factor in dim) * width * product.size
    work = num_outputs * width
    more: More = {"weights": weights, "connections": work, "multiply_adds": work, "has_bias": product.has_bias}
    reach, more["reason"] = _crossing([place_roles([tuple(inner)])], place_roles(x.layout))
    return builder.add(call, "linear", reach, [x], [layout], **more)


def _crossing(crossed: Sequence[set[str]], known: set[str]) -> tuple[Reach, str]:
    """What is known of a product that sums over places, and why it is not.

    Args:
        crossed: For each of its arrays, the spatial axes along which a place meets all others.
        known: The spatial axes with more than one place.
    """
    if not any(crossed):
        return "same", ""
    return ("all", "") if known in crossed else ("unknown", "places meet along one axis only")


def _patches(inner: Sequence[Factor], outer: Mapping[str, int]) -> tuple[Axis, ...]:
    """The axes of windows side by side, each summed over whole; () where they are something else."""
    sizes = {factor.role: factor.size for factor in inner if factor.step == 1}
    if len(sizes) < len(inner) or sizes.keys() != outer.keys():
        return ()
    return tuple(Axis(length * sizes[role], sizes[role], sizes[role]) for role, length in outer.items())


def multiply_values(
    builder: Builder, call: Call, pair: tuple[Value, Value], contracted: tuple[int, int], num_batched: int
) -> list[Value]:
    """Enters a product of two arrays that both depend on the picture.

    Args:
        builder: Where to.
        call: The operation.
        pair: Arrays (batch..., m, k) and (batch..., k, n), or with the last two axes changed.
        contracted: The axis of each that is summed over.
        num_batched: How many axes come first that both share.
    """
    a, b = pair
    rows = [dim for axis, dim in enumerate(a.layout) if axis >= num_batched and axis != contracted[0]]
    columns = [dim for axis, dim in enumerate(b.layout) if axis >= num_batched and axis != contracted[1]]
    batch = list(a.layout[:num_batched])
    taken = {factor.role for dim in (*batch, *rows) for factor in dim if is_place(factor)}
    columns = [tuple(Factor("c", f.size) if f.role in taken else f for f in dim) for dim in columns]
    reach, reason = _met(pair, contracted, num_batched, taken)
    layout = (*batch, *rows, *columns)
    count = math.prod(call.shape) // num_pictures(layout) * a.shape[contracted[0]]
    return builder.add(call, "matrix_product", reach, [a, b], [layout], multiply_adds=count, reason=reason)


def _met(pair: tuple[Value, Value], contracted: tuple[int, int], num_batched: int, kept: set[str]) -> tuple[Reach, str]:
    """What is known of the places that meet in such a product, whose result has those of the ``kept`` axes."""
    if not any(is_place(factor) for value in pair for dim in value.layout[num_batched:] for factor in dim):
        return "same", ""
    a, b = pair
    summed = [place_roles([value.layout[axis]]) for value, axis in zip(pair, contracted, strict=True)]
    columns = [dim for axis, dim in enumerate(b.layout) if axis >= num_batched and axis != contracted[1]]
    crossed = [summed[0], summed[1] | (place_roles(columns) & kept)]
    known = place_roles((*a.layout, *b.layout))
    return _crossing(crossed, known) if any(crossed) else ("all", "")
