"""What an ONNX file says about itself, read and checked before anything runs it.

Only the outer structure of the file is walked (no ``onnx`` package is needed): the metadata, and every
place where a tensor may point to data outside of the file, which is refused.

References:
    The message and field numbers are those of ``onnx.proto`` (https://github.com/onnx/onnx).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from whyconv.errors import ModelFileError
from whyconv.images.array_levels import White
from whyconv.images.prepare import PicturePolicy
from whyconv.onnx_file.protobuf import as_message, as_text, message_fields
from whyconv.settings import View

FORMAT_VERSION = 1
METADATA_KEY = "whyconv"
# The output that says how unlike the training pictures a picture is, and what the names of its nodes begin with.
NOVELTY, NOVELTY_PREFIX = "novelty", "novelty/"
# In a file that takes pictures of any size: what the names of the nodes of the resize begin with, and what they make.
ANY_SIZE_PREFIX, PREPARED = "any_size/", "any_size/prepared"
_MAX_FILE_BYTES = 2_000_000_000  # a protobuf message ends there

# Where a message of one kind holds messages of other kinds: field number -> kind.
_CHILDREN: dict[str, dict[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
}
_MAX_DEPTH = 64
_METADATA_FIELD = 14  # of the model: pairs of key (1) and value (2)
_EXTERNAL_FIELDS = (13, 14)  # of a tensor: external_data, data_location


class AnswerSets(BaseModel):
    """What sets of labels are made by, at any level.

    Attributes:
        truths: Probability of the true class of validation pictures, at most 2,000, evenly chosen; ascending, rounded
            down to six digits.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    truths: tuple[float, ...]

    @model_validator(mode="after")
    def _ascend(self) -> AnswerSets:
        if list(self.truths) != sorted(self.truths):
            raise ValueError("the probabilities are not in ascending order")
        return self


class Unsure(BaseModel):
    """When an answer is called unsure.

    Attributes:
        threshold: Of the output ``novelty``: above it, the picture is unlike those that the recognizer knows.
        accepted_fraction: Of pictures like the validation pictures, at least this part stays below.
        n: Validation pictures that this follows from.
        measure: What of the network is measured: "energy", "neighbors" or "both".
        neighbors: How many neighbors the distance counts.
        known: How many training pictures' features are in the file.
        judged: How well each measure told validation pictures of a class that it did not know, areas under the curve.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    threshold: float = Field(allow_inf_nan=False)
    accepted_fraction: float = Field(gt=0, lt=1)
    n: int = Field(ge=1)
    measure: str = ""
    neighbors: int = 0
    known: int = 0
    judged: dict[str, float] = Field(default_factory=dict)


class Metadata(BaseModel):
    """What an exported file carries beside its graph, as JSON under the key ``whyconv``.

    Attributes:
        format_version: Of this record; a file with a newer one is refused.
        classes: Names in the order of the probabilities.
        policy: How pictures become the pixels the graph takes.
        temperature: What the logits are divided by inside the graph; > 0.
        network: Name of the network.
        version: The whyconv that wrote the file.
        parts: Number of pictures in each part of the data it was made from.
        views: Which views of a picture the answer averages; the averaging is inside the graph.
        array_white: 1, 255 or 65535: the value that stands for white in arrays of other numbers than uint8 and
            bool, as it was in the training pictures; None where those were no arrays, or of several kinds.
        takes: "prepared": pixels as the policy makes them; "any_size": of any height and width, the resize is inside
            the graph.
        versions: Of whyconv, torch, onnx and ONNX's operator set, where the file was made by ``whyconv export``.
        data_digest: SHA-256 over the sorted lines of the run's ``digests.txt``; likewise.
        proof: The comparison with the trained network that ended the export; likewise.
        sets: What answer sets are made by; None where there were no validation pictures, or the file is older.
        unsure: When an answer is unsure; None where there were too few validation pictures, or the file is older.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    format_version: Literal[1] = 1
    classes: tuple[str, ...] = Field(min_length=2)
    policy: PicturePolicy
    temperature: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    network: str = ""
    version: str = ""
    parts: dict[str, Any] = Field(default_factory=dict)
    views: tuple[View, ...] = ("upright",)
    array_white: White | None = None
    takes: Literal["prepared", "any_size"] = "prepared"
    versions: dict[str, str] = Field(default_factory=dict)
    data_digest: str = ""
    proof: dict[str, Any] = Field(default_factory=dict)
    sets: AnswerSets | None = None
    unsure: Unsure | None = None

    @model_validator(mode="after")
    def _names_differ(self) -> Metadata:
        if len(set(self.classes)) < len(self.classes):
            raise ValueError("two classes have the same name")
        return self


