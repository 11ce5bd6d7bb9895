"""How each kind of torch operation enters a graph: its arguments by name, as torch's schema has them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from whyconv.counting import layout as layouts
from whyconv.counting import products, rearranging, windows
from whyconv.counting.building import Builder, Call, Constant, Value, Weight
from whyconv.counting.windows import Window


@dataclass(frozen=True)
class Operation:
    """One operation of torch: its arguments by name, arrays replaced by what is known of them."""

    builder: Builder
    call: Call
    arguments: Mapping[str, Any]
    is_pointwise: bool

    @property
    def values(self) -> list[Value]:
        """Every array that depends on the picture, in the order of the arguments."""
        found = []
        for argument in self.arguments.values():
            several = argument if isinstance(argument, list | tuple) else (argument,)
            found += [each for each in several if isinstance(each, Value)]
        return found

    @property
    def x(self) -> Value:
        """The first of them."""
        return self.values[0]

    def get(self, name: str, default: Any = None) -> Any:  # noqa: ANN401 - as torch's schema has it
        """An argument; ``default`` where it was not given."""
        found = self.arguments.get(name)
        return default if found is None else found

    def unknown(self, reason: str) -> list[Value]:
        """Enters the operation as not analyzed."""
        return self.builder.unknown(self.call, self.values, reason)


Reader = Callable[[Operation], list[Value]]
Array = Value | Weight | Constant


def _tuple(number: int | Sequence[int], depth: int) -> tuple[int, ...]:
    several = (number,) if isinstance(number, int) else tuple(number)
    return several * depth if len(several) == 1 else several


def _pairs(padding: Sequence[int]) -> tuple[tuple[int, int], ...]:
    return tuple((each, each) for each in padding)


def _window(op: Operation, depth: int) -> Window:
    kernel = _tuple(op.get("kernel_size"), depth)
    stride = _tuple(op.get("stride") or kernel, depth)
    padding = _tuple(op.get("padding", 0), depth)
    return Window(kernel, stride, _pairs(padding), _tuple(op.get("dilation", 1), depth))


def read_convolution(op: Operation) -> list[Value]:
    """A convolution or its transpose, of any number of axes."""
    weight = op.get("weight")
    if not isinstance(op.get("input"), Value):
        return op.unknown("the picture is the kernel of a convolution")
    if isinstance(weight, Value):
        return op.unknown("the kernel of the convolution depends on the picture")
    depth = len(weight.shape) - 2
    window = Window(
        tuple(weight.shape[2:]),
        _tuple(op.get("stride", 1), depth),
        _pairs(_tuple(op.get("padding", 0), depth)),
        _tuple(op.get("dilation", 1), depth),
    )
    return windows.convolve(
        op.builder,
        op.call,
        op.get("input"),
        window,
        groups=op.get("groups", 1),
        has_bias=op.get("bias") is not None,
        is_transposed=bool(op.get("transposed", False)),
        is_fixed=isinstance(weight, Constant),
    )


def read_pool(depth: int) -> Reader:
    """Pooling by a window that slides along ``depth`` axes."""

    def read(op: Operation) -> list[Value]:
        return windows.pool(op.builder, op.call, op.x, _window(op, depth))

    return read


def read_pool_adaptively(op: Operation) -> list[Value]:
    """Pooling to a given size."""
    return windows.pool_adaptively(op.builder, op.call, op.x)


def read_pad(mode: str) -> Reader:
    """Padding of the last axes; torch lists them from the last to the first."""

    def read(op: Operation) -> list[Value]:
        numbers = op.get("pad") or op.get("padding")
        pairs = [(numbers[index], numbers[index + 1]) for index in range(0, len(numbers), 2)][::-1]
        return windows.pad(op.builder, op.call, op.x, pairs, mode)

    return read


def read_upsample(taps: str) -> Reader:
    """Upsampling by repetition or interpolation."""

    def read(op: Operation) -> list[Value]:
        is_aligned = bool(op.get("align_corners", False))
        depth = len(op.call.shape) - 2
        names = ("scales",) if depth == 1 else ("scales_d", "scales_h", "scales_w")[-depth:]
        scales = op.get("scale_factors") or [op.get(name) for name in names]
        given = scales if any(scales) else ()
        return windows.upsample(op.builder, op.call, op.x, taps, given, align_corners=is_aligned)

    return read


def read_window_products(op: Operation) -> list[Value]:
    """The locally connected layer of whyconv itself."""
    top, bottom, left, right = op.get("padding")
    kernel, stride, dilation = (tuple(op.get(name)) for name in ("kernel", "stride", "dilation"))
    window = Window(kernel, stride, ((top, bottom), (left, right)), dilation)
    has_bias = op.get("bias") is not None
    return windows.connect_locally(op.builder, op.call, op.get("x"), window, op.get("groups"), has_bias=has_bias)


def read_im2col(op: Operation) -> list[Value]:
    """Windows along two axes, as columns."""
    window = _window(op, 2)
    x = op.x
    plain = [
        (length + 2 * pad[0] - dilation * (kernel - 1) - 1) // stride + 1
        for length, pad, dilation, kernel, stride in zip(
            x.shape[2:], window.padding, window.dilation, window.kernel, window.stride, strict=True
        )
    ]
    return windows.unfold(op.builder, op.call, x, window, plain)


def read_unfold(op: Operation) -> list[Value]:
    """Windows along one axis."""
    return windows.unfold_axis(op.builder, op.call, op.x, op.get("dimension"), op.get("size"), op.get("step"))


def read_multiply(op: Operation) -> list[Value]:
    """The product of two matrices, or of two stacks of them, and what may be added."""
    left = op.get("self") if "mat1" not in op.arguments and "batch1" not in op.arguments else None
    a = op.get("mat1", op.get("batch1", left))
    b = op.get("mat2", op.get("batch2", op.get("vec", op.get("tensor"))))
    added = op.get("self") if left is None else None
    depth = len(a.shape)
    if depth not in (2, 3) or len(b.shape) != depth:
        return op.unknown("a product of a matrix and a vector")
    batched = tuple(range(depth - 2))
    made = _product(op, a, b, batched, isinstance(added, Weight))
    if isinstance(added, Value):
        return rearranging.combine(op.builder, op.call, [*made, added], "sum")
    return made


def _product(op: Operation, a: Array, b: Array, batched: tuple[int, ...], has_bias: bool) -> list[Value]:
    depth = len(a.shape)
    if isinstance(a, Value) and isinstance(b, Value):
        return products.multiply_values(op.builder, op.call, (a, b), (depth - 1, depth - 2), len(batched))
    if isinstance(a, Value):
        product = products.Product(depth - 1, batched, depth - 1, op.call.shape[-1], has_bias)
        return products.multiply_weights(op.builder, op.call, a, product, is_fixed=isinstance(b, Constant))
    if isinstance(b, Value):
        product = products.Product(depth - 2, batched, depth - 2, op.call.shape[-2], has_bias)
        return products.multiply_weights(op.builder, op.call, b, product, is_fixed=isinstance(a, Constant))
    return op.unknown("only what is added depends on the picture")


def read_linear(op: Operation) -> list[Value]:
    """A linear layer as one operation."""
    x = op.get("input")
    if not isinstance(x, Value) or isinstance(op.get("weight"), Value):
        return op.unknown("the weights of a linear layer depend on the picture")
    last = len(x.shape) - 1
    product = products.Product(last, (), last, op.call.shape[-1], op.get("bias") is not None)
    is_fixed = isinstance(op.get("weight"), Constant)
    return products.multiply_weights(op.builder, op.call, x, product, is_fixed=is_fixed)


def read_attention(op: Operation) -> list[Value]:
    """Attention as one operation."""
    query, key, value = (op.get(name) for name in ("query", "key", "value"))
    if not all(isinstance(each, Value) for each in (query, key, value)):
        return op.unknown("attention to something that does not depend on the picture")
    pairs = math.prod(query.shape[:-1]) * key.shape[-2]
    made = [query.layout] + [layouts.feature_layout(shape) for shape in op.call.shapes[1:]]
    count = pairs * (query.shape[-1] + value.shape[-1])
    return op.builder.add(op.call, "attention", "all", [query, key, value], made, multiply_adds=count)


def read_batch_norm(op: Operation) -> list[Value]:
    """Normalization of channels: diagonal with stored statistics, else over all places."""
    stored = op.get("running_mean") is not None and not op.get("training", False)
    axes = [axis for axis in range(len(op.x.shape)) if axis != 1]
    return rearranging.normalize(op.builder, op.call, op.x, axes, reads_statistics=not stored)


def read_layer_norm(op: Operation) -> list[Value]:
    """Normalization over the last axes."""
    depth = len(op.x.shape)
    axes = range(depth - len(op.get("normalized_shape")), depth)
    return rearranging.normalize(op.builder, op.call, op.x, axes, reads_statistics=True)


def read_group_norm(op: Operation) -> list[Value]:
    """Normalization over groups of channels and all places."""
    made = rearranging.normalize(op.builder, op.call, op.x, range(1, len(op.x.shape)), reads_statistics=True)
    return op.builder.rescale_last(made, op.get("group", 1))


def read_softmax(op: Operation) -> list[Value]:
    """Softmax along one axis."""
    return rearranging.normalize(op.builder, op.call, op.x, [op.get("dim")], reads_statistics=True)


def read_reduce(op: Operation) -> list[Value]:
    """A sum, mean or extreme over whole axes."""
    if "other" in op.arguments:
        return read_pointwise(op)
    dim = op.get("dim", ())
    axes = (dim,) if isinstance(dim, int) else tuple(dim)
    return rearranging.summarize(op.builder, op.call, op.x, axes, keeps=bool(op.get("keepdim", False)))


def read_reshape(op: Operation) -> list[Value]:
    """The same numbers in another shape."""
    return [rearranging.refit(op.builder, op.call, op.x)]


def read_as_strided(op: Operation) -> list[Value]:
    """Another order in memory; where the shape stays, no number is another."""
    if tuple(op.get("size")) == op.x.shape and op.call.shape == op.x.shape:
        return [op.x]
    return op.unknown("numbers are picked from memory by their distance")


def read_copy(op: Operation) -> list[Value]:
    """Numbers that are written into an array, repeated where it is larger."""
    source = op.get("src")
    if not isinstance(source, Value):
        return op.unknown("something fixed is written over what depends on the picture")
    return rearranging.grow(op.builder, op.call, source)


def read_permute(op: Operation) -> list[Value]:
    """Axes that change places."""
    return [rearranging.turn(op.builder, op.call, op.x, [axis % len(op.x.shape) for axis in op.get("dims")])]


def read_transpose(op: Operation) -> list[Value]:
    """Two axes that change places."""
    order = list(range(len(op.x.shape)))
    first, second = op.get("dim0", 0), op.get("dim1", 1)
    if len(order) > 1:
        order[first], order[second] = order[second], order[first]
    return [rearranging.turn(op.builder, op.call, op.x, order)]


def read_unsqueeze(op: Operation) -> list[Value]:
    """A new axis of size 1."""
    axis = op.get("dim") % len(op.call.shape)
    x = op.x
    new = (*x.layout[:axis], (), *x.layout[axis:])
    return [rearranging.relabel(op.builder, op.call, x, new)]


def read_squeeze(op: Operation) -> list[Value]:
    """Axes of size 1 that go."""
    x = op.x
    asked = op.get("dim", range(len(x.shape)))
    gone = {axis % len(x.shape) for axis in ((asked,) if isinstance(asked, int) else asked)}
    kept = tuple(dim for axis, dim in enumerate(x.layout) if axis not in gone or x.shape[axis] != 1)
    return [rearranging.relabel(op.builder, op.call, x, kept)]


def read_expand(op: Operation) -> list[Value]:
    """Repetition along axes."""
    return rearranging.grow(op.builder, op.call, op.x)


def read_slice(op: Operation) -> list[Value]:
    """Every ``step``-th entry of a range along one axis."""
    axis = op.get("dim", 0) % len(op.x.shape)
    start = op.get("start", 0)
    start = min(max(start + op.x.shape[axis] if start < 0 else start, 0), op.x.shape[axis])
    return rearranging.select(op.builder, op.call, op.x, axis, start=start, step=op.get("step", 1))


def read_narrow(op: Operation) -> list[Value]:
    """A range along one axis."""
    axis = op.get("dim", 0) % len(op.x.shape)
    return rearranging.select(op.builder, op.call, op.x, axis, start=op.get("start", 0))


def read_split(op: Operation) -> list[Value]:
    """All parts along one axis."""
    return rearranging.select(op.builder, op.call, op.x, op.get("dim", 0) % len(op.x.shape))


def read_select(op: Operation) -> list[Value]:
    """One entry of an axis, or all entries one by one."""
    return rearranging.select(op.builder, op.call, op.x, op.get("dim", 0) % len(op.x.shape), drop=True)


def read_concatenate(op: Operation) -> list[Value]:
    """Arrays one after the other."""
    return rearranging.join(op.builder, op.call, op.values, op.get("dim", 0) % len(op.call.shape))


def read_stack(op: Operation) -> list[Value]:
    """Arrays along a new axis."""
    return rearranging.join(op.builder, op.call, op.values, op.get("dim", 0) % len(op.call.shape), is_new=True)


def read_move(op: Operation) -> list[Value]:
    """Entries of an axis in another order."""
    x = op.x
    axes = [axis % len(x.shape) for axis in op.get("dims") or range(len(x.shape))]
    is_same = not any(layouts.is_place(factor) and factor.size > 1 for axis in axes for factor in x.layout[axis])
    reason = "" if is_same else "places change places"
    reach = "same" if is_same else "unknown"
    return op.builder.add(op.call, "reshape", reach, [x], [x.layout], reason=reason)  # type: ignore[arg-type]


def read_pointwise(op: Operation) -> list[Value]:
    """One number from the numbers at the same place."""
    return rearranging.combine(op.builder, op.call, op.values)


def read_add(op: Operation) -> list[Value]:
    """The same, of which a residual sum is one."""
    kind = "sum" if len(op.values) > 1 else "pointwise"
    return rearranging.combine(op.builder, op.call, op.values, kind)  # type: ignore[arg-type]
