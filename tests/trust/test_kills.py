"""Killed at random, a training goes on as if nothing had been: the same state and history, bit for bit."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from killed_trainings import EPOCHS, NUM_TIMED, STEPS_PER_EPOCH

HELPERS = Path(__file__).parents[1]


def killed_trainings(folder: Path, num_schedules: int, seed: int) -> list[dict[str, Any]]:
    command = [sys.executable, str(HELPERS / "killed_trainings.py"), str(folder), str(num_schedules), str(seed)]
    paths = [str(HELPERS), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def require_nothing_lost(rows: list[dict[str, Any]], num_schedules: int) -> None:
    ends = [row for row in rows if "exit" in row]
    assert [row["exit"] for row in ends] == [0] * (num_schedules + NUM_TIMED)
    assert {row["step"] for row in ends} == {EPOCHS * STEPS_PER_EPOCH}
    assert len({row["state"] for row in ends}) == len({row["history"] for row in ends}) == 1
    kills = [row for row in rows if "kill" in row]
    for before, after in itertools.pairwise(kills):
        if after["schedule"] == before["schedule"]:
            assert after["saved"] >= before["saved"]
    for row in kills:
        # A state is saved after each epoch: what was reached is less than an epoch and the save after it ahead.
        assert row["saved"] <= row["reached"] <= row["saved"] + 2 * STEPS_PER_EPOCH, row
    killed = [row for row in kills if row["was_killed"]]
    assert len(killed) > 1.5 * num_schedules
    assert len({row["saved"] for row in killed}) > 3  # the kills came all over the training


def test_ten_schedules_of_kills_end_in_the_same_bits(tmp_path: Path) -> None:
    require_nothing_lost(killed_trainings(tmp_path, 10, seed=0), 10)


@pytest.mark.long
def test_a_thousand_kills_lose_nothing(tmp_path: Path) -> None:
    rows = killed_trainings(tmp_path, 340, seed=1)
    require_nothing_lost(rows, 340)
    assert sum("kill" in row for row in rows) >= 1000
