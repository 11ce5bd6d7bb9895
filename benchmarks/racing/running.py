"""One cell: start the whole command, wait, score its answers, and write the record; or leave nothing."""

from __future__ import annotations

import csv
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from racing.cells import Row, record
from racing.machine import load, machine, now, versions
from racing.memory import MemoryWatch
from racing.pictures import PictureSet
from racing.tools import HABITS, PEERS, Job, command, environment_of

_TAIL = 2000  # characters of a failed command's output that are shown
_PATIENCE = 4  # budgets, after which a command is taken to hang; and 20 minutes


class CellFailedError(Exception):
    """A command ended with an error, or without answers; nothing was recorded."""


def stop_cleanly() -> None:
    """Has Ctrl-C and SIGTERM raise KeyboardInterrupt, also where a shell has started this in the background."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)


@dataclass(frozen=True)
class Run:
    """A finished process.

    Attributes:
        output: What it wrote to stdout.
        seconds: From the shell's side, start of the process to its end.
        cpu_seconds: Of processor time, its children's included.
        allocated_megabytes: Most memory that its processes had allocated together.
        resident_megabytes: The same with what they had read from files.
    """

    output: str
    seconds: float
    cpu_seconds: float
    allocated_megabytes: float
    resident_megabytes: float


def run(words: list[str], environment: Mapping[str, str], scratch: Path, *, limit: float = 3600) -> Run:
    """Runs a command to its end; stops it with all its children where this process is interrupted.

    Raises:
        CellFailedError: It failed, or took more than ``limit`` seconds.
    """
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    with (scratch / "stdout").open("wb") as out, (scratch / "stderr").open("wb") as err:
        began = time.monotonic()
        process = subprocess.Popen(
            words, stdout=out, stderr=err, env=dict(environment), cwd=scratch, start_new_session=True
        )
        try:
            with MemoryWatch(process.pid) as watch:
                _wait(process, limit)
        except BaseException:
            _kill(process)
            raise
        seconds = time.monotonic() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    output = (scratch / "stdout").read_text(errors="replace")
    if process.returncode:
        errors = (scratch / "stderr").read_text(errors="replace")
        told = "took too long" if seconds >= limit else f"ended with {process.returncode}"
        raise CellFailedError(f"{' '.join(words)}\n{told}:\n{(errors or output)[-_TAIL:]}")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Run(output, seconds, cpu, watch.allocated_megabytes, watch.resident_megabytes)


def _wait(process: subprocess.Popen[bytes], limit: float) -> None:
    """Waits for a process; one that takes too long is killed with its whole group."""
    try:
        process.wait(limit)
    except subprocess.TimeoutExpired:
        _kill(process)


def _kill(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def run_cell(job: Job, *, place: Path, anchor: Row) -> Row:
    """Runs and scores a cell.

    Args:
        job: The cell.
        place: Folder of sets and peers' environments; its disk takes the scratch folder too.
        anchor: The latest record of the anchor.

    Returns:
        Its record.

    Raises:
        CellFailedError: A command failed; nothing is to be recorded.
    """
    tool, cell, pictures = job.tool, job.cell, job.pictures
    with tempfile.TemporaryDirectory(dir=place, prefix="scratch-") as folder:
        scratch, before = Path(folder), load()
        # The first command only makes what is not timed, such as copies of the pictures.
        command(job, place=place, scratch=scratch, began=0)
        words = command(job, place=place, scratch=scratch, began=time.time())
        environment = environment_of(tool, scratch)
        done = run(words, environment, scratch, limit=_PATIENCE * 60 * cell.minutes + 1200)
        told = _told_by_whyconv(done, scratch) if not tool.script else _last_json(done.output)
        if not tool.script:
            _ask_whyconv(words, told, pictures, scratch, environment)
        right, n = score(scratch / "answers.csv", pictures)
    found = told.pop("versions", None) or versions("whyconv", "torch", "onnxruntime", "numpy")
    return record(
        cell,
        accuracy=right / n,
        right=right,
        n=n,
        seconds=round(done.seconds, 2),
        training_seconds=told.pop("training_seconds", None),
        cpu_seconds=round(done.cpu_seconds, 1),
        allocated_megabytes=round(done.allocated_megabytes),
        told=told,
        anchor_seconds=anchor["seconds"],
        anchor_ratio=anchor["ratio"],
        load_before=before,
        machine=machine(),
        versions=found,
        date=now(),
    )


def _last_json(output: str) -> Row:
    """Returns the JSON object that a peer's script prints last."""
    try:
        return json.loads(output.strip().splitlines()[-1])
    except (IndexError, ValueError):
        raise CellFailedError(f"The command printed no JSON at its end:\n{output[-_TAIL:]}") from None


