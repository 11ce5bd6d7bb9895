"""Which layers a picture reaches, at which sizes, and which of them can have a twin."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from whyconv.errors import UsageError, nearest
from whyconv.nets.layers import LocallyConnected2d, SharedGlobal2d

Kinds = tuple[type[nn.Module], ...]

# Not convolutions, or not shared: they stay where no twin is asked of them.
_LEFT_ALONE = (LocallyConnected2d, SharedGlobal2d)
_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)


@dataclass(frozen=True)
class Met:
    """A layer that was reached.

    Attributes:
        name: In the network, the first one.
        layer: Itself.
        input_shape: Of what comes in, (c, h, w).
        output_shape: Of what goes out, (c, h, w).
    """

    name: str
    layer: Any
    input_shape: tuple[int, int, int]
    output_shape: tuple[int, int, int]


@dataclass
class Reached:
    """What one pass showed.

    Attributes:
        layers: Those that can have a twin, in the order of the network's modules.
        mistakes: What has no twin, and why.
        wrong: The mistakes of each layer.
    """

    layers: list[Met] = field(default_factory=list)
    mistakes: list[str] = field(default_factory=list)
    wrong: dict[nn.Module, str] = field(default_factory=dict)

    def restricted_to(self, name: str, network: nn.Module) -> Reached:
        """What concerns one layer alone, under any name that it has in the network.

        Raises:
            UsageError: There is no such convolution, or a pass does not reach it.
        """
        wanted = dict(network.named_modules(remove_duplicate=False)).get(name)
        layers = [met for met in self.layers if met.layer is wanted]
        mistakes = [self.wrong[wanted]] if wanted in self.wrong else []
        if wanted is None or not (layers or mistakes):
            known = [met.name for met in self.layers]
            raise UsageError(f"There is no convolution '{name}' that a picture reaches.{nearest(name, known)}")
        weight = getattr(wanted, "weight", None)
        tied = [met.name for met in self.layers if met.layer is not wanted and met.layer.weight is weight]
        if tied:
            mistakes.append(f"{name}: its weights are those of {', '.join(tied)} too, which would stay as they are")
        return Reached(layers, mistakes)


def send_through(network: nn.Module, input_shape: tuple[int, ...], kinds: Kinds, twin: str) -> Reached:
    """Sends one black picture through a network, and leaves no trace in it.

    Args:
        network: Itself such a layer if need be.
        input_shape: Of one picture, (c, h, w).
        kinds: Of layers that are to have a twin.
        twin: How the twin is called, for messages.
    """
    met: dict[nn.Module, list[tuple[tuple[int, ...], ...]]] = {}
    outside = _ConvolutionsOutside()
    with _hooks(network, met, outside, kinds), outside:
        answer_to_black(network, input_shape)
    seen = Reached()
    for name, module in network.named_modules():
        if module not in met:
            continue
        if mistake := _mistake(module, met[module], kinds, twin):
            seen.wrong[module] = f"{name or 'the layer itself'}: {mistake}"
            seen.mistakes.append(seen.wrong[module])
        elif isinstance(module, kinds):
            (_, *taken), (_, *given) = met[module][0]
            seen.layers.append(Met(name, module, (taken[-3], taken[-2], taken[-1]), (given[-3], given[-2], given[-1])))
    if outside.count:
        seen.mistakes.append(
            f"{outside.count} convolution(s) called as a function, or by a module that is not registered: "
            "expected torch.nn.Conv2d modules that their parents know"
        )
    return seen


def answer_to_black(network: nn.Module, input_shape: tuple[int, ...]) -> object:
    """What a network answers to one black picture in evaluation mode; afterwards every module is in its own mode.

    Raises:
        UsageError: It fails on such a picture.
    """
    sample = next(network.parameters(), torch.empty(0))
    return answer_to(network, torch.zeros((1, *input_shape), dtype=sample.dtype, device=sample.device))


def answer_to(network: nn.Module, picture: Tensor) -> object:
    """The same for any picture (1, c, h, w)."""
    was_training = {module: module.training for module in network.modules()}
    network.eval()
    try:
        with torch.no_grad():
            return network(picture)
    except Exception as error:
        raise UsageError(
            f"The network fails on a picture of shape {tuple(picture.shape)}: {type(error).__name__}: {error}"
        ) from error
    finally:
        for module, mode in was_training.items():
            module.training = mode


def changed_layers(network: nn.Module, kinds: Kinds) -> list[str]:
    """The layers, reached or not, that may not compute what one of their kind computes, with the reason."""
    wrong = []
    for name, module in network.named_modules():
        kind = next((kind for kind in kinds if isinstance(module, kind)), None)
        if kind is not None and (reason := _changed(module, kind)):
            wrong.append(f"{name or 'the layer itself'}: {reason}")
    return wrong


class _ConvolutionsOutside(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the convolutions that no module of torch's own computes."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.depth = 0
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:  # noqa: ANN401
        if func is torch.ops.aten.convolution.default and not self.depth:
            self.count += 1
        return func(*args, **(kwargs or {}))


@contextmanager
def _hooks(
    network: nn.Module,
    met: dict[nn.Module, list[tuple[tuple[int, ...], ...]]],
    outside: _ConvolutionsOutside,
    kinds: Kinds,
) -> Iterator[None]:
    def enter(module: nn.Module, inputs: tuple[Any, ...]) -> None:
        outside.depth += 1

    def leave(module: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> None:
        outside.depth -= 1
        taken = (1, *inputs[0].shape) if inputs else ()
        met.setdefault(module, []).append((taken, (1, *output.shape)))

    handles = []
    try:
        for module in network.modules():
            if isinstance(module, (*_LEFT_ALONE, *_CONVOLUTIONS, *kinds)):
                handles += [module.register_forward_pre_hook(enter), module.register_forward_hook(leave)]
        yield
    finally:
        for handle in handles:
            handle.remove()


def _mistake(module: nn.Module, calls: list[tuple[tuple[int, ...], ...]], kinds: Kinds, twin: str) -> str:
    """Why a layer that was reached has no twin; "" where it has one, or needs none."""
    name = type(module).__name__
    kind = next((kind for kind in kinds if isinstance(module, kind)), None)
    if kind is None:
        known = " and ".join(kind.__name__ for kind in kinds)
        return "" if isinstance(module, _LEFT_ALONE) else f"{name} has no {twin} twin here, only {known} has"
    return _changed(module, kind) or _misused(module, calls)


def _changed(module: nn.Module, kind: type[nn.Module]) -> str:
    """Why a layer may not compute what one of its kind computes."""
    if _is_own(module, kind):
        name = type(module).__name__
        return f"{name} computes its answer or its weights in a way of its own; expected a plain {kind.__name__}"
    if module._forward_hooks or module._forward_pre_hooks:
        return "it carries hooks, which may change what it computes; remove them first"
    return ""


def _misused(module: nn.Module, calls: list[tuple[tuple[int, ...], ...]]) -> str:
    """Why a layer is called in a way that no twin can be."""
    if not all(taken for taken, _ in calls):
        return "it is called with its picture by name; expected layer(x)"
    if isinstance(module, nn.BatchNorm2d) and module.running_mean is None:
        return "it keeps no running statistics, so in evaluation it does not compute the same for each unit"
    sizes = sorted({taken[-2:] for taken, _ in calls})
    if len(sizes) > 1:
        shown = " and ".join(f"{height} x {width}" for height, width in sizes)
        return f"it is used at several sizes, {shown}, and weights that belong to places fit only one"
    return ""


def _is_own(module: nn.Module, kind: type[nn.Module]) -> bool:
    parts = ("forward", "_conv_forward")
    is_changed = any(getattr(type(module), part, None) is not getattr(kind, part, None) for part in parts)
    return is_changed or nn.utils.parametrize.is_parametrized(module)
