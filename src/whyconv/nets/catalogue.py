"""From the name of a network to the network: one literal table, and the user's own by ``module:callable``."""

from __future__ import annotations

import copy
import importlib
import inspect
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from whyconv.errors import UsageError, nearest
from whyconv.machine import memory_bytes
from whyconv.nets.committee import Committee
from whyconv.nets.windowed import Windowed
from whyconv.settings import NetworkPlan, Pooling

# Each is imported when it is built.
NETWORKS: dict[str, str] = {
    "swift": "whyconv.nets.swift:Swift",
    "plain": "whyconv.nets.plain:Plain",
    "plain_circular": "whyconv.nets.invariant:PlainCircular",
    "lesson": "whyconv.nets.lesson:Lesson",
    "lenet5": "whyconv.nets.lenet:LeNet5",
    "alexnet": "whyconv.nets.alexnet:AlexNet",
    "vgg16": "whyconv.nets.vgg:VGG16",
    "googlenet": "whyconv.nets.googlenet:GoogLeNet",
    "resnet18": "whyconv.nets.resnet:resnet18",
    "resnet34": "whyconv.nets.resnet:resnet34",
    "resnet50": "whyconv.nets.resnet:resnet50",
    "resnet101": "whyconv.nets.resnet:resnet101",
    "resnet152": "whyconv.nets.resnet:resnet152",
    "mobilenet_v2": "whyconv.nets.mobilenet:MobileNetV2",
    "efficientnet_lite0": "whyconv.nets.efficientnet:EfficientNetLite0",
}

_OWN_NAME = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*")
# What was said in this process by whoever runs it, in place of by a file.
_allowed: set[str] = set()


def allow_code(name: str) -> None:
    """Lets a plan or a run folder name this code: from now on, in this process, it may be imported.

    A name that stands in a file is no reason to run code: who made the file may be somebody else.

    Args:
        name: ``package.module:callable``, as the file has it.

    Raises:
        UsageError: It is no such name.
    """
    if not _OWN_NAME.fullmatch(name):
        raise UsageError(f"{name!r} names no code. Expected package.module:callable.")
    _allowed.add(name)


def _require_allowed(name: str) -> None:
    if not _OWN_NAME.fullmatch(name):
        raise UsageError(f"The network {name[:200]!r} cannot be imported. Expected package.module:callable.")
    if name not in _allowed:
        raise UsageError(
            f"The network of this run is code that is not whyconv's own, {name}: it is imported and run only where you "
            f"say so. If you trust it, repeat the command with:  --allow-code {name}  (in Python, before: "
            f"whyconv.allow_code({name!r}))"
        )


def require_network(name: str) -> None:
    """Makes sure that a network which the user names can be found, without building it.

    Code of others is imported, and may from then on be named by the plan that is made of what the user said.

    Raises:
        UsageError: The name is unknown, or cannot be imported.
    """
    if ":" in name:
        with _current_folder_searched():
            _find(name)
        _allowed.add(name)
    elif name not in NETWORKS:
        known = ", ".join(NETWORKS)
        raise UsageError(
            f"There is no network called '{name}'.{nearest(name, NETWORKS)} Known: {known}; "
            "or your own as package.module:callable."
        )


