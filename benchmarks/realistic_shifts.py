"""How many answers hold when real pixels come in: windows of a picture against the other ways to that end.

    python benchmarks/realistic_shifts.py cifar10.npz                   25 trainings; about half an hour of one core
    python benchmarks/realistic_shifts.py cifar10.npz --minutes 5       so many of them as begin within 5 minutes
    python benchmarks/realistic_shifts.py cifar10.npz --table           what is there

CIFAR-10's pictures have 32 pixels a side; networks see 28 of them, so that every shift of up to 2 pixels brings in real
ones: 24 shifts. All arms learn from the same pictures in the same order, as many steps, each from random such windows,
mirrored every other time; answers average no mirrored views.

    plain      maximum over 2x2
    blur       maximum over 2x2 at every place, BlurPool2d (MaxBlurPool2d)
    adaptive   the same, PolyphasePool2d by the largest norm
    learned    the same, PolyphasePool2d by learned scores
    realistic  blur, looked through by Windowed: the mean over 9 windows of 26 pixels

One line of JSON for each training, with all its answers; trainings that are there are not done again. Intervals are
over seeds and pictures, paired by both where two arms are compared.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from whyconv.machine import set_thread_habits

set_thread_habits()

import torch
from racing.cells import Row, append_row, read_rows
from racing.machine import load, machine, now, versions
from shifting.networks import SEEN, WIDTHS, WINDOW, arms
from shifting.rates import RATES, Rate, difference, packed, rate_of
from shifting.trials import Pictures, run_trial

from whyconv.training.torch_habits import torch_habits

OURS = "realistic"
NUM_SEEDS = 5
_MOST_LOST = 0.3  # points of plain accuracy


@dataclass(frozen=True)
class Size:
    """Of every training: pictures to learn from, passes over them, pictures of a step, test pictures asked about."""

    train: int = 10_000
    epochs: int = 3
    batch: int = 128
    asked: int = 1_000


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pictures", type=Path, help="x_train, y_train, x_test, y_test; 32 x 32 pixels, color")
    parser.add_argument("--arms", default=",".join(arms()))
    parser.add_argument("--seeds", type=int, default=NUM_SEEDS)
    parser.add_argument("--minutes", type=float, default=1e9, help="no training begins later")
    parser.add_argument("--results", type=Path, default=Path(__file__).with_name("results") / "realistic_shifts.jsonl")
    parser.add_argument("--table", action="store_true", help="show what is there")
    words = parser.parse_args()
    size, began = Size(), time.perf_counter()
    names = words.arms.split(",")
    if not words.table:
        pictures = read_pictures(words.pictures, size)
        for arm, seed in missing(names, words.seeds, read_rows(words.results)):
            if time.perf_counter() - began > 60 * words.minutes:
                break
            row = measured(arm, seed, pictures, size)
            append_row(words.results, row)
            print(f"{arm} seed {seed}: {row['training_seconds']:.0f} s", flush=True)
    rows = read_rows(words.results)
    if rows:
        print(table(rows, truth_of(words.pictures, size)))
    return 0


def missing(names: Sequence[str], seeds: int, rows: Sequence[Row]) -> list[tuple[str, int]]:
    """The trainings that have no record yet; all arms of a seed before the next seed."""
    done = {(row["arm"], row["seed"]) for row in rows}
    return [(arm, seed) for seed in range(seeds) for arm in names if (arm, seed) not in done]


def read_pictures(path: Path, size: Size) -> Pictures:
    """The first pictures of a drawn order of the training part, and of the test part as it stands."""
    held = np.load(path)
    rows = training_rows(len(held["x_train"]), size.train)
    train, asked = held["x_train"][rows], held["x_test"][: size.asked]
    mean, std = train.mean(axis=(0, 1, 2)), train.std(axis=(0, 1, 2))

    def numbers(pixels: NDArray[np.uint8]) -> torch.Tensor:
        return torch.from_numpy(((pixels - mean) / std).astype(np.float32).transpose(0, 3, 1, 2).copy())

    return Pictures(
        train=numbers(train),
        train_labels=held["y_train"].reshape(-1)[rows].astype(np.int64),
        asked=numbers(asked),
        asked_labels=truth_of(path, size),
    )


def training_rows(total: int, count: int) -> NDArray[np.int64]:
    """Rows of the training part that all arms learn from."""
    return np.random.default_rng(0).permutation(total)[:count]


def truth_of(path: Path, size: Size) -> NDArray[np.int64]:
    """Classes of the test pictures that are asked about."""
    return np.asarray(np.load(path)["y_test"].reshape(-1)[: size.asked], np.int64)


def measured(arm: str, seed: int, pictures: Pictures, size: Size) -> Row:
    """Trains one arm, with weights and order by the seed."""
    before = load()
    with torch_habits(1):
        torch.manual_seed(seed)
        network = arms()[arm]()
        found = run_trial(network, pictures, epochs=size.epochs, batch=size.batch, seed=seed)
    return {
        "arm": arm,
        "seed": seed,
        **vars(size),
        "seen": SEEN,
        "window": WINDOW if arm == OURS else 0,
        "widths": list(WIDTHS),
        "answers": packed(found.answers),
        "training_seconds": round(found.training_seconds, 2),
        "milliseconds_per_picture": round(1000 * found.seconds_per_picture, 4),
        "load_before": before,
        "machine": machine(),
        "versions": versions("whyconv", "torch", "numpy"),
        "date": now(),
    }


def table(rows: list[Row], truth: NDArray[np.int64]) -> str:
    """Rates of every arm, ours against every other, and whether what was wanted is there."""
    names = [arm for arm in arms() if any(row["arm"] == arm for row in rows)]
    lines = ["in %, 95 % intervals over seeds and pictures"]
    lines += [_rates_line(rows, arm, truth) for arm in names]
    others = [arm for arm in names if arm != OURS]
    if OURS in names and others:
        lines += ["realistic less ..., in points, paired by seed and picture"]
        lines += [_difference_line(rows, arm, truth) for arm in others]
        lines += [verdict(rows, others, truth)]
    return "\n".join(lines)


def _rates_line(rows: list[Row], arm: str, truth: NDArray[np.int64]) -> str:
    own = [row for row in rows if row["arm"] == arm]
    rates = "   ".join(f"{rate} {rate_of(rows, arm, truth, rate)}" for rate in RATES)
    training = np.median([row["training_seconds"] for row in own])
    answering = np.median([row["milliseconds_per_picture"] for row in own])
    return f"  {arm:10} n={len(own)}  {rates}   training {training:.0f} s, an answer {answering:.2f} ms"


def _difference_line(rows: list[Row], arm: str, truth: NDArray[np.int64]) -> str:
    return f"  {arm:10}      " + "   ".join(f"{rate} {difference(rows, OURS, arm, truth, rate)}" for rate in RATES)


def best_of(rows: list[Row], names: Sequence[str], truth: NDArray[np.int64], rate: Rate) -> str:
    """The arm with the highest rate."""
    return max(names, key=lambda arm: rate_of(rows, arm, truth, rate).value)


def verdict(rows: list[Row], others: Sequence[str], truth: NDArray[np.int64]) -> str:
    """Says against the best of the others whether more answers hold, and at what loss of plain accuracy."""
    firm, right = (best_of(rows, others, truth, rate) for rate in ("worst_case_correct", "accuracy"))
    gain = difference(rows, OURS, firm, truth, "worst_case_correct")
    cost = difference(rows, OURS, right, truth, "accuracy")
    holds = "holds" if gain.low > 0 else "does not hold"
    keeps = "holds" if cost.value >= -_MOST_LOST else "does not hold"
    return (
        f"worst-case-correct above the best of them ({firm}), interval above 0: {holds}, {gain}\n"
        f"no more than {_MOST_LOST} points of plain accuracy lost against the best of them ({right}): {keeps}, {cost}"
    )


if __name__ == "__main__":
    sys.exit(main())
