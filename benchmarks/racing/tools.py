"""The tools that race: for each column of the table, what command makes a cell of it."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from racing.cells import Cell
from racing.pictures import PictureSet, resized

PEERS = Path(__file__).resolve().parents[1] / "peers"
Settings = Mapping[str, float | int | str]

# What whyconv sets for itself; peers in the fair column get the same.
HABITS = {"OMP_WAIT_POLICY": "PASSIVE", "THP_MEM_ALLOC_ENABLE": "1"}


@dataclass(frozen=True)
class Tool:
    """One column.

    Attributes:
        name: As in ``--tools``.
        says: One line for people.
        script: In ``benchmarks/peers``; "" for whyconv itself.
        environment: Folder below the peers' place that holds its Python; "" for the one that runs the race.
        mode: "documented" or "fair", told to the script.
        usual: Settings where none were tuned, given the set.
        grid: What tuning tries, one setting after the other; each value is tried with the best of those before.
        only: Sets that it is made for; all where empty.
        habits: Environment variables.
    """

    name: str
    says: str
    script: str = ""
    environment: str = ""
    mode: str = "fair"
    usual: Callable[[PictureSet], Settings] = lambda pictures: {"side": 32}
    grid: Callable[[PictureSet], dict[str, list[float]]] = lambda pictures: {}
    only: tuple[str, ...] = ()
    habits: Mapping[str, str] = field(default_factory=lambda: HABITS)

    @property
    def group(self) -> str:
        """The name without the mode: ``fastai`` of ``fastai.fair``."""
        return self.name.partition(".")[0]


def _side(pictures: PictureSet) -> int:
    return 128 if pictures.is_photos else 32


def _fair_grid(rates: list[float]) -> Callable[[PictureSet], dict[str, list[float]]]:
    return lambda pictures: {"side": [64, 96, 128] if pictures.is_photos else [32], "learning_rate": rates}


TOOLS = {
    tool.name: tool
    for tool in (
        Tool("whyconv", "whyconv train, nothing but --minutes", habits={}, usual=lambda pictures: {}),
        Tool(
            "airbench",
            "baseline: the network and recipe of the CIFAR-10 speed record of 2024, true bf16, channels last",
            script="airbench.py",
            usual=lambda pictures: {"side": 32, "batch": 250},
            grid=lambda pictures: {"batch": [250, 500]},
            only=("cifar10",),
        ),
        Tool(
            "resnet9",
            "the ResNet-9 of the earlier CIFAR-10 records, true bf16, channels last",
            script="resnet9.py",
            usual=lambda pictures: {"side": 32, "batch": 250, "learning_rate": 0.4},
            grid=lambda pictures: {"learning_rate": [0.2, 0.4, 0.8]},
            only=("cifar10",),
        ),
        Tool(
            "fastai.documented",
            "fastai, xresnet18, one-cycle, as its book has it",
            script="with_fastai.py",
            environment="fastai",
            mode="documented",
            usual=lambda pictures: {"side": _side(pictures), "batch": 64, "learning_rate": 3e-3},
            habits={},
        ),
        Tool(
            "fastai.fair",
            "fastai, xresnet18, one-cycle that fits the budget, tuned, ready-made copies, channels last, views",
            script="with_fastai.py",
            environment="fastai",
            usual=lambda pictures: {"side": _side(pictures), "batch": 64, "learning_rate": 3e-3},
            grid=_fair_grid([1e-3, 3e-3, 1e-2]),
        ),
        Tool(
            "keras.documented",
            "Keras, small Xception, as in 'Image classification from scratch'",
            script="with_keras.py",
            environment="keras",
            mode="documented",
            usual=lambda pictures: {
                "side": 180 if pictures.is_photos else 32,
                "batch": 128,
                "learning_rate": 3e-4,
                "backend": "tensorflow",
            },
            habits={},
        ),
        Tool(
            "keras.fair",
            "the same network; a schedule that fits the budget, tuned, ready-made copies, views",
            script="with_keras.py",
            environment="keras",
            usual=lambda pictures: {
                "side": _side(pictures),
                "batch": 64,
                "learning_rate": 1e-3,
                "backend": "tensorflow",
            },
            grid=_fair_grid([5e-4, 1e-3, 3e-3]),
        ),
    )
}


def chosen_tools(words: str) -> list[Tool]:
    """Returns tools by name; a name without its mode stands for all of them.

    Raises:
        ValueError: A name is unknown.
    """
    found: list[Tool] = []
    for word in words.split(","):
        named = [tool for tool in TOOLS.values() if word in (tool.name, tool.group)]
        if not named:
            raise ValueError(f"There is no tool '{word}'. Expected some of {', '.join(TOOLS)}.")
        found += named
    return found


def python_of(tool: Tool, place: Path) -> Path:
    """Returns the Python that runs a tool.

    Raises:
        FileNotFoundError: Its environment was not made.
    """
    if not tool.environment:
        return Path(sys.executable)
    found = place / "peers" / tool.environment / "bin" / "python"
    if not found.exists():
        raise FileNotFoundError(
            f"{tool.name} has no environment at {found.parents[1]}. Make it: benchmarks/peers.sh {tool.environment}"
        )
    return found


def as_words(settings: Settings) -> str:
    """Returns settings as the text that is part of a cell's name."""
    return " ".join(
        f"{name}={value:g}" if isinstance(value, float) else f"{name}={value}" for name, value in settings.items()
    )