def build_network(  # noqa: PLR0913
    name: str,
    *,
    in_channels: int,
    num_classes: int,
    side: int,
    members: int = 1,
    widths: Sequence[int] = (),
    filter_size: int = 3,
    window: int | None = None,
    pooling: Pooling = "largest",
) -> nn.Module:
    """Builds the network called ``name`` with random weights; a committee of several where asked for.

    Args:
        name: A key of ``NETWORKS``, or ``package.module:callable``. The callable gets those of
            ``in_channels``, ``num_classes`` and ``side`` that its signature names, and returns a module
            that maps (n, in_channels, side, side) to logits (n, num_classes), in training mode too. The current folder
            is searched too.
        in_channels: 1 or 3.
        num_classes: >= 2.
        side: In pixels.
        members: Of the committee; 1: the network itself.
        widths: Filters of each block, for ``swift``; by default as the side has it.
        filter_size: Of these blocks, where ``widths`` are given.
        window: Side of the windows that the picture is looked at through, in pixels; None: none.
        pooling: Of ``swift``: "largest" or "smooth".

    Raises:
        UsageError: The name is unknown, cannot be imported, does not build such a module, or the network does not
            take pictures so small.
    """
    seen = window or side
    sizes: dict[str, Any] = {"in_channels": in_channels, "num_classes": num_classes, "side": seen}
    if widths:
        sizes |= {"widths": list(widths), "filter_size": filter_size}
    if pooling != "largest":
        sizes |= {"pooling": pooling}
    network = Committee(lambda: _build_one(name, sizes), members) if members > 1 else _build_one(name, sizes)
    return Windowed(network, side, window) if window else network


def build_planned(plan: NetworkPlan, most_bytes: int | None = None) -> nn.Module:
    """Builds the network that a plan names, with all that the plan says of its sizes, and random weights.

    Args:
        plan: May be anybody's.
        most_bytes: Of its numbers; by default what this process may use of memory. Of code of others nobody knows it
            before it is built.

    Raises:
        UsageError: As ``build_network`` has it; or the name is that of code of others, which was not allowed.
        MemoryError: Its numbers need more.
    """
    build = partial(_build_planned, plan)
    if ":" in plan.name:
        _require_allowed(plan.name)
        return build()
    limit = memory_bytes() if most_bytes is None else most_bytes
    with torch.device("meta"):
        needed = sum(each.nbytes for each in build().state_dict().values())
    if limit is not None and needed > limit:
        raise MemoryError(f"{plan.name} as planned has {needed:,} bytes of numbers; there are {limit:,}")
    return build()


def _build_planned(plan: NetworkPlan) -> nn.Module:
    return build_network(
        plan.name,
        in_channels=plan.in_channels,
        num_classes=len(plan.classes),
        side=plan.side,
        members=plan.members,
        widths=plan.widths,
        filter_size=plan.filter_size,
        window=plan.window,
        pooling=plan.pooling or "largest",
    )


def _build_one(name: str, sizes: dict[str, Any]) -> nn.Module:
    if ":" in name:
        return _build_own(name, sizes)
    require_network(name)
    build = _find(NETWORKS[name])
    if unknown := sizes.keys() - inspect.signature(build).parameters:
        raise UsageError(f"{name} takes no {' and no '.join(sorted(unknown))}. Is this another network's plan?")
    return build(**sizes)


def build_default(name: str, *, in_channels: int, side: int, num_classes: int) -> nn.Module:
    """Builds the network called ``name`` as it stands: what it has a default for, such as its classes, is left at that.

    Args:
        name: A key of ``NETWORKS``, or ``package.module:callable``; the callable may be a network itself. The current
            folder is searched too.
        in_channels: Given where the callable's signature names it.
        side: Likewise.
        num_classes: Given where the callable names it and has no default for it.

    Raises:
        UsageError: The name is unknown, cannot be imported, or does not build a module.
    """
    require_network(name)
    with _current_folder_searched():
        build = _find(NETWORKS.get(name, name))
        if isinstance(build, nn.Module):
            return build
        accepted = inspect.signature(build).parameters
        sizes = {"in_channels": in_channels, "side": side}
        if "num_classes" in accepted and accepted["num_classes"].default is inspect.Parameter.empty:
            sizes["num_classes"] = num_classes
        network = build(**{key: value for key, value in sizes.items() if key in accepted})
    if not isinstance(network, nn.Module):
        raise UsageError(f"{name} returned {type(network).__name__}; expected a torch.nn.Module.")
    return network


