"""The run folder: where it is made, what lies in it, what machine it was made on."""

from __future__ import annotations

import json
import os
import platform
import re
from contextlib import AbstractContextManager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from whyconv import __version__, files
from whyconv.errors import DataError, ModelFileError, StorageError, UsageError
from whyconv.images.sources.archive_endings import stem_of
from whyconv.images.sources.listing import printable
from whyconv.lock import sole_writer
from whyconv.machine import num_cores
from whyconv.results import Note, Notify
from whyconv.settings import Device, Plan
from whyconv.texts import as_typed
from whyconv.training.device import card_name
from whyconv.training.distributed import launched
from whyconv.untrusted import MOST_TOML_BYTES, json_in

PLAN, NETWORK, WEIGHTS, MODEL = "run.toml", "network.json", "model.safetensors", "model.onnx"
METRICS, SUMMARY, CHECKPOINTS, SEARCH = "metrics.jsonl", "summary.json", "checkpoints", "search.json"
ENVIRONMENT = "environment.json"
# Training pictures of which features and thumbnails are kept.
MOST_EXAMPLES = 1000
# What the bits of a weight depend on.
_BITS = ("threads", "processes", "torch", "numpy", "system", "instructions", "card")
_WENT_ON = "went_on_with"
_PACKAGES = ("torch", "numpy", "pillow", "simplejpeg", "onnx", "onnxruntime", "scipy")


def sole_trainer(run: Path) -> AbstractContextManager[None]:
    """Holds the lock of a run folder; raises WhyconvError where another process trains there."""
    then = f"go on with:  whyconv train --resume {as_typed(run)}"
    return sole_writer(run, run / CHECKPOINTS / "lock", doing="is training in", then=then)


def new_run_folder(out: str, pictures: str) -> Path:
    """Makes ``out/<name of the pictures>-<n>/`` with the first n that is free; safe against a second process.

    Raises:
        DataError: The place of the pictures cannot be written into a plan.
        StorageError: The folder cannot be made.
    """
    # Of a pattern or a URL that names shards, what goes before the numbers.
    place = Path(pictures if os.path.lexists(pictures) else re.sub(r"[{*?\[].*", "", pictures)).resolve()
    _require_text(place)
    name = re.sub(r"[^\w.-]+", "-", stem_of(place) if place.is_file() else place.name).strip("-.") or "run"
    parent = Path(out)
    try:
        parent.mkdir(parents=True, exist_ok=True)
        taken = [
            int(match[1])
            for each in parent.iterdir()
            if (match := re.fullmatch(re.escape(name) + r"-(\d+)", each.name))
        ]
        number = max(taken, default=0) + 1
        while True:
            folder = parent / f"{name}-{number}"
            try:
                folder.mkdir()
                return folder
            except FileExistsError:
                number += 1
    except OSError as error:
        raise StorageError(
            f"No run folder can be made in {out}: {error.strerror or error}. Name another with --out."
        ) from None


def _require_text(place: Path) -> None:
    try:
        str(place).encode("utf-8")
    except UnicodeEncodeError:
        raise DataError(
            f"{printable(str(place))} has bytes in its name that are not UTF-8, and {PLAN}, a text file, must name the "
            "pictures. Rename that folder."
        ) from None


def write_plan(folder: Path, plan: Plan) -> None:
    """Writes ``run.toml`` and ``environment.json``, before step 1.

    Raises:
        UsageError: The names of the classes are too long to be read again.
    """
    text = plan.to_toml()
    if len(text.encode()) > MOST_TOML_BYTES:
        raise UsageError(
            f"The plan of this run has {len(text):,} letters, most of them in the names of its "
            f"{len(plan.network.classes):,} classes; expected at most {MOST_TOML_BYTES:,}. Shorten the names."
        )
    files.write_text(folder / PLAN, text)
    write_json(folder / ENVIRONMENT, environment(plan.threads, plan.device))


def tell_other_machine(folder: Path, threads: int, device: Device | None, notify: Notify) -> None:
    """Says that a run does not go on bit for bit, where it goes on with another machine, torch or number of threads.

    ``environment.json`` keeps what it went on with.
    """
    try:
        began = json_in(folder / ENVIRONMENT)
    except (OSError, ValueError):
        return
    if not isinstance(began, dict):
        return
    now = environment(threads, device)
    before = {"processes": 1} | began.get(_WENT_ON, [began])[-1]
    changed = [f"{name} {before.get(name)} (now {now[name]})" for name in _BITS if before.get(name) != now[name]]
    if changed:
        notify(Note(key="run_other_machine", values={"differences": ", ".join(changed)}, level="warning"))
        write_json(folder / ENVIRONMENT, began | {_WENT_ON: [*began.get(_WENT_ON, []), now]})


def read_plan(folder: Path) -> Plan:
    """Reads the plan of a run folder.

    Raises:
        ModelFileError: It is no run folder.
        SettingsError: Its plan cannot be read.
    """
    if not (folder / PLAN).is_file():
        raise ModelFileError(f"{folder} is no run folder: it has no {PLAN}. Expected one such as runs/pets-1.")
    return Plan.read(folder / PLAN)


def write_json(path: Path, values: object) -> None:
    """Writes JSON for people and programs: indented, UTF-8."""
    files.write_text(path, json.dumps(values, indent=2, ensure_ascii=False) + "\n")


def environment(threads: int, device: Device | None = None) -> dict[str, Any]:
    """Versions and machine, as far as they bear on the numbers of a training on ``device``; None: the processor."""
    launch = launched()
    return {
        "whyconv": __version__,
        "python": platform.python_version(),
        **{name: _version(name) for name in _PACKAGES},
        "system": f"{platform.system()} {platform.machine()}",
        "cores": num_cores(),
        "threads": threads,
        "processes": 1 if launch is None else launch.size,
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "card": None if device is None else card_name(),
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
