"""The nodes and the numbers of an ONNX file, as records.

They have the names that the package ``onnx`` gives them, so that ``counting`` takes them as well.

References:
    The message and field numbers are those of ``onnx.proto`` (https://github.com/onnx/onnx).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from whyconv.errors import ModelFileError

# Numbers that are read: TensorProto.DataType -> how they lie in memory.
_TYPES: dict[int, str] = {
    **{1: "<f4", 2: "u1", 3: "i1", 4: "<u2", 5: "<i2", 6: "<i4", 7: "<i8"},
    **{9: "?", 10: "<f2", 11: "<f8", 12: "<u4", 13: "<u8"},
}
_FLOAT16 = 10


@dataclass
class Tensor:
    """Fixed numbers in the file.

    Attributes:
        name: "" in an attribute.
        dims: Its shape.
        data_type: Number of the kind, as ``onnx.proto`` has it.
        data_location: 1 where the numbers lie in another file.
        raw: The numbers as they lie in memory; None where they stand in fields of their own.
        typed: The numbers of these fields.
    """

    name: str = ""
    dims: list[int] = field(default_factory=list)
    data_type: int = 0
    data_location: int = 0
    raw: memoryview | None = None
    typed: list[NDArray[Any]] = field(default_factory=list)

    @property
    def is_read(self) -> bool:
        """Whether its numbers are of a kind that is read, unlike text and bfloat16."""
        return self.data_type in _TYPES

    @cached_property
    def array(self) -> NDArray[Any]:
        """The numbers, in the tensor's shape.

        A view of the file where they lie in it as they lie in memory: it can be written to where the file is held in a
        ``bytearray``. A copy cannot.

        Raises:
            ModelFileError: They are of a kind that is not read.
            ValueError: They do not fill the shape.
        """
        if not self.is_read:
            raise ModelFileError(f"The numbers of '{self.name}' are of kind {self.data_type}, which is not read here.")
        kind = np.dtype(_TYPES[self.data_type])
        found = self.typed if self.raw is None else [np.frombuffer(self.raw, kind)]
        array = found[0] if len(found) == 1 and found[0].dtype == kind else self._joined(kind)
        if array.size != math.prod(self.dims) or min(self.dims, default=0) < 0:
            raise ValueError(f"{array.size} numbers in a tensor of shape {self.dims}")
        return array.reshape(self.dims)

    def _joined(self, kind: np.dtype[Any]) -> NDArray[Any]:
        joined = np.concatenate(self.typed) if self.typed else np.zeros(0, kind)
        array = joined.astype("<u2").view(kind) if self.data_type == _FLOAT16 and self.typed else joined.astype(kind)
        array.flags.writeable = False
        return array


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
        """By the attribute's own type: float, int, bytes, tensor, floats, ints; None for others, such as graphs."""
        return {1: self.f, 2: self.i, 3: self.s, 4: self.t, 6: self.floats, 7: self.ints}.get(self.type)


@dataclass
class FileNode:
    """One operation.

    Attributes:
        op_type: As ONNX names it, such as "Conv".
        input: Names of values; "" for one that is left out.
        output: Names of values.
        attribute: Its settings.
    """

    op_type: str = ""
    input: list[str] = field(default_factory=list)
    output: list[str] = field(default_factory=list)
    attribute: list[Attribute] = field(default_factory=list)

    @cached_property
    def settings(self) -> dict[str, Any]:
        """Name of an attribute -> its value; those whose kind is not read are left out."""
        return {each.name: each.value for each in self.attribute if each.value is not None}

    def integer(self, name: str, default: int) -> int:
        """A whole number; ``default`` where it is not there."""
        found = self.settings.get(name)
        return found if isinstance(found, int) else default

    def integers(self, name: str, default: Sequence[int] = ()) -> list[int]:
        """A list of whole numbers; ``default`` where it is not there."""
        found = self.settings.get(name)
        return [int(each) for each in found] if isinstance(found, list) else list(default)


@dataclass
class ValueInfo:
    """Name and shape of a value; a number for what is fixed, a word or "" for what is open."""

    name: str = ""
    dims: list[int | str] = field(default_factory=list)


@dataclass
class FileGraph:
    """What one file computes.

    Attributes:
        node: In an order in which every value is made before it is used.
        initializer: Weights and other fixed numbers.
        input: What it takes.
        output: What it answers.
        value_info: Values between, where the file tells their shapes.
    """

    node: list[FileNode] = field(default_factory=list)
    initializer: list[Tensor] = field(default_factory=list)
    input: list[ValueInfo] = field(default_factory=list)
    output: list[ValueInfo] = field(default_factory=list)
    value_info: list[ValueInfo] = field(default_factory=list)

    @cached_property
    def makers(self) -> dict[str, FileNode]:
        """Name of a value -> the node that makes it."""
        return {name: node for node in self.node for name in node.output if name}

    @cached_property
    def arrays(self) -> dict[str, NDArray[Any]]:
        """Name of an initializer -> its numbers; those whose kind is not read are left out."""
        return {tensor.name: tensor.array for tensor in self.initializer if tensor.is_read}

    def constant(self, name: str) -> NDArray[Any] | None:
        """The array of this name, also where a node holds it; None where it depends on the picture."""
        node = self.makers.get(name)
        if node is None or node.op_type != "Constant":
            return self.arrays.get(name)
        value = next(iter(node.settings.values()), None)
        if isinstance(value, Tensor):
            return value.array if value.is_read else None
        return None if value is None or isinstance(value, bytes) else np.asarray(value)
