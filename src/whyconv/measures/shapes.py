"""The shapes of what torch's usual operations make, without asking torch.

Torch knows them all, for arrays on its "meta" device; but it learns most of them from Python code that takes seconds
to import and longer than the operation itself to run. What has no row here is asked of torch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch._ops import OpOverload

from whyconv.measures.aten import POINTWISE, SAME_NUMBERS

_META = torch.device("meta")
_ANSWERS_YES_OR_NO = frozenset(
    {"eq", "ne", "lt", "le", "gt", "ge", "isnan", "isinf", "isfinite", "signbit", "isposinf", "isneginf", "isreal"}
)
Shape = Sequence[int]
Shapes = list[tuple[int, ...]]


def make_empty(func: OpOverload, name: str, given: Mapping[str, Any]) -> Tensor | tuple[Tensor, ...] | None:
    """What an operation makes, without numbers.

    Args:
        func: The operation.
        name: Its name, such as "relu_".
        given: Its arguments by name, every array on the "meta" device.

    Returns:
        One array or several, as the operation does; None where it is not known here.
    """
    arrays = [each for each in given.values() if isinstance(each, Tensor)]
    kinds = {each.dtype for each in arrays if each.ndim} or {each.dtype for each in arrays}
    if len(kinds) != 1 or not (kind := kinds.pop()).is_floating_point or given.get("dtype") not in (None, kind):
        return None
    plain = name.removesuffix("_")
    if plain in SAME_NUMBERS:  # torch's own are quick, and know about orders in memory
        return None
    if plain in POINTWISE or torch.Tag.pointwise in func.tags:
        return None if plain in _ANSWERS_YES_OR_NO or plain.startswith("logical") else _pointwise(name, arrays, kind)
    rule = _RULES.get(plain)
    if rule is None or name != plain:
        return None
    shapes = rule(given)
    if shapes is None:
        return None
    made = tuple(torch.empty(shape, dtype=kind, device=_META) for shape in shapes)
    return made if len(func._schema.returns) > 1 else made[0]


def _pointwise(name: str, arrays: Sequence[Tensor], kind: torch.dtype) -> Tensor | None:
    shape = _broadcast([each.shape for each in arrays])
    if shape is None:
        return None
    if name.endswith("_"):
        return arrays[0] if arrays[0].shape == shape else None
    like = next((each for each in arrays if each.shape == shape), None)
    if like is None:
        return torch.empty(shape, dtype=kind, device=_META)
    return torch.empty_strided(like.shape, like.stride(), dtype=kind, device=_META) if _is_dense(like) else None


def _is_dense(array: Tensor) -> bool:
    """Whether no place in memory is left out or used twice."""
    reach = sum((size - 1) * stride for size, stride in zip(array.shape, array.stride(), strict=True))
    return reach + 1 == array.numel()


def _broadcast(shapes: Sequence[Shape]) -> tuple[int, ...] | None:
    if len(shapes) == 1:
        return tuple(shapes[0])
    found: list[int] = []
    for depth in range(1, max(map(len, shapes)) + 1):
        sizes = {shape[-depth] for shape in shapes if len(shape) >= depth}
        if len(sizes - {1}) > 1:
            return None
        found.append((sizes - {1} or {1}).pop())
    return tuple(found[::-1])


def _same(name: str) -> Callable[[Mapping[str, Any]], Shapes]:
    return lambda given: [tuple(given[name].shape)]


def _batch_norm(given: Mapping[str, Any]) -> Shapes:
    statistics = (given["input"].shape[1],) if given["training"] else (0,)
    return [tuple(given["input"].shape), statistics, statistics]


def _layer_norm(given: Mapping[str, Any]) -> Shapes:
    shape = tuple(given["input"].shape)
    depth = len(given["normalized_shape"])
    statistics = (*shape[: len(shape) - depth], *(1,) * depth)
    return [shape, statistics, statistics]


def _group_norm(given: Mapping[str, Any]) -> Shapes:
    return [tuple(given["input"].shape), *[(given["N"], given["group"])] * 2]


def _convolution(given: Mapping[str, Any]) -> Shapes | None:
    x, weight = given["input"].shape, given["weight"].shape
    depth = len(weight) - 2
    inner = weight[0] if given["transposed"] else weight[1] * given["groups"]
    if len(x) != len(weight) or x[1] != inner:
        return None
    stride, padding, dilation, more = (
        _full(given[name], depth) for name in ("stride", "padding", "dilation", "output_padding")
    )
    sizes = []
    for axis in range(depth):
        reach = dilation[axis] * (weight[2 + axis] - 1) + 1
        if given["transposed"]:
            sizes.append((x[2 + axis] - 1) * stride[axis] - 2 * padding[axis] + reach + more[axis])
        else:
            sizes.append((x[2 + axis] + 2 * padding[axis] - reach) // stride[axis] + 1)
    channels = weight[1] * given["groups"] if given["transposed"] else weight[0]
    return None if min(sizes, default=1) < 1 else [(x[0], channels, *sizes)]


def _full(numbers: int | Sequence[int], depth: int) -> Sequence[int]:
    several = (numbers,) if isinstance(numbers, int) else tuple(numbers)
    return several * depth if len(several) == 1 else several


def _pool(depth: int, *, num_made: int) -> Callable[[Mapping[str, Any]], Shapes | None]:
    def pooled(given: Mapping[str, Any]) -> Shapes | None:
        x = given["self"].shape
        kernel = _full(given["kernel_size"], depth)
        stride = _full(given.get("stride") or kernel, depth)
        padding, dilation = _full(given.get("padding", 0), depth), _full(given.get("dilation", 1), depth)
        sizes = []
        for axis in range(depth):
            length = x[len(x) - depth + axis]
            room = length + 2 * padding[axis] - dilation[axis] * (kernel[axis] - 1) - 1
            if room < 0 or padding[axis] * 2 > kernel[axis]:
                return None
            size = (-(-room // stride[axis]) if given.get("ceil_mode") else room // stride[axis]) + 1
            # A window that would begin in the padding after the last input is left out.
            if given.get("ceil_mode") and (size - 1) * stride[axis] >= length + padding[axis]:
                size -= 1
            sizes.append(size)
        return [(*x[: len(x) - depth], *sizes)] * num_made

    return pooled


def _adaptive_pool(num_made: int) -> Callable[[Mapping[str, Any]], Shapes]:
    def pooled(given: Mapping[str, Any]) -> Shapes:
        x, asked = given["self"].shape, given["output_size"]
        return [(*x[: len(x) - len(asked)], *asked)] * num_made

    return pooled


def _reduced(given: Mapping[str, Any]) -> Shapes | None:
    x, dim = given["self"].shape, given.get("dim")
    if "dim" not in given or dim is None or isinstance(dim, str):
        return None if "dim" in given else [()]
    gone = {axis % len(x) for axis in _full(dim, 1)} or set(range(len(x)))
    kept = bool(given.get("keepdim", False))
    return [tuple(1 if axis in gone else size for axis, size in enumerate(x) if kept or axis not in gone)]


def _product(first: str, second: str) -> Callable[[Mapping[str, Any]], Shapes | None]:
    def multiplied(given: Mapping[str, Any]) -> Shapes | None:
        a, b = given[first].shape, given[second].shape
        return [(*a[:-1], b[-1])] if len(a) == len(b) and a[-1] == b[-2] and a[:-2] == b[:-2] else None

    return multiplied


def _cat(given: Mapping[str, Any]) -> Shapes | None:
    shapes = [tuple(each.shape) for each in given["tensors"]]
    axis = given.get("dim", 0) % max(len(shapes[0]), 1)
    kinds = {each.dtype for each in given["tensors"]}
    rests = {shape[:axis] + shape[axis + 1 :] for shape in shapes}
    if len(rests) > 1 or len(kinds) > 1:
        return None
    return [(*shapes[0][:axis], sum(shape[axis] for shape in shapes), *shapes[0][axis + 1 :])]


def _upsampled(given: Mapping[str, Any]) -> Shapes | None:
    x, asked = given.get("self", given.get("input")), given.get("output_size")
    return None if x is None or asked is None else [(*x.shape[: x.ndim - len(asked)], *asked)]


def _padded(given: Mapping[str, Any]) -> Shapes | None:
    x, numbers = given["self"].shape, given["padding"]
    half = len(numbers) // 2
    sizes = [x[len(x) - 1 - place] + numbers[2 * place] + numbers[2 * place + 1] for place in range(half)][::-1]
    most = [max(numbers[2 * place : 2 * place + 2]) < x[len(x) - 1 - place] for place in range(half)]
    return [(*x[: len(x) - half], *sizes)] if all(most) else None


def _columns(given: Mapping[str, Any]) -> Shapes | None:
    x = given["self"].shape
    names = ("kernel_size", "dilation", "padding", "stride")
    kernel, dilation, padding, stride = (_full(given[name], 2) for name in names)
    sizes = [
        (x[len(x) - 2 + axis] + 2 * padding[axis] - dilation[axis] * (kernel[axis] - 1) - 1) // stride[axis] + 1
        for axis in range(2)
    ]
    return [(*x[:-3], x[-3] * math.prod(kernel), math.prod(sizes))] if min(sizes) > 0 else None


_RULES: dict[str, Callable[[Mapping[str, Any]], Shapes | None]] = {
    "native_batch_norm": _batch_norm,
    "native_layer_norm": _layer_norm,
    "native_group_norm": _group_norm,
    "convolution": _convolution,
    "avg_pool1d": _pool(1, num_made=1),
    "avg_pool2d": _pool(2, num_made=1),
    "avg_pool3d": _pool(3, num_made=1),
    "max_pool2d_with_indices": _pool(2, num_made=2),
    "max_pool3d_with_indices": _pool(3, num_made=2),
    "_adaptive_avg_pool2d": _adaptive_pool(1),
    "_adaptive_avg_pool3d": _adaptive_pool(1),
    "adaptive_max_pool2d": _adaptive_pool(2),
    "mean": _reduced,
    "sum": _reduced,
    "amax": _reduced,
    "amin": _reduced,
    "mm": _product("self", "mat2"),
    "addmm": _product("mat1", "mat2"),
    "bmm": _product("self", "mat2"),
    "baddbmm": _product("batch1", "batch2"),
    "_softmax": _same("self"),
    "_log_softmax": _same("self"),
    "_safe_softmax": _same("self"),
    "cat": _cat,
    "upsample_nearest1d": _upsampled,
    "upsample_nearest2d": _upsampled,
    "upsample_nearest3d": _upsampled,
    "upsample_bilinear2d": _upsampled,
    "upsample_bicubic2d": _upsampled,
    "reflection_pad1d": _padded,
    "reflection_pad2d": _padded,
    "reflection_pad3d": _padded,
    "replication_pad1d": _padded,
    "replication_pad2d": _padded,
    "replication_pad3d": _padded,
    "im2col": _columns,
}
