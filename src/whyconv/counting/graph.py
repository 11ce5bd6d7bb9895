"""A network as a graph of layers, whoever read it: torch's tracer and the reader of ONNX files both make this."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from whyconv.counting.axis import Axis
from whyconv.counting.convolution import Convolution
from whyconv.results import Note
from whyconv.results.network import LayerKind

# Along the spatial axes, an output depends on the same place, on a window, on every place, or nobody knows.
Reach = Literal["same", "window", "all", "unknown"]


@dataclass(frozen=True)
class Parameter:
    """One tensor of learned numbers, once for each storage: names that are tied share one.

    Attributes:
        name: The first name it has in the network.
        shape: Of the tensor.
        is_trainable: Whether gradients change it.
        names: All names, the first included.
    """

    name: str
    shape: tuple[int, ...]
    is_trainable: bool = True
    names: tuple[str, ...] = ()


class Used(NamedTuple):
    """Learned numbers that an operation uses as one array.

    Attributes:
        names: Of the parameters that the array is, or was computed from.
        size: How many numbers.
    """

    names: tuple[str, ...]
    size: int


@dataclass(frozen=True)
class Node:
    """One operation on values that depend on the picture.

    Attributes:
        name: Of the layer as a person would call it, such as "layer1.0.conv1"; unique in the graph.
        kind: What it is.
        operation: As torch or ONNX names it, such as "aten.convolution" or "Conv".
        reach: Which places of the inputs one output depends on.
        inputs: Names of the values that depend on the picture.
        outputs: Names of the values it makes.
        axes: The sliding window along each spatial axis, where ``reach`` is "window".
        is_transposed: Then ``axes`` go from the output to the input, as in ``Convolution``.
        convolution: Channels, groups and bias too, for a convolution, a locally connected layer, and a linear layer,
            which is a convolution of one tap at every place or, without places, of no axes.
        parameters: Names of the parameters it uses.
        call: Which call of the same module this is, from 1.
        reason: Why it was not analyzed, or why ``reach`` is unknown.
        module: The module that called it, "" for the network itself.
        has_bias: Whether something is added to each output, where ``convolution`` does not say.
        weights: Free weights, where ``convolution`` does not say; biases not among them.
        connections: Where neither ``convolution`` nor ``axes`` say.
        multiply_adds: Where ``convolution`` does not say.
        used: The learned numbers it uses.
        label: What an ONNX file calls its first output.
    """

    name: str
    kind: LayerKind
    operation: str
    reach: Reach
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    axes: tuple[Axis, ...] = ()
    is_transposed: bool = False
    convolution: Convolution | None = None
    parameters: tuple[str, ...] = ()
    call: int = 1
    reason: str = ""
    module: str = ""
    has_bias: bool = False
    weights: int | None = None
    connections: int | None = None
    multiply_adds: int | None = None
    used: tuple[Used, ...] = ()
    label: str = ""

    @property
    def num_used(self) -> int:
        """How many learned numbers it uses."""
        return sum(one.size for one in self.used)


@dataclass(frozen=True)
class Graph:
    """A network for one picture.

    Attributes:
        inputs: Names of the pictures that come in.
        outputs: Names of the answers that go out.
        nodes: In an order in which every value is made before it is used.
        shapes: Of every value, the batch of one included: (1, c, h, w).
        parameters: By name.
        notes: What a person should know about how it was read.
    """

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    nodes: tuple[Node, ...]
    shapes: dict[str, tuple[int, ...]]
    parameters: dict[str, Parameter] = field(default_factory=dict)
    notes: tuple[Note, ...] = ()
