"""Two runs in one folder: exactly one goes on, and the others say who holds it."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import IO, Any

import pytest

from stopped_run import begin
from tiny_training import write_bars
from whyconv import lock
from whyconv.errors import StorageError, WhyconvError
from whyconv.training.run_folder import sole_trainer

HELPERS = Path(__file__).parents[1]


def environment() -> dict[str, str]:
    paths = [
        str(HELPERS),
        *(os.path.realpath(path) for path in filter(None, os.environ.get("PYTHONPATH", "").split(":"))),
    ]
    return os.environ | {"PYTHONPATH": os.pathsep.join(paths)}


def check_races(folder: Path, races: int, seed: int) -> None:
    command = [sys.executable, str(HELPERS / "racing_writers.py"), str(folder), str(races), str(seed)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment(), check=False, timeout=1200)
    assert done.returncode == 0, done.stderr
    rows: list[dict[str, Any]] = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["kind"] for row in rows] == ["once", "in turn"] * races
    for row in rows:
        if row["kind"] == "in turn":
            assert row["told"] == ["held"] * row["count"], done.stderr
            assert set(row["codes"]) == {0}
            continue
        assert sorted(row["codes"]) == [0] * (row["count"] - 1) + [9]  # all but the holder, which was killed
        who = f"process {row['holder']} on {re.escape(socket.gethostname())}"
        assert len(row["told"]) == row["count"] - 1
        for line in row["told"]:
            assert re.match(rf"Another process is training in .*: {who}\. Wait until .* --resume ", line), line
        assert row["taken_over"]


def test_of_processes_that_start_at_once_exactly_one_goes_on(tmp_path: Path) -> None:
    check_races(tmp_path, 10, seed=0)


@pytest.mark.long
def test_of_processes_that_start_at_once_exactly_one_goes_on_in_a_hundred_races(tmp_path: Path) -> None:
    check_races(tmp_path, 100, seed=1)


def test_a_copied_run_folder_is_held_by_nobody(tmp_path: Path) -> None:
    with sole_trainer(tmp_path / "pets-1"):
        shutil.copytree(tmp_path / "pets-1", tmp_path / "pets-2")
        assert (tmp_path / "pets-2" / "checkpoints" / "lock").read_text()
        with sole_trainer(tmp_path / "pets-2"):
            pass
        with (
            pytest.raises(WhyconvError, match=rf"process {os.getpid()} on {re.escape(socket.gethostname())}"),
            sole_trainer(tmp_path / "pets-1"),
        ):
            pass


def test_a_lock_that_does_not_say_whose_it_is_is_refused_without_a_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("whyconv.lock._TRIES", 1)
    with sole_trainer(tmp_path):
        for said in (b"", b"{", b"[]", b'{"pid": "x", "host": ""}', b'{"pid": 4194304, "host": "%s"}'):
            (tmp_path / "checkpoints" / "lock").write_bytes(said.replace(b"%s", socket.gethostname().encode()))
            with (
                pytest.raises(WhyconvError, match=rf"training in {re.escape(str(tmp_path))}\. Wait"),
                sole_trainer(tmp_path),
            ):
                pass


def test_a_lock_that_is_removed_before_it_is_taken_is_looked_for_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One run is finished, which removes the lock, and another begun between the opening and the taking of a third."""
    real, others = lock._take, ExitStack()

    def take(file: IO[bytes]) -> None:
        monkeypatch.setattr(lock, "_take", real)
        shutil.rmtree(tmp_path / "checkpoints")
        others.enter_context(sole_trainer(tmp_path))
        real(file)

    monkeypatch.setattr(lock, "_take", take)
    with others, pytest.raises(WhyconvError, match=rf"process {os.getpid()} on "), sole_trainer(tmp_path):
        pass


def test_a_file_where_the_lock_belongs_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("whyconv.lock._MOST_FINISHES", 2)
    (tmp_path / "checkpoints").touch()
    with pytest.raises(StorageError, match=r"checkpoints/lock cannot be made"), sole_trainer(tmp_path):
        pass


@pytest.mark.parametrize("count", [2, pytest.param(20, marks=pytest.mark.long)])
def test_of_commands_that_resume_one_run_exactly_one_does(tmp_path: Path, count: int) -> None:
    write_bars(tmp_path / "bars")
    (tmp_path / "refused").mkdir()
    run = begin(tmp_path / "bars", tmp_path)
    words = [sys.executable, str(HELPERS / "resuming_command.py"), str(run), str(tmp_path / "refused"), str(count - 1)]
    processes = [
        subprocess.Popen(
            words, cwd=tmp_path, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        for _ in range(count)
    ]
    told = [process.communicate(timeout=900)[1] for process in processes]
    codes = [process.returncode for process in processes]
    assert sorted(codes) == [0] + [1] * (count - 1), told
    pid = processes[codes.index(0)].pid
    for code, text in zip(codes, told, strict=True):
        assert code == 0 or f": process {pid} on {socket.gethostname()}." in " ".join(text.split())
    assert (run / "summary.json").exists()
