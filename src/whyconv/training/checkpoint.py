"""Weights and the state of a training on disk: safetensors and JSON, never a pickle.

Safetensors files have no checksums. What is written here carries the digest of every tensor, so that a byte that
changed on the disk is noticed before it is computed with.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from whyconv import files
from whyconv.errors import ModelFileError, require_known_version
from whyconv.training.tensor_file import require_sound
from whyconv.untrusted import json_values

_OPTIMIZER = "optimizer."
_DIGESTS, _PROGRESS = "digests", "progress"
_VERSION, STATE_VERSION = "version", 2
_MOST_LETTERS = 2000  # of what torch says of names that do not fit


def save_weights(path: Path, network: nn.Module, metadata: dict[str, str] | None = None) -> None:
    """Writes a network's parameters and buffers as safetensors, under their state-dict names."""
    _save(path, network.state_dict(), metadata or {})


def load_weights(path: Path, network: nn.Module) -> None:
    """Reads parameters and buffers into ``network``.

    Raises:
        ModelFileError: The file cannot be read, or its names or shapes are not those of the network.
    """
    tensors = read_tensors(path)
    if (name := not_finite(tensors)) is not None:
        raise ModelFileError(f"{path} holds numbers in {name!r} that are infinite or none. Take another file.")
    put_weights(path, network, tensors)


def not_finite(tensors: dict[str, Tensor]) -> str | None:
    """The first tensor with a number that is infinite or none; None where all are finite."""
    floats = ((name, each) for name, each in tensors.items() if each.is_floating_point())
    return next((name for name, each in floats if not each.to(torch.float32).isfinite().all()), None)


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Reads all tensors of a safetensors file by name.

    Raises:
        ModelFileError: The file cannot be read.
    """
    tensors, _ = _load(path)
    return tensors


def read_remarks(path: Path) -> dict[str, str]:
    """Reads what was written beside the tensors of a safetensors file, which is read whole.

    Raises:
        ModelFileError: The file cannot be read.
    """
    _, metadata = _load(path)
    return metadata


def put_weights(path: Path, network: nn.Module, tensors: dict[str, Tensor]) -> None:
    """Puts what was read from ``path`` into ``network``.

    Raises:
        ModelFileError: Names or shapes are not those of the network.
    """
    try:
        network.load_state_dict(tensors)
    except RuntimeError as error:
        raise ModelFileError(f"{path} does not fit the network: {str(error)[:_MOST_LETTERS]}") from None


def save_state(
    path: Path, tensors: dict[str, dict[str, Tensor]], optimizer: torch.optim.Optimizer, progress: dict[str, Any]
) -> None:
    """Writes all that is needed to go on bit for bit.

    Args:
        path: Of the checkpoint; written whole or not at all.
        tensors: State dicts by a name of one word, such as "network".
        optimizer: Its state tensors are written too; its settings come from the plan.
        progress: Plain JSON values, whose number does not grow with that of steps: what is read of them is bounded.
    """
    flat = {f"{name}.{key}": value for name, states in tensors.items() for key, value in states.items()}
    for index, state in optimizer.state_dict()["state"].items():
        flat |= {
            f"{_OPTIMIZER}{index}.{key}": torch.as_tensor(value) for key, value in state.items() if value is not None
        }
    _save(path, flat, {_PROGRESS: json.dumps(progress), _VERSION: str(STATE_VERSION)})


def require_known_state(path: Path) -> None:
    """Makes sure by its head alone that no newer whyconv wrote a state; what is damaged is left to who reads it.

    Raises:
        NewerFormatError: One did.
    """
    try:
        require_sound(path, is_state=True)
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
        told = json_values(metadata[_DIGESTS])
    except (ModelFileError, SafetensorError, OSError, KeyError, ValueError):
        return
    _require_known(path, metadata, told)


def load_state(path: Path, optimizer: torch.optim.Optimizer) -> tuple[dict[str, dict[str, Tensor]], dict[str, Any]]:
    """Reads what ``save_state`` wrote: the optimizer in place, the rest returned.

    Raises:
        ModelFileError: The checkpoint is missing or damaged, or not of this optimizer.
        NewerFormatError: A newer whyconv wrote it.
    """
    flat, metadata = _load(path, is_state=True)
    if _DIGESTS not in metadata:
        raise ModelFileError(f"{path} is no checkpoint of this training: it holds no digests.")
    try:
        tensors, states = _sorted(flat)
        optimizer.load_state_dict({"state": states, "param_groups": optimizer.state_dict()["param_groups"]})
        progress = json_values(metadata[_PROGRESS])
        if not isinstance(progress, dict):
            raise TypeError("its progress is no JSON object")
    except (KeyError, ValueError, RuntimeError, TypeError) as error:
        raise ModelFileError(f"{path} is no checkpoint of this training: {error!r}") from None
    return tensors, progress


def require_fitting(path: Path, optimizer: torch.optim.Optimizer) -> None:
    """Makes sure that what was read of an optimizer belongs to its parameters.

    Raises:
        ModelFileError: It does not.
    """
    for parameter, state in optimizer.state.items():
        shape = getattr(parameter, "shape", None)
        if any(value.ndim and value.shape != shape for value in state.values()):
            raise ModelFileError(f"{path} does not fit the network: the optimizer's state has other shapes.")


def _sorted(flat: dict[str, Tensor]) -> tuple[dict[str, dict[str, Tensor]], dict[int, dict[str, Tensor]]]:
    """State dicts by name, and the optimizer's states by the number of the parameter."""
    tensors: dict[str, dict[str, Tensor]] = {}
    states: dict[int, dict[str, Tensor]] = {}
    for key, value in flat.items():
        name, _, rest = key.partition(".")
        if key.startswith(_OPTIMIZER):
            index, _, entry = rest.partition(".")
            states.setdefault(int(index), {})[entry] = value
        else:
            tensors.setdefault(name, {})[rest] = value
    return tensors, states


