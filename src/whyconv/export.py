"""A trained network as one ONNX file that takes uint8 pixels, and the proof that it answers the same."""

from __future__ import annotations

import json
import logging
import re
import sys
import threading
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from itertools import chain
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from whyconv import __version__, files
from whyconv.counting.network import count_if_possible
from whyconv.counting.onnx_graph import read_onnx
from whyconv.counting.onnx_padding import padding_of
from whyconv.errors import ModelFileError, WhyconvError, let_through
from whyconv.images.array_levels import White
from whyconv.images.prepare import PicturePolicy
from whyconv.model_file import METADATA_KEY, NOVELTY_PREFIX, Metadata, read_metadata
from whyconv.nets import Committee
from whyconv.nets.windowed import Windowed, mean_of_windows
from whyconv.onnx_file.seal import sealed, without_seal
from whyconv.recognizer import Recognizer
from whyconv.results import Parity
from whyconv.results.network import LayerCount
from whyconv.settings import NetworkPlan
from whyconv.training.evaluate import softmax
from whyconv.training.logits import network_logits
from whyconv.training.pixel_rows import Pixels
from whyconv.training.torch_habits import sole_thread
from whyconv.training.views import seen
from whyconv.untrusted import json_values

TOLERANCE = 1e-4
_PARITY_BATCH = 256
_ESCAPES = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")  # colors, for a terminal
_COUNTED = (
    *("weights", "connections", "density", "locality_factor", "sharing_factor"),
    *("multiply_adds", "nominal_multiply_adds"),
)
_WITHOUT_COUNTS = ("Relu", "Flatten")


