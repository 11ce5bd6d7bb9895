"""Starting weights from a file: found, refused where it could carry code, and fitted to the network."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor, nn

from whyconv.errors import ModelFileError, UsageError
from whyconv.results import Note, Notify
from whyconv.training.checkpoint import not_finite, read_tensors
from whyconv.training.run_folder import WEIGHTS

_PICKLED = (".pth", ".pt", ".bin", ".ckpt", ".pkl", ".tar")
_PICKLE_STARTS = (b"PK\x03\x04", b"\x80\x02")
# Buffers that older files lack: how many batches a normalization has seen, which its answer does not depend on.
_COUNTERS = "num_batches_tracked"
_NAMED = 500  # mismatches; the largest network of the catalogue has 930 tensors


def find_start_weights(path: str | Path) -> Path:
    """Returns the file of starting weights that ``path`` names: itself, or ``model.safetensors`` of a run folder.

    Raises:
        UsageError: It is a pickle, which could carry code; the message says how to convert it.
        ModelFileError: There is no such file.
    """
    path = Path(path)
    if path.is_dir():
        path /= WEIGHTS
    if not path.is_file():
        raise ModelFileError(
            f"There are no starting weights in {path}. Expected --start FILE.safetensors, or a run folder."
        )
    with path.open("rb") as file:
        start = file.read(4)
    if path.suffix.lower() in _PICKLED or start.startswith(_PICKLE_STARTS):
        converted = path.with_name(f"{path.stem}-converted.safetensors")
        raise UsageError(
            f"{path} is a pickle, which can run code of whoever made it; whyconv reads none. If you trust it, convert "
            "it with these three lines of Python:\n"
            "  import torch, safetensors.torch\n"
            f'  weights = torch.load(open({str(path)!r}, "rb"), map_location="cpu", weights_only=True)\n'
            "  safetensors.torch.save_file({name: each.clone(memory_format=torch.contiguous_format) "
            f"for name, each in weights.items()}}, {str(converted)!r})"
        )
    return path


def put_start_weights(path: Path, network: nn.Module, *, num_classes: int, notify: Notify) -> None:
    """Puts the tensors of a file into ``network``; its last layer stays as it is where the numbers of classes differ.

    Args:
        path: Of a safetensors file with the network's state-dict names.
        network: Changed in place.
        num_classes: That the network tells apart.
        notify: Told how many tensors were used, and which were not and why.

    Raises:
        ModelFileError: The file cannot be read, or does not fit; names that are missing, not known or of another shape
            are told.
    """
    tensors, own = read_tensors(path), network.state_dict()
    if (name := not_finite(tensors)) is not None:
        raise ModelFileError(f"{path} holds numbers in {name!r} that are infinite or none. Take another file.")
    unused = {name for name in tensors if name not in own and name.startswith(_unused_prefixes(network))}
    anew = _anew(network, tensors, own, num_classes)
    if mistakes := _mistakes({name: tensors[name] for name in tensors.keys() - unused - anew}, own, anew):
        hint = _hint(tensors, own)
        more = [f"and {len(mistakes) - _NAMED} more"] if len(mistakes) > _NAMED else []
        head = f"{path} does not fit the network, {len(mistakes)} mismatch(es):{hint}"
        raise ModelFileError("\n  ".join([head, *mistakes[:_NAMED], *more]))
    used = {name: tensors[name] for name in tensors.keys() - unused - anew}
    network.load_state_dict({**own, **used})
    notify(Note(key="start_weights", values={"n": len(used), "file": path.name}))
    if unused:
        notify(Note(key="start_unused", values={"n": len(unused), "file": path.name, "name": min(unused)}))
    if anew:
        name = min(anew)
        values = {"layer": name.rpartition(".")[0], "had": len(tensors[name]), "wanted": num_classes}
        notify(Note(key="start_last_layer_anew", values={**values, "file": path.name}))


def _unused_prefixes(network: nn.Module) -> tuple[str, ...]:
    return tuple(getattr(network, "unused_weights", ()))


def _anew(network: nn.Module, tensors: Mapping[str, Tensor], own: Mapping[str, Tensor], num_classes: int) -> set[str]:
    """Names of the last layer's tensors, where the file's have another number of classes and nothing else differs."""
    head = getattr(network, "head", None)
    layers = [name for name, each in network.named_modules() if isinstance(each, nn.Linear)]
    last = "head" if isinstance(head, nn.Linear) else layers[-1] if layers else ""
    names = {name for name in own if name.rpartition(".")[0] == last and name in tensors}
    if not last or any(tensors[name].ndim == 0 or own[name].shape[:1] != (num_classes,) for name in names):
        return set()
    is_like = all(tensors[name].shape[1:] == own[name].shape[1:] for name in names)
    counts = {len(tensors[name]) for name in names}
    return names if is_like and len(counts) == 1 and counts != {num_classes} else set()


def _mistakes(tensors: Mapping[str, Tensor], own: Mapping[str, Tensor], anew: set[str]) -> list[str]:
    needed = {name for name in own if not name.endswith(_COUNTERS)} - anew
    wrong = [f"{name}: missing, expected {_shape(own[name])}" for name in own if name in needed - tensors.keys()]
    wrong += [
        f"{name}: not known, the file has {_shape(tensors[name])}" for name in sorted(tensors.keys() - own.keys())
    ]
    for name in own:
        if name in tensors and tensors[name].shape != own[name].shape:
            wrong.append(f"{name}: the file has {_shape(tensors[name])}, expected {_shape(own[name])}")
        elif name in tensors and tensors[name].is_floating_point() != own[name].is_floating_point():
            wrong.append(f"{name}: the file has {tensors[name].dtype}, expected {own[name].dtype}")
    return wrong


def _shape(tensor: Tensor) -> str:
    return " x ".join(map(str, tensor.shape)) or "one number"


def _hint(tensors: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> str:
    """Says so where all names of the file begin with the same word too many, as those of a wrapped network do."""
    first = min(tensors, default="").partition(".")[0] + "."
    if all(name.startswith(first) for name in tensors) and any(name.removeprefix(first) in own for name in tensors):
        return f" every name begins with '{first}'; take that off"
    return ""
