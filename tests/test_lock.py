"""Only one process at a time trains in a run folder, and a process that is gone holds nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from whyconv.errors import StorageError, WhyconvError
from whyconv.training.run_folder import sole_trainer

HOLD = """
import sys, time
from pathlib import Path
from whyconv.training.run_folder import sole_trainer
with sole_trainer(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_second_process_is_refused_until_the_first_is_gone(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLD, str(tmp_path / "pets-1")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "held\n"
        with (
            pytest.raises(WhyconvError, match=r"Another process is training in .*pets-1"),
            sole_trainer(tmp_path / "pets-1"),
        ):
            pass
        with sole_trainer(tmp_path / "pets-2"):
            pass
        first.kill()
        first.wait()
        with sole_trainer(tmp_path / "pets-1"):
            pass


def test_who_alone_writes_removes_what_killed_processes_left(tmp_path: Path) -> None:
    left = [tmp_path / ".model.onnx.a1b2.part", tmp_path / "checkpoints" / ".step-000000004.safetensors.c3d4.part"]
    kept = [tmp_path / "model.onnx", tmp_path / "checkpoints" / "step-000000004.safetensors"]
    (tmp_path / "checkpoints").mkdir()
    for path in [*left, *kept]:
        path.touch()
    with sole_trainer(tmp_path):
        assert [path.exists() for path in [*left, *kept]] == [False, False, True, True]


def test_where_no_lock_can_be_written_the_path_and_the_reason_are_said(tmp_path: Path) -> None:
    (tmp_path / "pets-1").write_text("a file, not a folder")
    with (
        pytest.raises(StorageError, match=r"pets-1.checkpoints.lock cannot be written: Not a directory\. Expected"),
        sole_trainer(tmp_path / "pets-1"),
    ):
        pass