class Answering(nn.Module):
    """Pixels in, probabilities and features out: what is written to the file.

    Args:
        network: Maps normalized pictures (n, c, side, side) to logits (n, classes).
        plan: Statistics for normalization, and the views that are averaged.
        temperature: What logits are divided by, > 0.

    Attributes:
        metadata: Class names and picture policy, where it was opened from a folder; else None.
    """

    mean: Tensor
    std: Tensor
    metadata: Metadata | None = None

    def __init__(self, network: nn.Module, plan: NetworkPlan, temperature: float) -> None:
        super().__init__()
        self.network = network
        self.temperature = temperature
        self.views = plan.views
        self.register_buffer("mean", torch.tensor(plan.mean, dtype=torch.float32).view(1, -1, 1, 1))
        self.register_buffer("std", torch.tensor(plan.std, dtype=torch.float32).view(1, -1, 1, 1))

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Maps pixels uint8 (n, side, side, c) to probabilities (n, classes) and features (n, d)."""
        x = (pixels.permute(0, 3, 1, 2).to(torch.float32) - self.mean) / self.std
        logits, features = logits_and_features(self.network, torch.cat([seen(x, view) for view in self.views]))
        if len(self.views) > 1:
            logits, features = (
                each.view(len(self.views), -1, each.shape[1]).mean(dim=0) for each in (logits, features)
            )
        return torch.softmax(logits / self.temperature, dim=1), features


def logits_and_features(network: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
    """Calls a network, and notes on the way what its last layer decides from.

    The last layer is ``network.head``, or else the last fully connected layer that is called. Where there is none,
    or it does not take one vector a picture, the logits stand for the features.

    Args:
        network: Maps (n, c, side, side) to logits (n, classes); called once, as it is.
        x: Normalized pictures.

    Returns:
        Logits (n, classes) and features (n, d); of a committee the features of all members, one after the other; where
        there are windows, the mean over them.
    """
    if isinstance(network, Windowed):
        pair = logits_and_features(network.network, network.windows(x))
        return mean_of_windows(pair[0], network.num_windows), mean_of_windows(pair[1], network.num_windows)
    if isinstance(network, Committee):
        pairs = [logits_and_features(member, x) for member in network.members]
        logits, features = zip(*pairs, strict=True)
        return torch.stack(logits).mean(dim=0), torch.cat(features, dim=1)
    return _of_one(network, x)


def _of_one(network: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
    seen: list[Tensor] = []

    def note(layer: nn.Module, inputs: tuple[object, ...]) -> None:
        seen.extend(each for each in inputs[:1] if isinstance(each, Tensor))

    head = getattr(network, "head", None)
    layers = (
        [head] if isinstance(head, nn.Module) else [each for each in network.modules() if isinstance(each, nn.Linear)]
    )
    hooks = [layer.register_forward_pre_hook(note) for layer in layers]
    try:
        logits = network(x)
    finally:
        for hook in hooks:
            hook.remove()
    return logits, seen[-1] if seen and _is_one_each(seen[-1], x) else logits


def _is_one_each(vectors: Tensor, pictures: Tensor) -> bool:
    if vectors.ndim != len(("n", "d")):
        return False
    is_same: object = vectors.shape[0] == pictures.shape[0]
    if isinstance(is_same, bool):
        return is_same
    # While it is exported, numbers of rows are formulas: asked in any other way, a file may be bound to one number.
    from torch.fx.experimental.symbolic_shapes import statically_known_true

    return bool(statically_known_true(is_same))  # type: ignore[arg-type]


def export(path: Path, network: nn.Module, metadata: Metadata, plan: NetworkPlan) -> None:
    """Writes ``model.onnx``: one file, dynamic number of pictures, everything inside.

    Args:
        path: Where to.
        network: The trained network; put in evaluation mode.
        metadata: Class names, picture policy, temperature, versions.
        plan: What the network was built with.

    Raises:
        ModelFileError: torch cannot express the network in ONNX.
    """
    files.write_bytes(path, exported(network, metadata, plan))


def exported(network: nn.Module, metadata: Metadata, plan: NetworkPlan) -> bytes:
    """What ``export`` writes."""
    model = _to_onnx(Answering(network, plan, metadata.temperature).eval(), plan)
    _describe(model, {METADATA_KEY: metadata.model_dump_json()})
    onnx.checker.check_model(model, full_check=True)
    return sealed(model.SerializeToString())


def with_classes(model: bytes, names: Sequence[str]) -> bytes:
    """Returns an exported file whose classes are called otherwise.

    Args:
        model: Content of the file.
        names: Of the classes, in the order of the probabilities; they differ from one another.

    Raises:
        ModelFileError: These are no names of so many classes.
    """
    named = onnx.load_model_from_string(without_seal(model))
    for pair in named.metadata_props:
        if pair.key == METADATA_KEY:
            pair.value = json.dumps(json_values(pair.value) | {"classes": list(names)})
    content = sealed(named.SerializeToString())
    read_metadata(content, "the file")
    return content


def export_maps(path: Path, model_path: Path) -> None:
    """Writes ``why.onnx``: the same network with every layer's map as an output more, named as in ``layers.json``.

    Where the answer averages v views, the maps have v n rows: n of the first view, then n of the next.
    """
    model = onnx.shape_inference.infer_shapes(onnx.load_model_from_string(without_seal(model_path.read_bytes())))
    shapes = {info.name: info for info in model.graph.value_info}
    known = {output.name for output in model.graph.output}
    for node in _layers(model):
        name = node.output[0]
        if name in shapes and name not in known:
            model.graph.output.append(shapes[name])
            known.add(name)
    onnx.checker.check_model(model, full_check=True)
    files.write_bytes(path, sealed(model.SerializeToString()))


def describe_layers(model_path: Path) -> list[dict[str, Any]]:
    """What ``layers.json`` holds of every layer: name of the map, kind, kernel, stride, padding, shape, and its counts.

    Shapes are those of one picture, without the batch; what a layer does not have is left out. In place of counts that
    could not be made is the reason, ``not_counted``.
    """
    model = onnx.shape_inference.infer_shapes(onnx.load(model_path, load_external_data=False))
    shapes = {
        info.name: [place.dim_value for place in info.type.tensor_type.shape.dim[1:]]
        for info in (*model.graph.value_info, *model.graph.output)
    }
    report = count_if_possible(lambda: read_onnx(model_path), model_path.name)
    counted = report if isinstance(report, str) else {layer.map: layer for layer in report.layers}
    return [_layer_row(node, shapes) | _counts(node, counted) for node in _layers(model)]


def _counts(node: onnx.NodeProto, counted: dict[str, LayerCount] | str) -> dict[str, Any]:
    """What a layer counts, or that it is not counted and why; nothing of what has no counts anywhere."""
    layer = None if isinstance(counted, str) else counted.get(node.output[0])
    found = {} if layer is None else {name: getattr(layer, name) for name in _COUNTED}
    found = {name: value for name, value in found.items() if value is not None}
    if found or node.op_type in _WITHOUT_COUNTS:
        return found
    reason = counted if isinstance(counted, str) else layer.reason if layer else ""
    return {"not_counted": reason or "the counts have no layer of its own for it"}


def compare(recognizer: Recognizer, network: nn.Module, plan: NetworkPlan, pixels: Pixels) -> Parity:
    """Asks the network as it was trained, and the exported file, about the same pictures.

    The network is called as in training and scoring, not as in the export: a mistake in what was wrapped around it
    for the export is found too. Where the file's first answer is a tie in torch, it counts as the same answer.

    Args:
        recognizer: Of the exported file.
        network: With the weights that were exported.
        plan: What the network was built with.
        pixels: uint8 (n, side, side, c).
    """
    starts = range(0, len(pixels), _PARITY_BATCH)
    batches = (np.ascontiguousarray(pixels[start : start + _PARITY_BATCH]) for start in starts)
    asked = [(network_logits(network, batch, plan), recognizer.run(batch).probabilities) for batch in batches]
    logits, found = (np.concatenate(each) for each in zip(*asked, strict=True))
    return parity_of(softmax(logits / recognizer.metadata.temperature), found)


def parity_of(expected: NDArray[np.float64], found: NDArray[np.float32]) -> Parity:
    """The comparison of probabilities (n, classes) that torch and the exported file gave."""
    return Parity(
        n=len(found),
        num_same_answer=int(_same_answer(expected, found).sum()),
        largest_difference=float(np.abs(expected - found).max()),
        tolerance=TOLERANCE,
    )


def _same_answer(expected: NDArray[np.float64], found: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Whether the first class of ``found`` is the most probable of ``expected``, or as good as that (n,)."""
    behind = expected.max(axis=1) - expected[np.arange(len(expected)), found.argmax(axis=1)]
    return np.asarray(behind < TOLERANCE)


