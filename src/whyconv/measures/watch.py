"""Arrays that depend on the picture, and how each of them moves with it, operation by operation."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch._ops import OpOverload

from whyconv.measures.aten import POINTWISE, SAME_NUMBERS, SAME_SHAPE_ONLY
from whyconv.measures.dispatched import by_name
from whyconv.measures.memory import tensors
from whyconv.measures.modules import Place
from whyconv.measures.moving import (
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
from whyconv.results import Note


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
        state = self.find(arrays[0])
        if state is None:
            self.refuse("condition_answer_unknown", layer="")
        elif not isinstance(state, Moving) or not state.is_still:
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

    def new_phase(self, stride: int, state: Moving) -> Phase:
        """A choice of its own."""
        number = next(self._numbers)
        self.strides[number] = stride
        return Phase(number, stride, state.grid, state.is_excused)


def _name(func: OpOverload) -> str:
    return str(func._schema.name.partition("::")[2])
