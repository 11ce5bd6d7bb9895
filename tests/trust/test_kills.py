"""Stopped or killed at random, a training goes on as if nothing had been: the same state and history, bit for bit."""

from __future__ import annotations

import itertools
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from command_line import run_whyconv
from killed_trainings import EPOCHS, NUM_TIMED, STEPS_PER_EPOCH
from whyconv.demo import write_digits

HELPERS = Path(__file__).parents[1]


ALL_SIGNALS = "SIGKILL,SIGTERM,SIGINT,SIGINT+SIGINT"


def killed_trainings(folder: Path, num_schedules: int, seed: int, signals: str = "SIGKILL") -> list[dict[str, Any]]:
    command = [
        sys.executable,
        str(HELPERS / "killed_trainings.py"),
        str(folder),
        str(num_schedules),
        str(seed),
        signals,
    ]
    paths = [str(HELPERS), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def count_stops(rows: list[dict[str, Any]], num_schedules: int) -> Counter[str]:
    """Makes sure that no state was lost and all trainings ended alike; returns how many stops of each kind hit one."""
    ends = [row for row in rows if "exit" in row]
    assert [row["exit"] for row in ends] == [0] * (num_schedules + NUM_TIMED)
    assert {row["step"] for row in ends} == {EPOCHS * STEPS_PER_EPOCH}
    assert len({row["state"] for row in ends}) == len({row["history"] for row in ends}) == 1
    stops = [row for row in rows if "stop" in row]
    for before, after in itertools.pairwise(stops):
        if after["schedule"] == before["schedule"]:
            assert after["saved"] >= before["saved"]
    for row in stops:
        # A state is saved after each epoch: what was reached is less than an epoch and the save after it ahead.
        assert row["saved"] <= row["reached"] <= row["saved"] + 2 * STEPS_PER_EPOCH, row
        first = signal.Signals[row["signals"].partition("+")[0]]
        assert row["code"] in {0, -first if first == signal.SIGKILL else 128 + first}, row
        if row["signals"] in {"SIGTERM", "SIGINT"}:
            assert row["saved"] == row["reached"], row  # the step it was at, and no other
            assert row["seconds"] < 10, row
    hit = [row for row in stops if row["code"] != 0]
    assert len({row["saved"] for row in hit}) > 3  # they came all over the training
    return Counter(row["signals"] for row in hit)


def test_ten_schedules_of_signals_and_kills_end_in_the_same_bits(tmp_path: Path) -> None:
    found = count_stops(killed_trainings(tmp_path, 10, seed=3, signals=ALL_SIGNALS), 10)
    assert found.total() > 10  # the others came too late
    assert len(found) == 4


@pytest.mark.long
def test_a_hundred_schedules_of_signals_and_kills_end_in_the_same_bits(tmp_path: Path) -> None:
    found = count_stops(killed_trainings(tmp_path, 100, seed=4, signals=ALL_SIGNALS), 100)
    assert min(found[name] for name in ALL_SIGNALS.split(",")) > 25


@pytest.mark.long
def test_a_thousand_kills_lose_nothing(tmp_path: Path) -> None:
    assert count_stops(killed_trainings(tmp_path, 400, seed=1), 400).total() >= 1000


@pytest.mark.long
def test_the_command_itself_killed_at_random_makes_the_same_model(tmp_path: Path) -> None:
    """Whatever it was doing: reading, trying, training, exporting, writing the report."""
    digits = write_digits(tmp_path / "digits")
    words = ["train", str(digits), "--epochs", "6", "--threads", "1", "--flips", "off"]
    began = time.monotonic()
    assert run_whyconv(tmp_path, *words, "--out", "alone").returncode == 0
    length, generator = time.monotonic() - began, random.Random(2)
    run, num_killed = tmp_path / "killed" / "digits-1", 0
    for _ in range(6):
        again = ["train", "--resume", str(run)] if (run / "run.toml").exists() else [*words, "--out", "killed"]
        with subprocess.Popen(
            [sys.executable, "-m", "whyconv", *again],
            cwd=tmp_path,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as process:
            time.sleep(generator.uniform(0.2, 0.8) * length)
            process.kill()
        num_killed += process.returncode == -signal.SIGKILL
        if not (run / "run.toml").exists():
            shutil.rmtree(run, ignore_errors=True)
    assert num_killed >= 3
    done = run_whyconv(tmp_path, "train", "--resume", str(run))
    assert done.returncode == 0, done.stdout
    for name in ("model.safetensors", "model.onnx", "metrics.jsonl"):
        ours, other = ((folder / name).read_bytes() for folder in (run, tmp_path / "alone" / "digits-1"))
        if name.endswith(".jsonl"):
            ours, other = (re.sub(rb'"seconds": ?[0-9.]+', b"", text) for text in (ours, other))
        assert ours == other, name
    assert not list(run.glob(".*.part"))
