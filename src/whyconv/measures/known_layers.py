"""Layers that are looked at as a whole: pooling that picks its phase, its choice, blurring, as their tests prove."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from torch import Tensor, nn

from whyconv.measures.moving import Moving, Phase, excused, shape_text
from whyconv.measures.watch import Watch
from whyconv.nets.layers import BlurPool2d, PhaseChoice, PolyphasePool2d
from whyconv.nets.layers.polyphase_pool import PhaseScorer

_KNOWN = (PolyphasePool2d, PhaseChoice, BlurPool2d)


@contextmanager
def known_layers(network: nn.Module, watch: Watch) -> Iterator[None]:
    """Looks at the layers of a network that are known as a whole, while the block runs."""
    hooks = []
    try:
        for path, module in network.named_modules():
            if type(module) in _KNOWN:
                whole = _Whole(watch, path, module)
                hooks.append(module.register_forward_pre_hook(whole.enter, with_kwargs=True))
                hooks.append(module.register_forward_hook(whole.leave, with_kwargs=True))
        yield
    finally:
        for hook in hooks:
            hook.remove()


class _Whole:
    """A layer that is looked at as one operation."""

    def __init__(self, watch: Watch, path: str, module: nn.Module) -> None:
        self.watch, self.path, self.module = watch, path, module

    def enter(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, Any] | None:
        watch = self.watch
        watch.num_paused += 1
        x = args[0] if args else kwargs.get("x")
        if watch.num_paused > 1 or isinstance(module, BlurPool2d) or not isinstance(x, Tensor):
            return None
        stride = int(module.stride)  # type: ignore[arg-type]
        if x.ndim != 4 or not (x.shape[2] % stride or x.shape[3] % stride):
            return None
        watch.refuse("condition_sides", layer=self.path, side=shape_text(x.shape[2:]), stride=stride)
        # Without what is left over, so that what comes later is looked at too.
        cropped = x[:, :, : x.shape[2] // stride * stride, : x.shape[3] // stride * stride]
        watch.note(cropped, excused(cropped))
        return (cropped, *args[1:]), {name: each for name, each in kwargs.items() if name != "x"}

    def leave(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], made: Tensor) -> None:
        watch = self.watch
        watch.num_paused -= 1
        x = args[0] if args else kwargs.get("x")
        state = watch.find(x)
        if watch.num_paused or state is None:
            return
        if not isinstance(state, Moving) or not state.is_map or any(state.padded):
            watch.refuse("condition_unknown", layer=self.path, operation=type(module).__name__)
            watch.note(made, excused(made))
        elif not _is_as_made(module):
            watch.refuse("condition_unknown", layer=self.path, operation=f"{type(module).__name__}, changed")
            watch.note(made, excused(made, state.grid))
        elif isinstance(module, PhaseChoice):
            watch.note(made, watch.new_phase(module.stride, state))
        elif isinstance(module, BlurPool2d):
            watch.note(made, self._blurred(module, state, made))
        elif isinstance(module, PolyphasePool2d):
            phase = args[1] if len(args) > 1 else kwargs.get("phase")
            watch.note(made, self._pooled(module, state, phase, made))

    def _blurred(self, module: BlurPool2d, state: Moving, made: Tensor) -> Moving:
        if module.padding_mode != "circular":
            self.watch.refuse("condition_padding", layer=self.path, padding=module.taps // 2)
        if module.stride > 1:
            self.watch.refuse("condition_pool", layer=self.path, stride=module.stride)
        is_right = module.padding_mode == "circular" and module.stride == 1
        return state if is_right else excused(made, state.grid)

    def _pooled(self, module: PolyphasePool2d, state: Moving, phase: object, made: Tensor) -> Moving:
        watch = self.watch
        taken = watch.new_phase(module.stride, state) if phase is None else watch.find(phase)
        is_fixed = not isinstance(taken, Phase) or taken.stride != module.stride
        if is_fixed:
            watch.refuse("condition_phase", layer=self.path)
        elif isinstance(taken, Phase) and taken.grid != state.grid and not (taken.is_excused or state.is_excused):
            watch.refuse("condition_branches", layer=self.path)
        elif isinstance(module.blur, BlurPool2d) and module.blur.padding_mode != "circular":
            watch.refuse("condition_padding", layer=self.path, padding=module.blur.taps // 2)
        elif isinstance(taken, Phase):
            grid = (*state.grid, taken.number)
            stride = 1
            for number in grid:
                stride *= watch.strides[number]
            watch.stride = max(watch.stride, stride)
            return replace(state, grid=grid, is_excused=state.is_excused or taken.is_excused)
        return excused(made, state.grid)


def _is_as_made(module: nn.Module) -> bool:
    """Whether a known layer has the parts it was made with, and its scores still pad circularly."""
    parts = {PolyphasePool2d: ("blur", "choice"), PhaseChoice: ("scorer",)}.get(type(module), ())
    kinds = {"blur": (BlurPool2d, nn.Identity), "choice": (PhaseChoice,), "scorer": (PhaseScorer, type(None))}
    if any(type(getattr(module, part)) not in kinds[part] for part in parts):
        return False
    inside = [each for each in module.modules() if isinstance(each, nn.Conv2d)]
    is_circular = all(each.padding_mode == "circular" and each.padding == (1, 1) for each in inside)
    choices = [each for each in module.modules() if isinstance(each, PhaseChoice)]
    return is_circular and all(type(each.scorer) in kinds["scorer"] for each in choices)
