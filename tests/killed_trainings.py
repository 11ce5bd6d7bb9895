"""Trainings that are killed at random times and go on, in forks of one process that has torch loaded already.

    python killed_trainings.py FOLDER SCHEDULES SEED

Some trainings are not killed: one in this process, so that all is loaded, and three to be timed. Each of the others is
killed 1 to 5 times, each time after a random part of the time that what is left of it takes, and then runs to its end.
One line of JSON for each kill, and one for the end of each training.
"""

from __future__ import annotations

import hashlib
import json
import math
import mmap
import os
import random
import signal
import sys
import time
from pathlib import Path
from typing import Any

import torch

from tiny_training import bars, tiny_plan
from whyconv.errors import WhyconvError
from whyconv.settings import Plan
from whyconv.training import loop
from whyconv.training.checkpoint import load_state
from whyconv.training.loop import train_network
from whyconv.training.optimizers import build_optimizer
from whyconv.training.rotation import load_newest, states
from whyconv.training.run_folder import CHECKPOINTS, METRICS
from whyconv.training.start import start_network

EPOCHS, STEPS_PER_EPOCH = 10, 4
MOST_KILLS, NUM_TIMED = 5, 3


def plan() -> Plan:
    return tiny_plan(network="plain", optimizer="muon", epochs=EPOCHS, learning_rate=0.02)


def train(folder: Path, progress: mmap.mmap) -> None:
    """All of the training, or what is left of it; a state is saved after every epoch."""

    def note_step() -> int:
        steps = int.from_bytes(progress[:4], "little") + 1
        progress[:4] = steps.to_bytes(4, "little")
        return 0

    found = states(folder / CHECKPOINTS)
    done = int(found[0].stem.partition("-")[2]) if found else 0
    progress[:4] = done.to_bytes(4, "little")
    train_network(start_network(plan()), bars(64), bars(32, seed=1), plan(), folder=folder, stop_requested=note_step)


def forked(folder: Path, progress: mmap.mmap) -> int:
    """Starts a training in a process of its own."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            train(folder, progress)
            code = 0
        finally:
            os._exit(code)
    return child


def newest(folder: Path) -> tuple[int, str]:
    """Step and content of the newest state: a digest of all of it but the seconds."""
    optimizer = build_optimizer(
        "muon", start_network(plan()), learning_rate=0.02, momentum=0.9, weight_decay=0.0, other_learning_rate=None
    )
    damaged: list[Any] = []
    _, (tensors, progress) = load_newest(folder / CHECKPOINTS, lambda path: load_state(path, optimizer), damaged.append)
    if damaged:
        raise WhyconvError(str(damaged))
    hasher = hashlib.sha256(json.dumps({**progress, "seconds": 0}, sort_keys=True).encode())
    flat = {f"{name} {key}": value for name, part in tensors.items() for key, value in part.items()}
    flat |= {
        f"optimizer {index} {key}": value
        for index, state in optimizer.state_dict()["state"].items()
        for key, value in state.items()
    }
    for name in sorted(flat):
        hasher.update(name.encode() + flat[name].numpy().tobytes())
    return progress["step"], hasher.hexdigest()


def history(folder: Path) -> str:
    rows = [json.loads(line) for line in (folder / METRICS).read_text().splitlines()]
    text = json.dumps([{key: value for key, value in row.items() if key != "seconds"} for row in rows])
    return hashlib.sha256(text.encode()).hexdigest()


def tell(row: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(row) + "\n")
    sys.stdout.flush()  # before the next fork copies what is not written yet


def main() -> None:
    place, num_schedules, seed = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    loop._CHECKPOINT_SECONDS = -1.0
    generator, progress, length = random.Random(seed), mmap.mmap(-1, 4), math.inf
    torch.set_num_threads(1)
    train(place / "loaded", progress)
    for schedule in range(-NUM_TIMED, num_schedules):
        folder, saved = place / f"{schedule}", 0
        for kill in range(generator.randint(1, MOST_KILLS) if schedule >= 0 else 0):
            pause = generator.uniform(0, length * (1 - saved / (EPOCHS * STEPS_PER_EPOCH)))
            progress[:4] = saved.to_bytes(4, "little")  # what the one before reached says nothing of one killed at once
            child = forked(folder, progress)
            time.sleep(pause)
            os.kill(child, signal.SIGKILL)
            _, status = os.waitpid(child, 0)
            reached = int.from_bytes(progress[:4], "little")
            saved = newest(folder)[0] if states(folder / CHECKPOINTS) else 0
            was_killed = os.WIFSIGNALED(status)
            tell({"schedule": schedule, "kill": kill, "was_killed": was_killed, "reached": reached, "saved": saved})
        began = time.perf_counter()
        _, status = os.waitpid(forked(folder, progress), 0)
        length = min(length, time.perf_counter() - began) if schedule < 0 else length
        step, digest = newest(folder)
        tell({"schedule": schedule, "exit": status, "step": step, "state": digest, "history": history(folder)})


if __name__ == "__main__":
    main()
