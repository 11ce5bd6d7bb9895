"""The modules of a network while it is called: which one is at work, and in which state they were before."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from whyconv.errors import UsageError
from whyconv.nets.layers import SharedGlobal2d


class Place:
    """Which module is at work, and which call of it this is."""

    def __init__(self) -> None:
        self.stack: list[tuple[str, int]] = [("", 1)]
        self.calls: Counter[str] = Counter()

    @property
    def now(self) -> tuple[str, int]:
        """Path of the module, and number of its call from 1."""
        return self.stack[-1]

    def enter(self, path: str) -> None:
        """Notes that a module was called."""
        self.calls[path] += 1
        self.stack.append((path, self.calls[path]))

    def leave(self) -> None:
        """Notes that it has answered."""
        self.stack.pop()


def require_hooks(network: nn.Module) -> None:
    """Makes sure that the calls of the network's modules can be followed.

    Raises:
        UsageError: One of them is TorchScript, which takes no hooks.
    """
    found = [path for path, module in network.named_modules() if path and isinstance(module, torch.jit.ScriptModule)]
    if found:
        more = f" and {len(found) - 1} more" if len(found) > 1 else ""
        raise UsageError(
            f"The modules of TorchScript cannot be followed: {found[0]}{more} of {type(network).__name__}. Hand over "
            "the network with the modules that torch.jit.script or torch.jit.trace was given."
        )


@contextmanager
def following(network: nn.Module) -> Iterator[Place]:
    """Follows the calls of the network's modules by hooks, which are gone after the block whatever happens.

    Raises:
        UsageError: One of them is TorchScript, which takes no hooks.
    """
    require_hooks(network)
    place = Place()
    hooks = []
    try:
        for path, module in network.named_modules():
            if path:
                hooks.append(module.register_forward_pre_hook(lambda *_, path=path: place.enter(path)))
                hooks.append(module.register_forward_hook(lambda *_: place.leave(), always_call=True))
        yield place
    finally:
        for hook in hooks:
            hook.remove()


@contextmanager
def evaluating(network: nn.Module) -> Iterator[None]:
    """Puts a network in evaluation mode; afterwards every module is as it was, and so are its buffers.

    Circular convolutions that go by way of Fourier transforms do so directly for the time.
    """
    flags = [(module, module.training) for module in network.modules()]
    methods = [(module, module.method) for module, _ in flags if isinstance(module, SharedGlobal2d)]
    buffers = [
        (module._buffers, name, buffer, buffer.clone())
        for module, _ in flags
        for name, buffer in module._buffers.items()
        if buffer is not None and not buffer.is_meta
    ]
    try:
        network.eval()
        for circular, _ in methods:
            circular.method = "direct"
        yield
    finally:
        for module, flag in flags:
            module.training = flag
        for circular, method in methods:
            circular.method = method
        with torch.no_grad():
            for held, name, buffer, before in buffers:
                held[name] = buffer
                if not torch.equal(buffer, before):
                    buffer.copy_(before)
