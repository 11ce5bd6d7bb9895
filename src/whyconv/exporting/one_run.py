"""A run becomes one file, or a folder for torch; the proof comes before the file."""

from __future__ import annotations

import json
import tempfile
from os import PathLike
from pathlib import Path
from typing import Any, Literal

import onnx
import torch

from whyconv import __version__, files
from whyconv.errors import ModelFileError, UsageError
from whyconv.exporting.any_size import take_any_size
from whyconv.exporting.folding import fold_normalizations
from whyconv.exporting.originals import compare_originals
from whyconv.exporting.proof import BATCHES, Ask, prove, require_equal, require_free_batch
from whyconv.exporting.source import Source, ask_file, ask_module, open_source, said_in, trained_network
from whyconv.exporting.torch_folder import open_torch
from whyconv.machine import num_cores
from whyconv.model_file import METADATA_KEY, read_description, read_model, require_not_own, with_digest
from whyconv.onnx_file.seal import sealed, without_seal
from whyconv.pretrained.foreign import operator_set
from whyconv.results import Notify, Parity, ignore
from whyconv.results.export import ExportReport, ResizeDifference
from whyconv.training.checkpoint import read_remarks, save_weights
from whyconv.training.run_folder import NETWORK, WEIGHTS, read_plan, write_json
from whyconv.training.torch_habits import torch_habits
from whyconv.untrusted import json_values

Kind = Literal["onnx", "torch"]
# What the weights of a folder for torch carry.
_CLASSES = "classes"


def export_run(
    run: str | PathLike[str],
    notify: Notify = ignore,
    *,
    to: str = "onnx",
    any_size: bool = False,
    out: str | Path | None = None,
    pictures: str | Path | None = None,
) -> ExportReport:
    """Writes a run's recognizer as one ONNX file or as a folder for torch, if it answers as the trained network does.

    Asked are all test pictures of the run; without a test part all validation pictures, else all training pictures.

    Args:
        run: A finished run folder, or what ``train`` returned.
        notify: Told of notes and progress.
        to: "onnx", or "torch" for ``model.safetensors`` and ``network.json``.
        any_size: The file takes pictures of any size; only for ONNX.
        out: The file or folder; by default ``NAME.onnx`` or ``NAME-torch`` in the current folder, by the run's name.
        pictures: A folder of pictures for the proof, where the run's own are gone.

    Raises:
        UsageError: A word is not known or does not fit the run, or ``out`` is taken.
        ModelFileError: ``run`` is no finished run folder.
        DataError: There are no pictures for the proof.
        ParityError: The answers differ; nothing is written.
    """
    run, kind = Path(run), _kind(to, any_size)
    path = _target(run, kind, out)
    plan = read_plan(run)
    with torch_habits(num_cores()):
        source = open_source(run, plan, pictures, notify)
        if kind == "torch":
            return _write_torch(source, path)
        return _write_onnx(source, path, any_size=any_size)


def _kind(to: str, any_size: bool) -> Kind:
    if to not in ("onnx", "torch"):
        raise UsageError(f"--to {to} is not known. Expected --to onnx or --to torch.")
    if to == "torch" and any_size:
        raise UsageError("--any-size puts the resize into an ONNX graph. Expected it without --to torch.")
    return "torch" if to == "torch" else "onnx"


def _target(run: Path, kind: Kind, out: str | Path | None) -> Path:
    """Where to write; of what is already there, only a recognizer is replaced."""
    name = run.resolve().name
    path = Path(out) if out is not None else Path(f"{name}.onnx" if kind == "onnx" else f"{name}-torch")
    require_not_own(path, run, "--out")
    if kind == "onnx" and path.is_dir():
        raise UsageError(f"{path} is a folder. Expected --out FILE.onnx.")
    if kind == "onnx" and path.exists() and not _is_recognizer(path):
        raise UsageError(f"{path} is there and is no recognizer of whyconv. Name another file with --out.")
    if kind == "torch":
        return _target_folder(path)
    return path


def _target_folder(path: Path) -> Path:
    """A folder to write; of what is already there, only one that an export wrote is replaced."""
    # A folder is renamed into its place, for which it needs a name of its own.
    path = path.resolve() if path.name in ("", "..") else path
    if path.resolve() == Path.cwd():
        raise UsageError("--out is the current folder, which cannot be replaced. Name one of its own: --out FOLDER.")
    if path.exists():
        others = _not_exported(path) if path.is_dir() else [path.name]
        if others:
            raise UsageError(f"{path} holds other things ({others[0]}). Name a folder that does not exist.")
    return path


def _not_exported(folder: Path) -> list[str]:
    """What in a folder no export wrote, sorted by name: what weights are called says nothing of whose they are."""
    there = {each.name for each in folder.iterdir()}
    others = there - {WEIGHTS, NETWORK}
    return sorted(others or (there if there and not _is_exported(folder) else []))


