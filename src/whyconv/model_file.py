"""What an ONNX file says about itself, read and checked before anything runs it.

``onnx_file.admission`` has looked at the structure of the file; here is what its metadata say.
"""

from __future__ import annotations

import json
from os import PathLike
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from whyconv.errors import ModelFileError, UsageError, require_known_version
from whyconv.files import digest_bytes
from whyconv.images.array_levels import White
from whyconv.images.prepare import POLICY_VERSION, PicturePolicy
from whyconv.onnx_file.admission import admit, read_onnx_content
from whyconv.onnx_file.seal import SEAL_KEY, is_as_written
from whyconv.settings import MOST_CLASSES, ClassName, View
from whyconv.texts import as_typed
from whyconv.untrusted import json_in, json_values

FORMAT_VERSION = 1
METADATA_KEY = "whyconv"
# The output that says how unlike the training pictures a picture is, and what the names of its nodes begin with.
NOVELTY, NOVELTY_PREFIX = "novelty", "novelty/"
# In a file that takes pictures of any size: what the names of the nodes of the resize begin with, and what they make.
ANY_SIZE_PREFIX, PREPARED = "any_size/", "any_size/prepared"
# In ``network.json``: over all else that it says, and that it is there.
_DIGEST, _HAS_DIGEST = "digest", "has_digest"
_NAMED = 5  # mistakes that a message names


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
    classes: tuple[ClassName, ...] = Field(min_length=2, max_length=MOST_CLASSES)
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


def find_model(path: str | PathLike[str]) -> Path:
    """Returns the ONNX file that ``path`` names: itself, or ``model.onnx`` of a run folder.

    Raises:
        ModelFileError: There is none, or it may not be looked for.
    """
    try:
        return _find(Path(path))
    except OSError as error:
        raise ModelFileError(f"{Path(path)} cannot be read: {error.strerror}.") from error


def _find(path: Path) -> Path:
    if path.is_dir():
        path, run = path / "model.onnx", path
        if not path.is_file() and (run / "run.toml").is_file():
            raise ModelFileError(
                f"{run} has no model.onnx: its training has not ended. Go on with:  "
                f"whyconv train --resume {as_typed(run)}"
            )
        if not path.is_file():
            raise ModelFileError(f"{run} is no run folder: it has no model.onnx. Expected runs/<name>/ or FILE.onnx.")
    if not path.exists():
        raise ModelFileError(f"There is no {path}. Expected a run folder such as runs/<name>/, or an ONNX file.")
    return path


def require_not_own(path: Path, model: Path, option: str) -> None:
    """Refuses to write over what lies in a run folder: in that of ``model``, or in any other.

    Args:
        path: Where something is to be written.
        model: A run folder, or a file.
        option: That names another place, for the message.

    Raises:
        UsageError: Such a file is there.
    """
    folder = path.resolve().parent
    if path.exists() and (folder == model.resolve() or (folder / "run.toml").is_file()):
        raise UsageError(f"{path} is the run's own. Name another place with {option}.")


def read_model(path: Path) -> tuple[bytes, Metadata]:
    """Reads an ONNX file whole and checks what it says about itself.

    Returns:
        The file's content, and its metadata.

    Raises:
        ModelFileError: The file cannot be read, is not ONNX, was not written by whyconv, is of a newer
            format, or points to data outside of itself.
    """
    content = read_onnx_content(path)
    return content, read_metadata(content, str(path))


def read_metadata(content: bytes, where: str) -> Metadata:
    """Checks the content of an ONNX file, as ``read_model`` does.

    Args:
        content: The whole file.
        where: What it is called in errors.

    Raises:
        ModelFileError: See there.
    """
    found = admit(content, where)
    if not is_as_written(content, has_entry=SEAL_KEY in found):
        raise ModelFileError(
            f"{where} is damaged: it is not what whyconv wrote. Take it anew from where it came from; if another "
            f"program changed it on purpose, take the entry '{SEAL_KEY}' out of its metadata."
        )
    return _parse_metadata(where, found.get(METADATA_KEY))


def with_digest(values: dict[str, Any]) -> dict[str, Any]:
    """Returns what ``network.json`` is to say, with the digest of all of it."""
    told = {key: value for key, value in values.items() if key != _DIGEST} | {_HAS_DIGEST: True}
    return told | {_DIGEST: _digest(told)}


def read_description(path: Path) -> dict[str, Any]:
    """Reads ``network.json`` as it is.

    Raises:
        ModelFileError: It is missing, no JSON object, or not what was written.
        NewerFormatError: A newer whyconv wrote it.
    """
    try:
        values = json_in(path)
    except OSError as error:
        raise ModelFileError(
            f"{path} cannot be read: {error.strerror}. Expected a run folder, or one of `whyconv export --to torch`."
        ) from None
    except ValueError as error:
        raise ModelFileError(f"{path} is damaged: {error}. Export it again.") from None
    if not isinstance(values, dict):
        raise ModelFileError(f"{path} is damaged: it holds no JSON object. Export it again.")
    _require_known(values, str(path))
    told = {key: value for key, value in values.items() if key != _DIGEST}
    # Those of older versions have none.
    if (_HAS_DIGEST in values or _DIGEST in values) and values.get(_DIGEST) != _digest(told):
        raise ModelFileError(
            f"{path} is damaged: it is not what whyconv wrote. Export it again; if it was changed on purpose, take "
            f"'{_DIGEST}' and '{_HAS_DIGEST}' out of it."
        )
    return values


def _require_known(values: dict[str, Any], where: str) -> None:
    require_known_version(values.get("format_version"), FORMAT_VERSION, where)
    policy = values.get("policy")
    version = policy.get("version") if isinstance(policy, dict) else None
    require_known_version(version, POLICY_VERSION, f"{where}: its picture policy")


def _digest(values: dict[str, Any]) -> str:
    return digest_bytes(json.dumps(values, sort_keys=True).encode())


def _parse_metadata(where: str, text: str | None) -> Metadata:
    if text is None:
        raise ModelFileError(
            f"{where} is an ONNX file, but whyconv did not write it: class names and picture policy are missing. "
            "Expected model.onnx of a run folder."
        )
    try:
        values = json_values(text)
        if not isinstance(values, dict):
            raise ValueError("no JSON object")
        _require_known(values, where)
        return Metadata.model_validate(values)
    except ValidationError as error:
        named = [f"{'.'.join(map(str, one['loc'])) or 'all'}: {one['msg']}" for one in error.errors()]
        more = f"; and {len(named) - _NAMED} more" if len(named) > _NAMED else ""
        wrong = "; ".join(named[:_NAMED]) + more
        raise ModelFileError(f"{where} has damaged whyconv metadata ({wrong}). Export it again.") from error
    except ValueError as error:
        raise ModelFileError(f"{where} has damaged whyconv metadata ({error}). Export it again.") from error
