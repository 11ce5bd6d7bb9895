"""Our own rules for shapes against what torch makes of real numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from whyconv.measures import shapes
from whyconv.measures.shapes import make_empty

aten = torch.ops.aten
X, W = torch.rand(2, 8, 9, 7), torch.rand(8)
FLAT, STACK = torch.rand(6, 8), torch.rand(3, 4, 5)
KERNEL, DEEP = torch.rand(6, 4, 3, 2), torch.rand(2, 3, 6, 7, 5)
LAST = X.contiguous(memory_format=torch.channels_last)

CASES: dict[str, Callable[[], Any]] = {
    "relu": lambda: aten.relu(X),
    "relu of another order": lambda: aten.relu(LAST),
    "relu_": lambda: aten.relu_(X.clone()),
    "add": lambda: aten.add(X, torch.rand(8, 1, 1)),
    "add of unlike orders": lambda: aten.add(LAST, X),
    "mul by a number": lambda: aten.mul(X, 2.0),
    "hardswish": lambda: aten.hardswish(X),
    "clone": lambda: aten.clone(LAST, memory_format=torch.contiguous_format),
    "compare": lambda: aten.gt(X, 0.5),
    "batch norm": lambda: aten.native_batch_norm(X, W, W, W, W, False, 0.1, 1e-5),
    "batch norm of its own": lambda: aten.native_batch_norm(X, W, W, None, None, True, 0.1, 1e-5),
    "layer norm": lambda: aten.native_layer_norm(FLAT, [8], W, W, 1e-5),
    "group norm": lambda: aten.native_group_norm(X, W, W, 2, 8, 63, 4, 1e-5),
    "softmax": lambda: aten._softmax(X, 1, False),
    "convolution": lambda: aten.convolution(X, KERNEL, None, [2, 1], [1, 0], [1, 2], False, [0, 0], 2),
    "transposed": lambda: aten.convolution(X, torch.rand(8, 3, 3, 2), W[:6], [2, 3], [1, 0], [1, 2], True, [1, 0], 2),
    "deep": lambda: aten.convolution(
        DEEP, torch.rand(4, 3, 2, 3, 1), None, [1] * 3, [0] * 3, [1] * 3, False, [0] * 3, 1
    ),
    "max pool": lambda: aten.max_pool2d_with_indices(X, [3, 2], [2, 2], [1, 0], [1, 2], True),
    "average pool": lambda: aten.avg_pool2d(X, [3], [2], [1], True, False),
    "average pool without a stride": lambda: aten.avg_pool2d(X, [3, 2]),
    "adaptive pool": lambda: aten._adaptive_avg_pool2d(X, [4, 3]),
    "mean": lambda: aten.mean.dim(X, [-1, 1], True),
    "mean of all": lambda: aten.mean(X),
    "sum": lambda: aten.sum.dim_IntList(X, [2]),
    "maximum": lambda: aten.amax(X, [1]),
    "mm": lambda: aten.mm(FLAT, torch.rand(8, 3)),
    "addmm": lambda: aten.addmm(torch.rand(3), FLAT, torch.rand(8, 3)),
    "bmm": lambda: aten.bmm(STACK, torch.rand(3, 5, 2)),
    "cat": lambda: aten.cat([X, X[:, :3]], 1),
    "nearest": lambda: aten.upsample_nearest2d(X, [18, 20]),
    "bilinear": lambda: aten.upsample_bilinear2d(X, [18, 20], False),
    "reflect": lambda: aten.reflection_pad2d(X, [1, 2, 3, 4]),
    "replicate": lambda: aten.replication_pad2d(X, [1, 2, 0, 4]),
    "columns": lambda: aten.im2col(X, [3, 2], [1, 2], [1, 0], [2, 1]),
}


class Comparing(TorchDispatchMode):
    """Carries out each operation, and notes what our rules say beside what torch made."""

    def __init__(self) -> None:
        super().__init__()
        self.pairs: list[tuple[list[Tensor], list[Tensor] | None]] = []

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        names = [argument.name for argument in func._schema.arguments]
        given: Mapping[str, Any] = dict(zip(names, args, strict=False)) | (kwargs or {})
        ours = make_empty(func, func._schema.name.removeprefix("aten::"), {n: emptied(a) for n, a in given.items()})
        made = func(*args, **(kwargs or {}))
        self.pairs.append((listed(made), None if ours is None else listed(ours)))
        return made


def emptied(given: Any) -> Any:
    if isinstance(given, Tensor):
        return torch.empty_strided(given.shape, given.stride(), dtype=given.dtype, device="meta")
    return [emptied(each) for each in given] if isinstance(given, list | tuple) else given


def listed(made: Any) -> list[Tensor]:
    return list(made) if isinstance(made, list | tuple) else [made]


def facts(made: list[Tensor], *, with_order: bool) -> list[Any]:
    return [(tuple(each.shape), each.stride() if with_order else None) for each in made]


@pytest.mark.parametrize("name", CASES)
def test_shapes_are_those_that_torch_makes(name: str) -> None:
    with Comparing() as mode:
        CASES[name]()
    theirs, ours = mode.pairs[-1]
    if ours is None:
        assert name in ("clone", "compare")  # left to torch
        return
    # In what order convolutions and the like lay their results in memory is their own affair.
    is_pointwise = name.startswith(("relu", "add", "mul"))
    assert facts(ours, with_order=is_pointwise) == facts(theirs, with_order=is_pointwise)
    assert ours[0].dtype == theirs[0].dtype


def test_a_wrong_rule_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(shapes._RULES, "mm", lambda given: [(given["mat2"].shape[1], given["self"].shape[0])])
    with pytest.raises(AssertionError):
        test_shapes_are_those_that_torch_makes("mm")


def test_what_does_not_fit_is_left_to_torch_to_refuse() -> None:
    x, y = (torch.empty(shape, device="meta") for shape in ((2, 3), (2, 4)))
    assert make_empty(aten.add.Tensor, "add", {"self": x, "other": y}) is None
    assert make_empty(aten.mm.default, "mm", {"self": x, "mat2": y}) is None
    assert make_empty(aten.add.Tensor, "add", {"self": x, "other": x.to(torch.int64)}) is None
