"""Settings of the peers, chosen on a fifth of the training part: one after the other, each with the best before it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

from racing.cells import Cell
from racing.pictures import PictureSet
from racing.tools import Job, Settings, Tool, as_words

TUNED = Path(__file__).with_name("tuned.json")
ENDING = "-tune"  # of the name of a set that settings are chosen on
SEED = 1000


def key_of(tool: Tool, data: str, minutes: float) -> str:
    """Returns the name under which the settings of a tool, a set and a budget are kept."""
    return f"{tool.name} {data.removesuffix(ENDING)} {minutes:g}"


def read_tuned(path: Path = TUNED) -> dict[str, dict[str, float | int | str]]:
    """Returns all tuned settings by ``key_of``."""
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def settings_of(tool: Tool, pictures: PictureSet, minutes: float, tuned: Mapping[str, Settings]) -> Settings:
    """Returns what a tool is told: the usual settings, and over them those tuned for the set and the budget.

    Those of the nearest budget are taken where this one was not tuned.
    """
    start = key_of(tool, pictures.name, 0).removesuffix("0")
    budgets = [float(key.removeprefix(start)) for key in tuned if key.startswith(start)]
    if not budgets:
        return tool.usual(pictures)
    nearest = min(budgets, key=lambda found: abs(found / minutes - 1))
    return {**tool.usual(pictures), **tuned[f"{start}{nearest:g}"]}


def job_of(tool: Tool, pictures: PictureSet, minutes: float, seed: int, settings: Settings) -> Job:
    """Returns the job of a peer; its settings are part of the cell's name."""
    return Job(tool, Cell(tool.name, pictures.name, minutes, seed, as_words(settings)), pictures, settings)


def tune(
    tool: Tool, pictures: PictureSet, minutes: float, accuracy: Callable[[Job], float]
) -> dict[str, float | int | str]:
    """Tries the values of a tool's grid and returns the best of each setting.

    Args:
        tool: One with a grid.
        pictures: The set for tuning.
        minutes: The budget.
        accuracy: Runs a cell, or knows it from its record.
    """
    best = dict(tool.usual(pictures))
    chosen: dict[str, float | int | str] = {}
    for name, values in tool.grid(pictures).items():
        found = {
            value: accuracy(job_of(tool, pictures, minutes, SEED, {**best, name: value}))
            for value in dict.fromkeys([best[name], *values])
        }
        best[name] = chosen[name] = max(found, key=lambda value: found[value])
    return chosen
