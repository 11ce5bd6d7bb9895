"""Steps of a network: convolutions, normalizations and activations as wholes, all else operation by operation.

Operations are watched below modules and functions, so it does not matter in which of these ways a network is written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from torch import Tensor, nn
from torch._ops import OpOverload
from torch.utils._pytree import tree_leaves

from whyconv.measures.aten import SAME_NUMBERS
from whyconv.measures.dispatched import Dispatched

# What leaves every place and every channel where it is.
_NORMALIZATIONS = (nn.modules.batchnorm._NormBase, nn.GroupNorm, nn.LayerNorm, nn.Identity, nn.Dropout, nn.Dropout2d)
_NORMALIZING = SAME_NUMBERS | {"native_batch_norm", "cudnn_batch_norm", "native_group_norm", "native_layer_norm"}
_ACTIVATING = frozenset(
    {
        *("relu", "gelu", "silu", "mish", "elu", "celu", "leaky_relu", "hardtanh", "hardswish", "hardsigmoid"),
        *("sigmoid", "tanh", "softplus", "log_sigmoid_forward", "_prelu_kernel", "threshold", "hardshrink"),
        *("softshrink", "clamp", "clamp_min", "rrelu_with_noise", "_softmax", "_log_softmax"),
    }
)


class Kind(Enum):
    """What a step does."""

    CONVOLUTION = auto()
    NORMALIZATION = auto()
    ACTIVATION = auto()
    OTHER = auto()


@dataclass(frozen=True, eq=False)
class Step:
    """One step, with its tensors themselves, so that none is taken for another.

    Attributes:
        name: Of the module in the network; of the operation outside of such modules.
        kind: What it does.
        module: None for an operation.
        taken: What went in.
        given: What came out, the first of several; None where that is no tensor.
    """

    name: str
    kind: Kind
    module: nn.Module | None
    taken: tuple[Tensor, ...]
    given: Tensor | None

    def takes(self, value: Tensor) -> bool:
        """Whether ``value`` goes in and something happens to it."""
        is_idle = self.kind is Kind.NORMALIZATION and self.given is value
        return not is_idle and any(each is value for each in self.taken)


@contextmanager
def watching(network: nn.Module, on_step: Callable[[Step], None]) -> Iterator[None]:
    """Calls ``on_step``, which may change what came out in place, after every step that the network takes."""
    watch = _Watch(on_step)
    handles = []
    try:
        for name, module in network.named_modules():
            kind = _kind(module)
            if kind is not Kind.OTHER:
                handles.append(module.register_forward_pre_hook(watch.enter))
                handles.append(module.register_forward_hook(watch.leaving(name, kind), with_kwargs=True))
        with Dispatched(watch.carry_out):
            yield
    finally:
        for handle in handles:
            handle.remove()


class _Watch:
    """Tells of modules whose kind is known, and of operations outside of these."""

    def __init__(self, on_step: Callable[[Step], None]) -> None:
        self.on_step = on_step
        self.depth = 0

    def enter(self, *_: object) -> None:
        self.depth += 1

    def leaving(self, name: str, kind: Kind) -> Callable[..., None]:
        def leave(module: nn.Module, args: object, kwargs: object, given: object) -> None:
            self.depth -= 1
            if not self.depth:
                self.on_step(Step(name, kind, module, _tensors((args, kwargs)), _first(given)))

        return leave

    def carry_out(self, func: OpOverload, args: tuple[Any, ...], kwargs: dict[str, Any]) -> object:
        given = func(*args, **kwargs)
        if not self.depth:
            name = func.overloadpacket.__name__.removesuffix("_")
            kind = Kind.ACTIVATION if name in _ACTIVATING else Kind.OTHER
            kind = Kind.NORMALIZATION if name in _NORMALIZING else kind
            self.on_step(Step(name.strip("_"), kind, None, _tensors((args, kwargs)), _first(given)))
        return given


def _kind(module: nn.Module) -> Kind:
    if isinstance(module, nn.Conv2d):
        return Kind.CONVOLUTION
    if isinstance(module, _NORMALIZATIONS):
        return Kind.NORMALIZATION
    is_activation = type(module).__module__ == nn.ReLU.__module__ and not isinstance(module, nn.MultiheadAttention)
    return Kind.ACTIVATION if is_activation else Kind.OTHER


def _tensors(values: object) -> tuple[Tensor, ...]:
    return tuple(each for each in tree_leaves(values) if isinstance(each, Tensor))


def _first(given: object) -> Tensor | None:
    first = given[0] if isinstance(given, tuple | list) and given else given
    return first if isinstance(first, Tensor) else None
