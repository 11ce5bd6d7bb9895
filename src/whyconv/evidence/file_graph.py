"""The nodes and weights of an ONNX file, read from its bytes: no package ``onnx`` is needed.

References:
    The message and field numbers are those of ``onnx.proto`` (https://github.com/onnx/onnx).
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from whyconv.errors import ModelFileError
from whyconv.model_file import as_message, message_fields

_FLOAT32, _INT32, _INT64, _FLOAT64 = 1, 6, 7, 11
_RAW: dict[int, np.dtype[np.generic]] = {
    _FLOAT32: np.dtype("<f4"),
    _INT32: np.dtype("<i4"),
    _INT64: np.dtype("<i8"),
    _FLOAT64: np.dtype("<f8"),
}

Attribute = int | float | str | list[int] | list[float]


@dataclass(frozen=True)
class FileNode:
    """One operation.

    Attributes:
        kind: As ONNX names it, such as "Conv".
        inputs: Names of values; "" for one that is left out.
        outputs: Names of values.
        attributes: By name: numbers, texts and lists of numbers.
    """

    kind: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Attribute]

    def integers(self, name: str, default: Sequence[int] = ()) -> list[int]:
        """A list of whole numbers; ``default`` where it is not there."""
        found = self.attributes.get(name)
        return [int(each) for each in found] if isinstance(found, list) else list(default)

    def integer(self, name: str, default: int) -> int:
        """A whole number; ``default`` where it is not there."""
        found = self.attributes.get(name)
        return found if isinstance(found, int) else default


@dataclass(frozen=True)
class FileGraph:
    """What one file computes.

    Attributes:
        nodes: In an order in which every value is made before it is used.
        arrays: Weights and constants by name; of a file that is held in a ``bytearray``, they are views that can be
            written to.
    """

    nodes: tuple[FileNode, ...]
    arrays: Mapping[str, NDArray[np.generic]]

    @cached_property
    def makers(self) -> dict[str, FileNode]:
        """Name of a value -> the node that makes it."""
        return {name: node for node in self.nodes for name in node.outputs if name}

    def constant(self, name: str) -> NDArray[np.generic] | None:
        """The array of this name, also where a node holds it; None where it depends on the picture."""
        node = self.makers.get(name)
        if node is not None and node.kind == "Constant":
            found = next(iter(node.attributes.values()), None)
            return None if found is None or isinstance(found, str) else np.asarray(found)
        return self.arrays.get(name)


def read_graph(content: bytes | bytearray, where: str = "the file") -> FileGraph:
    """Reads the nodes and arrays of an ONNX file; subgraphs are left out.

    Args:
        content: The whole file.
        where: What it is called in errors.

    Raises:
        ModelFileError: The file is damaged.
    """
    try:
        graph = next(as_message(value) for number, value in message_fields(memoryview(content)) if number == 7)
        nodes, arrays = [], {}
        for number, value in message_fields(graph):
            if number == 1:
                nodes.append(_node(as_message(value)))
            elif number == 5:
                name, array = _array(as_message(value))
                if array is not None:
                    arrays[name] = array
        return FileGraph(tuple(nodes), arrays)
    except (StopIteration, ValueError, LookupError, struct.error) as error:
        raise ModelFileError(f"{where} is not an ONNX file, or it is damaged. Export it again.") from error


def with_outputs(content: bytes, names: Sequence[str]) -> bytes:
    """Returns the file with values from within as outputs more, after those that it has.

    Two messages one after the other are one message with the fields of both: so protobuf has it, and nothing of the
    file is written anew.

    References:
        https://protobuf.dev/programming-guides/encoding, on the last one and merging.
    """
    outputs = b"".join(_field(12, _field(1, name.encode())) for name in names)
    return content + _field(7, outputs)


def _field(number: int, value: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(value)) + value


def _varint(value: int) -> bytes:
    groups = []
    while True:
        value, group = value >> 7, value & 0x7F
        groups.append(group | (0x80 if value else 0))
        if not value:
            return bytes(groups)


def _text(value: int | memoryview) -> str:
    return bytes(as_message(value)).decode()


def _node(message: memoryview) -> FileNode:
    inputs, outputs, attributes, kind = [], [], {}, ""
    for number, value in message_fields(message):
        if number == 1:
            inputs.append(_text(value))
        elif number == 2:
            outputs.append(_text(value))
        elif number == 4:
            kind = _text(value)
        elif number == 5:
            name, attribute = _attribute(as_message(value))
            if attribute is not None:
                attributes[name] = attribute
    return FileNode(kind, tuple(inputs), tuple(outputs), attributes)


def _attribute(message: memoryview) -> tuple[str, Attribute | None]:
    found = _gathered(message)
    value: Attribute | None = None  # of other kinds, such as subgraphs
    match _first(found, 20):  # AttributeProto.type
        case 1:
            value = _float(as_message(found[2][0])) if 2 in found else 0.0
        case 2:
            value = _first(found, 3)
        case 3:
            value = _text(found[4][0]) if 4 in found else ""
        case 4:
            array = _array(as_message(found[5][0]))[1]
            value = None if array is None else array.ravel().tolist()
        case 6:
            value = np.concatenate([np.frombuffer(as_message(each), "<f4") for each in found[7]]).tolist()
        case 7:
            value = _integers(found.get(8, []))
    return _text(found[1][0]), value


def _gathered(message: memoryview) -> dict[int, list[int | memoryview]]:
    """The values of each field."""
    found: dict[int, list[int | memoryview]] = {}
    for number, value in message_fields(message):
        found.setdefault(number, []).append(value)
    return found


def _first(found: Mapping[int, list[int | memoryview]], number: int) -> int:
    return _integers(found.get(number, []) or [0])[0]


def _float(value: memoryview) -> float:
    return float(struct.unpack("<f", value)[0])


def _integers(values: Sequence[int | memoryview]) -> list[int]:
    """Signed numbers, whether each stands alone or all in one packed field."""
    found = []
    for value in values:
        numbers = [value] if isinstance(value, int) else _unpacked(value)
        found += [number - (1 << 64) if number >> 63 else number for number in numbers]
    return found


def _unpacked(value: memoryview) -> list[int]:
    numbers, number, shift = [], 0, 0
    for byte in value:
        number |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            numbers.append(number)
            number, shift = 0, 0
    return numbers


def _array(message: memoryview) -> tuple[str, NDArray[np.generic] | None]:
    """Name and numbers of a tensor; None for kinds that are not read, such as text."""
    found = _gathered(message)
    name, kind, shape = _text(found[8][0]) if 8 in found else "", _first(found, 2), _integers(found.get(1, []))
    if kind not in _RAW:
        return name, None
    # Raw bytes, or packed numbers of the same bytes: float32, float64.
    raw = next((as_message(found[number][0]) for number in (9, 4, 10) if number in found), None)
    if raw is None:
        return name, np.array(_integers([*found.get(5, []), *found.get(7, [])]), _RAW[kind]).reshape(shape)
    return name, np.frombuffer(raw, _RAW[kind]).reshape(shape)
