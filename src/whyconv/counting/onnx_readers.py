"""What the operations of ONNX mean: one literal table from the name of an operation to how it enters a graph.

References:
    The operators and their inputs: https://onnx.ai/onnx/operators.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from whyconv.counting import products, rearranging, windows
from whyconv.counting.axis import Axis
from whyconv.counting.building import Builder, Call, Constant, Value, Weight
from whyconv.counting.onnx_padding import padding_of
from whyconv.counting.windows import Window

# Newer than any that is out: what is true from some version on is true of it.
NEWEST = 1 << 30
_RESIZE_WITH_CHOICES = 11
_SOFTMAX_OF_ONE_AXIS = 13  # before, all axes from one on were taken together
Array = Value | Weight | Constant | None


@dataclass(frozen=True)
class Operation:
    """One node of an ONNX file.

    Attributes:
        builder: Of the graph.
        call: The operation.
        inputs: What is known of each input; None where it is left out.
        attributes: By name.
        numbers: Of each input that is a short constant, its numbers.
        opset: The version of the operators that the file is written in.
    """

    builder: Builder
    call: Call
    inputs: tuple[Array, ...]
    attributes: Mapping[str, Any]
    numbers: Sequence[list[Any] | None]
    opset: int = NEWEST

    @property
    def values(self) -> list[Value]:
        """The inputs that depend on the picture."""
        return [each for each in self.inputs if isinstance(each, Value)]

    @property
    def x(self) -> Value:
        """The first of them."""
        return self.values[0]

    def get(self, name: str, default: Any = None) -> Any:  # noqa: ANN401 - as ONNX has it
        """An attribute; ``default`` where it is not there."""
        return self.attributes.get(name, default)

    def input(self, place: int) -> Array:
        """An input; None where it is left out."""
        return self.inputs[place] if place < len(self.inputs) else None

    def listed(self, name: str, place: int) -> list[Any] | None:
        """Numbers that older versions have as an attribute and newer ones as an input; None where nobody knows."""
        found = self.get(name)
        if found is None:
            return self.numbers[place] if place < len(self.numbers) else None
        return list(found) if isinstance(found, list | tuple) else [found]

    def unknown(self, reason: str) -> list[Value]:
        """Enters the operation as not analyzed."""
        return self.builder.unknown(self.call, self.values, reason)


Reader = Callable[[Operation], list[Value]]

SAME_NUMBERS = frozenset({"Identity", "Cast", "CastLike", "Dropout"})
SHAPE_ONLY = frozenset({"Shape", "Size", "ConstantOfShape", "Constant"})
_ONE_BY_ONE = frozenset(
    {
        *("Abs", "Acos", "Asin", "Atan", "Celu", "Ceil", "Clip", "Cos", "Elu", "Erf", "Exp", "Floor", "Gelu"),
        *("HardSigmoid", "HardSwish", "LeakyRelu", "Log", "Mish", "Neg", "Not", "PRelu", "Reciprocal", "Relu"),
        *("Round", "Selu", "Shrink", "Sigmoid", "Sign", "Sin", "Softplus", "Softsign", "Sqrt", "Swish", "Tanh"),
        *("ThresholdedRelu", "Mul", "Div", "Pow", "Mod", "Min", "Max", "Mean", "Where", "Equal", "Greater", "Less"),
        *("GreaterOrEqual", "LessOrEqual", "And", "Or", "Xor", "IsNaN", "IsInf", "QuantizeLinear"),
        "DequantizeLinear",
    }
)


def read(name: str, operation: Operation) -> list[Value]:
    """Enters an operation into the graph.

    Args:
        name: Such as "Conv".
        operation: With at least one input that depends on the picture.

    Returns:
        What it makes, one for each of ``operation.call.shapes``.
    """
    reader = TABLE.get(name)
    if reader is not None:
        return reader(operation)
    if name in _ONE_BY_ONE:
        return rearranging.combine(operation.builder, operation.call, operation.values)
    return operation.unknown(f"operation {operation.call.operation} is not known")


def _window(op: Operation, lengths: Sequence[int], outputs: Sequence[int], kernel: Sequence[int]) -> Window:
    """The window that the attributes tell; ``lengths`` and ``outputs`` change places for a transposed convolution."""
    depth = len(kernel)
    stride, dilation = op.get("strides") or [1] * depth, op.get("dilations") or [1] * depth
    padding = padding_of(op.attributes, lengths, outputs, kernel)
    return Window(tuple(kernel), tuple(stride), padding, tuple(dilation))


def _convolution(*, is_transposed: bool) -> Reader:
    def read_convolution(op: Operation) -> list[Value]:
        x, weight = op.input(0), op.input(1)
        if not isinstance(x, Value) or not isinstance(weight, Weight | Constant):
            return op.unknown("the kernel of the convolution depends on the picture")
        ends = (x.shape[2:], op.call.shape[2:])
        lengths, outputs = ends[::-1] if is_transposed else ends
        return windows.convolve(
            op.builder,
            op.call,
            x,
            _window(op, lengths, outputs, weight.shape[2:]),
            groups=op.get("group", 1),
            has_bias=op.input(2) is not None,
            is_transposed=is_transposed,
            is_fixed=isinstance(weight, Constant),
        )

    return read_convolution


def _pool(op: Operation) -> list[Value]:
    window = _window(op, op.x.shape[2:], op.call.shape[2:], op.get("kernel_shape"))
    return windows.pool(op.builder, op.call, op.x, window)


def _global_pool(op: Operation) -> list[Value]:
    return windows.pool_adaptively(op.builder, op.call, op.x)


def _pad(op: Operation) -> list[Value]:
    numbers = op.listed("pads", 1)
    axes = op.listed("axes", 3) or list(range(len(op.x.shape)))
    if numbers is None:
        return op.unknown("how much is padded is computed on the way")
    half = len(numbers) // 2
    pairs = [(0, 0)] * len(op.x.shape)
    for place, axis in enumerate(axes):
        pairs[axis] = (numbers[place], numbers[place + half])
    modes = {"constant": "zeros", "reflect": "reflect", "edge": "replicate", "wrap": "circular"}
    return windows.pad(op.builder, op.call, op.x, pairs, modes[op.get("mode", "constant")])


def _resize(op: Operation) -> list[Value]:
    """Resizing; what places it takes its numbers from was a choice from operator set 11 on."""
    mode, is_old = op.get("mode", "nearest"), op.opset < _RESIZE_WITH_CHOICES
    place = "asymmetric" if is_old else op.get("coordinate_transformation_mode", "half_pixel")
    rounding = "floor" if is_old else op.get("nearest_mode", "round_prefer_floor")
    is_half = place in ("half_pixel", "pytorch_half_pixel")
    is_twice_at_most = all(new <= 2 * old for new, old in zip(op.call.shape, op.x.shape, strict=True))
    if is_half:
        is_usual = mode == "linear" or "round" in rounding
    else:
        exact = ("floor", "round_prefer_floor") if is_twice_at_most else ("floor",)
        is_usual = mode == "nearest" and place == "asymmetric" and rounding in exact
    scales = _scales(op, 1 if is_old else 2)
    is_usual = is_usual and scales is not None
    return windows.upsample(op.builder, op.call, op.x, mode, scales or (), align_corners=not is_usual)


def _scales(op: Operation, place: int) -> list[float] | None:
    """What each spatial axis is resized by; empty where sizes are given in its place, None where nobody knows."""
    found = op.listed("scales", place)
    if not found:
        return [] if found is not None or op.input(place) is None else None
    depth = len(op.x.shape)
    by_axis = dict(zip((axis % depth for axis in op.get("axes") or range(depth)), found, strict=True))
    return [by_axis.get(axis, 1.0) for axis in range(2, depth)]


def _depth_to_space(op: Operation) -> list[Value]:
    return windows.upsample(op.builder, op.call, op.x, "nearest")


def _gemm(op: Operation) -> list[Value]:
    a, b = op.input(0), op.input(1)
    if isinstance(a, Value) and isinstance(b, Weight | Constant):
        axis = 0 if op.get("transA", 0) else 1
        product = products.Product(axis, (), 1, op.call.shape[-1], isinstance(op.input(2), Weight))
        return products.multiply_weights(op.builder, op.call, a, product, is_fixed=isinstance(b, Constant))
    return op.unknown("a product of two arrays that depend on the picture")


def _matmul(op: Operation) -> list[Value]:
    a, b = op.input(0), op.input(1)
    if isinstance(a, Value) and isinstance(b, Value):
        deep = min(len(a.shape), len(b.shape)) - 2
        if len(a.shape) != len(b.shape) or a.shape[:deep] != b.shape[:deep]:
            return op.unknown("a product of arrays of different depth")
        return products.multiply_values(op.builder, op.call, (a, b), (deep + 1, deep), deep)
    x, weight = (a, b) if isinstance(a, Value) else (b, a)
    assert isinstance(x, Value)
    assert weight is not None
    is_left = x is a
    if len(weight.shape) > len(x.shape) or min(len(weight.shape), len(x.shape)) < 2:
        return op.unknown("a product of a matrix and a vector, or with a stack of matrices")
    depth = len(x.shape)
    offset = depth - len(weight.shape)
    batched = tuple(axis for axis in range(depth - 2) if axis >= offset and weight.shape[axis - offset] > 1)
    axis, size = (depth - 1, op.call.shape[-1]) if is_left else (depth - 2, op.call.shape[-2])
    product = products.Product(axis, batched, axis, size)
    return products.multiply_weights(op.builder, op.call, x, product, is_fixed=isinstance(weight, Constant))


def _batch_norm(op: Operation) -> list[Value]:
    axes = [axis for axis in range(len(op.x.shape)) if axis != 1]
    return rearranging.normalize(op.builder, op.call, op.x, axes, reads_statistics=bool(op.get("training_mode", 0)))


def _instance_norm(op: Operation) -> list[Value]:
    axes = range(2, len(op.x.shape))
    return rearranging.normalize(op.builder, op.call, op.x, axes, reads_statistics=True)


def _group_norm(op: Operation) -> list[Value]:
    made = rearranging.normalize(op.builder, op.call, op.x, range(1, len(op.x.shape)), reads_statistics=True)
    return op.builder.rescale_last(made, op.get("num_groups"))


def _layer_norm(op: Operation) -> list[Value]:
    depth = len(op.x.shape)
    axes = range(op.get("axis", -1) % depth, depth)
    return rearranging.normalize(op.builder, op.call, op.x, axes, reads_statistics=True)


def _local_response(op: Operation) -> list[Value]:
    """Each channel by itself and its neighbors; of an even number of them one more comes after it."""
    channels, size = op.x.shape[1], op.get("size")
    window = Axis(channels, size, 1, ((size - 1) // 2, size // 2))
    met = op.x.size // channels * window.num_connections
    return op.builder.add(op.call, "normalization", "same", [op.x], [op.x.layout], connections=met)


def _softmax(op: Operation) -> list[Value]:
    depth = len(op.x.shape)
    if op.opset < _SOFTMAX_OF_ONE_AXIS:
        axes = range(op.get("axis", 1) % depth, depth)
        return rearranging.normalize(op.builder, op.call, op.x, axes, reads_statistics=True)
    return rearranging.normalize(op.builder, op.call, op.x, [op.get("axis", -1)], reads_statistics=True)


def _reduce(op: Operation) -> list[Value]:
    axes = op.listed("axes", 1) or []
    return rearranging.summarize(op.builder, op.call, op.x, axes, keeps=bool(op.get("keepdims", 1)))


def _reshape(op: Operation) -> list[Value]:
    return [rearranging.refit(op.builder, op.call, op.x)]


def _transpose(op: Operation) -> list[Value]:
    order = op.get("perm") or list(range(len(op.x.shape)))[::-1]
    return [rearranging.turn(op.builder, op.call, op.x, order)]


def _unsqueeze(op: Operation) -> list[Value]:
    new = {axis % len(op.call.shape) for axis in op.listed("axes", 1) or []}
    old = iter(op.x.layout)
    layout = tuple(() if axis in new else next(old) for axis in range(len(op.call.shape)))
    return [rearranging.relabel(op.builder, op.call, op.x, layout)]


def _squeeze(op: Operation) -> list[Value]:
    depth = len(op.x.shape)
    asked = op.listed("axes", 1) or [axis for axis, size in enumerate(op.x.shape) if size == 1]
    gone = {axis % depth for axis in asked}
    kept = tuple(dim for axis, dim in enumerate(op.x.layout) if axis not in gone)
    return [rearranging.relabel(op.builder, op.call, op.x, kept)]


def _expand(op: Operation) -> list[Value]:
    return rearranging.grow(op.builder, op.call, op.x)


def _slice(op: Operation) -> list[Value]:
    """Along several axes at once: one part after the other."""
    starts, steps = op.listed("starts", 1), op.listed("steps", 4)
    axes = op.listed("axes", 3) or list(range(len(starts or ())))
    x = op.x
    for place, axis in enumerate(axes):
        number, size = axis % len(x.shape), x.shape[axis]
        shape = (*x.shape[:number], op.call.shape[number], *x.shape[number + 1 :])
        step = steps[place] if steps else 1
        start = starts[place] if starts else None
        begin = 0 if start is None else min(max(start + size if start < 0 else start, 0), size)
        call = Call(op.call.operation, (shape,))
        # Where it begins is computed on the way: any place but the first makes that known to be unknown.
        x = rearranging.select(op.builder, call, x, number, start=1 if start is None else begin, step=step)[0]
    return [x]


def _gather(op: Operation) -> list[Value]:
    x, axis = op.input(0), op.get("axis", 0)
    numbers = op.numbers[1]
    if not isinstance(x, Value) or numbers is None:
        return op.unknown("which entries are taken is computed on the way")
    axis %= len(x.shape)
    gained = len(op.call.shape) - len(x.shape)
    if gained not in (-1, 0):
        return op.unknown("entries are taken by an array of indices")
    if gained:
        return rearranging.select(op.builder, op.call, x, axis, drop=True)
    return rearranging.select(op.builder, op.call, x, axis, start=1)


def _split(op: Operation) -> list[Value]:
    return rearranging.select(op.builder, op.call, op.x, op.get("axis", 0) % len(op.x.shape))


def _concatenate(op: Operation) -> list[Value]:
    return rearranging.join(op.builder, op.call, op.values, op.get("axis") % len(op.call.shape))


def _add(op: Operation) -> list[Value]:
    kind = "sum" if len(op.values) > 1 else "pointwise"
    return rearranging.combine(op.builder, op.call, op.values, kind)  # type: ignore[arg-type]


TABLE: dict[str, Reader] = {
    "Conv": _convolution(is_transposed=False),
    "ConvTranspose": _convolution(is_transposed=True),
    "MaxPool": _pool,
    "AveragePool": _pool,
    "LpPool": _pool,
    "GlobalAveragePool": _global_pool,
    "GlobalMaxPool": _global_pool,
    "GlobalLpPool": _global_pool,
    "Pad": _pad,
    "Resize": _resize,
    "Upsample": _resize,
    "DepthToSpace": _depth_to_space,
    "Gemm": _gemm,
    "MatMul": _matmul,
    "BatchNormalization": _batch_norm,
    "InstanceNormalization": _instance_norm,
    "GroupNormalization": _group_norm,
    "LayerNormalization": _layer_norm,
    "RMSNormalization": _layer_norm,
    "LRN": _local_response,
    "Softmax": _softmax,
    "LogSoftmax": _softmax,
    "ReduceMean": _reduce,
    "ReduceSum": _reduce,
    "ReduceMax": _reduce,
    "ReduceMin": _reduce,
    "ReduceProd": _reduce,
    "ReduceL1": _reduce,
    "ReduceL2": _reduce,
    "ReduceSumSquare": _reduce,
    "ReduceLogSumExp": _reduce,
    "Reshape": _reshape,
    "Flatten": _reshape,
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
    "Squeeze": _squeeze,
    "Expand": _expand,
    "Tile": _expand,
    "Slice": _slice,
    "Gather": _gather,
    "Split": _split,
    "Concat": _concatenate,
    "Add": _add,
    "Sum": _add,
    "Sub": _add,
}
