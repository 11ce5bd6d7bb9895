"""The graph and the numbers of an ONNX file, read with nothing but the walker of ``model_file``.

A machine that only serves has no package ``onnx``. What is read here has the same attributes as there, so that
``counting`` takes it as well.

References:
    Field numbers: ``onnx.proto`` (https://github.com/onnx/onnx).
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from whyconv.model_file import message_fields

Message = memoryview

_TYPES: dict[int, str] = {
    **{1: "<f4", 2: "u1", 3: "i1", 4: "<u2", 5: "<i2", 6: "<i4", 7: "<i8"},
    **{9: "?", 10: "<f2", 11: "<f8", 12: "<u4", 13: "<u8"},
}
_TYPED_DATA = {4: "<f4", 5: "<i8", 7: "<i8", 10: "<f8", 11: "<u8"}  # of a tensor: field -> numbers in it
_GRAPH_OF_MODEL, _OUTPUT_OF_GRAPH = 7, 12
_FLOAT = 1


@dataclass
class Tensor:
    """Fixed numbers in the file."""

    name: str = ""
    dims: list[int] = field(default_factory=list)
    data_type: int = 0
    data_location: int = 0
    raw: Message | None = None
    typed: NDArray[Any] | None = None

    @property
    def array(self) -> NDArray[Any]:
        """The numbers, in the tensor's shape."""
        kind = np.dtype(_TYPES[self.data_type])
        if self.raw is not None:
            return np.frombuffer(self.raw, kind).reshape(self.dims)
        found = self.typed if self.typed is not None else np.zeros(0)
        return found.astype(kind).reshape(self.dims)


@dataclass
class Attribute:
    """A setting of a node; ``value`` is the one of them that it has."""

    name: str = ""
    type: int = 0
    f: float = 0.0
    i: int = 0
    s: bytes = b""
    t: Tensor = field(default_factory=Tensor)
    floats: list[float] = field(default_factory=list)
    ints: list[int] = field(default_factory=list)

    @property
    def value(self) -> Any:  # noqa: ANN401 - as ONNX has it
        """By the attribute's own type: float, int, string, tensor, floats, ints."""
        return {1: self.f, 2: self.i, 3: self.s, 4: self.t, 6: self.floats, 7: self.ints}.get(self.type)


@dataclass
class Node:
    """One operation."""

    op_type: str = ""
    input: list[str] = field(default_factory=list)
    output: list[str] = field(default_factory=list)
    attribute: list[Attribute] = field(default_factory=list)


@dataclass
class ValueInfo:
    """Name and shape of a value; a number for what is fixed, a word or "" for what is open."""

    name: str = ""
    dims: list[int | str] = field(default_factory=list)


@dataclass
class File:
    """The graph of a file."""

    node: list[Node] = field(default_factory=list)
    initializer: list[Tensor] = field(default_factory=list)
    input: list[ValueInfo] = field(default_factory=list)
    output: list[ValueInfo] = field(default_factory=list)
    value_info: list[ValueInfo] = field(default_factory=list)


def read_file(content: bytes) -> File:
    """Reads the graph of an ONNX file that ``model_file.read_metadata`` has admitted."""
    found = File()
    for number, value in message_fields(memoryview(content)):
        if number == _GRAPH_OF_MODEL:
            _read_graph(_message(value), found)
    return found


def with_outputs(content: bytes, names: Iterable[str]) -> bytes:
    """Returns the file with values (of float32) as further outputs.

    Two graphs in one message are one graph: protobuf joins what is written behind. Nothing else is touched.

    References:
        https://protobuf.dev/programming-guides/encoding, "Last One Wins".
    """
    tensor = _field(1, _varint(_FLOAT), is_number=True)
    kind = _field(1, tensor)
    outputs = [_field(1, name.encode()) + _field(2, kind) for name in names]
    graph = b"".join(_field(_OUTPUT_OF_GRAPH, output) for output in outputs)
    return content + _field(_GRAPH_OF_MODEL, graph) if outputs else content


