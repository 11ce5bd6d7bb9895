"""Operations that slide a window over a map, entered into a graph."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from whyconv.counting.axis import Axis
from whyconv.counting.building import Builder, Call, Value
from whyconv.counting.convolution import Convolution
from whyconv.counting.graph import Reach
from whyconv.counting.layout import Factor, Layout, is_place, merged, num_pictures, num_pieces, picture_layout, places
from whyconv.results.network import LayerKind


@dataclass(frozen=True)
class Window:
    """Kernel, stride, padding before and after, and dilation, one number for each spatial axis."""

    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[tuple[int, int], ...]
    dilation: tuple[int, ...]

    def axes(self, lengths: Sequence[int], outputs: Sequence[int]) -> tuple[Axis, ...]:
        """The axes of a window that slides over ``lengths`` and makes ``outputs``."""
        return tuple(
            Axis(length, kernel, stride, padding, dilation, num_outputs=output)
            for length, kernel, stride, padding, dilation, output in zip(
                lengths, self.kernel, self.stride, self.padding, self.dilation, outputs, strict=True
            )
        )


def convolve(  # noqa: PLR0913
    builder: Builder,
    call: Call,
    x: Value,
    window: Window,
    *,
    groups: int,
    has_bias: bool,
    is_transposed: bool,
    is_fixed: bool = False,
) -> list[Value]:
    """Enters a convolution or its transpose; where the kernel ``is_fixed``, it has no free weights."""
    x = builder.as_map(x)
    places, results = x.shape[2:], call.shape[2:]
    axes = window.axes(results, places) if is_transposed else window.axes(places, results)
    convolution = Convolution(_on_pieces(x, axes), x.shape[1], call.shape[1], groups, has_bias, is_transposed)
    layout = [_like(x, call.shape)]
    return builder.add(
        call,
        "convolution",
        _reach(axes),
        [x],
        layout,
        axes=axes,
        is_transposed=is_transposed,
        convolution=convolution,
        weights=0 if is_fixed else None,
    )


def connect_locally(
    builder: Builder, call: Call, x: Value, window: Window, groups: int, *, has_bias: bool
) -> list[Value]:
    """Enters a layer that looks where a convolution looks, with weights of its own at every place."""
    x = builder.as_map(x)
    axes = window.axes(x.shape[2:], call.shape[2:])
    twin = Convolution(axes, x.shape[1], call.shape[1], groups, has_bias)
    layout = [_like(x, call.shape)]
    return builder.add(
        call,
        "locally_connected",
        "window",
        [x],
        layout,
        axes=axes,
        convolution=replace(twin, axes=_on_pieces(x, axes)),
        weights=twin.local_weights,
    )


def pool(builder: Builder, call: Call, x: Value, window: Window) -> list[Value]:
    """Enters a pooling layer; what is beyond its first output depends on the same windows."""
    if (over_channels := _pool_channels(builder, call, x, window)) is not None:
        return over_channels
    x = builder.as_map(x)
    axes = window.axes(x.shape[2:], call.shape[2:])
    return builder.add(call, "pooling", _reach(axes), [x], [_like(x, shape) for shape in call.shapes], axes=axes)


def _pool_channels(builder: Builder, call: Call, x: Value, window: Window) -> list[Value] | None:
    """Enters pooling over neighboring channels, as local response normalization has it; None where it is none.

    Constant padding right before it is put apart: it is no channel.
    """
    first = len(x.shape) - len(window.kernel)
    if builder.is_map(x) or first < 1:
        return None
    axes = window.axes(x.shape[first:], call.shape[first:])
    slid = [number for number, axis in enumerate(axes, first) if _reach([axis]) != "same"]
    is_met = all(axes[axis - first].stride == axes[axis - first].dilation == 1 for axis in slid)  # none is left out
    if not is_met or any(is_place(factor) for axis in slid for factor in x.layout[axis]):
        return None
    source, around = builder.without_padding(x, first)
    met = math.prod(
        Axis(length, axis.kernel, 1, _add(axis.padding, pads), num_outputs=axis.output_length).num_connections
        for length, axis, pads in zip(source.shape[first:], axes, around[first:], strict=True)
    )
    layout = tuple(
        (Factor("c", size),) if axis in slid else dim
        for axis, (dim, size) in enumerate(zip(x.layout, call.shape, strict=True))
    )
    count = met * math.prod(x.shape[:first]) // num_pictures(x.layout)
    return builder.add(call, "pooling", "same", [source], [layout] * len(call.shapes), connections=count)


def _add(one: tuple[int, int], other: tuple[int, int]) -> tuple[int, int]:
    return one[0] + other[0], one[1] + other[1]


def _like(x: Value, shape: Sequence[int]) -> Layout:
    """The layout of a map that was made of the map ``x``."""
    return (x.layout[0], *picture_layout(shape)[1:])


def _on_pieces(x: Value, axes: tuple[Axis, ...]) -> tuple[Axis, ...]:
    """The axes, and one more where the picture lies in pieces: a kernel is shared over them as along an axis."""
    pieces = num_pieces(x.layout)
    return (Axis(pieces, 1), *axes) if pieces > 1 else axes


def pool_adaptively(builder: Builder, call: Call, x: Value) -> list[Value]:
    """Enters a pooling layer whose output has a given size: window i covers [floor(i n / o), ceil((i + 1) n / o))."""
    x = builder.as_map(x)
    lengths, outputs = x.shape[2:], call.shape[2:]
    layouts = [_like(x, shape) for shape in call.shapes]
    if all(output == 1 for output in outputs):
        return builder.add(call, "pooling", "all", [x], layouts, connections=x.size)
    if all(length % output == 0 for length, output in zip(lengths, outputs, strict=True)):
        steps = tuple(length // output for length, output in zip(lengths, outputs, strict=True))
        ones = (1,) * len(steps)
        axes = Window(steps, steps, ((0, 0),) * len(steps), ones).axes(lengths, outputs)
        return builder.add(call, "pooling", _reach(axes), [x], layouts, axes=axes)
    met = [
        sum(-(-(place + 1) * length // output) - place * length // output for place in range(output))
        for length, output in zip(lengths, outputs, strict=True)
    ]
    count = x.size // math.prod(lengths) * math.prod(met)
    return builder.add(call, "pooling", "unknown", [x], layouts, connections=count, reason="windows of several sizes")


def pad(builder: Builder, call: Call, x: Value, padding: Sequence[tuple[int, int]], mode: str) -> list[Value]:
    """Enters padding of the last axes.

    Args:
        builder: Where to.
        call: The operation.
        x: What is padded.
        padding: Before and after, for the last ``len(padding)`` axes in their order; negative where places are cut.
        mode: "zeros" for any constant, "reflect", "replicate" or "circular".
    """
    depth = len(x.shape)
    full = ((0, 0),) * (depth - len(padding)) + tuple(padding)
    cut = [(min(0, before), min(0, after)) for before, after in full]
    if any(map(any, cut)) and any(number > 0 for pair in full for number in pair):
        shape = tuple(size + sum(pair) for size, pair in zip(x.shape, cut, strict=True))
        (x,) = pad(builder, replace(call, shapes=(shape,)), x, cut, mode)
        full = tuple((max(0, before), max(0, after)) for before, after in full)
    layout = tuple(
        dim if size == old else (Factor(dim[0].role, size) if dim else Factor("c", size),)
        for dim, size, old in zip(x.layout, call.shape, x.shape, strict=True)
    )
    moved = [axis for axis in range(depth) if any(full[axis])]
    along_places = all(len(x.layout[axis]) == 1 and x.layout[axis][0].role[0] == "x" for axis in moved)
    if not along_places or any(number < 0 for pair in full for number in pair):
        is_same = all(not x.layout[axis] or x.layout[axis][0].role == "c" for axis in moved)
        reach: Reach = "same" if is_same else "unknown"
        made = builder.add(call, "pad", reach, [x], [layout], reason="" if is_same else "places are cut off")
        if is_same and mode == "zeros" and min(map(min, full)) >= 0:
            builder.padded[made[0].name] = (made[0], x, full)
        return made
    roles = sorted(factor.role for dim in layout for factor in dim if factor.role[0] == "x")
    where = {x.layout[axis][0].role: axis for axis in range(depth) if len(x.layout[axis]) == 1}
    if any(role not in where for role in roles):
        return builder.add(call, "pad", "unknown", [x], [layout], reason="tokens are padded")
    axes = tuple(
        Axis(x.shape[where[role]], 1, 1, full[where[role]], mode=mode)  # type: ignore[arg-type]
        for role in roles
    )
    return builder.add(call, "pad", "window", [x], [layout], axes=axes)


def upsample(
    builder: Builder,
    call: Call,
    x: Value,
    taps: str,
    scales: Sequence[float | None] = (),
    *,
    align_corners: bool = False,
) -> list[Value]:
    """Enters upsampling by whole factors as the adjoint of a sliding window; by others its reach is unknown.

    Args:
        builder: Where to.
        call: The operation.
        x: A map.
        taps: "nearest" or "linear".
        scales: By what places are computed along each spatial axis; none where that follows from the lengths. Others
            than whole ones can make whole multiples too: of 3 places 2.3 makes 6, which lie elsewhere.
        align_corners: Whether the outermost places coincide.
    """
    x = builder.as_map(x)
    layouts = [_like(x, shape) for shape in call.shapes]
    lengths, results = x.shape[2:], call.shape[2:]
    factors = [result // length for length, result in zip(lengths, results, strict=True)]
    is_whole = all(
        result == length * factor and (scale in (None, factor) or length == 1)
        for length, result, factor, scale in zip(
            lengths, results, factors, scales or [None] * len(factors), strict=True
        )
    )
    if not is_whole or align_corners or taps not in ("nearest", "linear"):
        return builder.add(call, "upsample", "unknown", [x], layouts, reason="not by whole factors")
    axes = tuple(_upsampled(result, factor, taps) for result, factor in zip(results, factors, strict=True))
    return builder.add(call, "upsample", _reach(axes), [x], layouts, axes=axes, is_transposed=True)


def _upsampled(length: int, factor: int, taps: str) -> Axis:
    """From the outputs of an upsampling to its inputs: input j reaches every output nearer to it than one input."""
    if taps == "nearest" or factor == 1:
        return Axis(length, factor, factor)
    kernel, before = 2 * factor - factor % 2, factor // 2
    return Axis(length, kernel, factor, (before, before), num_outputs=length // factor)


def unfold(builder: Builder, call: Call, x: Value, window: Window, outputs: Sequence[int]) -> list[Value]:
    """Enters windows laid out as columns (n, c * taps, places)."""
    x = builder.as_map(x)
    axes = window.axes(x.shape[2:], outputs)
    taps = tuple(Factor(f"k{axis}", size) for axis, size in enumerate(window.kernel))
    spots = tuple(Factor(f"x{axis}", size) for axis, size in enumerate(outputs))
    layout: Layout = (x.layout[0], (Factor("c", x.shape[1]), *taps), spots)
    return builder.add(call, "reshape", "window", [x], [layout], axes=axes)


def _reach(axes: Sequence[Axis]) -> Reach:
    plain = all(axis.kernel == 1 and axis.stride == 1 and not any(axis.padding) for axis in axes)
    return "same" if plain else "window"


def kind_of(axes: Sequence[Axis]) -> LayerKind:
    """What a product with weights is called that slides over ``axes``."""
    return "convolution" if any(axis.kernel > 1 for axis in axes) else "linear"


def unfold_crops(builder: Builder, call: Call, values: Sequence[Value], axis: int) -> list[Value] | None:
    """Enters parts cut out of one map that, joined along ``axis``, are windows of it; None where they are not."""
    crops = [value.crop for value in values if value.crop]
    if len(crops) < max(len(values), 2) or len({(crop.source, crop.steps) for crop in crops}) > 1:
        return None
    starts = [sorted({crop.rows[number][0] for crop in crops}) for number in range(len(crops[0].rows))]
    expected = list(itertools.product(*starts))
    dilations = [_even_step(row) for row in starts]
    if expected != [tuple(row[0] for row in crop.rows) for crop in crops] or None in dilations:
        return None
    source, first = builder.shapes[crops[0].source], values[0]
    if any(row[0] > 0 for row in starts):
        return None
    axes = tuple(
        Axis(length, len(row), step, (0, 0), dilation or 1, num_outputs=count)
        for length, row, dilation, (_, step, count) in zip(source[2:], starts, dilations, crops[0].rows, strict=True)
    )
    taps = tuple(Factor(f"k{number}", len(row)) for number, row in enumerate(starts) if len(row) > 1)
    layout = (*first.layout[:axis], (*taps, *merged(first.layout[axis])), *first.layout[axis + 1 :])
    return builder.add(call, "reshape", "window", [Value(crops[0].source, source, ())], [layout], axes=axes)


def _even_step(starts: Sequence[int]) -> int | None:
    """The distance between neighbors; None where it differs, 1 where there is one start only."""
    steps = {after - before for before, after in itertools.pairwise(starts)} or {1}
    return steps.pop() if len(steps) == 1 else None


def unfold_axis(builder: Builder, call: Call, x: Value, axis: int, size: int, step: int) -> list[Value]:
    """Enters windows along one axis; their taps are a new last axis."""
    axis %= len(x.shape)
    dim = x.layout[axis]
    lengths = places(x.layout)
    if len(dim) != 1 or dim[0].role not in lengths or lengths[dim[0].role] != dim[0].size:
        layout = (*x.layout[:axis], (Factor("c", call.shape[axis]),), *x.layout[axis + 1 :], (Factor("c", size),))
        return builder.add(call, "reshape", "unknown", [x], [layout], reason="windows of tokens or channels")
    role = dim[0].role
    axes = tuple(Axis(length, size, step) if name == role else Axis(length, 1) for name, length in lengths.items())
    spots = (Factor(role, call.shape[axis]),)
    taps = (Factor(f"k{role[1:]}", size),)
    layout = (*x.layout[:axis], spots, *x.layout[axis + 1 :], taps)
    return builder.add(call, "reshape", "window", [x], [layout], axes=axes)
