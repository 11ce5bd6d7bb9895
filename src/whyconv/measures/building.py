"""A network built without its numbers: weights that are large have a shape only, whatever the code that makes them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch._ops import OpOverload

from whyconv.measures.dispatched import Dispatched
from whyconv.measures.memory import tensors

# Up to so many numbers an array is real: code that builds networks computes rates and sizes with short ones.
_MOST_NUMBERS = 1 << 12
_META = torch.device("meta")


def build_without_numbers(build: Callable[[], nn.Module]) -> tuple[nn.Module, str]:
    """Calls ``build`` so that large arrays are never allocated, and for real where that fails.

    Args:
        build: Makes a network.

    Returns:
        The network, and why it had to be built for real, else "".
    """
    try:
        with without_numbers():
            return build(), ""
    except Exception as error:  # noqa: BLE001 - whatever foreign code raises that looks at numbers
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
    return build(), reason


@contextmanager
def without_numbers() -> Iterator[None]:
    """While the block runs, torch makes large arrays without numbers; its random numbers are not used up."""
    with torch.random.fork_rng(devices=[]), Dispatched(_without_numbers):
        yield


def _without_numbers(func: OpOverload, args: tuple[Any, ...], kwargs: dict[str, Any]) -> object:
    """Large arrays, and all that is computed from them, have a shape and no numbers."""
    given = list(tensors((args, kwargs)))
    if any(tensor.is_meta for tensor in given):
        return func(*_emptied(args), **_emptied(kwargs | ({"device": _META} if "device" in kwargs else {})))
    makes_new = not given or func._schema.name.startswith("aten::new_")
    if makes_new and any(argument.name == "device" for argument in func._schema.arguments):
        shaped = func(*_emptied(args), **_emptied(kwargs | {"device": _META}))
        if isinstance(shaped, Tensor) and shaped.numel() > _MOST_NUMBERS:
            return shaped
    return func(*args, **kwargs)


def _emptied(given: Any) -> Any:  # noqa: ANN401
    """The same, every array replaced by one without numbers."""
    if isinstance(given, Tensor):
        return given if given.is_meta else given.to(_META)
    if isinstance(given, list | tuple):
        return type(given)([_emptied(each) for each in given])
    if isinstance(given, dict):
        return {name: _emptied(each) for name, each in given.items()}
    return given