def _read_graph(message: Message, found: File) -> None:
    for number, value in message_fields(message):
        if number == 1:
            found.node.append(_read_node(_message(value)))
        elif number == 5:
            found.initializer.append(_read_tensor(_message(value)))
        elif number in (11, 12, 13):
            kept = {11: found.input, 12: found.output, 13: found.value_info}[number]
            kept.append(_read_value(_message(value)))


def _read_node(message: Message) -> Node:
    node = Node()
    for number, value in message_fields(message):
        if number == 1:
            node.input.append(_text(value))
        elif number == 2:
            node.output.append(_text(value))
        elif number == 4:
            node.op_type = _text(value)
        elif number == 5:
            node.attribute.append(_read_attribute(_message(value)))
    return node


def _read_attribute(message: Message) -> Attribute:
    found = Attribute()
    for number, value in message_fields(message):
        if number in _PLAIN_OF_ATTRIBUTE:
            name, read = _PLAIN_OF_ATTRIBUTE[number]
            setattr(found, name, read(value))
        elif number == 7:
            found.floats += np.frombuffer(_message(value), "<f4").tolist()
        elif number == 8:
            found.ints += _ints(value)
    return found


def _read_tensor(message: Message) -> Tensor:
    found = Tensor()
    typed: list[NDArray[Any]] = []
    for number, value in message_fields(message):
        if number in _PLAIN_OF_TENSOR:
            name, read = _PLAIN_OF_TENSOR[number]
            setattr(found, name, read(value))
        elif number == 1:
            found.dims += _ints(value)
        elif number in (4, 10):
            typed.append(np.frombuffer(_message(value), _TYPED_DATA[number]))
        elif number in _TYPED_DATA:
            typed.append(np.array(_ints(value), _TYPED_DATA[number]))
    found.typed = np.concatenate(typed) if typed else None
    return found


def _read_value(message: Message) -> ValueInfo:
    found = ValueInfo()
    for number, value in message_fields(message):
        if number == 1:
            found.name = _text(value)
        elif number == 2:
            shapes = [each for kind in _within(value, 1) for each in _within(kind, 2)]
            found.dims = [_dim(dim) for shape in shapes for dim in _within(shape, 1)]
    return found


def _dim(message: int | Message) -> int | str:
    for number, value in message_fields(_message(message)):
        return _signed(value) if number == 1 else _text(value)
    return ""


def _within(message: int | Message, wanted: int) -> list[int | Message]:
    return [value for number, value in message_fields(_message(message)) if number == wanted]


def _message(value: int | Message) -> Message:
    if isinstance(value, int):
        raise ValueError("a number where a message was expected")
    return value


def _text(value: int | Message) -> str:
    return bytes(_message(value)).decode()


def _signed(value: int | Message) -> int:
    if not isinstance(value, int):
        raise ValueError("a message where a number was expected")
    return value - (1 << 64) if value >= 1 << 63 else value


def _ints(value: int | Message) -> list[int]:
    """One number, or many that are packed."""
    if isinstance(value, int):
        return [_signed(value)]
    found, number, shift = [], 0, 0
    for byte in value:
        number |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            found.append(_signed(number))
            number, shift = 0, 0
    return found


def _varint(number: int) -> bytes:
    groups = []
    while number > 0x7F:
        groups.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*groups, number])


def _field(number: int, content: bytes, *, is_number: bool = False) -> bytes:
    if is_number:
        return _varint(number << 3) + content
    return _varint(number << 3 | 2) + _varint(len(content)) + content


# Field -> where it is kept, and how it is read.
_PLAIN_OF_TENSOR: dict[int, tuple[str, Callable[[int | Message], Any]]] = {
    2: ("data_type", _signed),
    8: ("name", _text),
    9: ("raw", _message),
    14: ("data_location", _signed),
}
_PLAIN_OF_ATTRIBUTE: dict[int, tuple[str, Callable[[int | Message], Any]]] = {
    1: ("name", _text),
    2: ("f", lambda value: struct.unpack("<f", _message(value))[0]),
    3: ("i", _signed),
    4: ("s", lambda value: bytes(_message(value))),
    5: ("t", lambda value: _read_tensor(_message(value))),
    20: ("type", _signed),
}
