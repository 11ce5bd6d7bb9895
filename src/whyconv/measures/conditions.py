"""Whether a network's answers cannot change when the picture moves around its border: shown on its operations.

The network is called once, on two made-up pictures, and every operation is followed by a rule (``moving``). What has no
rule is refused, never taken for right. Pooling that picks its phase, blurring and circular padding are looked at as a
whole, by what their own tests prove.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn
from torch._ops import OpOverload
from torch.overrides import TorchFunctionMode

from whyconv.measures.aten import POINTWISE, SAME_NUMBERS, SAME_SHAPE_ONLY
from whyconv.measures.dispatched import Dispatched, by_name
from whyconv.measures.memory import tensors
from whyconv.measures.modules import Place, evaluating, following
from whyconv.measures.moving import (
    STILL,
    Moving,
    Phase,
    Places,
    State,
    Step,
    excused,
    shape_text,
    together,
)
from whyconv.measures.moving_rules import RULES, TAKE_PADDED
from whyconv.nets.layers import BlurPool2d, PhaseChoice, PolyphasePool2d
from whyconv.nets.layers.polyphase_pool import PhaseScorer
from whyconv.results import Note

_SEED = 0
_KNOWN_WHOLE = (PolyphasePool2d, PhaseChoice, BlurPool2d)


@dataclass(frozen=True)
class Conditions:
    """What was found.

    Attributes:
        reasons: Why circular moves may change answers, each with the layer's name; empty: they cannot.
        stride: Pixels from place to place of the coarsest map; 1 where nothing is subsampled.
        num_choices: Phases that are picked on the way.
    """

    reasons: list[Note]
    stride: int
    num_choices: int


def conditions(network: nn.Module, input_shape: Sequence[int]) -> Conditions:
    """Follows one call of a network, in evaluation mode and without gradients.

    Args:
        network: Takes pictures (n, c, h, w); afterwards as it was.
        input_shape: Of one picture, without the batch: (c, h, w).
    """
    network = getattr(network, "_orig_mod", network)
    kind = next((each.dtype for each in network.parameters() if each.is_floating_point()), torch.float32)
    generator = torch.Generator().manual_seed(_SEED)
    pictures = torch.rand((2, *input_shape), generator=generator).to(kind)
    with evaluating(network), following(network) as place, torch.no_grad(), torch.random.fork_rng(devices=[]):
        watch = Watch(place, type(network).__name__)
        watch.note(pictures, Moving())
        try:
            with watch.hooked(network), Dispatched(watch.carry_out), _Called(watch):
                answer = network(pictures)
        except Exception as error:  # noqa: BLE001 - whatever a network fails by is a reason
            text = (str(error).strip() or "no reason given").splitlines()[0]
            watch.refuse("condition_fails", layer="", error=f"{type(error).__name__}: {text}")
        else:
            watch.judge(answer)
    return Conditions(watch.reasons, watch.stride, len(watch.strides))


class Watch:
    """Arrays that depend on the picture, and how each moves.

    Args:
        place: Which module is at work.
        name: Of the network, where none of its modules is.
    """

    def __init__(self, place: Place, name: str) -> None:
        self.place, self.name = place, name
        self.reasons: list[Note] = []
        self.strides: dict[int, int] = {}
        self.stride = 1
        self.num_paused = 0
        # Arrays are kept, so that no other gets their id.
        self._states: dict[int, tuple[Tensor, State]] = {}
        self._numbers = itertools.count()

    def note(self, array: Tensor, state: State) -> None:
        """Remembers how an array moves; axes of one place do not."""
        if isinstance(state, Moving):
            rows, columns = (
                None if axis is None or axis >= array.ndim or array.shape[axis] == 1 else axis
                for axis in (state.rows, state.columns)
            )
            state = replace(state, rows=rows, columns=columns)
        self._states[id(array)] = (array, state)

    def find(self, array: object) -> State | None:
        """How an array moves; None where it does not depend on the picture."""
        found = self._states.get(id(array))
        return None if found is None else found[1]

    def refuse(self, key: str, layer: str | None = None, **values: object) -> None:
        """Notes a reason, once for each layer."""
        layer = self.place.now[0] if layer is None else layer
        note = Note(key=key, values={"layer": layer or self.name, **values}, level="warning")
        if all((each.key, each.values["layer"]) != (key, note.values["layer"]) for each in self.reasons):
            self.reasons.append(note)

    def judge(self, answer: object) -> None:
        """The answer must be one array for each picture that no move changes."""
        arrays = list(tensors(answer))
        if len(arrays) != 1:
            self.refuse("condition_answers", layer="", n=len(arrays))
            return
        state = self.find(arrays[0]) or STILL
        if not isinstance(state, Moving) or not state.is_still:
            self.refuse("condition_answer_moves", layer="", shape=shape_text(arrays[0].shape[1:]))

    def carry_out(self, func: OpOverload, args: tuple[Any, ...], kwargs: dict[str, Any]) -> object:
        """Carries out one operation, and follows it unless something larger is being followed."""
        made = func(*args, **kwargs)
        if not self.num_paused:
            self.operation(func, args, kwargs, made)
        return made

    def operation(self, func: OpOverload, args: tuple[Any, ...], kwargs: dict[str, Any], made: object) -> None:
        """Follows one operation."""
        if torch.Tag.nondeterministic_seeded in func.tags:
            self.refuse("condition_random", operation=_name(func))
        name = _name(func)
        states = {id(each): found for each in tensors((args, kwargs)) if (found := self.find(each)) is not None}
        if not states or name.rstrip("_") in SAME_SHAPE_ONLY:
            return
        arrays = list(tensors(made))
        step = Step(name.rstrip("_"), by_name(func, args, kwargs), states, arrays, self.refuse)
        if not arrays or torch.Tag.dynamic_output_shape in func.tags:
            self.refuse("condition_looks", operation=name)
            after: list[State] = [excused(each) for each in arrays]
        else:
            after = self._after(step, func)
        for array, state in zip(arrays, after, strict=True):
            self.note(array, state)

    def _after(self, step: Step, func: OpOverload) -> list[State]:
        states = list(step.states.values())
        unclear = [excused(each) for each in step.made]
        is_written = func._schema.is_mutable and self.find(step.given.get("self")) is None
        if any(not isinstance(each, Moving) for each in states):
            self.refuse("condition_places" if any(isinstance(each, Places) for each in states) else "condition_phase")
            return list(unclear)
        moving = [each for each in states if isinstance(each, Moving)]
        if all(each.is_still for each in moving) and not is_written:
            return [Moving(None, None, is_excused=any(each.is_excused for each in moving))] * len(step.made)
        is_pointwise = torch.Tag.pointwise in func.tags or step.name in POINTWISE or step.name in SAME_NUMBERS
        rule = together if is_pointwise else RULES.get(step.name)
        is_stuck = any(any(each.padded) for each in moving) and not (is_pointwise or step.name in TAKE_PADDED)
        if rule is None or is_written or is_stuck:
            self.refuse("condition_unknown", operation=step.name)
            return list(unclear)
        found = rule(step)
        found = found if isinstance(found, list) else [found]
        is_excused = any(each.is_excused for each in moving)
        return [replace(each, is_excused=True) if is_excused and isinstance(each, Moving) else each for each in found]

    def pad_circularly(self, x: Tensor, numbers: Sequence[int], made: Tensor) -> None:
        """Follows circular padding, which torch does by copying strips."""
        state = self.find(x)
        if state is None:
            return
        if not isinstance(state, Moving) or not state.is_map or any(state.padded) or min(numbers) < 0:
            self.refuse("condition_unknown", operation="circular padding")
            self.note(made, excused(made))
            return
        left, right, above, below = [*numbers, 0, 0][:4]
        self.note(made, replace(state, padded=(above + below, left + right)))

    def apply_linear(self, x: Tensor, numbers: Sequence[object], made: Tensor) -> None:
        """Follows a linear layer, which torch does by way of a table of pictures and places."""
        state = self.find(x)
        if any(self.find(each) is not None for each in numbers):
            self.refuse("condition_unknown", operation="linear, by weights that depend on the picture")
            self.note(made, excused(made))
        elif isinstance(state, Moving) and not any(state.padded) and x.ndim - 1 not in (state.rows, state.columns):
            self.note(made, state)
        elif state is not None:
            self.refuse("condition_flatten", shape=shape_text(x.shape[1:]))
            self.note(made, excused(made))

    @contextmanager
    def hooked(self, network: nn.Module) -> Iterator[None]:
        """Looks at the layers that are known as a whole, while the block runs."""
        hooks = []
        try:
            for path, module in network.named_modules():
                if type(module) in _KNOWN_WHOLE:
                    whole = _Whole(self, path, module)
                    hooks.append(module.register_forward_pre_hook(whole.enter, with_kwargs=True))
                    hooks.append(module.register_forward_hook(whole.leave, with_kwargs=True))
            yield
        finally:
            for hook in hooks:
                hook.remove()

    def new_phase(self, stride: int, state: Moving) -> Phase:
        """A choice of its own."""
        number = next(self._numbers)
        self.strides[number] = stride
        return Phase(number, stride, state.grid, state.is_excused)


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


class _Called(TorchFunctionMode):
    """Sees the calls of torch's functions; circular padding and linear layers are taken from here."""

    def __init__(self, watch: Watch) -> None:
        super().__init__()
        self.watch = watch

    def __torch_function__(
        self,
        func: Callable[..., Tensor],
        types: object,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> object:
        kwargs, watch = kwargs or {}, self.watch
        given = dict(zip(("input", "pad", "mode"), args, strict=False)) | kwargs
        is_circular = func is F.pad and given.get("mode") == "circular"
        if watch.num_paused or not (is_circular or func is F.linear):
            return func(*args, **kwargs)
        watch.num_paused += 1
        try:
            made = func(*args, **kwargs)
        finally:
            watch.num_paused -= 1
        if is_circular:
            watch.pad_circularly(given["input"], given["pad"], made)
        else:
            watch.apply_linear(given["input"], [*args[1:], kwargs.get("weight"), kwargs.get("bias")], made)
        return made


def _name(func: OpOverload) -> str:
    return str(func._schema.name.partition("::")[2])
