"""From the bytes of an ONNX file to its graph, and to a file that answers more.

References:
    The message and field numbers are those of ``onnx.proto`` (https://github.com/onnx/onnx).
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from whyconv.errors import ModelFileError
from whyconv.onnx_file.graph import Attribute, FileGraph, FileNode, Tensor, ValueInfo
from whyconv.onnx_file.protobuf import as_integer, as_integers, as_message, as_text, field_bytes, message_fields

_GRAPH_OF_MODEL, _OUTPUT_OF_GRAPH, _NAME_OF_VALUE = 7, 12, 1
_FLOATS_OF_TENSOR = {4: "<f4", 10: "<f8"}  # fields of numbers, packed as they lie in memory
_INTEGERS_OF_TENSOR = (5, 7, 11)  # fields of numbers in groups of 7 bits


def read_file_graph(content: bytes | bytearray, where: str = "the file") -> FileGraph:
    """Reads the graph of an ONNX file; graphs within its nodes are left out.

    Args:
        content: The whole file, which ``model_file.read_metadata`` has admitted.
        where: What it is called in errors.

    Raises:
        ModelFileError: It is no ONNX file, or is damaged.
    """
    try:
        model = message_fields(memoryview(content))
        graphs = [as_message(value) for number, value in model if number == _GRAPH_OF_MODEL]
        if not graphs:
            raise ValueError("no graph")
        found = FileGraph()
        for graph in graphs:
            _read_graph(graph, found)
    except (ValueError, LookupError, struct.error) as error:
        raise ModelFileError(f"{where} is not an ONNX file, or it is damaged. Export it again.") from error
    return found


def with_outputs(content: bytes, names: Iterable[str]) -> bytes:
    """Returns the file with values from within as further outputs, after those that it has.

    Two graphs in one message are one graph: protobuf joins what is written behind, and nothing of the file is written
    anew.

    References:
        https://protobuf.dev/programming-guides/encoding, on the last one and merging.
    """
    outputs = [field_bytes(_OUTPUT_OF_GRAPH, field_bytes(_NAME_OF_VALUE, name.encode())) for name in names]
    return content + field_bytes(_GRAPH_OF_MODEL, b"".join(outputs)) if outputs else content


def _read_graph(message: memoryview, found: FileGraph) -> None:
    for number, value in message_fields(message):
        if number == 1:
            found.node.append(_read_node(as_message(value)))
        elif number == 5:
            found.initializer.append(_read_tensor(as_message(value)))
        elif number in (11, 12, 13):
            kept = {11: found.input, 12: found.output, 13: found.value_info}[number]
            kept.append(_read_value(as_message(value)))


def _read_node(message: memoryview) -> FileNode:
    node = FileNode()
    for number, value in message_fields(message):
        if number == 1:
            node.input.append(as_text(value))
        elif number == 2:
            node.output.append(as_text(value))
        elif number == 4:
            node.op_type = as_text(value)
        elif number == 5:
            node.attribute.append(_read_attribute(as_message(value)))
    return node


def _read_attribute(message: memoryview) -> Attribute:
    found = Attribute()
    for number, value in message_fields(message):
        if number in _PLAIN_OF_ATTRIBUTE:
            name, read = _PLAIN_OF_ATTRIBUTE[number]
            setattr(found, name, read(value))
        elif number == 7:
            found.floats += np.frombuffer(as_message(value), "<f4").tolist()
        elif number == 8:
            found.ints += as_integers(value)
    return found


def _read_tensor(message: memoryview) -> Tensor:
    found = Tensor()
    for number, value in message_fields(message):
        if number in _PLAIN_OF_TENSOR:
            name, read = _PLAIN_OF_TENSOR[number]
            setattr(found, name, read(value))
        elif number == 1:
            found.dims += as_integers(value)
        elif number in _FLOATS_OF_TENSOR:
            found.typed.append(np.frombuffer(as_message(value), _FLOATS_OF_TENSOR[number]))
        elif number in _INTEGERS_OF_TENSOR:
            found.typed.append(np.frombuffer(np.array(as_integers(value), "<i8").tobytes(), "<i8"))
    if found.is_read:
        found.array  # noqa: B018 - numbers that do not fill the shape are found here
    return found


def _read_value(message: memoryview) -> ValueInfo:
    found = ValueInfo()
    for number, value in message_fields(message):
        if number == 1:
            found.name = as_text(value)
        elif number == 2:
            shapes = [each for kind in _within(value, 1) for each in _within(kind, 2)]
            found.dims = [_dim(dim) for shape in shapes for dim in _within(shape, 1)]
    return found


def _dim(message: int | memoryview) -> int | str:
    for number, value in message_fields(as_message(message)):
        return as_integer(value) if number == 1 else as_text(value)
    return ""


def _within(message: int | memoryview, wanted: int) -> list[int | memoryview]:
    return [value for number, value in message_fields(as_message(message)) if number == wanted]


# Field -> where it is kept, and how it is read.
_PLAIN_OF_TENSOR: dict[int, tuple[str, Callable[[int | memoryview], Any]]] = {
    2: ("data_type", as_integer),
    8: ("name", as_text),
    9: ("raw", as_message),
    14: ("data_location", as_integer),
}
_PLAIN_OF_ATTRIBUTE: dict[int, tuple[str, Callable[[int | memoryview], Any]]] = {
    1: ("name", as_text),
    2: ("f", lambda value: struct.unpack("<f", as_message(value))[0]),
    3: ("i", as_integer),
    4: ("s", lambda value: bytes(as_message(value))),
    5: ("t", lambda value: _read_tensor(as_message(value))),
    20: ("type", as_integer),
}