@dataclass(frozen=True)
class Job:
    """A cell with what it takes to run it.

    Attributes:
        tool: The cell's tool.
        cell: What is to be trained.
        pictures: The cell's set.
        settings: What a peer's script is told.
    """

    tool: Tool
    cell: Cell
    pictures: PictureSet
    settings: Settings


def command(job: Job, *, place: Path, scratch: Path, began: float) -> list[str]:
    """Returns the whole command of a cell.

    Args:
        job: The cell.
        place: Folder of sets and peers' environments.
        scratch: Empty folder for what the command writes; answers go to ``answers.csv`` in it.
        began: Time in seconds since 1970 that the budget counts from.
    """
    tool, cell, pictures = job.tool, job.cell, job.pictures
    if not tool.script:
        executable = Path(sys.executable).with_name("whyconv")
        start = [str(executable)] if executable.exists() else [sys.executable, "-m", "whyconv"]
        words = ["--minutes", f"{cell.minutes:g}", "--seed", str(cell.seed), "--json"]
        if "--start" not in cell.words:  # all in the race start from random weights
            words += ["--start", "scratch"]
        # A store of its own: decoding counts, as it does for a user's first run.
        places = ["--store", str(scratch / "store"), "--out", str(scratch / "runs")]
        return [*start, "train", str(pictures.for_whyconv), *words, *places, *cell.words.split()]
    ready_made = pictures.folder
    if tool.mode == "fair":
        ready_made = resized(pictures, int(job.settings["side"]))
    return [
        *(str(python_of(tool, place)), str(PEERS / tool.script)),
        *("--mode", tool.mode, "--pictures", str(ready_made), "--minutes", f"{cell.minutes:g}"),
        *("--seed", str(cell.seed), "--began", f"{began:.3f}", "--answers", str(scratch / "answers.csv")),
        *("--settings", json.dumps(dict(job.settings))),
    ]


def environment_of(tool: Tool, scratch: Path) -> dict[str, str]:
    """Returns the environment of a tool's process: caches lie in ``scratch`` and nothing is asked of a network."""
    own = {"XDG_CACHE_HOME": str(scratch / "cache"), "HF_HUB_OFFLINE": "1", "TF_CPP_MIN_LOG_LEVEL": "2"}
    kept = {name: text for name, text in os.environ.items() if name not in HABITS}
    return {**kept, **own, **tool.habits}
