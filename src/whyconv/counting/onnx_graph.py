"""An ONNX file as a graph, read without torch and without running it.

Files that keep their weights elsewhere are read as well: the shapes stand in the file itself, and nothing beside it is
opened.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from whyconv.counting.building import Builder, Call, Value, Weight
from whyconv.counting.finishing import finished
from whyconv.counting.graph import Graph
from whyconv.counting.layout import Factor, Layout, picture_layout
from whyconv.counting.onnx_arrays import FixedArrays
from whyconv.counting.onnx_readers import NEWEST, SAME_NUMBERS, SHAPE_ONLY, Array, Operation, read
from whyconv.errors import ModelFileError, needing_extra
from whyconv.onnx_file.admission import admit, read_onnx_content
from whyconv.results import Note

if TYPE_CHECKING:
    import onnx

_MOST_BYTES_KEPT = 1 << 16
# Nodes that judge the answers of a recognizer of ours: they are no part of its network.
_BESIDE_THE_NETWORK = "novelty/"
# Nodes that bring pictures of any size to the one that the network sees, and what they end with.
_BEFORE_THE_NETWORK, _PREPARED = "any_size/", "any_size/prepared"


def read_onnx(path: Path, input_shape: Sequence[int] | None = None) -> Graph:
    """Reads an ONNX file.

    Args:
        path: Of the file.
        input_shape: Of one picture, (c, h, w) or (h, w, c) as the file has it; where the file leaves it open.

    Returns:
        The network for one picture. What was not understood has the kind "not_analyzed", with the reason.

    Raises:
        ModelFileError: The file cannot be read, or is not ONNX.
        MissingExtraError: The package ``onnx`` is not installed.
    """
    model = _load(path)
    graph = model.graph
    initializers = {tensor.name for tensor in graph.initializer}
    pictures = [each for each in graph.input if each.name not in initializers]
    if len(pictures) != 1:
        names = ", ".join(each.name for each in pictures) or "none"
        raise ModelFileError(f"{path} takes {len(pictures)} inputs ({names}); expected one: the picture.")
    shape = _picture_shape(path, pictures[0], input_shape)
    said = _said_shapes(model, pictures[0], shape)
    inferred = _infer(model, pictures[0].name, shape)
    shapes = said | _inferred_shapes(inferred)
    return read_graph(inferred.graph, pictures[0].name, shape, shapes, opset=_opset(model))


def read_graph(
    graph: onnx.GraphProto,
    picture: str,
    shape: Sequence[int],
    shapes: dict[str, tuple[int, ...]],
    *,
    opset: int = NEWEST,
) -> Graph:
    """Enters the nodes of an ONNX graph, from one of its values on.

    Args:
        graph: Of ``onnx``, or read by other means with the same attributes.
        picture: Name of the value that counts as the picture: the graph's input, or a later one.
        shape: Of that value, with one picture.
        shapes: Of the other values; what is missing is listed as not analyzed.
        opset: The version of the operators that the file is written in.
    """
    return _Reading(graph, shapes, opset).graph(picture, tuple(shape))


def _load(path: Path) -> onnx.ModelProto:
    with needing_extra("Reading ONNX files", "train"):
        import onnx
    from google.protobuf.message import DecodeError

    content = read_onnx_content(path)
    admit(content, str(path), runs=False)
    try:
        model = onnx.load_model_from_string(content)
    except (DecodeError, UnicodeDecodeError) as error:
        raise ModelFileError(f"{path} is not an ONNX file, or it is damaged.") from error
    if not model.graph.node:
        raise ModelFileError(f"{path} is not an ONNX file, or there is no network in it.")
    _leave_out(model, _BESIDE_THE_NETWORK)
    _leave_resize_out(model)
    return model


def _opset(model: onnx.ModelProto) -> int:
    return next((each.version for each in model.opset_import if each.domain in ("", "ai.onnx")), NEWEST)


def _leave_resize_out(model: onnx.ModelProto) -> None:
    """Lets a recognizer of ours that takes pictures of any size begin where they have the network's."""
    graph = model.graph
    reshape = next((node for node in graph.node if _PREPARED in node.output), None)
    if reshape is None:
        return
    from onnx import helper, numpy_helper

    sizes = next(numpy_helper.to_array(tensor) for tensor in graph.initializer if tensor.name == reshape.input[1])
    picture = helper.make_tensor_value_info(
        _PREPARED, graph.input[0].type.tensor_type.elem_type, ["n", *sizes[1:].tolist()]
    )
    _leave_out(model, _BEFORE_THE_NETWORK)
    del graph.input[:]
    graph.input.append(picture)


