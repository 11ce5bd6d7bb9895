"""Which ONNX files are let in: their structure is walked over, before any library sees them.

Refused is what reaches outside of the file, what runs code that ONNX itself does not define, what may never end, and
what is larger than any network for pictures.

References:
    The message and field numbers are those of ``onnx.proto`` (https://github.com/onnx/onnx).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from whyconv.errors import ModelFileError
from whyconv.onnx_file.protobuf import as_integers, as_message, as_text, message_fields

# A protobuf message ends there.
MOST_FILE_BYTES = 2_000_000_000
# A committee of 64 networks of 152 layers has 33,000 nodes.
MOST_NODES = 50_000
# The same committee has as many tensors.
MOST_TENSORS = 50_000
# Exporters nest the branches of a condition two or three deep.
MOST_DEPTH = 16
# ONNX's own operators are told with at most 5 axes; a picture has 4.
MOST_AXES = 64
# Of one name or key.
MOST_NAME_BYTES = 10_000

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
_LIMITS = {"node": MOST_NODES, "tensor": MOST_TENSORS}
_METADATA_FIELD = 14  # of the model: pairs of key (1) and value (2)
_EXTERNAL_FIELDS = (13, 14)  # of a tensor: external_data, data_location
_OPERATOR, _DOMAIN = 4, 7  # of a node
_DIMS, _TENSOR_NAME = 1, 8  # of a tensor
_OWN_DOMAINS = ("", "ai.onnx")
# Whose condition is computed anew in each round: nobody can tell from the file whether they end.
_ENDLESS = ("Loop",)
# Why a file is not run, the worst first.
_REASONS = ("external", "sparse", "domain", "endless", "function", "training")
# The smallest numbers have two bits.
_NUMBERS_IN_A_BYTE = 4


@dataclass
class Admitted:
    """What was found on the way.

    Attributes:
        metadata: Key -> value.
        reasons: Why the file is not to be run, by kind; of each the first place.
    """

    metadata: dict[str, str] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)


def read_onnx_content(path: Path) -> bytes:
    """Reads an ONNX file whole.

    Raises:
        ModelFileError: It cannot be read, or is larger than such a file can be.
    """
    try:
        if path.exists() and not path.is_file():
            raise ModelFileError(f"{path} is no file. Expected one such as model.onnx.")
        if path.stat().st_size > MOST_FILE_BYTES:
            raise ModelFileError(f"{path} is over 2 GB, more than an ONNX file can hold. Was it renamed?")
        return path.read_bytes()
    except OSError as error:
        raise ModelFileError(f"{path} cannot be read: {error.strerror}.") from error


def admit(content: bytes, where: str, *, runs: bool = True) -> dict[str, str]:
    """Makes sure that a file may be handed to the libraries that read and run such files.

    Args:
        content: The whole file.
        where: What it is called in errors.
        runs: Whether it is to be run. If it is only read, data in other files, sparse tensors, operators of others and
            loops are no matter: nothing beside the file is opened, and no tensor is filled up.

    Returns:
        Its metadata.

    Raises:
        ModelFileError: It is no ONNX file, is damaged, or is not let in; the text says why.
    """
    try:
        found = _walk(memoryview(content))
    except _RefusedError as refused:
        raise ModelFileError(f"{where} is refused: {refused}.") from None
    except (ValueError, IndexError, UnicodeDecodeError) as error:
        raise ModelFileError(f"{where} is not an ONNX file, or it is damaged. Export it again.") from error
    for kind in _REASONS if runs else ():
        if kind in found.reasons:
            raise ModelFileError(f"{where} {found.reasons[kind]}")
    return found.metadata


class _RefusedError(Exception):
    """A bound that is exceeded; the text says which."""


def _walk(model: memoryview) -> Admitted:
    found, counts = Admitted(), {"graph": 0, "node": 0, "tensor": 0}
    stack = [("model", model, 0)]
    while stack:
        kind, message, depth = stack.pop()
        if depth > MOST_DEPTH:
            raise _RefusedError(f"its graphs are nested more than {MOST_DEPTH} deep")
        if kind == "tensor":
            _look_at_tensor(message, found)
            continue
        for child, part in _parts(kind, message, found):
            counts[child] = counts.get(child, 0) + 1
            if counts[child] > _LIMITS.get(child, counts[child]):
                raise _RefusedError(f"it has more than {_LIMITS[child]:,} {child}s, more than any network for pictures")
            stack.append((child, part, depth + (child == "graph")))
    if counts["graph"] == 0:
        raise ValueError("no graph")
    return found


def _parts(kind: str, message: memoryview, found: Admitted) -> Iterator[tuple[str, memoryview]]:
    """Yields the messages within one, and notes what is told in it."""
    names: dict[int, str] = {}
    for number, value in message_fields(message):
        if kind == "model" and number == _METADATA_FIELD:
            _enter_pair(as_message(value), found)
        elif kind == "node" and number in (_OPERATOR, _DOMAIN):
            names[number] = _name(value)
        elif number in _CHILDREN[kind]:
            yield _CHILDREN[kind][number], as_message(value)
    _judge(kind, names.get(_OPERATOR, ""), names.get(_DOMAIN, ""), found)


def _enter_pair(pair: memoryview, found: Admitted) -> None:
    texts = {number: as_text(text) for number, text in message_fields(pair)}
    key = texts.get(1, "")
    if key in found.metadata:
        raise _RefusedError(f"its metadata has the key {key[:80]!r} twice")
    found.metadata[key] = texts.get(2, "")


def _judge(kind: str, operator: str, domain: str, found: Admitted) -> None:
    """Notes why a file with such a part is not to be run."""
    if kind in ("function", "training"):
        what = "operators of its own" if kind == "function" else "a training of its own"
        found.reasons.setdefault(kind, f"brings {what}, which is refused. Export it without.")
    if kind == "sparse":
        found.reasons.setdefault(
            kind,
            "holds sparse tensors, which are refused: their few bytes may stand for more numbers than the memory can "
            "hold. Export it with plain ones.",
        )
    if domain not in _OWN_DOMAINS:
        found.reasons.setdefault(
            "domain",
            f"uses the operator {operator[:80]!r} of {domain[:80]!r}, which is refused: only ONNX's own operators are "
            "run. Export it without operators of others.",
        )
    if operator in _ENDLESS:
        found.reasons.setdefault(
            "endless",
            f"uses the operator {operator!r}, which is refused: it may never end. A network for pictures needs none.",
        )


def _look_at_tensor(message: memoryview, found: Admitted) -> None:
    dims: list[int] = []
    name, is_external = "", False
    for number, value in message_fields(message):
        if number == _TENSOR_NAME:
            name = _name(value)
        elif number == _DIMS:
            dims += as_integers(value)
            if len(dims) > MOST_AXES:
                raise _RefusedError(f"a tensor in it has more than {MOST_AXES} axes")
        elif number in _EXTERNAL_FIELDS:
            is_external |= value != 0
    if is_external:
        found.reasons.setdefault(
            "external",
            "points to data in other files, which is refused: a file may not read what lies beside it. Export it as "
            "one file.",
        )
    elif min(dims, default=0) < 0 or math.prod(dims) > _NUMBERS_IN_A_BYTE * len(message):
        raise _RefusedError(f"the tensor {name[:80]!r} is to have the shape {dims}, and holds {len(message):,} bytes")


def _name(value: int | memoryview) -> str:
    text = as_message(value)
    if len(text) > MOST_NAME_BYTES:
        raise _RefusedError(f"a name in it has {len(text):,} bytes, expected at most {MOST_NAME_BYTES:,}")
    return as_text(text)
