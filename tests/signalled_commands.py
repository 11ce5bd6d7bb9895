"""``whyconv train`` with a signal at a random moment, in forks of one process that has everything loaded already.

    python signalled_commands.py FOLDER TRIALS SEED

The command reads pictures, tries whether they may be mirrored, trains, exports and writes the report. In every trial it
gets SIGTERM, Ctrl-C, Ctrl-C twice, or SIGHUP; the moments are spread evenly over what the command takes undisturbed.
Where it has left a plan, the run is resumed. One line of JSON for each trial, after one for the undisturbed command.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import signal
import sys
import time
from pathlib import Path
from typing import Any

import onnxruntime
import onnxscript
import torch.onnx

from tiny_training import write_bars
from whyconv import export, workflow
from whyconv.cli import application
from whyconv.errors import stopped_by
from whyconv.training import loop

KINDS = ("SIGTERM", "SIGINT", "SIGHUP", "SIGINT+SIGINT")
# An interrupt that came through, and an end in no order at all.
CAME_THROUGH, NO_ORDER = 98, 99
HEARD = {signal.SIGINT, signal.SIGTERM, signal.SIGHUP}
LOADED = (onnxruntime, onnxscript, torch.onnx, export, workflow)
WORDS = ["train", "bars", "--network", "lesson", "--epochs", "8", "--batch", "8", "--threads", "1", "--lang", "en"]


def forked(place: Path, *words: str) -> int:
    """Runs the command in a process of its own; both streams go to ``said.txt``."""
    signal.pthread_sigmask(signal.SIG_BLOCK, HEARD)
    if child := os.fork():
        signal.pthread_sigmask(signal.SIG_UNBLOCK, HEARD)
        return child
    code, has_begun = NO_ORDER, False
    try:
        os.chdir(place)
        said = os.open("said.txt", os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
        os.dup2(said, 1)
        os.dup2(said, 2)
        loop._CHECKPOINT_SECONDS = 0.1
        # As in a terminal, whatever the tests were started by: a job in the background is deaf to Ctrl-C.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for number in (signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, application._on_signal)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, HEARD)
        has_begun = True
        application.main(list(words))
    except SystemExit as end:
        code = int(end.code or 0)
    except KeyboardInterrupt as interrupt:
        code = CAME_THROUGH if has_begun else stopped_by(interrupt).exit_code
    finally:
        os._exit(code)


def ended(child: int) -> int:
    _, status = os.waitpid(child, 0)
    return -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


def left(place: Path) -> dict[str, Any]:
    """What a command said and left."""
    run = place / "runs" / "bars-1"
    weights = run / "model.safetensors"
    return {
        "said": (place / "said.txt").read_text(errors="replace"),
        "has_folder": run.exists(),
        "has_plan": (run / "run.toml").exists(),
        "is_done": (run / "summary.json").exists(),
        "weights": hashlib.sha256(weights.read_bytes()).hexdigest() if weights.exists() else "",
    }


def trial(place: Path, kind: str, pause: float, gap: float) -> dict[str, Any]:
    child = forked(place, *WORDS, "--store", str(place.parent / "store"))
    time.sleep(pause)
    first, *others = [signal.Signals[name] for name in kind.split("+")]
    sent = time.perf_counter()
    os.kill(child, first)
    for number in others:
        time.sleep(gap)
        os.kill(child, number)
    code = ended(child)
    row = {"kind": kind, "pause": pause, "code": code, "seconds": time.perf_counter() - sent, **left(place)}
    if row["has_plan"]:
        row["resumed"] = ended(forked(place, "train", "--resume", "runs/bars-1"))
        row["after"] = left(place)
    return row


def main() -> None:
    place, trials, generator = Path(sys.argv[1]), int(sys.argv[2]), random.Random(int(sys.argv[3]))
    write_bars(place / "bars", 160)
    length = 0.0
    for number in range(-1, trials):
        own = place / f"{number}"
        own.mkdir()
        (own / "bars").symlink_to(place / "bars")
        if number < 0:
            began = time.perf_counter()
            code = ended(forked(own, *WORDS, "--store", str(place / "store")))
            length = time.perf_counter() - began
            row: dict[str, Any] = {"code": code, "seconds": length, **left(own)}
        else:
            pause = length * (number + generator.random()) / trials
            row = trial(own, KINDS[number % len(KINDS)], pause, generator.uniform(0, 0.1))
        sys.stdout.write(json.dumps(row) + "\n")
        sys.stdout.flush()  # before the next fork copies what is not written yet


if __name__ == "__main__":
    main()