def _save(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    # Copies, because safetensors refuses tensors that share memory, as tied weights of an own network do.
    copies = {key: value.detach().cpu().clone(memory_format=torch.contiguous_format) for key, value in tensors.items()}
    files.write_bytes(path, save(copies, metadata | {_DIGESTS: json.dumps(_digests(copies, metadata))}))


def _load(path: Path, *, is_state: bool = False) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and metadata of a file; where it carries digests, they are compared."""
    require_sound(path, is_state=is_state)
    try:
        with safe_open(path, framework="pt") as file:
            tensors, metadata = {key: file.get_tensor(key) for key in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise ModelFileError(f"{path} is damaged or no safetensors file: {error}") from None
    if _DIGESTS in metadata:
        _require_whole(path, tensors, metadata)
    return tensors, metadata


def _require_known(path: Path, metadata: dict[str, str], told: object) -> None:
    """Makes sure that no newer version wrote a file: a number that agrees with its digest, in all versions."""
    version = metadata.get(_VERSION, "")
    is_told = isinstance(told, dict) and told.get(f"metadata {_VERSION}") == files.digest_bytes(version.encode())
    if is_told and version.isdecimal():
        require_known_version(int(version), STATE_VERSION, str(path))


def _require_whole(path: Path, tensors: dict[str, Tensor], metadata: dict[str, str]) -> None:
    others = {key: value for key, value in metadata.items() if key != _DIGESTS}
    found = _digests(tensors, others)
    try:
        told = json_values(metadata[_DIGESTS])
        _require_known(path, metadata, told)
        changed = sorted(name for name in found.keys() | told.keys() if found.get(name) != told.get(name))
    except (ValueError, AttributeError):
        changed = [_DIGESTS]
    if changed:
        raise ModelFileError(f"{path} is damaged: {changed[0]} is not what was written ({len(changed)} such).")


def _digests(tensors: dict[str, Tensor], metadata: dict[str, str]) -> dict[str, str]:
    """BLAKE2b of every tensor with its type and shape, and of every entry of the metadata."""
    found = {}
    for key, value in tensors.items():
        hasher = hashlib.blake2b(f"{value.dtype} {tuple(value.shape)}".encode(), digest_size=16)
        hasher.update(value.contiguous().view(-1).view(torch.uint8).numpy().data)
        found[key] = hasher.hexdigest()
    return found | {f"metadata {key}": files.digest_bytes(value.encode()) for key, value in metadata.items()}
