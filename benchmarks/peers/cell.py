"""What all peers share: the words of a cell, ready-made pictures, the answers, and how many steps fit the budget.

Runs in every peer's environment: the standard library and numpy only.
"""

from __future__ import annotations

import argparse
import csv
import json
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

# Part of the budget that a plan leaves free: writing, and steps that take longer than those measured.
RESERVE = 0.02
_WARM, _TIMED = 2, 6


@dataclass(frozen=True)
class Asked:
    """The words of a cell; ``began`` is when the command was started, in seconds since 1970."""

    mode: str
    pictures: Path
    minutes: float
    seed: int
    began: float
    answers: Path
    settings: dict[str, Any]

    def seconds_left(self) -> float:
        """Of the budget, less the reserve."""
        return self.began + 60 * self.minutes * (1 - RESERVE) - time.time()


def read_words() -> Asked:
    """Reads the command line."""
    words = argparse.ArgumentParser()
    for name, kind in (("mode", str), ("pictures", Path), ("minutes", float), ("seed", int), ("began", float)):
        words.add_argument(f"--{name}", type=kind, required=True)
    words.add_argument("--answers", type=Path, required=True)
    words.add_argument("--settings", type=json.loads, required=True)
    return Asked(**vars(words.parse_args()))


@dataclass(frozen=True)
class Copies:
    """Ready-made copies of a set.

    Attributes:
        train_x: uint8 (n, k, k, 3), on disk.
        train_y: int64 (n,).
        test_x: uint8 (m, k, k, 3), on disk.
        test_names: ``CLASS/file`` of each test picture.
        classes: By number.
    """

    train_x: np.ndarray
    train_y: np.ndarray
    test_x: np.ndarray
    test_names: list[str]
    classes: list[str]


def open_copies(folder: Path) -> Copies:
    """Opens what the race has written at ``folder``."""
    classes = json.loads((folder.parent / "set.json").read_text(encoding="utf-8"))["classes"]
    arrays = (np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("train_x", "train_y", "test_x"))
    names = (folder / "test_names.txt").read_text(encoding="utf-8").splitlines()
    return Copies(*arrays, names, classes)


def steps_that_fit(asked: Asked, step: Callable[[], object], answer: Callable[[], object], num_answers: int) -> int:
    """Measures a few steps, and returns how many fit what is left of the budget, at least 1.

    Args:
        asked: The cell.
        step: One training step; what it has learned is thrown away by the caller.
        answer: Answers one batch, all views.
        num_answers: Batches there are to answer after training.
    """
    for _ in range(_WARM):
        step()
    pace = statistics.fmean(seconds_of(step) for _ in range(_TIMED))
    answer()
    after = num_answers * seconds_of(answer)
    return max(1, int((asked.seconds_left() - after) / pace))


def seconds_of(work: Callable[[], object]) -> float:
    """Returns how long ``work`` takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def finish(asked: Asked, names: Sequence[str], answers: Sequence[str], **told: object) -> None:
    """Writes the answers, and prints what else the record holds."""
    with asked.answers.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("picture", "answer"), *zip(names, answers, strict=True)])
    print(json.dumps(told))
