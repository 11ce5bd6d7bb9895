"""The arrays in an ONNX file that do not depend on the picture: which are learned, and which are mere constants.

ONNX has one kind of array for both. Here an array is learned where it takes the place of weights or biases, as the
second input of a convolution does; or where it is added to, multiplied with or joined to what comes out of such a
layer, and is more than a single number that an exporter made up.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from whyconv.counting.building import Constant, Weight
from whyconv.counting.graph import Parameter

if TYPE_CHECKING:
    import onnx

# Operation -> the inputs that are weights or biases where they do not depend on the picture.
_LEARNED: dict[str, tuple[int, ...]] = {
    "Conv": (1, 2),
    "ConvTranspose": (1, 2),
    "Gemm": (0, 1, 2),
    "MatMul": (0, 1),
    "BatchNormalization": (1, 2),
    "InstanceNormalization": (1, 2),
    "GroupNormalization": (1, 2),
    "LayerNormalization": (1, 2),
    "RMSNormalization": (1,),
    "PRelu": (1,),
}
_PERHAPS_LEARNED = frozenset({"Add", "Mul", "Concat"})
_MADE_UP = re.compile(r"(val|scalar|const|shape|_?lifted|onnx|_val|/)", re.IGNORECASE)
_FLOATS = frozenset({1, 10, 11, 16})  # float32, float16, float64, bfloat16
_MOST_NUMBERS = 1 << 12
_EXTERNAL = 1  # data_location of a tensor whose numbers lie in another file


class FixedArrays:
    """Initializers, and what nodes compute from nothing but them.

    Args:
        graph: Whose initializers these are.
    """

    def __init__(self, graph: onnx.GraphProto) -> None:
        self.parameters: dict[str, Parameter] = {}
        self.numbers: dict[str, list[Any]] = {}
        self._shapes: dict[str, tuple[int, ...]] = {}
        self._origins: dict[str, tuple[str, ...]] = {}
        for tensor in graph.initializer:
            self._enter(tensor.name, tensor)

    def _enter(self, name: str, tensor: onnx.TensorProto) -> None:
        self._shapes[name] = tuple(tensor.dims)
        self._origins[name] = (name,) if tensor.data_type in _FLOATS else ()
        is_here = tensor.data_location != _EXTERNAL
        if is_here and math.prod(tensor.dims) <= _MOST_NUMBERS and tensor.data_type not in (8, *range(17, 30)):
            self.numbers[name] = _array(tensor).ravel().tolist()

    def derive(self, node: onnx.NodeProto, shapes: dict[str, tuple[int, ...]]) -> None:
        """Enters what a node makes that does not depend on the picture's numbers."""
        if node.op_type == "Constant":
            for attribute in node.attribute:
                if attribute.name == "value":
                    self._enter(node.output[0], attribute.t)
                elif attribute.name in ("value_int", "value_float"):
                    self.numbers[node.output[0]] = [attribute.i if attribute.name == "value_int" else attribute.f]
                elif attribute.name in ("value_ints", "value_floats"):
                    self.numbers[node.output[0]] = list(attribute.ints or attribute.floats)
            return
        given = list(node.input)
        if node.op_type == "DequantizeLinear":
            # What was learned are the whole numbers; scale and zero point only say what they stand for.
            given = given[:1]
            self._origins[given[0]] = self._origins.get(given[0]) or (given[0],)
        origins = tuple(dict.fromkeys(origin for name in given for origin in self._origins.get(name, ())))
        for name in node.output:
            self._shapes[name] = shapes.get(name, ())
            self._origins[name] = origins

    def constant(self, name: str) -> Constant | None:
        """An array that is not learned; None for an input that is left out."""
        return Constant(self._shapes.get(name, ())) if name else None

    def is_learned(self, name: str, operation: str, place: int, *, has_begun: bool) -> bool:
        """Whether an array is learned, judged by what it is used for.

        Args:
            name: Of the array.
            operation: That uses it.
            place: As which input.
            has_begun: Whether a layer with weights came before: what comes in front of it prepares pixels.
        """
        origins = self._origins.get(name, ())
        if not origins:
            return False
        is_made_up = all(_MADE_UP.match(origin) for origin in origins)
        if place in _LEARNED.get(operation, ()):
            is_idle = "Normalization" in operation and len(set(self.numbers.get(name, (0, 1)))) == 1
            return not (is_made_up and is_idle)
        is_number = is_made_up and math.prod(self._shapes[name]) == 1
        return has_begun and operation in _PERHAPS_LEARNED and not is_number

    def weight(self, name: str) -> Weight:
        """A learned array; what it was computed from is entered among the parameters."""
        origins = self._origins[name]
        for origin in origins:
            self.parameters.setdefault(origin, Parameter(origin, self._shapes[origin], names=(origin,)))
        size = sum(math.prod(self._shapes[origin]) for origin in origins)
        return Weight(origins, self._shapes[name], size)


def _array(tensor: onnx.TensorProto) -> NDArray[Any]:
    """The numbers of a tensor; one that was read without ``onnx`` knows its own."""
    if hasattr(tensor, "array"):
        return np.asarray(tensor.array)
    import onnx

    return np.asarray(onnx.numpy_helper.to_array(tensor))
