"""Every operation that torch carries out, handed to whoever watches."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from torch._ops import OpOverload
from torch.utils._python_dispatch import TorchDispatchMode

# (operation, positional arguments, named arguments) -> what it made
CarryOut = Callable[[OpOverload, tuple[Any, ...], dict[str, Any]], object]


class Dispatched(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Lets ``carry_out`` carry out every operation, below modules and functions, while the block runs."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Keeps torch from importing its compiler, which takes seconds, only to keep it away from this class."""
        return False

    def __init__(self, carry_out: CarryOut) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.carry_out = carry_out

    def __torch_dispatch__(
        self, func: OpOverload, types: object, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> object:
        return self.carry_out(func, args, kwargs or {})


def by_name(func: OpOverload, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """What an operation was given, by the names in its schema."""
    return dict(zip(_argument_names(func), args, strict=False)) | kwargs


@cache
def _argument_names(func: OpOverload) -> tuple[str, ...]:
    return tuple(argument.name for argument in func._schema.arguments)