def find_model(path: str | Path) -> Path:
    """Returns the ONNX file that ``path`` names: itself, or ``model.onnx`` of a run folder.

    Raises:
        ModelFileError: There is none.
    """
    path = Path(path)
    if path.is_dir():
        path, run = path / "model.onnx", path
        if not path.is_file() and (run / "run.toml").is_file():
            raise ModelFileError(
                f"{run} has no model.onnx: its training has not ended. Go on with:  whyconv train --resume {run}"
            )
        if not path.is_file():
            raise ModelFileError(f"{run} is no run folder: it has no model.onnx. Expected runs/<name>/ or FILE.onnx.")
    if not path.exists():
        raise ModelFileError(f"There is no {path}. Expected a run folder such as runs/<name>/, or an ONNX file.")
    return path


def read_model(path: Path) -> tuple[bytes, Metadata]:
    """Reads an ONNX file whole and checks what it says about itself.

    Returns:
        The file's content, and its metadata.

    Raises:
        ModelFileError: The file cannot be read, is not ONNX, was not written by whyconv, is of a newer
            format, or points to data outside of itself.
    """
    try:
        if path.stat().st_size > _MAX_FILE_BYTES:
            raise ModelFileError(f"{path} is over 2 GB, more than an ONNX file can hold. Was it renamed?")
        content = path.read_bytes()
    except OSError as error:
        raise ModelFileError(f"{path} cannot be read: {error.strerror}.") from error
    return content, read_metadata(content, str(path))


def read_metadata(content: bytes, where: str) -> Metadata:
    """Checks the content of an ONNX file, as ``read_model`` does.

    Args:
        content: The whole file.
        where: What it is called in errors.

    Raises:
        ModelFileError: See there.
    """
    try:
        found, is_external = _walk(memoryview(content))
    except (ValueError, IndexError, UnicodeDecodeError) as error:
        raise ModelFileError(
            f"{where} is not an ONNX file, or it is damaged. Expected one that whyconv wrote."
        ) from error
    if is_external:
        raise ModelFileError(
            f"{where} points to data in other files, which is refused: a file may not read what lies beside it. "
            "Export it as one file."
        )
    return _parse_metadata(where, found.get(METADATA_KEY))


def _parse_metadata(where: str, text: str | None) -> Metadata:
    if text is None:
        raise ModelFileError(
            f"{where} is an ONNX file, but whyconv did not write it: class names and picture policy are missing. "
            "Expected model.onnx of a run folder."
        )
    try:
        values = json.loads(text)
        version = values.get("format_version")
        if isinstance(version, int) and version > FORMAT_VERSION:
            raise ModelFileError(
                f"{where} has format version {version}; this whyconv reads up to {FORMAT_VERSION}. "
                "Update it with:  pip install --upgrade whyconv"
            )
        return Metadata.model_validate(values)
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, one['loc'])) or 'all'}: {one['msg']}" for one in error.errors())
        raise ModelFileError(f"{where} has damaged whyconv metadata ({wrong}). Export it again.") from error
    except (ValueError, AttributeError, RecursionError) as error:
        raise ModelFileError(f"{where} has damaged whyconv metadata (not a JSON object). Export it again.") from error


def _walk(model: memoryview) -> tuple[dict[str, str], bool]:
    """Returns a model's metadata, and whether any tensor's data lies outside of the file."""
    metadata: dict[str, str] = {}
    num_graphs, is_external = 0, False
    stack = [("model", model, 0)]
    while stack:
        kind, message, depth = stack.pop()
        if depth > _MAX_DEPTH:
            raise ValueError("nested too deeply")
        num_graphs += kind == "graph"
        for number, value in message_fields(message):
            if kind == "tensor":
                is_external |= number in _EXTERNAL_FIELDS and value != 0
            elif kind == "model" and number == _METADATA_FIELD:
                pair = {key: as_text(text) for key, text in message_fields(as_message(value))}
                metadata[pair.get(1, "")] = pair.get(2, "")
            elif number in _CHILDREN[kind]:
                stack.append((_CHILDREN[kind][number], as_message(value), depth + 1))
    if num_graphs == 0:
        raise ValueError("no graph")
    return metadata, is_external
