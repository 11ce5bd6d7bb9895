"""What is known of the arrays that exist while a network is called: which depend on the picture, which on weights."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Sequence

from torch import Tensor, nn

from whyconv.counting import rearranging
from whyconv.counting.building import Builder, Call, Value, Weight
from whyconv.counting.graph import Parameter

Known = Value | Weight
_DEEPEST = 3


class Memory:
    """Arrays by identity, and what was written over them.

    Args:
        builder: Of the graph that is being read.
        network: Whose parameters are known by name; names that share memory share a parameter.
        call: Describes an operation that made arrays, at the place where the network is now.
    """

    def __init__(self, builder: Builder, network: nn.Module, call: Callable[[str, Sequence[Tensor]], Call]) -> None:
        self.parameters: dict[str, Parameter] = {}
        self._builder = builder
        self._call = call
        self._known: dict[int, tuple[weakref.ref[Tensor], Known, int]] = {}
        self._writes: dict[int, list[tuple[int, Value, Tensor]]] = {}
        self._time = 0
        self._enter_parameters(network)

    def note(self, tensor: Tensor, known: Known) -> None:
        """Remembers what an array is."""
        self._known[id(tensor)] = (weakref.ref(tensor), known, self._time)

    def note_write(self, tensor: Tensor, value: Value) -> None:
        """Remembers that an array was written over: others in the same memory are no longer what they were."""
        self._time += 1
        self.note(tensor, value)
        self._writes.setdefault(tensor.untyped_storage()._cdata, []).append((self._time, value, tensor))

    def find(self, tensor: Tensor) -> Known | None:
        """What an array is; None where it depends on neither picture nor parameters."""
        entry = self._known.get(id(tensor))
        known, since = (entry[1], entry[2]) if entry is not None and entry[0]() is tensor else (None, 0)
        if known is None and isinstance(tensor, nn.Parameter):
            known = self._unregistered(tensor)
        if self._writes:
            later = [write for write in self._writes.get(tensor.untyped_storage()._cdata, ()) if write[0] > since]
            if later:
                return self._rewritten(tensor, known, later)
        return known

    def _enter_parameters(self, network: nn.Module) -> None:
        names: dict[tuple[int, int, int], list[tuple[str, Tensor]]] = {}
        for name, tensor in network.named_parameters(remove_duplicate=False):
            where = (tensor.untyped_storage()._cdata, int(tensor.storage_offset()), tensor.numel())
            names.setdefault(where, []).append((name, tensor))
        for same in names.values():
            first = same[0][0]
            trainable = any(each.requires_grad for _, each in same)
            every = tuple(name for name, _ in same)
            self.parameters[first] = Parameter(first, tuple(same[0][1].shape), trainable, every)
            for _, each in same:
                self.note(each, Weight((first,), tuple(each.shape), each.numel()))

    def _unregistered(self, tensor: Tensor) -> Weight:
        """A parameter that the network uses without having registered it."""
        module = self._call("", [tensor]).module
        name = f"{module}.unregistered{len(self.parameters)}".lstrip(".")
        self.parameters[name] = Parameter(name, tuple(tensor.shape), tensor.requires_grad, (name,))
        weight = Weight((name,), tuple(tensor.shape), tensor.numel())
        self.note(tensor, weight)
        return weight

    def _rewritten(self, tensor: Tensor, before: Known | None, later: list[tuple[int, Value, Tensor]]) -> Known | None:
        """What an array is whose memory was written over under another shape since it was made."""
        met = [(value, target) for _, value, target in later if _overlap(tensor, target)]
        if not met:
            return before
        value, target = met[-1]
        call = self._call("in place", [tensor])
        if target.numel() == tensor.numel() and target.is_contiguous() and tensor.is_contiguous():
            known = rearranging.refit(self._builder, call, value)
        else:
            parts = [part for part, _ in met] + ([before] if isinstance(before, Value) else [])
            known = rearranging.assemble(self._builder, call, parts)
        self.note(tensor, known)
        return known


def tensors(given: object, depth: int = 0) -> Iterator[Tensor]:
    """Every array in an argument or an answer, however deep."""
    if isinstance(given, Tensor):
        yield given
    elif isinstance(given, list | tuple):
        for each in given:
            yield from tensors(each, depth)
    elif isinstance(given, dict):
        for each in given.values():
            yield from tensors(each, depth)
    elif depth < _DEEPEST and hasattr(given, "__dict__") and not isinstance(given, type):
        for each in vars(given).values():
            yield from tensors(each, depth + 1)


def _overlap(one: Tensor, other: Tensor) -> bool:
    """Whether two arrays in the same memory can have numbers in common."""
    first, second = _span(one), _span(other)
    return first[0] <= second[1] and second[0] <= first[1]


def _span(tensor: Tensor) -> tuple[int, int]:
    begin = int(tensor.storage_offset())
    reach = sum(int((size - 1) * stride) for size, stride in zip(tensor.shape, tensor.stride(), strict=True))
    return begin, begin + reach