def _told_by_whyconv(done: Run, scratch: Path) -> Row:
    summary = json.loads(done.output)
    run_folder = scratch / summary["run"]
    epochs = [json.loads(line) for line in (run_folder / "metrics.jsonl").read_text().splitlines()]
    seconds = [line["seconds"] for line in epochs if "seconds" in line]
    names = ("network", "num_parameters", "num_epochs", "best_epoch", "num_steps", "stopped")
    scored = summary["test"]
    return {
        "run": str(run_folder),
        "training_seconds": seconds[-1] if seconds else None,
        **{name: summary.get(name) for name in names},
        "own_accuracy": scored["accuracy"] if scored else None,
        "own_n": scored["n"] if scored else None,
    }


def _ask_whyconv(
    words: list[str], told: Row, pictures: PictureSet, scratch: Path, environment: Mapping[str, str]
) -> None:
    """Has whyconv name the test pictures, as files, untimed: all tools are scored on all of them by one rule."""
    start = words[: words.index("train")]
    asked = [*start, "predict", told.pop("run"), str(pictures.files / "test"), "--top", "1"]
    run([*asked, "--to", str(scratch / "rows.jsonl")], environment, scratch)
    told_rows = [json.loads(line) for line in (scratch / "rows.jsonl").read_text(encoding="utf-8").splitlines()]
    rows = [("/".join(Path(row["path"]).parts[-2:]), row["label"]) for row in told_rows]
    write_answers(scratch / "answers.csv", rows)


def write_answers(path: Path, rows: list[tuple[str, str]]) -> None:
    """Writes (``CLASS/file``, answer) for each test picture."""
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("picture", "answer"), *rows])


def score(answers: Path, pictures: PictureSet) -> tuple[int, int]:
    """Returns the right answers and the number of test pictures; one without an answer counts as wrong.

    Raises:
        CellFailedError: There are no answers, or some for pictures that are not in the test part, or two for one.
    """
    if not answers.exists():
        raise CellFailedError("The command wrote no answers.")
    with answers.open(encoding="utf-8", newline="") as file:
        rows = [(row["picture"], row["answer"]) for row in csv.DictReader(file)]
    given, listed = dict(rows), dict(pictures.listing("test"))
    if len(given) < len(rows) or given.keys() - listed.keys():
        strange = sorted(given.keys() - listed.keys())[:3]
        raise CellFailedError(f"{len(rows)} answers for {len(given)} pictures; not in the test part: {strange}.")
    right = sum(given.get(name) == pictures.classes[label] for name, label in listed.items())
    return right, len(listed)


def run_anchor(place: Path, rows: list[Row]) -> Row:
    """Times the anchor, always the same work: what differs is the machine.

    Returns:
        Its record; ``ratio`` is to the first anchor on this processor, above 1 is slower.
    """
    with tempfile.TemporaryDirectory(dir=place, prefix="scratch-") as folder:
        before = load()
        done = run([sys.executable, str(PEERS / "anchor.py")], {**os.environ, **HABITS}, Path(folder))
        told = _last_json(done.output)
    here = machine()
    first = next((row["seconds"] for row in rows if row["kind"] == "anchor" and row["machine"] == here), done.seconds)
    return {
        "kind": "anchor",
        "seconds": round(done.seconds, 2),
        "ratio": round(done.seconds / first, 3),
        "told": told,
        "load_before": before,
        "machine": here,
        "versions": versions("torch", "numpy"),
        "date": now(),
    }
