"""The inside of a network: the maps of its layers for a picture, weights, and what each unit depends on.

Everything is computed from ``why.onnx``. Where the answer averages several views of a picture, the inside is that of
the first view, the upright one: its pixels are those of the prepared picture. Where it averages windows, it is that of
the first, at the top left: its pixels are the first of these rows and columns. Layers behind the mean have the mean.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from whyconv.counting.dependency import Mask, dependency_set
from whyconv.counting.graph import Graph
from whyconv.counting.onnx_graph import read_graph
from whyconv.counting.onnx_padding import padding_of
from whyconv.counting.receptive_field import receptive_fields
from whyconv.errors import ModelFileError, UsageError, nearest
from whyconv.model_file import Metadata, read_description, read_model
from whyconv.onnx_file.graph import FileGraph
from whyconv.onnx_file.reading import read_file_graph, with_outputs
from whyconv.onnx_file.running import Session, open_session, run_session
from whyconv.results.fields import ReceptiveField
from whyconv.results.windows import window_places

_STARTS = frozenset({"Conv", "MaxPool", "AveragePool", "Flatten", "Reshape", "Gemm", "MatMul", "Pad"})
_WITH_WEIGHTS = frozenset({"Conv", "Gemm", "MatMul", "BatchNormalization", "ConvTranspose"})


@dataclass(frozen=True)
class Windows:
    """What a network looks at a picture through.

    Attributes:
        side: Of each window in pixels.
        number: Of them, over which answers are averaged.
    """

    side: int
    number: int


def read_windows(description: Path, side: int) -> Windows | None:
    """Reads from ``network.json`` through which windows a network looks; None where it looks at the whole picture.

    Args:
        description: The file. No answer rests on it: one that is missing or damaged says nothing here.
        side: Of the picture in pixels.
    """
    try:
        window = read_description(description).get("window")
    except ModelFileError:
        return None
    if type(window) is not int or not 0 < window < side:
        return None
    return Windows(window, len(window_places(side, window)) ** 2)


@dataclass(frozen=True)
class Step:
    """One output of a convolution, taken apart; the sum of ``inputs * weights``, plus ``bias``, is ``value``.

    Attributes:
        inputs: float32 (c, kh, kw) under the window; 0 in the padding.
        weights: float32 (c, kh, kw).
        bias: 0 where there is none.
        value: What the network computed.
        top: Row of the layer's input that the window begins in; negative in the padding.
        left: Column.
        dilation: Between the window's rows and columns.
        source: The layer's input, as ``why.onnx`` calls it.
    """

    inputs: NDArray[np.float32]
    weights: NDArray[np.float32]
    bias: float
    value: float
    top: int
    left: int
    dilation: tuple[int, int]
    source: str


class Inside:
    """Opens ``why.onnx``; what takes time is done when it is first asked for, once.

    Args:
        path: Of the file.
        metadata: Of the recognizer.
        layers: What ``layers.json`` says.

    Raises:
        ModelFileError: The file cannot be used.
    """

    def __init__(self, path: Path, metadata: Metadata, layers: Sequence[dict[str, Any]]) -> None:
        self._path, self._metadata = path, metadata
        self._content, _ = read_model(path)
        self._lock = threading.Lock()
        self.layers = [row for row in layers if row.get("map") in self._file.makers]

    @cached_property
    def names(self) -> list[str]:
        """The layers' maps, in their order."""
        return [row["map"] for row in self.layers]

    @cached_property
    def _file(self) -> FileGraph:
        return read_file_graph(self._content, self._path.name)

    @cached_property
    def _dims(self) -> dict[str, list[int | str]]:
        infos = (*self._file.input, *self._file.output, *self._file.value_info)
        return {info.name: info.dims for info in infos if info.dims}

    @cached_property
    def start(self) -> str:
        """The value in which the views lie one behind the other, before the first layer."""
        for node in self._file.node:
            if node.op_type in _STARTS and len(self._shape(node.input[0])) == 4:
                return node.input[0]
        raise ModelFileError(f"{self._path.name} has no layer that takes pictures.")

    @cached_property
    def graph(self) -> Graph:
        """The network from the first view on, for one picture."""
        known = {name: shape for name in self._dims if 0 not in (shape := self._shape(name))}
        return read_graph(self._after_start(), self.start, self._shape(self.start), known)  # type: ignore[arg-type]

    @cached_property
    def fields(self) -> dict[str, ReceptiveField]:
        """Of each layer's map: what its outputs can depend on."""
        made = [node for node in self.graph.nodes for _ in node.outputs]
        found = zip(made, receptive_fields(self.graph), strict=True)
        return {node.label: field for node, field in found if node.label}

    def maps(self, pixels: NDArray[np.uint8], names: Sequence[str]) -> dict[str, NDArray[np.float32]]:
        """The values of layers for a prepared picture, of its first view or window: (c, h, w), or (d,) where dense."""
        with self._lock:
            found = run_session(self._session, list(names), {"pixels": pixels[None]}, self._path.name)
        return {name: np.asarray(values[0], np.float32) for name, values in zip(names, found, strict=True)}

    def weights(self, name: str) -> NDArray[np.float32]:
        """The weights of a layer, outputs first.

        Raises:
            UsageError: It has none.
        """
        node = self._file.makers[name]
        found = self._file.constant(node.input[1]) if len(node.input) > 1 and node.op_type in _WITH_WEIGHTS else None
        if found is None:
            raise UsageError(f"Layer '{name}' ({node.op_type}) has no weights.")
        array = found.astype(np.float32)
        if node.op_type == "ConvTranspose":
            return _outputs_first(array, node.integer("group", 1))
        is_inputs_first = node.op_type == "MatMul" or (node.op_type == "Gemm" and not node.integer("transB", 0))
        return array.T if is_inputs_first and array.ndim == 2 else array

    def bias(self, name: str) -> NDArray[np.float32] | None:
        """The biases of a layer, one for each output; None where it has none."""
        node = self._file.makers[name]
        found = self._file.constant(node.input[2]) if len(node.input) > 2 else None
        return None if found is None else found.astype(np.float32)

    def seen(self, name: str, y: int, x: int) -> tuple[Mask, bool]:
        """The pixels that a place of a layer can depend on, and whether some of them may not matter.

        Raises:
            UsageError: There is no such place, or it is not known.
        """
        layers = {node.label: node for node in self.graph.nodes}
        if name not in layers:
            raise UsageError(f"Layer '{name}' is not analyzed.")
        value = layers[name].outputs[0]
        is_flat = len(self.graph.shapes[value]) != 4
        found = dependency_set(self.graph, value, None if is_flat else [(y, x)])
        return found.mask, found.is_bound

    def step(self, pixels: NDArray[np.uint8], name: str, filter_number: int, y: int, x: int) -> Step:
        """One output of a convolution, taken apart.

        Raises:
            UsageError: The layer is no convolution over two axes.
        """
        node = self._file.makers[name]
        if node.op_type != "Conv" or len(self._shape(name)) != 4:
            raise UsageError(f"Layer '{name}' is of kind {node.op_type}. Expected a convolution.")
        source = node.input[0]
        found = self.maps(pixels, [name, source])
        weights = self.weights(name)[filter_number]
        stride, dilation = (node.integers(each) or [1, 1] for each in ("strides", "dilations"))
        lengths, outputs = found[source].shape[1:], found[name].shape[1:]
        (above, _), (aside, _) = padding_of(node.settings, lengths, outputs, weights.shape[1:])
        top, left = y * stride[0] - above, x * stride[1] - aside
        size = self.weights(name).shape[0] // node.integer("group", 1)
        channels = slice(filter_number // size * weights.shape[0], (filter_number // size + 1) * weights.shape[0])
        rows = top + dilation[0] * np.arange(weights.shape[1])
        columns = left + dilation[1] * np.arange(weights.shape[2])
        bias = self.bias(name)
        return Step(
            inputs=_window(found[source][channels], rows, columns),
            weights=weights,
            bias=0.0 if bias is None else float(bias[filter_number]),
            value=float(found[name][filter_number, y, x]),
            top=int(top),
            left=int(left),
            dilation=(dilation[0], dilation[1]),
            source=source,
        )

    def require_layer(self, name: str) -> dict[str, Any]:
        """The row of a layer in ``layers.json``.

        Raises:
            UsageError: There is none.
        """
        if name not in self.names:
            raise UsageError(f"There is no layer '{name[:80]}'.{nearest(name, self.names)}")
        return self.layers[self.names.index(name)]

    @cached_property
    def _session(self) -> Session:
        given = {output.name for output in self._file.output}
        inputs = {
            node.input[0] for name, node in self._file.makers.items() if name in self.names and node.op_type == "Conv"
        }
        content = with_outputs(self._content, sorted((inputs | set(self.names)) - given))
        return open_session(content, 1, self._path.name)

    def _shape(self, name: str) -> tuple[int, ...]:
        """Of a value, for one picture; 0 for what is open, but for the number of pictures."""
        dims = self._dims.get(name)
        return () if dims is None else (1, *(size if isinstance(size, int) else 0 for size in dims[1:]))

    def _after_start(self) -> FileGraph:
        """The nodes between the first view and the mean of all of them, and those that follow from the file alone."""
        rows = {name: dims[0] for name, dims in self._dims.items()}
        made = {self.start}
        fixed = {tensor.name for tensor in self._file.initializer} | {""}
        kept = []
        for node in self._file.node:
            if fixed.issuperset(node.input):
                fixed.update(node.output)
            elif made.intersection(node.input) and rows.get(node.output[0]) == rows[self.start]:
                made.update(node.output)
            else:
                continue
            kept.append(node)
        return FileGraph(kept, self._file.initializer, [], self._file.output, self._file.value_info)


def _outputs_first(weights: NDArray[np.float32], groups: int) -> NDArray[np.float32]:
    """The weights of a transposed convolution, which a file has as (inputs, outputs of one group, ...)."""
    by_group = weights.reshape(groups, -1, *weights.shape[1:]).swapaxes(1, 2)
    return by_group.reshape(-1, *by_group.shape[2:])


def _window(values: NDArray[np.float32], rows: NDArray[np.int64], columns: NDArray[np.int64]) -> NDArray[np.float32]:
    """The values (c, h, w) at rows and columns; 0 outside."""
    _, height, width = values.shape
    is_in = ((rows >= 0) & (rows < height))[:, None] & ((columns >= 0) & (columns < width))[None]
    taken = values[:, rows.clip(0, height - 1)][:, :, columns.clip(0, width - 1)]
    return np.where(is_in, taken, np.float32(0))
