"""Which convolutions a picture reaches, at which sizes, and which of them can have a local twin."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from whyconv.errors import UsageError, nearest
from whyconv.nets.layers import SharedGlobal2d

_NOT_TWINNED = (nn.Conv1d, nn.Conv3d, nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)


@dataclass
class Reached:
    """What one pass showed.

    Attributes:
        named: The convolutions that were reached, in the order of the network's modules, each under its first name.
        sizes: Height and width of the inputs of each.
        mistakes: What has no local twin, and why.
        wrong: The mistakes of each layer.
    """

    named: list[tuple[str, nn.Conv2d]] = field(default_factory=list)
    sizes: dict[nn.Module, tuple[int, int]] = field(default_factory=dict)
    mistakes: list[str] = field(default_factory=list)
    wrong: dict[nn.Module, str] = field(default_factory=dict)

    def restricted_to(self, name: str, network: nn.Module) -> Reached:
        """What concerns one layer alone, under any name that it has in the network.

        Raises:
            UsageError: There is no such convolution, or a pass does not reach it.
        """
        wanted = dict(network.named_modules(remove_duplicate=False)).get(name)
        named = [(first, each) for first, each in self.named if each is wanted]
        mistakes = [self.wrong[wanted]] if wanted in self.wrong else []
        if wanted is None or not (named or mistakes):
            known = [first for first, _ in self.named]
            raise UsageError(f"There is no convolution '{name}' that a picture reaches.{nearest(name, known)}")
        tied = [
            first for first, each in self.named if each is not wanted and each.weight is getattr(wanted, "weight", 0)
        ]
        if tied:
            mistakes.append(f"{name}: its weights are those of {', '.join(tied)} too, which would stay as they are")
        return Reached(named, self.sizes, mistakes)


def send_through(network: nn.Module, input_shape: tuple[int, ...]) -> Reached:
    """Sends one black picture through a copy of a network, and leaves no trace in it."""
    met: dict[nn.Module, list[tuple[int, ...]]] = {}
    outside = _ConvolutionsOutside()
    was_training = {module: module.training for module in network.modules()}
    network.eval()
    try:
        with _hooks(network, met, outside), torch.no_grad(), outside:
            _send(network, input_shape)
    finally:
        for module, mode in was_training.items():
            module.training = mode
    seen = Reached()
    for name, module in network.named_modules():
        if module in met and (mistake := _mistake(module, met[module])):
            seen.wrong[module] = f"{name or 'the layer itself'}: {mistake}"
            seen.mistakes.append(seen.wrong[module])
        elif module in met and isinstance(module, nn.Conv2d):
            seen.named.append((name, module))
            seen.sizes[module] = (met[module][0][-2], met[module][0][-1])
    if outside.count:
        seen.mistakes.append(
            f"{outside.count} convolution(s) called as a function, or by a module that is not registered: "
            "expected torch.nn.Conv2d modules that their parents know"
        )
    return seen


def _send(network: nn.Module, input_shape: tuple[int, ...]) -> None:
    sample = next(network.parameters(), torch.empty(0))
    picture = torch.zeros((1, *input_shape), dtype=sample.dtype, device=sample.device)
    try:
        network(picture)
    except Exception as error:
        raise UsageError(
            f"The network fails on a picture of shape {tuple(picture.shape)}: {type(error).__name__}: {error}"
        ) from error


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
    network: nn.Module, met: dict[nn.Module, list[tuple[int, ...]]], outside: _ConvolutionsOutside
) -> Iterator[None]:
    def enter(module: nn.Module, inputs: tuple[Any, ...]) -> None:
        outside.depth += 1
        met.setdefault(module, []).append(tuple(inputs[0].shape))

    def leave(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:  # noqa: ANN401
        outside.depth -= 1

    handles = []
    try:
        for module in network.modules():
            if isinstance(module, (nn.Conv2d, SharedGlobal2d, *_NOT_TWINNED)):
                handles += [module.register_forward_pre_hook(enter), module.register_forward_hook(leave)]
        yield
    finally:
        for handle in handles:
            handle.remove()


def _mistake(module: nn.Module, shapes: list[tuple[int, ...]]) -> str:
    """Why a layer that was reached has no local twin; "" where it has one."""
    kind = type(module).__name__
    if isinstance(module, SharedGlobal2d):
        return ""
    if not isinstance(module, nn.Conv2d):
        return f"{kind} has no local twin here, only Conv2d has"
    is_own = type(module).forward is not nn.Conv2d.forward or type(module)._conv_forward is not nn.Conv2d._conv_forward
    if is_own or nn.utils.parametrize.is_parametrized(module):
        return f"{kind} computes its answer or its weights in a way of its own; expected a plain Conv2d"
    if module._forward_hooks or module._forward_pre_hooks:
        return "it carries hooks, which may change what it computes; remove them first"
    sizes = sorted({shape[-2:] for shape in shapes})
    if len(sizes) > 1:
        shown = " and ".join(f"{height} x {width}" for height, width in sizes)
        return f"it is used at several sizes, {shown}, and weights that belong to places fit only one"
    return ""
