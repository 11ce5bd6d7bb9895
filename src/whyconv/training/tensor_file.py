"""The header of a safetensors file, checked before the library reads it: within bounds, true, and without gaps.

References:
    The layout: https://github.com/huggingface/safetensors#format.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from whyconv.errors import ModelFileError
from whyconv.machine import memory_bytes
from whyconv.untrusted import MOST_JSON_VALUES, json_values

# Ten times what a committee of 8 networks of 50 layers needs: 2,600 tensors, which a header of 0.4 MB describes.
MOST_TENSORS = 10_000
MOST_HEADER_BYTES = 1_000_000
# A state of a training holds the weights up to six times: as they are, averaged, the best, what the optimizer knows.
STATE_FACTOR = 8
# Names follow the nesting of modules.
MOST_NAME_LETTERS = 1000
_MOST_AXES = 64
_BITS = {
    **{"BOOL": 8, "U8": 8, "I8": 8, "F8_E4M3": 8, "F8_E5M2": 8, "U16": 16, "I16": 16, "F16": 16, "BF16": 16},
    **{"U32": 32, "I32": 32, "F32": 32, "U64": 64, "I64": 64, "F64": 64, "C64": 64},
}
_METADATA = "__metadata__"
_LENGTH_BYTES = 8


@dataclass(frozen=True)
class _Entry:
    """What the header says of one tensor."""

    name: str
    kind: str
    shape: list[int]
    start: int
    end: int


def require_sound(path: Path, *, is_state: bool = False) -> None:
    """Makes sure of the header of a safetensors file.

    Args:
        path: Of the file.
        is_state: Whether it may be as large as a state of a training.

    Raises:
        ModelFileError: The file cannot be read, or its header is out of bounds or untrue.
    """
    factor = STATE_FACTOR if is_state else 1
    if path.exists() and not path.is_file():
        raise ModelFileError(f"{path} is no file. Expected one such as model.safetensors.")
    try:
        with path.open("rb") as file:
            num_bytes = os.fstat(file.fileno()).st_size
            header, start = _header(file, num_bytes, factor * MOST_HEADER_BYTES)
        _require_memory(num_bytes)
        _require_tensors(_entries(header, factor * MOST_TENSORS), num_bytes - start)
    except FileNotFoundError:
        raise ModelFileError(f"{path} does not exist.") from None
    except OSError as error:
        raise ModelFileError(f"{path} cannot be read: {error.strerror}.") from None
    except ValueError as error:
        raise ModelFileError(f"{path} is damaged or no safetensors file: {error}.") from None


def require_storable(num_tensors: int) -> None:
    """Makes sure that a network's tensors can be read again once they are written.

    Raises:
        ModelFileError: They are too many.
    """
    if num_tensors > MOST_TENSORS:
        raise ModelFileError(f"The network has {num_tensors:,} tensors; a file of weights holds {MOST_TENSORS:,}.")


def _header(file: IO[bytes], num_bytes: int, most: int) -> tuple[Any, int]:
    """What the header says, and where it ends."""
    length = int.from_bytes(file.read(_LENGTH_BYTES), "little")
    if num_bytes < _LENGTH_BYTES or length > num_bytes - _LENGTH_BYTES:
        raise ValueError(f"its header is to have {length:,} bytes, and the file has {num_bytes:,}")
    if length > most:
        raise ValueError(f"its header has {length:,} bytes, expected at most {most:,}")
    header = json_values(file.read(length), most_values=STATE_FACTOR * MOST_JSON_VALUES)
    if not isinstance(header, dict):
        raise ValueError("its header is no JSON object")
    return header, _LENGTH_BYTES + length


def _require_memory(num_bytes: int) -> None:
    there = memory_bytes()
    if there is not None and num_bytes > there:
        raise ValueError(f"it has {num_bytes:,} bytes, and this process may use {there:,} bytes of memory")


def _entries(header: dict[str, Any], most: int) -> list[_Entry]:
    metadata = header.pop(_METADATA, {})
    if not isinstance(metadata, dict) or not all(isinstance(each, str) for each in metadata.values()):
        raise ValueError("its metadata are no texts")
    if len(header) > most or len(metadata) > most:
        raise ValueError(f"it has {max(len(header), len(metadata)):,} tensors or entries, expected at most {most:,}")
    return [_entry(name, values) for name, values in header.items()]


def _entry(name: str, values: Any) -> _Entry:  # noqa: ANN401
    short = name[:80]
    if len(name) > MOST_NAME_LETTERS:
        raise ValueError(f"the name {short!r}... has {len(name):,} letters, expected at most {MOST_NAME_LETTERS:,}")
    try:
        kind, shape, (start, end) = values["dtype"], values["shape"], values["data_offsets"]
        numbers = [*shape, start, end]
        is_known = len(values) == 3 and kind in _BITS and len(shape) <= _MOST_AXES
    except (TypeError, KeyError, ValueError):
        raise ValueError(f"its header does not say type, shape and place of {short!r}") from None
    if not is_known or any(type(each) is not int or not 0 <= each < 2**63 for each in numbers):
        raise ValueError(f"its header says of {short!r}: type {kind!r:.20}, shape {str(shape)[:60]}, {start} to {end}")
    return _Entry(name, kind, shape, start, end)


def _require_tensors(entries: list[_Entry], num_bytes: int) -> None:
    """Makes sure that the tensors lie one behind the other and fill what is behind the header."""
    place = 0
    for each in sorted(entries, key=lambda each: (each.start, each.end)):
        needed = math.prod(each.shape) * _BITS[each.kind] // 8
        if each.end - each.start != needed:
            told = f"{each.name[:80]!r} is to have the shape {str(each.shape)[:200]}"
            raise ValueError(f"{told}, and {each.end - each.start:,} bytes")
        if each.start != place:
            raise ValueError(f"{each.name[:80]!r} begins at byte {each.start:,}, expected {place:,}")
        place = each.end
    if place != num_bytes:
        raise ValueError(f"its tensors have {place:,} bytes, and the file {num_bytes:,} behind its header")
