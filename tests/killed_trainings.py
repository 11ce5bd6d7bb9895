"""Trainings that are stopped at random times and go on, in forks of one process that has torch loaded already.

    python killed_trainings.py FOLDER SCHEDULES SEED [SIGNALS]

Some trainings are not stopped: one in this process, so that all is loaded, and three to be timed. Each of the others is
stopped 1 to 5 times, each time after a random part of the time that what is left of it takes, and then runs to its end.
What stops it is drawn from SIGNALS, such as "SIGKILL,SIGTERM,SIGINT,SIGINT+SIGINT"; the last is Ctrl-C twice. One line
of JSON for each stop, and one for the end of each training.

What is trained has all that a state must hold: normalization with its statistics, dropout, averaged weights, an
optimizer of two parts, pictures that are varied, a warm-up and a falling learning rate.
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
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from tiny_training import bars, tiny_plan
from whyconv.errors import StoppedError, WhyconvError
from whyconv.settings import Plan
from whyconv.training import loop
from whyconv.training.checkpoint import load_state
from whyconv.training.loop import train_network
from whyconv.training.optimizers import build_optimizer
from whyconv.training.rotation import load_newest, states
from whyconv.training.run_folder import CHECKPOINTS, METRICS
from whyconv.training.start import start_network
from whyconv.training.stopping import stop_requests

EPOCHS, STEPS_PER_EPOCH = 10, 4
MOST_STOPS, NUM_TIMED = 5, 3
HEARD = {signal.SIGINT, signal.SIGTERM}


def plan() -> Plan:
    return tiny_plan(network="plain", optimizer="muon", epochs=EPOCHS, learning_rate=0.02)


def network() -> nn.Module:
    started = start_network(plan())
    started.get_submodule("dropout").p = 0.2
    return started


def train(folder: Path, progress: mmap.mmap, stop_requested: Callable[[], int] = lambda: 0) -> None:
    """All of the training, or what is left of it; a state is saved after every epoch."""

    def note_step() -> int:
        steps = int.from_bytes(progress[:4], "little") + 1
        progress[:4] = steps.to_bytes(4, "little")
        return stop_requested()

    found = states(folder / CHECKPOINTS)
    done = int(found[0].stem.partition("-")[2]) if found else 0
    progress[:4] = done.to_bytes(4, "little")
    train_network(network(), bars(64), bars(32, seed=1), plan(), folder=folder, stop_requested=note_step)


def forked(folder: Path, progress: mmap.mmap) -> int:
    """Starts a training in a process of its own, which hears signals from its first moment."""
    signal.pthread_sigmask(signal.SIG_BLOCK, HEARD)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            try:
                with stop_requests() as stop_requested:
                    signal.pthread_sigmask(signal.SIG_UNBLOCK, HEARD)
                    train(folder, progress, stop_requested)
                code = 0
            except StoppedError as stop:
                code = stop.exit_code
        except KeyboardInterrupt:  # the second signal may come in the line above
            code = 130
        finally:
            os._exit(code)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, HEARD)
    return child


def stop(child: int, names: str, pause: float) -> dict[str, Any]:
    """Sends one or two signals; how the training ended, and after how many seconds."""
    began = time.perf_counter()
    first, *others = [signal.Signals[name] for name in names.split("+")]
    os.kill(child, first)
    for number in others:
        time.sleep(pause)
        os.kill(child, number)
    _, status = os.waitpid(child, 0)
    code = -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
    return {"signals": names, "code": code, "seconds": time.perf_counter() - began}


def newest(folder: Path) -> tuple[int, str]:
    """Step and content of the newest state: a digest of all of it but the seconds."""
    optimizer = build_optimizer(
        "muon", network(), learning_rate=0.02, momentum=0.9, weight_decay=0.0, other_learning_rate=None
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
    kinds = sys.argv[4].split(",") if len(sys.argv) > 4 else ["SIGKILL"]
    loop._CHECKPOINT_SECONDS = -1.0
    generator, progress, length = random.Random(seed), mmap.mmap(-1, 4), math.inf
    torch.set_num_threads(1)
    train(place / "loaded", progress)
    for schedule in range(-NUM_TIMED, num_schedules):
        folder, saved = place / f"{schedule}", 0
        for number in range(generator.randint(1, MOST_STOPS) if schedule >= 0 else 0):
            pause = generator.uniform(0, length * (1 - saved / (EPOCHS * STEPS_PER_EPOCH)))
            progress[:4] = saved.to_bytes(4, "little")  # what the one before reached says nothing of one killed at once
            child = forked(folder, progress)
            time.sleep(pause)
            ended = stop(child, generator.choice(kinds), generator.uniform(0, 0.02))
            reached = int.from_bytes(progress[:4], "little")
            saved = newest(folder)[0] if states(folder / CHECKPOINTS) else 0
            tell({"schedule": schedule, "stop": number, "reached": reached, "saved": saved, **ended})
        began = time.perf_counter()
        _, status = os.waitpid(forked(folder, progress), 0)
        length = min(length, time.perf_counter() - began) if schedule < 0 else length
        step, digest = newest(folder)
        tell({"schedule": schedule, "exit": status, "step": step, "state": digest, "history": history(folder)})


if __name__ == "__main__":
    main()
