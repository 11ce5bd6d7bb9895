"""From the name of a network to the network: one literal table, and the user's own by ``module:callable``."""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Callable
from pathlib import Path

from torch import nn

from whyconv.errors import UsageError, nearest
from whyconv.nets.lesson import Lesson
from whyconv.nets.plain import Plain

NETWORKS: dict[str, Callable[..., nn.Module]] = {
    "lesson": Lesson,
    "plain": Plain,
}


def build_network(name: str, *, in_channels: int, num_classes: int, side: int) -> nn.Module:
    """Builds the network called ``name`` with random weights.

    Args:
        name: A key of ``NETWORKS``, or ``package.module:callable``. The callable gets those of
            ``in_channels``, ``num_classes`` and ``side`` that its signature names, and returns a module
            that maps (n, in_channels, side, side) to logits (n, num_classes). The current folder is searched too.
        in_channels: 1 or 3.
        num_classes: >= 2.
        side: In pixels.

    Raises:
        UsageError: The name is unknown, cannot be imported, or does not build a module.
    """
    sizes = {"in_channels": in_channels, "num_classes": num_classes, "side": side}
    if ":" in name:
        return _build_own(name, sizes)
    if name not in NETWORKS:
        known = ", ".join(NETWORKS)
        raise UsageError(
            f"There is no network called '{name}'.{nearest(name, NETWORKS)} Known: {known}; "
            "or your own as package.module:callable."
        )
    return NETWORKS[name](**sizes)


def _build_own(name: str, sizes: dict[str, int]) -> nn.Module:
    build = _find(name)
    accepted = inspect.signature(build).parameters
    takes_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter in accepted.values())
    network = build(**{key: value for key, value in sizes.items() if takes_any or key in accepted})
    if not isinstance(network, nn.Module):
        raise UsageError(f"{name} returned {type(network).__name__}; expected a torch.nn.Module.")
    return network


def _find(name: str) -> Callable[..., nn.Module]:
    module_name, _, attribute = name.partition(":")
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.insert(0, here)
    try:
        found = getattr(importlib.import_module(module_name), attribute)
    except ImportError as error:
        raise UsageError(
            f"{name}: cannot import {module_name!r}: {error}. Is it in this folder, or installed?"
        ) from None
    except AttributeError:
        raise UsageError(f"{name}: module {module_name!r} has no {attribute!r}.") from None
    if not callable(found):
        raise UsageError(f"{name} is a {type(found).__name__}; expected a callable that returns a torch.nn.Module.")
    return found
