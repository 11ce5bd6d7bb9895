"""Listens to torch's operations and enters those that depend on the picture into a graph."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn
from torch._ops import OpOverload
from torch.overrides import TorchFunctionMode

from whyconv.counting.building import Builder, Call, Constant, Value, Weight
from whyconv.counting.graph import Graph
from whyconv.counting.layout import picture_layout
from whyconv.measures.aten import SAME_NUMBERS, SAME_SHAPE_ONLY, read
from whyconv.measures.dispatched import Dispatched, by_name
from whyconv.measures.memory import Known, Memory, tensors
from whyconv.measures.modules import Place
from whyconv.measures.readers import Operation
from whyconv.measures.shapes import make_empty

_SMALL = 1 << 16  # up to so many numbers, what depends on neither picture nor weights is computed for real


@dataclass(frozen=True)
class Made:
    """Where a value of the graph came from, so that it can be found again in another call.

    Attributes:
        number: Of the operation among all that torch carried out, from 1.
        position: Among the arrays that the operation made.
        operation: As torch names it.
    """

    number: int
    position: int
    operation: str


class Recorder:
    """Records while its ``with`` block runs.

    Args:
        network: Whose parameters are known by name.
        picture: The array that the graph begins with.
        place: Which module is at work.
        has_numbers: Whether operations are carried out; else only their shapes are.
    """

    def __init__(self, network: nn.Module, picture: Tensor, place: Place, *, has_numbers: bool) -> None:
        self.builder = Builder()
        self.place = place
        self.has_numbers = has_numbers
        self.is_paused = False
        self.num_seen = 0
        self.made: dict[str, Made] = {}  # by the value's name, for those that torch holds as (n, c, places...)
        self.memory = Memory(self.builder, network, self._call)
        self._shadows: dict[int, tuple[Tensor, Tensor]] = {}
        self._stack = ExitStack()
        self.memory.note(picture, self.builder.picture(tuple(picture.shape)))

    def __enter__(self) -> Recorder:
        # torch's fast path does a whole attention layer in one operation that says nothing of its parts.
        self._stack.callback(torch.backends.mha.set_fastpath_enabled, torch.backends.mha.get_fastpath_enabled())
        torch.backends.mha.set_fastpath_enabled(False)
        self._stack.enter_context(Dispatched(self.dispatch))
        self._stack.enter_context(_Called(self))
        return self

    def __exit__(self, *reason: object) -> None:
        self._stack.close()

    def graph(self, answer: object) -> Graph:
        """The graph, whose outputs are the arrays in ``answer`` that depend on the picture."""
        found = [self.memory.find(tensor) for tensor in tensors(answer)]
        outputs = [value for value in found if isinstance(value, Value)]
        return self.builder.finish(outputs, self.memory.parameters)

    def _call(self, operation: str, made: Sequence[Tensor], weights: Sequence[Weight] = ()) -> Call:
        module, number = self.place.now
        return Call(operation, tuple(tuple(tensor.shape) for tensor in made), module, number, tuple(weights))

    def dispatch(self, func: OpOverload, args: tuple[object, ...], kwargs: dict[str, object]) -> object:
        """Carries out one operation, for its shapes or for real, and enters it."""
        self.num_seen += 1
        name = func._schema.name.partition("::")[2]
        known = {id(tensor): self.memory.find(tensor) for tensor in tensors((args, kwargs))}
        values = [each for each in known.values() if isinstance(each, Value)]
        weights = [each for each in known.values() if isinstance(each, Weight)]
        is_entered = bool(values or weights)
        made = self._carry_out(func, args, kwargs, is_shape_only=is_entered)
        if name.endswith("_") and args and isinstance(args[0], Tensor):
            made = args[0]  # also where its shape alone was used
        if self.is_paused or name.rstrip("_") in SAME_SHAPE_ONLY or not is_entered:
            return made
        arrays = list(tensors(made))
        if not values:
            self._note_derived(arrays, weights, known)
        elif name in SAME_NUMBERS and len(arrays) == len(values) == 1:
            self.memory.note(arrays[0], values[0])
        elif arrays:
            given = {key: _replaced(each, known) for key, each in by_name(func, args, kwargs).items()}
            call = self._call(f"aten.{name}", arrays, weights)
            entered = read(name, Operation(self.builder, call, given, torch.Tag.pointwise in func.tags))
            self._note(func, args, arrays, entered)
            for position, value in enumerate(entered):
                if value.layout == picture_layout(value.shape):
                    self.made[value.name] = Made(self.num_seen, position, name)
        return made

    def _note_derived(self, made: Sequence[Tensor], weights: Sequence[Weight], known: Mapping[int, object]) -> None:
        """What was computed from parameters alone stands for these parameters."""
        names = tuple(dict.fromkeys(name for weight in weights for name in weight.names))
        size = sum(math.prod(self.memory.parameters[name].shape) for name in names)
        for tensor in made:
            if known.get(id(tensor)) is None:
                self.memory.note(tensor, Weight(names, tuple(tensor.shape), size))

    def _note(
        self, func: OpOverload, args: tuple[object, ...], made: Sequence[Tensor], entered: Sequence[Value]
    ) -> None:
        if func._schema.is_mutable and args and made[0] is args[0]:
            self.memory.note_write(made[0], entered[0])
            return
        for tensor, value in zip(made, entered, strict=True):
            self.memory.note(tensor, value)

    def _carry_out(
        self, func: OpOverload, args: tuple[object, ...], kwargs: dict[str, object], *, is_shape_only: bool
    ) -> object:
        # A view shares memory with what it is a view of, and so must what stands for it.
        if self.has_numbers or (func.is_view and isinstance(args[0], Tensor) and not args[0].is_meta):
            return func(*args, **kwargs)
        if is_shape_only or any(tensor.is_meta for tensor in tensors((args, kwargs))):
            if kwargs.get("device") is not None:
                kwargs = kwargs | {"device": torch.device("meta")}
            args, kwargs = self._shadowed(args), {name: self._shadowed(each) for name, each in kwargs.items()}
            name = func._schema.name.partition("::")[2]
            made = make_empty(func, name, by_name(func, args, kwargs))
            return func(*args, **kwargs) if made is None else made
        made = func(*args, **kwargs)
        if "device" in kwargs and isinstance(made, Tensor) and made.is_meta and made.numel() <= _SMALL:
            return func(*args, **kwargs | {"device": torch.device("cpu")})
        return made

    def _shadowed(self, given: Any) -> Any:  # noqa: ANN401
        """The same arguments, every array replaced by one that has its shape and no numbers."""
        if isinstance(given, Tensor):
            return given if given.is_meta else self._shadow(given)
        if isinstance(given, list | tuple):
            return type(given)([self._shadowed(each) for each in given])
        return given

    def _shadow(self, tensor: Tensor) -> Tensor:
        entry = self._shadows.get(id(tensor))
        if entry is None or entry[0] is not tensor:
            entry = self._shadows[id(tensor)] = (tensor, tensor.to("meta"))
        return entry[1]

    def pad_circularly(self, make: Callable[[], Tensor], x: Tensor, numbers: Sequence[int]) -> Tensor:
        """Enters circular padding as one operation; torch itself does it by copying strips."""
        value = self.memory.find(x)
        self.is_paused = True
        try:
            made = make()
        finally:
            self.is_paused = False
        if isinstance(value, Value):
            call = self._call("aten.circular_pad", [made])
            operation = Operation(self.builder, call, {"self": value, "padding": list(numbers)}, is_pointwise=False)
            self.memory.note(made, read("circular_pad", operation)[0])
        return made


class _Called(TorchFunctionMode):
    """Sees the calls of torch's functions; only circular padding is taken from here."""

    def __init__(self, recorder: Recorder) -> None:
        super().__init__()
        self.recorder = recorder

    def __torch_function__(
        self,
        func: Callable[..., Tensor],
        types: object,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> object:
        kwargs = kwargs or {}
        if func is F.pad:
            given = dict(zip(("input", "pad", "mode"), args, strict=False)) | kwargs
            if given.get("mode") == "circular":
                return self.recorder.pad_circularly(partial(func, *args, **kwargs), given["input"], given["pad"])
        return func(*args, **kwargs)


def _replaced(given: object, known: Mapping[int, Known | None]) -> object:
    if isinstance(given, Tensor):
        return known.get(id(given)) or Constant(tuple(given.shape))
    if isinstance(given, list | tuple):
        return [_replaced(each, known) for each in given]
    return given
