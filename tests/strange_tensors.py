"""Files of weights that a stranger could send: pickles under every name, and safetensors with untrue headers."""

from __future__ import annotations

import io
import json
import os
import pickle
import struct
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

Header = dict[str, Any]


class Marked:
    """Unpickled, it makes a file."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch '{self.marker}'",)


def pickles(marker: Path) -> Iterator[tuple[str, bytes]]:
    """Pickles that make the marker, in every wrapping that weights are passed on in."""
    bomb = Marked(marker)
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        yield f"protocol-{protocol}", pickle.dumps(bomb, protocol)
    saved, old = io.BytesIO(), io.BytesIO()
    torch.save({"weight": bomb}, saved)
    torch.save({"weight": bomb}, old, _use_new_zipfile_serialization=False)
    yield "torch-zip", saved.getvalue()
    yield "torch-old", old.getvalue()
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("data.pkl", pickle.dumps(bomb))
    yield "zip", packed.getvalue()
    taped = io.BytesIO()
    with tarfile.open(fileobj=taped, mode="w") as archive:
        content = pickle.dumps(bomb)
        entry = tarfile.TarInfo("../pickle")
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content))
    yield "tar", taped.getvalue()


def whole(header: Header | bytes, data: bytes = b"", length: int | None = None) -> bytes:
    """A safetensors file with any header."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def tensor(shape: list[Any], start: Any, end: Any, kind: Any = "F32") -> Header:
    return {"dtype": kind, "shape": shape, "data_offsets": [start, end]}


def untrue_headers() -> Iterator[tuple[str, bytes]]:
    """Files whose header is out of bounds, untrue, or says two things."""
    one = tensor([2], 0, 8)
    yield "empty", b""
    yield "short", b"\x08\0\0"
    yield "header-beyond-file", whole({"a": one}, bytes(8), length=1 << 40)
    yield "header-all-bits", whole({"a": one}, bytes(8), length=(1 << 64) - 1)
    yield "header-of-20-MB", whole(b" " * 20_000_000)
    yield "header-of-2-MB", whole({"a" * 2_000_000: one}, bytes(8))
    yield "no-json", whole(b"{'a': 1}")
    yield "list", whole(b"[]")
    yield "number", whole(b"1")
    yield "no-utf-8", whole(b'{"\xff": 1}')
    yield "deep", whole(b'{"a":' + b"[" * 400_000)
    yield "deep-within-limits", whole(b'{"a":' + b"[" * 900 + b"]" * 900 + b"}")
    yield "same-name-twice", whole(b'{"a":%s,"a":%s}' % ((json.dumps(one).encode(),) * 2), bytes(8))
    metadata = b'{"__metadata__":{"k":"1","k":"2"},"a":%s}' % json.dumps(one).encode()
    yield "same-key-twice", whole(metadata, bytes(8))
    yield (
        "same-offsets-key-twice",
        whole(b'{"a":{"dtype":"F32","shape":[2],"shape":[1],"data_offsets":[0,8]}}', bytes(8)),
    )
    yield "overlap", whole({"a": tensor([4], 0, 16), "b": tensor([2], 8, 16)}, bytes(16))
    yield "same-place", whole({"a": one, "b": one}, bytes(8))
    yield "hole", whole({"a": one, "b": tensor([2], 16, 24)}, bytes(24))
    yield "hole-before", whole({"a": tensor([2], 8, 16)}, bytes(16))
    yield "more-behind", whole({"a": one}, bytes(100))
    yield "less-behind", whole({"a": one}, bytes(4))
    yield "negative-place", whole({"a": tensor([2], -8, 0)}, bytes(8))
    yield "negative-shape", whole({"a": tensor([-2], 0, 8)}, bytes(8))
    yield "end-before-start", whole({"a": tensor([2], 8, 0)}, bytes(8))
    yield "shape-overflows", whole({"a": tensor([1 << 32, 1 << 32], 0, 0)})
    yield "shape-beyond-64-bits", whole({"a": tensor([1 << 80], 0, 0)})
    yield "shape-beyond-file", whole({"a": tensor([1 << 40], 0, 1 << 42)})
    yield "shape-of-fractions", whole({"a": tensor([2.0], 0, 8)}, bytes(8))
    yield "shape-of-truths", whole({"a": tensor([True, 2], 0, 8)}, bytes(8))
    yield "shape-of-texts", whole({"a": tensor(["2"], 0, 8)}, bytes(8))
    yield "many-axes", whole({"a": tensor([1] * 100_000, 0, 4)}, bytes(4))
    yield "unknown-type", whole({"a": tensor([2], 0, 8, "OBJECT")}, bytes(8))
    yield "type-is-list", whole({"a": tensor([2], 0, 8, [])}, bytes(8))
    yield "more-words", whole({"a": one | {"code": "import os"}}, bytes(8))
    yield "no-words", whole({"a": {}}, bytes(8))
    yield "metadata-is-number", whole({"__metadata__": {"a": 1}, "b": one}, bytes(8))
    yield "many-metadata", whole({"__metadata__": {str(k): "" for k in range(100_000)}})
    yield "many-tensors", whole({f"{k}": tensor([0], 0, 0) for k in range(12_000)})
    yield "more-tensors", whole({f"{k}": tensor([0], 0, 0) for k in range(50_000)})
    yield "long-name", whole({"a" * 100_000: one}, bytes(8))
    yield "infinite", whole(b'{"a":{"dtype":"F32","shape":[Infinity],"data_offsets":[0,8]}}', bytes(8))
    yield "long-number", whole(b'{"a":{"dtype":"F32","shape":[%s],"data_offsets":[0,8]}}' % (b"9" * 50_000), bytes(8))


def with_nan(content: bytes) -> bytes:
    """A file of weights whose last number is none; its own digests are taken out."""
    length = struct.unpack("<Q", content[:8])[0]
    header = json.loads(content[8 : 8 + length])
    header.pop("__metadata__", None)
    return whole(header, content[8 + length : -4] + struct.pack("<f", float("nan")))