def _build_own(name: str, sizes: dict[str, Any]) -> nn.Module:
    with _current_folder_searched():
        build = _find(name)
        accepted = inspect.signature(build).parameters
        takes_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter in accepted.values())
        network: object = build(**{key: value for key, value in sizes.items() if takes_any or key in accepted})
        if not isinstance(network, nn.Module) or isinstance(network, torch.jit.ScriptModule):
            raise UsageError(
                f"{name} returned {type(network).__name__}; expected a torch.nn.Module, not of TorchScript."
            )
        network.register_forward_pre_hook(_in_rows)
        _require_logits(name, network, sizes)
        _require_learning(name, network)
    return network


def _in_rows(network: nn.Module, given: tuple[Any, ...]) -> tuple[Any, ...]:
    """Gives an own network its pictures row after row: ``x.view(x.size(0), -1)`` fails on any other layout.

    Convolutions hand on the layout that they are given, so that it holds for what lies between layers too.
    """
    # Not contiguous(): with one channel any layout counts as contiguous, and convolutions take it for the other.
    rows = torch.contiguous_format
    return tuple(each.clone(memory_format=rows) if isinstance(each, torch.Tensor) else each for each in given)


def _require_logits(name: str, network: nn.Module, sizes: dict[str, int]) -> None:
    """Asks the network about two black pictures, as it answers and as it is trained."""
    pictures = torch.zeros(2, sizes["side"], sizes["side"], sizes["in_channels"]).permute(0, 3, 1, 2)
    expected = (2, sizes["num_classes"])
    was_training = network.training
    _require_shape(name, network.eval(), pictures, expected)
    network.train(was_training)
    # A copy keeps what is counted in training mode; what is drawn there must not change how the training begins.
    with torch.random.fork_rng(devices=[]):
        _require_shape(name, _copied(name, network).train(), pictures, expected)


def _copied(name: str, network: nn.Module) -> nn.Module:
    try:
        return copy.deepcopy(network)
    except Exception as error:
        raise UsageError(
            f"{name} cannot be copied by copy.deepcopy, as is done for the mean of its weights over the steps: "
            f"{type(error).__name__}: {error}. Expected a module that keeps no open file, lock or the like."
        ) from error


def _require_shape(name: str, network: nn.Module, pictures: torch.Tensor, expected: tuple[int, int]) -> None:
    mode = " in training mode" if network.training else ""
    # Not in inference mode: what a lazy layer makes in its first pass could not be trained.
    with torch.no_grad():
        try:
            answer = network(pictures)
        except Exception as error:
            raise UsageError(
                f"{name} fails on pictures of shape {tuple(pictures.shape)}{mode}: {type(error).__name__}: {error}. "
                f"Expected logits of shape {expected}."
            ) from error
    found = tuple(answer.shape) if isinstance(answer, torch.Tensor) else type(answer).__name__
    if found != expected:
        advice = " Leave out what else it returns while it trains, such as auxiliary logits." if mode else ""
        raise UsageError(
            f"{name} maps pictures of shape {tuple(pictures.shape)}{mode} to {found}; expected logits of shape "
            f"{expected}: one row for each picture, one number for each class.{advice}"
        )


def _require_learning(name: str, network: nn.Module) -> None:
    parameters = list(network.parameters())
    if any(each.requires_grad for each in parameters):
        return
    reason = (
        f"none of its {len(parameters):,} parameters has requires_grad. Switch it on for those that are to be trained, "
        "by requires_grad_(True)."
        if parameters
        else "it has no parameters. Give it layers that have some, such as torch.nn.Linear."
    )
    raise UsageError(f"{name} has no number that learns: {reason}")


def _find(name: str) -> Callable[..., nn.Module]:
    module_name, _, attribute = name.partition(":")
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


@contextmanager
def _current_folder_searched() -> Iterator[None]:
    here = str(Path.cwd())
    sys.path.insert(0, here)
    try:
        yield
    finally:
        sys.path.remove(here)