def _is_exported(folder: Path) -> bool:
    """Whether an export wrote the two files: a description with its proof, and weights that name the same classes."""
    try:
        said = read_description(folder / NETWORK)
        classes = json_values(read_remarks(folder / WEIGHTS).get(_CLASSES, "null"))
    except (ModelFileError, ValueError):
        return False
    return bool(said.get("proof")) and classes == said.get("classes")


def _is_recognizer(path: Path) -> bool:
    try:
        read_model(path)
    except (OSError, ModelFileError):
        return False
    return True


def _write_onnx(source: Source, path: Path, *, any_size: bool) -> ExportReport:
    model = onnx.load_model_from_string(without_seal(source.model))
    num_folded = fold_normalizations(model)
    if any_size:
        take_any_size(model, source.metadata.policy)
    known = _known(source, model) | {"takes": "any_size" if any_size else "prepared"}
    ask = ask_file(_content(model, known))
    parity = _proved(source, ask, path)
    resize = compare_originals(ask, source.pictures, source.metadata, source.notify) if any_size else None
    content = _content(model, known | {"proof": _proof(source, parity, resize)})
    require_free_batch(ask_file(content), source.pictures, source.metadata)
    files.write_bytes(path, content)
    report = _report(source, "onnx", path, parity, known)
    return report.model_copy(update={"num_folded": num_folded, "resize": resize, "num_bytes": len(content)})


def _content(model: onnx.ModelProto, known: dict[str, Any]) -> bytes:
    """The file, checked, with everything that the run's own says of itself and what is known now."""
    for pair in model.metadata_props:
        if pair.key == METADATA_KEY:
            pair.value = json.dumps(json.loads(pair.value) | known, ensure_ascii=False)
    model.producer_name, model.producer_version = "whyconv", __version__
    onnx.checker.check_model(model, full_check=True)
    return sealed(model.SerializeToString())


def _write_torch(source: Source, path: Path) -> ExportReport:
    if source.against != "torch":
        raise UsageError(
            f"{source.run} started from an ONNX file, {source.plan.network.start}: torch has no such network. Export "
            "it with --to onnx."
        )
    known = _known(source, None)
    said = json.loads(source.metadata.model_dump_json()) | said_in(source.model)
    values = read_description(source.run / NETWORK) | said | known
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as place:
        folder = Path(place) / path.name
        folder.mkdir()
        names = {_CLASSES: json.dumps(source.metadata.classes, ensure_ascii=False)}
        save_weights(folder / WEIGHTS, trained_network(source.run, source.plan), names)
        write_json(folder / NETWORK, with_digest(values))
        ask = ask_module(open_torch(folder))
        parity = _proved(source, ask, path)
        require_free_batch(ask, source.pictures, source.metadata)
        write_json(folder / NETWORK, with_digest(values | {"proof": _proof(source, parity, None)}))
        _put_in_place(folder, path)
    report = _report(source, "torch", path, parity, known)
    return report.model_copy(update={"num_bytes": sum((path / name).stat().st_size for name in (WEIGHTS, NETWORK))})


def _put_in_place(folder: Path, path: Path) -> None:
    """Renames a folder to ``path``; one that an export wrote before is taken away first, and put back on failure."""
    # A name that cannot be the folder's own, whatever that is.
    before = folder.with_name(f"{folder.name}.before") if path.exists() else None
    if before is not None:
        path.rename(before)
    try:
        folder.rename(path)
    except OSError:
        if before is not None:
            before.rename(path)
        raise
    files.sync_folder(path.parent)


def _proved(source: Source, ask: Ask, path: Path) -> Parity:
    parity = prove(source.ask, ask, source.pictures, source.metadata, source.notify)
    require_equal(parity, str(path))
    return parity


def _known(source: Source, model: onnx.ModelProto | None) -> dict[str, Any]:
    versions = {"whyconv": __version__, "torch": torch.__version__}
    if model is not None:
        versions |= {"onnx": onnx.__version__, "opset": str(operator_set(model))}
    return {"versions": versions, "data_digest": source.data_digest}


def _proof(source: Source, parity: Parity, resize: ResizeDifference | None) -> dict[str, Any]:
    values = {"pictures": source.pictures.name, "against": source.against, **parity.model_dump()}
    values["batches"] = list(BATCHES)
    return values | ({"resize": resize.model_dump()} if resize is not None else {})


def _report(source: Source, kind: Kind, path: Path, parity: Parity, known: dict[str, Any]) -> ExportReport:
    return ExportReport(
        run=str(source.run),
        path=str(path),
        kind=kind,
        num_bytes=0,
        pictures=source.pictures.name,
        against=source.against,
        parity=parity,
        batches=list(BATCHES),
        versions=known["versions"],
        data_digest=known["data_digest"],
    )
