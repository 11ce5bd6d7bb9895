"""A feature network of the user's in an ONNX file: which door takes pictures, which gives features.

What the file says is followed; what it leaves open is decided by one rule each, which ``docs/files.md`` states. What
does not fit is refused with what was found.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from numpy.typing import NDArray
from onnx import TensorProto
from torch import Tensor

from whyconv import files
from whyconv.errors import ModelFileError
from whyconv.onnx_file.admission import admit, read_onnx_content
from whyconv.pretrained.backbone import (
    CHANNELS_FIRST,
    CHANNELS_LAST,
    Backbone,
    FrozenNetwork,
    Layout,
    as_seen,
    pooled,
)
from whyconv.settings import LARGEST_SIDE
from whyconv.untrusted import json_values

# Gray levels of ImageNet's channels: what networks trained on it take as mean 0 and deviation 1.
IMAGENET_MEAN = (123.675, 116.28, 103.53)
IMAGENET_STD = (58.395, 57.12, 57.375)
USUAL_SIDE = 224
LEAST_OPSET = 11
_KINDS: dict[int, str] = {
    TensorProto.UINT8: "tensor(uint8)",
    TensorProto.FLOAT: "tensor(float)",
    TensorProto.FLOAT16: "tensor(float16)",
    TensorProto.DOUBLE: "tensor(double)",
}
_FLOATS = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE)
# Of several outputs with one vector a picture, these names go before the others.
_NAMES = ("features", "embedding", "embeddings", "pooler_output", "image_embeds")
_SAME = 1e-3
# Of the largest feature: by as much may features in half precision differ among others and alone. Normalization by the
# batch moves them by some tenths.
_SAME_ALONE = 1e-2
# Of all pictures that a file takes at once: a picture of the largest side, or 334 of 224 pixels.
_MOST_TRIED_PIXELS = LARGEST_SIDE**2


def find_foreign(path: str | Path) -> Path:
    """Returns the ONNX file that ``path`` names.

    Raises:
        ModelFileError: There is none.
    """
    path = Path(path)
    if not path.is_file():
        raise ModelFileError(f"There is no {path}. Expected --start FILE.onnx, a network that gives features.")
    return path


def foreign_backbone(path: Path, threads: int, size: int | None = None) -> Backbone:
    """Reads a frozen feature network out of an ONNX file.

    The input is the only one there is: four axes, three channels first or last, square; 224 pixels where the file
    leaves the side open. Numbers that are no uint8 are normalized by the means and deviations of ImageNet, unless the
    file's metadata has ``mean`` and ``std``: three numbers each, as JSON, both on the scale 0 to 1 or both in gray
    levels. Features are the first output with one vector a picture; else the first token of a transformer's, else the
    mean over the places of a map.

    Args:
        path: Of the file.
        threads: For the pictures it is tried on.
        size: Side in pixels, where the file leaves it open.

    Raises:
        ModelFileError: It is no such network; all that does not fit is named.
    """
    model = _read(path)
    mistakes: list[str] = []
    picture = _picture(model, mistakes)
    outputs = [each.name for each in model.graph.output if each.type.tensor_type.elem_type in _FLOATS]
    if not outputs:
        listed = ", ".join(_described(each) for each in model.graph.output) or "none"
        mistakes.append(f"none of its outputs ({listed}) gives features; expected floats [n, d]")
    if (opset := operator_set(model)) < LEAST_OPSET:
        mistakes.append(f"it is written in operator set {opset}; expected {LEAST_OPSET} or newer")
    takes_levels = picture is not None and picture.type.tensor_type.elem_type == TensorProto.UINT8
    mean, std = ([0.0] * 3, [1.0] * 3) if takes_levels else _normalization(model, mistakes)
    if mistakes or picture is None:
        raise ModelFileError("\n  ".join([f"{path} cannot be started from, {len(mistakes)} mismatch(es):", *mistakes]))
    draft = Backbone(
        model=model,
        name=path.name,
        start=str(path.resolve()),
        digest=files.digest(path),
        picture=picture.name,
        layout=_layout(picture) or "nchw",
        kind=_KINDS[picture.type.tensor_type.elem_type],
        side=_side(picture) or size or USUAL_SIDE,
        mean=mean,
        std=std,
        features="",
        rank=0,
        width=0,
    )
    return _for_any_number(_with_features(draft, outputs, threads), threads)


def operator_set(model: onnx.ModelProto) -> int:
    """Version of ONNX's own operators that a model is written in; 0: none."""
    return next((each.version for each in model.opset_import if each.domain in ("", "ai.onnx")), 0)