def _leave_out(model: onnx.ModelProto, prefix: str) -> None:
    """Takes the nodes whose names begin with ``prefix`` out, with their numbers and with what only they give."""
    graph = model.graph
    kept = [node for node in graph.node if not node.name.startswith(prefix)]
    if len(kept) == len(graph.node):
        return
    left = {name for node in graph.node if node.name.startswith(prefix) for name in node.output}
    outputs = [each for each in graph.output if each.name not in left]
    tensors = [each for each in graph.initializer if not each.name.startswith(prefix)]
    del graph.node[:], graph.output[:], graph.initializer[:]
    graph.node.extend(kept)
    graph.output.extend(outputs)
    graph.initializer.extend(tensors)


def _picture_shape(path: Path, picture: onnx.ValueInfoProto, asked: Sequence[int] | None) -> tuple[int, ...]:
    """The input's shape with one picture where the number is open."""
    found = [dim.dim_value or None for dim in picture.type.tensor_type.shape.dim]
    if not found:
        raise ModelFileError(f"{path} does not say the shape of its input '{picture.name}'.")
    given = [found[0] or 1, *(asked if asked is not None else found[1:])]
    if len(given) != len(found) or any(known not in (None, size) for known, size in zip(found, given, strict=True)):
        said = " x ".join(str(size or "?") for size in found[1:])
        raise ModelFileError(f"{path} takes pictures of shape {said}, not {' x '.join(map(str, asked or ()))}.")
    sizes = [size for size in given if size is not None]
    if len(sizes) < len(given):
        said = "x".join(str(size or "?") for size in found[1:])
        raise ModelFileError(f"{path} leaves the size of its pictures open ({said}). Give it with --input.")
    return tuple(sizes)


def _said_shapes(
    model: onnx.ModelProto, picture: onnx.ValueInfoProto, shape: Sequence[int]
) -> dict[str, tuple[int, ...]]:
    """The shapes that the file itself gives, the open number of pictures filled in; 0 for what stays open."""
    asked = zip(picture.type.tensor_type.shape.dim, shape, strict=True)
    names = {dim.dim_param: size for dim, size in asked if dim.dim_param}
    return {
        info.name: tuple(dim.dim_value or names.get(dim.dim_param, 0) for dim in info.type.tensor_type.shape.dim)
        for info in (*model.graph.value_info, *model.graph.output)
        if info.type.tensor_type.HasField("shape")
    }


def _infer(model: onnx.ModelProto, name: str, shape: Sequence[int]) -> onnx.ModelProto:
    """The model with the shape of every value, for this input."""
    import onnx

    for picture in model.graph.input:
        if picture.name == name:
            for dim, size in zip(picture.type.tensor_type.shape.dim, shape, strict=True):
                dim.dim_value = size
    del model.graph.value_info[:]
    for output in model.graph.output:
        output.type.tensor_type.ClearField("shape")
    _empty(model)
    try:
        return onnx.shape_inference.infer_shapes(model, data_prop=True)
    except onnx.shape_inference.InferenceError:
        return model  # with operations that onnx does not know; what has no shape will be listed


def _empty(model: onnx.ModelProto) -> None:
    """Takes the numbers out of large arrays: shapes do not follow from them, and copies of them cost time."""
    for tensor in model.graph.initializer:
        if len(tensor.raw_data) > _MOST_BYTES_KEPT:
            tensor.ClearField("raw_data")


def _inferred_shapes(model: onnx.ModelProto) -> dict[str, tuple[int, ...]]:
    """The shapes that are known in full."""
    inferred = {
        info.name: tuple(dim.dim_value for dim in info.type.tensor_type.shape.dim)
        for info in (*model.graph.value_info, *model.graph.output)
        if info.type.tensor_type.HasField("shape")
    }
    return {name: shape for name, shape in inferred.items() if 0 not in shape}


