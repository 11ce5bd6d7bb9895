"""Any network, by whatever name it goes -> its counts: a run, an ONNX file, a published network, anybody's code."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from operator import index
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any

from whyconv import machine, texts
from whyconv.counting.fields import count_fields
from whyconv.counting.graph import Graph
from whyconv.counting.network import count_network
from whyconv.counting.onnx_graph import read_onnx
from whyconv.errors import ModelFileError, SettingsError, UsageError, needing_extra
from whyconv.images.prepare import PicturePolicy
from whyconv.results import Note
from whyconv.results.fields import EffectiveField, Verification
from whyconv.results.network import NetworkReport

if TYPE_CHECKING:
    from torch import nn

    from whyconv.settings import NetworkPlan

_CLASSES = 10  # of networks that say no number themselves
_MOST_INPUT_NUMBERS = 10**10


def inspect_network(
    name: str | PathLike[str] | nn.Module, input_shape: Sequence[int] | str | None = None
) -> NetworkReport:
    """Counts a network.

    Args:
        name: A run folder or what ``train`` returned, an ONNX file, a network of the catalogue,
            ``package.module:callable``, or a torch module. Only the last two run code that is not whyconv's own.
        input_shape: Channels, height, width of one picture: (3, 224, 224), or "3x224x224" as on the command line. Runs
            and most ONNX files know it.

    Returns:
        The counts; printing them prints a table. All are exact.

    Raises:
        UsageError: There is no such network, or it cannot be called on such a picture.
        ModelFileError: The run or the file cannot be read.
        MissingExtraError: torch, or for files the package onnx, is not installed.
    """
    graph, source = read_network(name, input_shape)
    report = count_network(graph, source)
    try:
        return report.model_copy(update={"fields": count_fields(graph)})
    except UsageError as error:  # no picture comes in, or one too large for sets of pixels
        note = Note(key="fields_none", values={"reason": str(error)})
        return report.model_copy(update={"notes": [*report.notes, note]})


def verify_named(name: str, input_shape: Sequence[int] | None = None) -> list[Verification]:
    """Tries the lecture's identities on the layers of a network, with its own weights.

    Args:
        name: As in ``inspect_network``, but no ONNX file; networks of the catalogue and of other code are as they
            come, with random weights if those are random.
        input_shape: Channels, height, width of one picture; runs know it.

    Raises:
        UsageError: There is no such network in torch, or it cannot be called on such a picture.
        ModelFileError: The run cannot be read.
        MissingExtraError: torch is not installed.
    """
    with needing_extra("Proving the identities (--verify)", "train"):
        from whyconv.measures.verify import verify_network
    network, shape = _build_for_real(name, input_shape)
    return verify_network(network, shape)


def measure_effective_field(
    name: str, pictures: str | Path, input_shape: Sequence[int] | None = None, layer: str | None = None
) -> tuple[EffectiveField, list[Note]]:
    """Measures how much of its receptive field a layer looks at, on a person's pictures.

    Args:
        name: As in ``verify_named``.
        pictures: Where at least two pictures are; at most 256 are taken, evenly chosen. For a run they are prepared
            as the run does it; else brought to the input's size, with their own mean and deviation.
        input_shape: Channels (1 or 3), height, width (the same) of one picture; runs know it.
        layer: Name of the layer; None for the deepest whose theoretical field fits into the picture.

    Raises:
        UsageError: There is no such network or layer, or its field means nothing on such pictures.
        DataError: No picture can be read.
        MissingExtraError: torch is not installed.
    """
    with needing_extra("Measuring the effective field (--pictures)", "train"):
        machine.set_thread_habits()
        from whyconv.measures.effective_field import effective_field
        from whyconv.measures.pictures import load_pictures
    network, shape = _build_for_real(name, input_shape)
    plan = _network_plan(Path(name)) if Path(name).is_dir() else None
    mean, std = (plan.get(key) if plan is not None else None for key in ("mean", "std"))
    x, unread = load_pictures(pictures, _policy(plan, shape), mean=mean, std=std)
    notes = [Note(key="effective_unread", values={"n": len(unread), "name": unread[0].name})] if unread else []
    return effective_field(network, x, layer), notes


def _policy(plan: dict[str, Any] | None, shape: Sequence[int]) -> PicturePolicy:
    if plan is not None and "policy" in plan:
        return PicturePolicy.model_validate(plan["policy"])
    if len(shape) != 3 or shape[1] != shape[2] or shape[0] not in (1, 3):
        raise UsageError(f"--input {_crossed(shape)}: pictures become squares of 1 or 3 channels, such as 3x64x64.")
    return PicturePolicy(side=shape[1], channels=1 if shape[0] == 1 else 3)


def _build_for_real(name: str, input_shape: Sequence[int] | None) -> tuple[nn.Module, Sequence[int]]:
    """The network with its weights, and the shape of one picture."""
    from whyconv.nets.catalogue import NETWORKS, build_default
    from whyconv.nets.windowed import without_windows

    path = Path(name)
    plan = _network_plan(path) if path.is_dir() else None
    if path.is_file() or (path.is_dir() and (plan is None or plan["network"] not in NETWORKS)):
        raise UsageError(f"A network in torch is needed, to run it backward; {name} can only be read.")
    if plan is not None:
        from whyconv.training.stored import build_stored

        network = build_stored(_planned(path, plan), path / "model.safetensors")
        return without_windows(network), _shape(plan)
    input_shape = _shape_for(name, input_shape)
    sizes = {"in_channels": input_shape[0], "side": input_shape[-1], "num_classes": _CLASSES}
    return build_default(name, **sizes), input_shape


def read_network(
    name: str | PathLike[str] | nn.Module, input_shape: Sequence[int] | str | None = None
) -> tuple[Graph, str]:
    """Reads a network as ``inspect_network`` does; returns its graph, and what it is called."""
    input_shape = _as_shape(input_shape)
    if not isinstance(name, str | PathLike):
        return _read_module(name, input_shape), type(name).__name__
    name, path = fspath(name), Path(name)
    if path.is_dir():
        return _read_run(path, input_shape)
    if path.suffix.lower() == ".onnx" or path.is_file():
        return read_onnx(path, input_shape), name
    input_shape = _shape_for(name, input_shape)
    from whyconv.nets.catalogue import build_default

    sizes = {"in_channels": input_shape[0], "side": input_shape[-1], "num_classes": _CLASSES}
    with _channels_first(input_shape, is_named=True):
        return _read_torch(partial(build_default, name, **sizes), input_shape), name


def _shape_for(name: str, input_shape: Sequence[int] | None) -> Sequence[int]:
    """The shape of a picture for a network that does not know it; first of all there has to be such a network."""
    if re.search(r"[/\\]|\.onnx$", name, re.IGNORECASE):
        raise UsageError(
            f"There is no {name}. Expected a run folder such as runs/<name>/, an ONNX file, the name of a network, or "
            "package.module:callable."
        )
    with needing_extra("Inspecting a torch network", "train"):
        from whyconv.nets.catalogue import NETWORKS, require_network
    try:
        require_network(name)
    except UsageError as error:
        if ":" in name:
            raise
        raise UsageError(f"{error} Nor is there a run folder or a file of that name.") from None
    if input_shape is None:
        raise UsageError(
            f"{name} takes pictures of which size? Say it with --input, such as --input 3x224x224; in Python:  "
            f"inspect({name!r}, (3, 224, 224))"
        )
    asked = f"--input {_crossed(input_shape)}"
    _require_numbers(input_shape, asked)
    is_square = len(set(input_shape[1:])) == 1
    if name in NETWORKS and not is_square and (swapped := _with_channels_first(input_shape)):
        # It would be built for so many channels, so nothing would fail.
        raise UsageError(f"{asked}: channels come first. Did you mean --input {_crossed(swapped)}?")
    return input_shape


def _read_module(network: nn.Module, input_shape: Sequence[int] | None) -> Graph:
    with needing_extra("Inspecting a torch network", "train"):
        from torch import nn

        from whyconv.measures import trace
    if not isinstance(network, nn.Module):
        raise UsageError(
            f"{network!r} is no network. Expected a torch module, not the class or function that makes it; or a run "
            "folder, an ONNX file, the name of a network, or package.module:callable."
        )
    if input_shape is None:
        raise UsageError("This network takes pictures of which size? Say it: inspect(network, (3, 224, 224)).")
    _require_numbers(input_shape, str(tuple(input_shape)))
    with _channels_first(input_shape, is_named=False):
        return trace(network, input_shape)


def _as_shape(given: Sequence[int] | str | None) -> tuple[int, ...] | None:
    """What was given as the shape of a picture, as whole numbers; no number is a shape of none."""
    if given is None:
        return None
    if isinstance(given, str):
        return parse_shape(given)
    try:
        shape = tuple(map(index, given))
    except TypeError:
        shape = ()
    if not shape:
        raise UsageError(
            f"input_shape is {given!r}; expected channels, height and width as whole numbers: (3, 224, 224)."
        )
    return shape


def parse_shape(text: str) -> tuple[int, ...]:
    """Returns the numbers of ``3x224x224``, or of ``224x224x3`` for an ONNX file that has its channels last.

    Raises:
        UsageError: It is none.
    """
    if not re.fullmatch(r"\d+([x,*]\d+){0,4}", text.strip().lower()):
        raise UsageError(f"--input {text}: expected channels, height and width, such as 3x224x224.")
    shape = tuple(int(number) for number in re.split(r"[x,*]", text.strip().lower()))
    _require_numbers(shape, f"--input {text}")
    return shape


def _require_numbers(shape: Sequence[int], asked: str) -> None:
    if min(shape, default=1) < 1 or math.prod(shape) > _MOST_INPUT_NUMBERS:
        raise UsageError(f"{asked}: expected numbers from 1 on, and at most ten thousand million in all.")


def _crossed(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape))


def _with_channels_first(shape: Sequence[int]) -> tuple[int, ...] | None:
    """The shape of a picture that may have been given with its channels last, turned; None for any other."""
    return (shape[2], *shape[:2]) if len(shape) == 3 and shape[2] in (1, 3) and shape[0] > 4 else None


@contextmanager
def _channels_first(shape: Sequence[int], *, is_named: bool) -> Iterator[None]:
    """Where a network fails on a picture whose channels may stand last, its error asks about that.

    Args:
        shape: As it was given.
        is_named: Whether the network was given by a name, as on the command line.
    """
    try:
        yield
    except UsageError as error:
        swapped = _with_channels_first(shape)
        if swapped is None:
            raise
        meant = f"--input {_crossed(swapped)}" if is_named else str(swapped)
        raise UsageError(f"{error} Channels come first: did you mean {meant}?") from error


def _read_run(path: Path, input_shape: Sequence[int] | None) -> tuple[Graph, str]:
    """A run of one of whyconv's networks is built anew, so that its layers have their names; others from their file."""
    if input_shape is not None:
        raise UsageError(f"{path} is a run, which knows its pictures: leave --input out.")
    from whyconv.model_file import find_model

    model = find_model(path)
    plan = _network_plan(path)
    if plan is None or find_spec("torch") is None:
        return read_onnx(model), str(path)
    from whyconv.nets.catalogue import NETWORKS, build_planned

    if plan["network"] not in NETWORKS:
        return read_onnx(model), str(path)
    shape = _shape(plan)
    of_one_window = _planned(path, plan).model_copy(update={"window": None, "side": shape[1]})
    return _read_torch(partial(build_planned, of_one_window), shape), f"{path} ({plan['network']})"