def _to_onnx(answering: nn.Module, plan: NetworkPlan) -> onnx.ModelProto:
    example = torch.zeros((2, plan.side, plan.side, plan.in_channels), dtype=torch.uint8)
    try:
        with sole_thread(), _unheard():
            program = torch.onnx.export(
                answering,
                (example,),
                dynamo=True,
                external_data=False,
                input_names=["pixels"],
                output_names=["probabilities", "features"],
                dynamic_shapes={"pixels": {0: torch.export.Dim("n", min=1)}},
                verbose=False,
            )
    except Exception as error:  # every exporter pass has errors of its own kind
        let_through(error, WhyconvError)
        raise ModelFileError(f"The network cannot be written as ONNX: {_reason(error)}.") from error
    assert program is not None
    return program.model_proto


class _OthersWords:
    """A stream without what this thread says; other threads are heard, and all else is that of the stream."""

    def __init__(self, stream: TextIO | None) -> None:
        self._stream, self._thread = stream, threading.get_ident()

    def write(self, text: str) -> int:
        return self._stream.write(text) if self._stream is not None and self._is_heard() else len(text)

    def flush(self) -> None:
        if self._stream is not None and self._is_heard():
            self._stream.flush()

    def _is_heard(self) -> bool:
        return threading.get_ident() != self._thread

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        return getattr(self._stream, name)