class _Reading:
    """One pass over the nodes of a graph.

    Args:
        graph: Of the file.
        shapes: Of its values, where they are known.
        opset: The version of its operators.
    """

    def __init__(self, graph: onnx.GraphProto, shapes: dict[str, tuple[int, ...]], opset: int) -> None:
        self.file = graph
        self.builder = Builder()
        self.values: dict[str, Value] = {}
        self.fixed = FixedArrays(graph)
        self.shapes = shapes
        self.opset = opset
        self.uses: Counter[str] = Counter()

    def graph(self, picture: str, shape: tuple[int, ...]) -> Graph:
        """Enters every node, and returns the graph."""
        self.values[picture] = self.builder.picture(shape, self._layout(picture, shape))
        for node in self.file.node:
            self._enter(node)
        answers = [self.values[output.name] for output in self.file.output if output.name in self.values]
        graph = self.builder.finish(answers, self.fixed.parameters)
        return finished(replace(_shortened(graph), notes=(Note(key="network_read_from_onnx"),)))

    def _layout(self, picture: str, shape: tuple[int, ...]) -> Layout:
        """The layout of the input: channels last where they are turned to the front before anything else."""
        users = [node for node in self.file.node if picture in node.input]
        orders = [list(each.ints) for node in users if node.op_type == "Transpose" for each in node.attribute]
        depth = len(shape)
        if users and orders == [[0, depth - 1, *range(1, depth - 1)]] * len(users):
            spots = tuple((Factor(f"x{axis}", size),) for axis, size in enumerate(shape[1:-1]))
            return ((Factor("n", shape[0]),), *spots, (Factor("c", shape[-1]),))
        return picture_layout(shape)

    def _enter(self, node: onnx.NodeProto) -> None:
        values = [self.values[name] for name in node.input if name in self.values]
        made = [name for name in node.output if name]
        if node.op_type in SHAPE_ONLY or not values:
            self.fixed.derive(node, self.shapes)
        elif node.op_type in SAME_NUMBERS:
            self.values[made[0]] = values[0]
        else:
            shapes = tuple(self.shapes.get(name, (0,)) for name in made)
            operation = self._operation(node, shapes)
            is_known = all(0 not in shape for shape in (*shapes, *(value.shape for value in values)))
            entered = read(node.op_type, operation) if is_known else operation.unknown("its shape is not known")
            self.values.update(zip(made, entered, strict=True))

    def _operation(self, node: onnx.NodeProto, shapes: tuple[tuple[int, ...], ...]) -> Operation:
        has_begun = bool(self.uses)
        inputs: list[Array] = []
        for place, name in enumerate(node.input):
            is_learned = self.fixed.is_learned(name, node.op_type, place, has_begun=has_begun)
            fixed = self.fixed.weight(name) if is_learned else self.fixed.constant(name)
            inputs.append(self.values.get(name, fixed))
        weights = tuple(each for each in inputs if isinstance(each, Weight))
        number = 1 + max((self.uses[name] for weight in weights for name in weight.names), default=0)
        self.uses.update(name for weight in weights for name in weight.names)
        call = Call(f"onnx.{node.op_type}", shapes, "", number, weights, next(filter(None, node.output), ""))
        numbers = [self.fixed.numbers.get(name) for name in node.input]
        return Operation(self.builder, call, tuple(inputs), _attributes(node), numbers, self.opset)


def _attributes(node: onnx.NodeProto) -> dict[str, Any]:
    found = {each.name: _attribute(each) for each in node.attribute}
    return {name: value.decode() if isinstance(value, bytes) else value for name, value in found.items()}


def _attribute(attribute: onnx.AttributeProto) -> Any:  # noqa: ANN401 - as ONNX has it
    """The value of an attribute; one that was read without ``onnx`` knows its own."""
    if hasattr(attribute, "value"):
        return attribute.value
    import onnx

    return onnx.helper.get_attribute_value(attribute)


def _shortened(graph: Graph) -> Graph:
    """The graph without the word that all names of parameters begin with, where an exporter wrapped the network."""
    heads = {name.partition(".")[0] for name in graph.parameters if "." in name}
    if heads != {"network"}:
        return graph
    short = {name: name.removeprefix("network.") for name in graph.parameters}
    parameters = {
        short[name]: replace(one, name=short[name], names=(short[name],)) for name, one in graph.parameters.items()
    }
    nodes = (replace(node, parameters=tuple(short[name] for name in node.parameters)) for node in graph.nodes)
    return replace(graph, nodes=tuple(nodes), parameters=parameters)