def _read(path: Path) -> onnx.ModelProto:
    content = read_onnx_content(path)
    admit(content, str(path))
    try:
        model = onnx.load_model_from_string(content)
        onnx.checker.check_model(model)
    except (DecodeError, onnx.checker.ValidationError, ValueError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ModelFileError(f"{path} is no ONNX file that can be used: {reason}") from error
    return model


def _picture(model: onnx.ModelProto, mistakes: list[str]) -> onnx.ValueInfoProto | None:
    given = {each.name for each in model.graph.initializer}
    inputs = [each for each in model.graph.input if each.name not in given]
    if len(inputs) != 1:
        listed = ", ".join(_described(each) for each in inputs) or "none"
        mistakes.append(f"it has {len(inputs)} inputs ({listed}); expected one, which takes pictures")
        return None
    (picture,) = inputs
    if picture.type.tensor_type.elem_type not in _KINDS:
        mistakes.append(f"its input {_described(picture)} takes numbers of another kind; expected float32 or uint8")
    if _layout(picture) is None:
        mistakes.append(
            f"its input {_described(picture)} takes no color pictures; expected [n, 3, side, side] or "
            "[n, side, side, 3]"
        )
    elif (sides := {each for each in _places(picture) if each}) and len(sides) > 1:
        mistakes.append(f"its input takes pictures of {' x '.join(map(str, _places(picture)))}; expected squares")
    elif max(sides, default=0) > LARGEST_SIDE or _num_pixels(picture) > _MOST_TRIED_PIXELS:
        most = f"up to {LARGEST_SIDE} pixels a side, and few pictures at once"
        mistakes.append(f"its input {_described(picture)} is too large; expected {most}")
    return picture


def _normalization(model: onnx.ModelProto, mistakes: list[str]) -> tuple[list[float], list[float]]:
    texts = {each.key.lower(): each.value for each in model.metadata_props}
    found: dict[str, list[float]] = {}
    for key in ("mean", "std"):
        if key not in texts:
            continue
        try:
            values = [float(each) for each in json_values(texts[key])]
        except (ValueError, TypeError):
            values = []
        if len(values) != 3 or not np.isfinite(values).all() or (key == "std" and min(values) <= 0):
            mistakes.append(f"its metadata has {key} = {texts[key]!r}; expected three numbers such as [0.5, 0.5, 0.5]")
            values = []
        found[key] = values
    if len(found) == 1 and all(found.values()):
        (key,) = found
        mistakes.append(f"its metadata has {key} and no {'std' if key == 'mean' else 'mean'}; expected both or neither")
    if len(found) < 2 or not all(found.values()):
        return list(IMAGENET_MEAN), list(IMAGENET_STD)
    # Either may fit both scales, as means of 0 and deviations of 1 do: one number above 1 tells which one is meant.
    scale = 255.0 if max(*found["mean"], *found["std"]) <= 1 else 1.0
    mean, std = ([round(each * scale, 6) for each in found[key]] for key in ("mean", "std"))
    return mean, std


def _with_features(backbone: Backbone, outputs: Sequence[str], threads: int) -> Backbone:
    """The backbone with the output that gives features, as the answers about a few pictures show it.

    Raises:
        ModelFileError: There is none.
    """
    count, network = _fixed_number(backbone) or 2, FrozenNetwork(backbone, threads)
    answers = network.run(_pictures(backbone, count), outputs)
    fit = [
        (name, each)
        for name, each in zip(outputs, answers, strict=True)
        if each.ndim in (2, 3, 4) and len(each) == count
    ]
    if not fit:
        shapes = ", ".join(f"{name} {each.shape}" for name, each in zip(outputs, answers, strict=True))
        raise ModelFileError(
            f"{backbone.name} cannot be started from: for {count} picture(s) it gives {shapes}; expected features "
            f"{count} x d."
        )
    # Among equals the first of the file.
    name, answer = min(fit, key=lambda pair: (pair[1].ndim, pair[0] not in _NAMES))
    places = map_places(answer.shape, backbone.layout) if answer.ndim == 4 else backbone.places
    width = pooled(answer, places).shape[1]
    network.backbone = replace(backbone, features=name, rank=answer.ndim, width=width, places=places)
    if not _fixed_number(backbone):
        _require_alone(network)
    return network.backbone


def _require_alone(network: FrozenNetwork) -> None:
    """Makes sure that it says the same of a picture whatever others it is shown with.

    Raises:
        ModelFileError: It does not.
    """
    noise = _noise(network.backbone, 2)
    # Of another range than the first: what goes by the whole batch then cannot look as if it did not.
    noise[1] //= 4
    together = network.look(noise, "upright")[0]
    alone = np.concatenate([network.look(noise[row : row + 1], "upright")[0] for row in range(2)])
    if np.abs(together - alone).max() > _SAME_ALONE * np.abs(together).max():
        raise ModelFileError(
            f"{network.backbone.name} cannot be started from: its features depend on the other pictures of the batch. "
            "Export it in evaluation mode, and not quantized by what it is shown."
        )


def map_places(shape: Sequence[int], layout: Layout) -> tuple[int, int]:
    """Which two axes of a map's shape (n, d, h, w) or (n, h, w, d) are its places.

    Those of a square, which is what a square picture gives; where that says nothing, channels lie as in the pictures.
    """
    are_first, are_last = (shape[first] == shape[last] for first, last in (CHANNELS_FIRST, CHANNELS_LAST))
    if are_first == are_last:
        return CHANNELS_LAST if layout == "nhwc" else CHANNELS_FIRST
    return CHANNELS_FIRST if are_first else CHANNELS_LAST


def _for_any_number(backbone: Backbone, threads: int) -> Backbone:
    """The network for any number of pictures, where the file fixes it; made sure of on pictures.

    Raises:
        ModelFileError: It answers otherwise then.
    """
    count = _fixed_number(backbone)
    if not count:
        return backbone
    model = onnx.ModelProto()
    model.CopyFrom(backbone.model)
    for each in (*model.graph.input, *model.graph.output):
        if each.type.tensor_type.shape.dim:
            each.type.tensor_type.shape.dim[0].dim_param = "n"
    del model.graph.value_info[:]
    free, x = replace(backbone, model=model), _pictures(backbone, count + 1)
    expected = FrozenNetwork(backbone, threads).run(x[:count], [backbone.features])[0]
    last = FrozenNetwork(backbone, threads).run(x[1:], [backbone.features])[0][-1:]
    try:
        found = FrozenNetwork(free, threads).run(x, [backbone.features])[0]
        is_same = np.allclose(found, np.concatenate([expected, last]), atol=_SAME, rtol=_SAME)
    except (ModelFileError, ValueError):
        is_same = False
    if not is_same:
        raise ModelFileError(
            f"{backbone.name} takes exactly {count} picture(s) at once, and cannot be made to take more. Export it "
            "with a dynamic number of pictures."
        )
    return free


def _fixed_number(backbone: Backbone) -> int:
    """How many pictures it takes at once; 0: any number."""
    picture = next(each for each in backbone.model.graph.input if each.name == backbone.picture)
    return int(picture.type.tensor_type.shape.dim[0].dim_value)


def _pictures(backbone: Backbone, count: int) -> Tensor:
    """Noise, normalized."""
    return as_seen(_noise(backbone, count), backbone.mean, backbone.std, "upright")


def _noise(backbone: Backbone, count: int) -> NDArray[np.uint8]:
    """Pictures no two of which are alike."""
    shape = (count, backbone.side, backbone.side, 3)
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def _dims(info: onnx.ValueInfoProto) -> list[int | str]:
    return [each.dim_value or each.dim_param or "?" for each in info.type.tensor_type.shape.dim]


def _layout(info: onnx.ValueInfoProto) -> Layout | None:
    dims = [each.dim_value for each in info.type.tensor_type.shape.dim]
    if len(dims) != 4:
        return None
    if dims[3] == 3 and dims[1] != 3:
        return "nhwc"
    # Where the file leaves all axes open, channels are taken to come first, as nearly always.
    return "nchw" if dims[1] in (0, 3) else None


def _places(info: onnx.ValueInfoProto) -> Sequence[int]:
    """Height and width; 0 where the file leaves them open."""
    dims = [each.dim_value for each in info.type.tensor_type.shape.dim]
    return dims[2:] if _layout(info) == "nchw" else dims[1:3]


def _side(info: onnx.ValueInfoProto) -> int:
    return max(_places(info))


def _num_pixels(info: onnx.ValueInfoProto) -> int:
    """Of the pictures that it takes at once, where that is fixed."""
    return max(1, info.type.tensor_type.shape.dim[0].dim_value) * _side(info) ** 2


def _described(info: onnx.ValueInfoProto) -> str:
    kind = TensorProto.DataType.Name(info.type.tensor_type.elem_type).lower()
    return f"{info.name} {kind} [{', '.join(map(str, _dims(info)))}]"