@contextmanager
def _unheard() -> Iterator[None]:
    """The exporter speaks to its own developers; what a person must know is in its errors."""
    levels = {log: log.level for log in map(logging.getLogger, ("torch.onnx", "torch.fx"))}
    for log in levels:
        log.setLevel(logging.ERROR)
    try:
        out, err = _OthersWords(sys.stdout), _OthersWords(sys.stderr)
        with warnings.catch_warnings(), redirect_stdout(out), redirect_stderr(err):
            warnings.simplefilter("ignore")
            yield
    finally:
        for log, level in levels.items():
            log.setLevel(level)


def _reason(error: BaseException) -> str:
    """The first line of what an error of the exporter came from: itself it says which of its steps failed."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = _ESCAPES.sub("", str(error)).strip().splitlines()
    return (lines[0] if lines else type(error).__name__).rstrip(".")


def _describe(model: onnx.ModelProto, properties: dict[str, str]) -> None:
    """Puts our metadata into the model, and takes the exporter's notes about its source files out."""
    del model.metadata_props[:]
    model.producer_name, model.producer_version = "whyconv", __version__
    model.doc_string = ""
    for part in (*model.graph.node, *model.graph.value_info, *model.graph.input, *model.graph.output, model.graph):
        del part.metadata_props[:]
        part.doc_string = ""
    for key, value in properties.items():
        model.metadata_props.add(key=key, value=value)


def _layers(model: onnx.ModelProto) -> list[onnx.NodeProto]:
    """The nodes that are layers to a person: with weights, pooling, or an activation."""
    weights = {tensor.name for tensor in model.graph.initializer}
    weights.update(node.output[0] for node in model.graph.node if node.op_type == "Constant")
    kinds = {"MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool", "ReduceMean", "Relu", "Softmax", "Flatten"}
    with_weights = {"Conv", "Gemm", "MatMul", "BatchNormalization", "ConvTranspose"}
    return [
        node
        for node in model.graph.node
        if not node.name.startswith(NOVELTY_PREFIX)
        and (node.op_type in kinds or (node.op_type in with_weights and any(name in weights for name in node.input)))
    ]


def _layer_row(node: onnx.NodeProto, shapes: dict[str, list[int]]) -> dict[str, Any]:
    attributes = {each.name: onnx.helper.get_attribute_value(each) for each in node.attribute}
    attributes |= _worked_out(node, attributes, shapes)
    shape = shapes.get(node.output[0])
    names = {
        "kernel_shape": "kernel",
        "strides": "stride",
        "pads": "padding",
        "dilations": "dilation",
        "group": "groups",
    }
    found = {ours: json.loads(json.dumps(attributes[theirs])) for theirs, ours in names.items() if theirs in attributes}
    return {"map": node.output[0], "kind": node.op_type, **found, **({"output": shape} if shape else {})}


def _worked_out(node: onnx.NodeProto, attributes: dict[str, Any], shapes: dict[str, list[int]]) -> dict[str, Any]:
    """The ``pads`` of a window whose attributes leave them to the reader; nothing where they, or sizes, are missing."""
    is_left = attributes.get("auto_pad", b"").startswith(b"SAME") or "output_shape" in attributes
    places, results = (shapes.get(name, [])[1:] for name in (node.input[0], node.output[0]))
    if not (is_left and "kernel_shape" in attributes and places and results and all([*places, *results])):
        return {}
    ends = (results, places) if node.op_type == "ConvTranspose" else (places, results)
    return {"pads": list(chain(*zip(*padding_of(attributes, *ends, attributes["kernel_shape"]), strict=True)))}


def metadata_for(
    plan: NetworkPlan,
    policy: PicturePolicy,
    temperature: float,
    parts: dict[str, int],
    *,
    array_white: White | None = None,
) -> Metadata:
    """What the exported file says about itself."""
    return Metadata(
        classes=tuple(plan.classes),
        policy=policy,
        temperature=temperature,
        network=plan.name,
        version=__version__,
        parts=parts,
        views=tuple(plan.views),
        array_white=array_white,
    )
