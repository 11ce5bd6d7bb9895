"""whyconv against the tools that people would pick instead: the best accuracy for the minutes given.

    python benchmarks/race.py --dry-run
    python benchmarks/race.py --tools whyconv,fastai,keras --data cifar10:PACKAGE,flowers:FOLDER --minutes 1,3,10
    python benchmarks/race.py --tune --tools fastai.fair,keras.fair --data flowers --minutes 3
    python benchmarks/race.py --table docs/performance.md

A cell is a tool, a set, a budget and a seed. Its whole command is timed from outside. A finished cell is one line of
JSON in --results and is not run again; an interrupted one leaves nothing. A fixed piece of work, the anchor, is timed
before, between and after, so that days can be compared. All tools are scored on all test pictures by one rule.
A set needs its folder once (`NAME:FOLDER`; any class folders as `photos:FOLDER`), later its name is enough.
Peers have environments of their own, made by benchmarks/peers.sh.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from racing.cells import Cell, Row, append_row, cell_of, is_cell, missing, read_rows, sole_race
from racing.machine import default_place
from racing.pictures import PictureSet, ready
from racing.running import CellFailedError, run_anchor, run_cell, stop_cleanly
from racing.table import listing, put_into, tables
from racing.tools import TOOLS, Job, Tool, chosen_tools
from racing.tuning import ENDING, TUNED, job_of, key_of, read_tuned, settings_of, tune

from whyconv.files import write_text

HERE = Path(__file__).resolve().parent
ANCHOR_MINUTES = 30  # between two anchors


def main() -> int:
    asked = read_words()
    stop_cleanly()
    try:
        if asked.table is not None:
            return show_table(asked)
        return tune_all(asked) if asked.tune else race(asked)
    except (ValueError, FileNotFoundError, RuntimeError, CellFailedError) as error:
        print(error, file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("Stopped; what is finished is kept.", file=sys.stderr)
        return 130


def read_words() -> argparse.Namespace:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = ", ".join(TOOLS)
    words.add_argument("--tools", default="whyconv,fastai,keras", help=f"some of {names}, separated by commas")
    words.add_argument("--data", default="cifar10,flowers,sign_digits", help="sets: NAME or NAME:FOLDER, ...")
    words.add_argument("--minutes", default="1,3,10", help="budgets of the whole command")
    words.add_argument("--seeds", default="0,1,2")
    words.add_argument("--whyconv", default="", metavar="WORDS", help="more words for whyconv train; another column")
    words.add_argument("--label", default="", help="name of a state of whyconv that is timed again; another column")
    words.add_argument("--results", type=Path, default=HERE / "results" / "race.jsonl")
    words.add_argument(
        "--place", type=Path, default=default_place(), help="for sets of pictures and peers' environments"
    )
    words.add_argument("--cores", type=int, help="use only this many")
    words.add_argument("--dry-run", action="store_true", help="list the cells that are missing, and their minutes")
    words.add_argument("--tune", action="store_true", help=f"choose the peers' settings, into {TUNED.name}")
    words.add_argument("--table", nargs="?", const="", metavar="PAGE", help="print the tables, or put them into PAGE")
    asked = words.parse_args()
    if asked.cores:
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: asked.cores])
    return asked


def numbers(text: str) -> list[float]:
    return [float(word) for word in text.split(",")]


def sets(asked: argparse.Namespace, seed: int, ending: str = "") -> Iterator[PictureSet]:
    (asked.place / "data").mkdir(parents=True, exist_ok=True)
    for word in asked.data.split(","):
        name, _, folder = word.partition(":")
        yield ready(asked.place / "data", name + ending, seed, Path(folder).resolve() if folder else None)


def fitting_tools(asked: argparse.Namespace, pictures: PictureSet) -> list[Tool]:
    name = pictures.name.removesuffix(ENDING)
    return [tool for tool in chosen_tools(asked.tools) if not tool.only or name in tool.only]


def all_jobs(asked: argparse.Namespace) -> Iterator[Job]:
    """Yields the cells asked for: seeds outermost, so that an early end leaves whole comparisons."""
    tuned = read_tuned()
    for seed in map(int, numbers(asked.seeds)):
        for pictures in sets(asked, seed):
            for minutes in numbers(asked.minutes):
                for tool in fitting_tools(asked, pictures):
                    if tool.script:
                        settings = settings_of(tool, pictures, minutes, tuned)
                        yield job_of(tool, pictures, minutes, seed, settings)
                    else:
                        cell = Cell(tool.name, pictures.name, minutes, seed, asked.whyconv, asked.label)
                        yield Job(tool, cell, pictures, {})


def race(asked: argparse.Namespace) -> int:
    """Runs the cells that are missing, or lists them."""
    rows = read_rows(asked.results)
    wanted = {job.cell: job for job in all_jobs(asked)}
    todo = missing(wanted, rows)
    if asked.dry_run:
        print(listing(todo, rows))
        return 0
    with sole_race(asked.results):
        return 1 if Runner(asked.results, asked.place).run([wanted[cell] for cell in todo]) else 0


class Runner:
    """Runs cells one after the other, with the anchor before, between and after."""

    def __init__(self, results: Path, place: Path) -> None:
        self.results, self.place = results, place
        self.anchored = float("-inf")
        self.anchor: Row = {}

    def run(self, jobs: list[Job]) -> list[Cell]:
        """Returns the cells that failed."""
        failed = []
        for count, job in enumerate(jobs, start=1):
            print(f"[{count}/{len(jobs)}] ", end="")
            try:
                self.run_one(job)
            except CellFailedError as error:
                failed.append(job.cell)
                print(f"failed: {error}", file=sys.stderr, flush=True)
        if len(jobs) > len(failed):
            self.take_anchor()
        return failed

    def run_one(self, job: Job) -> Row:
        """Runs one cell and adds its record."""
        print(job.cell, flush=True)
        if time.monotonic() - self.anchored > 60 * ANCHOR_MINUTES:
            self.take_anchor()
        row = run_cell(job, place=self.place, anchor=self.anchor)
        append_row(self.results, row)
        print(f"    {100 * row['accuracy']:.2f} % of {row['n']:,}, {row['seconds']:.0f} s", flush=True)
        return row

    def take_anchor(self) -> None:
        """Times the anchor and adds its record."""
        self.anchor = run_anchor(self.place, read_rows(self.results))
        append_row(self.results, self.anchor)
        self.anchored = time.monotonic()
        print(f"    anchor {self.anchor['seconds']:.1f} s, {self.anchor['ratio']:.2f} of the first", flush=True)

    def accuracy(self, job: Job) -> float:
        """Returns what a cell reached, from its record or by running it."""
        done = {cell_of(row): row for row in read_rows(self.results) if is_cell(row)}
        return (done.get(job.cell) or self.run_one(job))["accuracy"]


def tune_all(asked: argparse.Namespace) -> int:
    """Chooses settings for each tool with a grid; what was tried stands beside the results and is not tried again."""
    results = asked.results.with_name(f"{asked.results.stem}-tuning.jsonl")
    with sole_race(results):
        runner = Runner(results, asked.place)
        for pictures in sets(asked, 0, ENDING):
            for tool in fitting_tools(asked, pictures):
                for minutes in numbers(asked.minutes) if tool.grid(pictures) else []:
                    best = tune(tool, pictures, minutes, runner.accuracy)
                    key = key_of(tool, pictures.name, minutes)
                    write_text(TUNED, json.dumps({**read_tuned(), key: best}, indent=1, sort_keys=True) + "\n")
                    print(f"{key}: {best}", flush=True)
    return 0


def show_table(asked: argparse.Namespace) -> int:
    text = tables(read_rows(asked.results))
    if asked.table:
        put_into(Path(asked.table), text)
    else:
        print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
