"""How much of everything a network has, as one picture on its way through it shows."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from whyconv.errors import UsageError
from whyconv.nets.twins.reached import answer_to_black

_aten = torch.ops.aten


@dataclass(frozen=True)
class Counted:
    """A network in numbers.

    Attributes:
        parameters: Each counted once.
        multiply_adds: For one picture: of convolutions, padding included, and of products of matrices.
        depth: Convolutions on the longest path from the picture to the answer.
        output_shape: Of the answer to one picture.
    """

    parameters: int
    multiply_adds: int
    depth: int
    output_shape: tuple[int, ...]


def count(network: nn.Module, input_shape: tuple[int, ...]) -> Counted:
    """Counts in one pass in evaluation, which leaves no trace in the network.

    Raises:
        UsageError: The network fails, or its answer is not one array with a row for each picture.
    """
    pass_ = _Counting()
    with pass_:
        answer = answer_to_black(network, input_shape)
    if not isinstance(answer, Tensor) or answer.ndim < 2 or len(answer) != 1:
        found = tuple(answer.shape) if isinstance(answer, Tensor) else type(answer).__name__
        raise UsageError(f"The network's answer to one picture is {found}; expected an array of shape (1, ...).")
    num_parameters = sum(each.numel() for each in network.parameters())
    return Counted(num_parameters, pass_.multiply_adds, pass_.depth(answer), tuple(answer.shape[1:]))


class _Counting(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Sums multiply-adds, and keeps for every piece of memory the convolutions on the longest path to it."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.multiply_adds = 0
        self.depths: dict[int, int] = {}

    def depth(self, tensor: Tensor) -> int:
        """Convolutions on the longest path to a tensor."""
        return self.depths.get(_memory(tensor), 0)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:  # noqa: ANN401
        kwargs = kwargs or {}
        before = max((self.depth(each) for each in _tensors((args, kwargs))), default=0)
        answer = func(*args, **kwargs)
        is_convolution = func is _aten.convolution.default
        for each in _tensors(answer):
            self.depths[_memory(each)] = before + is_convolution
        self.multiply_adds += _multiply_adds(func, args, answer)
        return answer


def _multiply_adds(func: Any, args: tuple[Any, ...], answer: Any) -> int:  # noqa: ANN401
    if func is _aten.convolution.default:
        x, weight, is_transposed = args[0], args[1], args[6]
        # A transposed convolution has a product for every tap and every input.
        return int((x if is_transposed else answer).numel() * math.prod(weight.shape[1:]))
    if func in (_aten.mm.default, _aten.bmm.default):
        return int(answer.numel() * args[0].shape[-1])
    if func in (_aten.addmm.default, _aten.baddbmm.default):
        return int(answer.numel() * args[1].shape[-1])
    return 0


def _tensors(values: object) -> list[Tensor]:
    return [each for each in tree_leaves(values) if isinstance(each, Tensor)]


def _memory(tensor: Tensor) -> int:
    """Views have that of what they are views of."""
    return tensor.untyped_storage()._cdata