def _planned(path: Path, plan: dict[str, Any]) -> NetworkPlan:
    """What a run's network was built with."""
    from whyconv.settings import NetworkPlan

    try:
        return NetworkPlan.described(plan, str(path / "network.json"))
    except SettingsError as error:
        raise ModelFileError(f"{path / 'network.json'} is damaged: {error}.") from error


def _shape(plan: dict[str, Any]) -> tuple[int, int, int]:
    """Of what a run's network looks at: a picture, or one window of it."""
    side = plan.get("window") or plan["side"]
    return plan["in_channels"], side, side


def _network_plan(path: Path) -> dict[str, Any] | None:
    """What ``network.json`` of a run says; None where there is none that can be used."""
    from whyconv.model_file import read_description

    if not (path / "network.json").exists():
        return None
    found = read_description(path / "network.json")
    try:
        wanted = {"network": str, "in_channels": int, "side": int, "classes": list}
        is_whole = all(isinstance(found[key], kind) for key, kind in wanted.items())
    except KeyError as error:
        raise ModelFileError(f"{path / 'network.json'} is damaged: {error}.") from error
    return found if is_whole else None


def _read_torch(build: partial[nn.Module], input_shape: Sequence[int]) -> Graph:
    """Builds and calls a network without its numbers; with them where it looks at them."""
    from whyconv.measures import trace
    from whyconv.measures.building import build_without_numbers

    network, reason = build_without_numbers(build)
    notes = (Note(key="network_built_for_real", values={"reason": reason}, level="warning"),) if reason else ()
    try:
        graph = trace(network, input_shape)
    except UsageError as error:
        if not any(parameter.is_meta for parameter in network.parameters()):
            raise
        graph = trace(_built_for_real(build, network, error), input_shape)
        note = Note(key="network_called_for_real", values={"reason": str(error)}, level="warning")
        notes = (*notes, note)
    return replace(graph, notes=(*graph.notes, *notes))


def _built_for_real(build: partial[nn.Module], shapes: nn.Module, error: UsageError) -> nn.Module:
    """The network with its numbers, where the memory can hold them."""
    needed = sum(parameter.nbytes for parameter in shapes.parameters())
    there = machine.memory_bytes()
    if there is not None and needed > there // 2:
        raise UsageError(
            f"{error} It would have to be called with its numbers, which take {texts.size(needed)}; this process may "
            f"use {texts.size(there)}."
        ) from error
    return build()
