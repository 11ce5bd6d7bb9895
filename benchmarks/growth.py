"""How time and memory of `whyconv train` grow with the number of pictures, their side and the number of classes.

    python benchmarks/growth.py                                 1,000 to 1,000,000 pictures; hours, about 12 GB of disk
    python benchmarks/growth.py --most 10000 --into /tmp/growth

One epoch, whole command, pictures generated as arrays on disk: each class is a pattern of its own, buried in noise.
Writes growth.jsonl, one line a point, and growth.svg; points that are there are not measured again. Two kinds of
memory are told apart: what the process allocates, and the most it had in memory with what it reads from files,
which the system takes back when others need it.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from racing.cells import Row, append_row, read_rows
from racing.machine import load, machine, now, versions
from racing.running import CellFailedError, run, stop_cleanly

NUMBERS = (1_000, 3_000, 10_000, 30_000, 100_000, 300_000, 1_000_000)
SIDES = (8, 16, 32, 64, 128, 256)
CLASSES = (2, 10, 100, 1_000)
# What stays while something else grows.
NUMBER, SIDE, NUM_CLASSES = 10_000, 32, 10
NUMBER_OF_SIDES = 2_000
_CHUNK = 2_000
LINEAR = 1.05  # largest exponent of time over number that is called linear


@dataclass(frozen=True)
class Point:
    """One training: what grows, and the three sizes."""

    axis: str
    number: int
    side: int
    classes: int


def points(most: int) -> list[Point]:
    """Returns what is measured, with at most ``most`` pictures."""
    by_number = [Point("pictures", number, SIDE, NUM_CLASSES) for number in NUMBERS]
    by_side = [Point("side", NUMBER_OF_SIDES, side, NUM_CLASSES) for side in SIDES]
    by_class = [Point("classes", NUMBER, SIDE, classes) for classes in CLASSES]
    return [point for point in (*by_number, *by_side, *by_class) if point.number <= most]


def write_pictures(folder: Path, point: Point, seed: int = 0) -> None:
    """Writes x.npy, uint8 (n, side, side, 3), and y.npy, with no more memory than a chunk."""
    draw = np.random.default_rng(seed)
    shape = (point.number, point.side, point.side, 3)
    coarse = draw.integers(0, 256, (point.classes, 4, 4, 3))
    rows = np.arange(point.side) * 4 // point.side
    x = np.lib.format.open_memmap(folder / "x.npy", "w+", np.uint8, shape)
    y = np.arange(point.number) % point.classes
    for start in range(0, point.number, _CHUNK):
        patterns = coarse[y[start : start + _CHUNK]][:, rows][:, :, rows]
        noise = draw.integers(0, 256, patterns.shape)
        x[start : start + _CHUNK] = (patterns + noise) // 2
    x.flush()
    np.save(folder / "y.npy", y)


def measure(point: Point, place: Path) -> Row:
    """Generates the pictures, which is not timed, and trains on them once."""
    with tempfile.TemporaryDirectory(dir=place, prefix="growth-") as folder:
        scratch = Path(folder)
        pictures = scratch / "pictures"
        pictures.mkdir()
        write_pictures(pictures, point)
        executable = shutil.which("whyconv", path=str(Path(sys.executable).parent))
        start = [executable] if executable else [sys.executable, "-m", "whyconv"]
        places = ["--store", str(scratch / "store"), "--out", str(scratch / "runs")]
        words = [*start, "train", str(pictures), "--epochs", "1", "--size", str(point.side), "--json", *places]
        before = load()
        done = run(words, os.environ, scratch, limit=6 * 3600)
        summary = json.loads(done.output)
        return {
            **vars(point),
            "seconds": round(done.seconds, 2),
            "training_seconds": summary["seconds"],
            "allocated_megabytes": round(done.allocated_megabytes),
            "resident_megabytes": round(done.resident_megabytes),
            "accuracy": summary["test"]["accuracy"] if summary["test"] else None,
            "num_steps": summary["num_steps"],
            "load_before": before,
            "machine": machine(),
            "versions": versions("whyconv", "torch", "numpy"),
            "date": now(),
        }


def exponents(rows: Sequence[Row], name: str) -> list[float]:
    """Returns for neighboring points how fast ``name`` grows: 1 is linear, 0 is not at all."""
    ordered = sorted(rows, key=lambda row: row["number"])
    return [
        math.log(later[name] / earlier[name]) / math.log(later["number"] / earlier["number"])
        for earlier, later in pairwise(ordered)
    ]


def verdict(rows: Sequence[Row]) -> str:
    """Says whether time is linear and memory bounded over the number of pictures."""
    found = [row for row in rows if row["axis"] == "pictures"]
    if len(found) < 2:
        return "too few points"
    steepest = max(exponents(found, "seconds"))
    least, most = found[0], found[-1]
    memory = most["allocated_megabytes"] - least["allocated_megabytes"]
    more = most["number"] - least["number"]
    return (
        f"time: steepest exponent {steepest:.2f} ({'linear' if steepest <= LINEAR else 'steeper than linear'}); "
        f"allocated memory: {memory:+,} MB for {more:,} more pictures ({1e6 * memory / more:+,.0f} bytes each)"
    )


def draw(rows: Sequence[Row], path: Path) -> None:
    """Draws seconds and memory over each of the three sizes."""
    import matplotlib as mpl

    mpl.use("svg")
    from matplotlib import pyplot

    figure, grid = pyplot.subplots(2, 3, figsize=(11, 6), sharey="row", layout="constrained")
    axes = (("pictures", "number"), ("side", "side"), ("classes", "classes"))
    for column, (axis, key) in enumerate(axes):
        found = sorted((row for row in rows if row["axis"] == axis), key=lambda row: row[key])
        sizes = [row[key] for row in found]
        for row, names in enumerate((("seconds",), ("allocated_megabytes", "resident_megabytes"))):
            panel = grid[row, column]
            for name in names:
                panel.plot(sizes, [each[name] for each in found], "o-", label=name.replace("_", " "))
            panel.set(xscale="log", yscale="log", xlabel=axis)
            panel.grid(visible=True, alpha=0.3)
            panel.legend()
    figure.suptitle("whyconv train, one epoch, whole command")
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)


def main() -> int:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--most", type=int, default=NUMBERS[-1], help="largest number of pictures")
    words.add_argument("--into", type=Path, default=Path(__file__).with_name("results"))
    words.add_argument("--place", type=Path, default=Path(tempfile.gettempdir()), help="disk for generated pictures")
    words.add_argument("--dry-run", action="store_true", help="list the points that are missing")
    asked = words.parse_args()
    stop_cleanly()
    asked.into.mkdir(parents=True, exist_ok=True)
    results = asked.into / "growth.jsonl"
    done = {tuple(row[name] for name in vars(Point("", 0, 0, 0))) for row in read_rows(results)}
    for point in points(asked.most):
        if tuple(vars(point).values()) in done:
            continue
        print(point, flush=True)
        if asked.dry_run:
            continue
        try:
            row = measure(point, asked.place)
        except CellFailedError as error:
            print(f"failed: {error}", file=sys.stderr)
            return 1
        append_row(results, row)
        print(f"    {row['seconds']:.1f} s, {row['allocated_megabytes']:,} MB allocated", flush=True)
    rows = read_rows(results)
    if rows:
        draw(rows, asked.into / "growth.svg")
        print(verdict(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
