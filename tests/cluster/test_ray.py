"""Real Ray on this machine: the rows of plain predict, one for each picture, whoever is killed on the way."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from command_line import run_whyconv
from server_process import processes
from tiny_model import write_model
from whyconv.cluster.pieces import LOCK
from whyconv.lock import sole_writer

pytest.importorskip("ray", reason="the extra cluster is not installed")
from pyarrow import parquet

NUM_PICTURES = 70


def make_pictures(folder: Path, count: int) -> Path:
    """Small pictures of random pixels, and one file that is none."""
    random = np.random.default_rng(0)
    folder.mkdir()
    for number in range(count - 1):
        pixels = random.integers(0, 256, (8, 8, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:05d}.png", compress_level=0)
    (folder / "broken.png").write_bytes(b"no picture")
    return folder


def rows_of(folder: Path) -> list[dict[str, object]]:
    return [row for path in sorted(folder.glob("*.parquet")) for row in parquet.read_table(path).to_pylist()]


def start(folder: Path, to: str) -> subprocess.Popen[str]:
    words = ["predict", "model.onnx", str(folder / "pictures"), "--cluster", "local", "--to", to, "--batch", "4"]
    return subprocess.Popen(
        [sys.executable, "-m", "whyconv", *words],
        cwd=folder,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=os.environ | {"LANG": "C.UTF-8", "NO_COLOR": "1"},
    )


def answering(pid: int) -> list[int]:
    """The processes of Ray that answer pictures."""
    found = []
    for each in processes(pid):
        try:
            words = Path(f"/proc/{each}/cmdline").read_bytes()
        except OSError:
            continue
        if words.startswith(b"ray::MapWorker"):
            found.append(each)
    return found


def with_word(word: str) -> list[str]:
    """The processes of this machine that were started with a word."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            found += [path.parent.name] if word in path.read_text(errors="replace") else []
    return found


def wait_for_pieces(folder: Path, count: int, process: subprocess.Popen[str]) -> None:
    while len(list(folder.glob("*.parquet"))) < count:
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.01)


def test_the_rows_are_those_of_predict_and_what_is_there_is_not_answered_again(tmp_path: Path) -> None:
    make_pictures(tmp_path / "pictures", NUM_PICTURES)
    write_model(tmp_path / "model.onnx")
    before = set(Path(tempfile.gettempdir()).glob("whyconv-ray-*"))
    words = ("predict", "model.onnx", "pictures", "--top", "2")
    done = run_whyconv(tmp_path, *words, "--cluster", "local", "--to", "out")
    assert done.returncode == 3, done.stdout  # one of them is no picture
    assert "Ray (local)" in done.stdout
    assert "1 of 70 files could not be read" in done.stdout
    assert run_whyconv(tmp_path, *words, "--to", "plain.parquet").returncode == 3
    assert rows_of(tmp_path / "out") == parquet.read_table(tmp_path / "plain.parquet").to_pylist()
    assert set(Path(tempfile.gettempdir()).glob("whyconv-ray-*")) == before
    assert [line for line in done.stdout.splitlines() if line.startswith("[") or "WARNING" in line] == []
    (tmp_path / "out" / "part-000001.parquet").unlink()
    again = run_whyconv(tmp_path, *words, "--cluster", "local", "--to", "out", "--json")
    assert again.returncode == 3
    told = json.loads(again.stdout[again.stdout.index("{") : again.stdout.index("}") + 1])
    assert (told["num_pieces"] - told["num_before"], told["num_unread"]) == (1, 1)
    assert rows_of(tmp_path / "out") == parquet.read_table(tmp_path / "plain.parquet").to_pylist()
    # Where all is there nothing is started: nobody answers at this address.
    last = run_whyconv(tmp_path, *words, "--cluster", "ray://127.0.0.1:1", "--to", "out")
    assert last.returncode == 3
    assert f"{told['num_pieces']} of {told['num_pieces']} pieces are there from before" in last.stdout
    assert "1 of 70 files could not be read" in last.stdout


# Ray's own error where a machine has no time for it, after all of its processes were started.
LATE_RAY = """
from ray._private import services
from whyconv.cluster.engine import connected
from whyconv.errors import WhyconvError

def late(*words, **more):
    raise Exception("The current node timed out during startup.")

services.get_node = late
try:
    with connected("local"):
        pass
except WhyconvError as error:
    print(error)
"""


def test_a_ray_that_comes_too_late_is_said_and_nothing_of_it_stays() -> None:
    with tempfile.TemporaryDirectory(prefix="late") as folder:  # names of sockets have to be short
        words = [sys.executable, "-c", LATE_RAY]
        done = subprocess.run(words, env=os.environ | {"TMPDIR": folder}, capture_output=True, text=True, check=True)
        assert done.stdout == "Ray cannot be started here: The current node timed out during startup.\n"
        assert list(Path(folder).glob("whyconv-ray-*")) == []
        deadline = time.monotonic() + 20
        while (left := with_word(folder)) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert left == []


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("--cluster", "local"), "Expected --to FOLDER"),
        (("--cluster", "local", "--to", "a.csv"), "not a.csv"),
        (("--cluster", "spark", "--to", "out"), "--cluster spark: expected local, auto"),
        (("--cluster", "ray://127.0.0.1:1", "--to", "out"), "No Ray cluster answers at ray://127.0.0.1:1"),
    ],
)
def test_what_cannot_be_asked_for_is_said(tmp_path: Path, words: tuple[str, ...], named: str) -> None:
    make_pictures(tmp_path / "pictures", 2)
    write_model(tmp_path / "model.onnx")
    done = run_whyconv(tmp_path, "predict", "model.onnx", "pictures", *words)
    assert done.returncode in (1, 2)
    assert named in " ".join(done.stdout.split())
    assert not list(tmp_path.rglob("*.parquet"))


def test_a_second_command_is_refused_while_the_first_writes(tmp_path: Path) -> None:
    make_pictures(tmp_path / "pictures", 2)
    write_model(tmp_path / "model.onnx")
    words = ("predict", "model.onnx", "pictures", "--cluster", "ray://127.0.0.1:1", "--to", "out")
    assert "No Ray cluster answers" in run_whyconv(tmp_path, *words).stdout
    out = tmp_path / "out"
    with sole_writer(out, out / LOCK, doing="writes to", then=""):
        done = run_whyconv(tmp_path, *words)
    assert done.returncode == 1
    said = " ".join(done.stdout.split())
    assert f"Another process writes to {out}: process {os.getpid()} on " in said
    assert "ask again" in said


@pytest.mark.slow
def test_there_is_one_row_for_each_picture_after_processes_were_killed(tmp_path: Path) -> None:
    make_pictures(tmp_path / "pictures", 3000)
    write_model(tmp_path / "model.onnx")
    process, killed = start(tmp_path, "out"), 0
    for pieces in (1, 3, 5):
        wait_for_pieces(tmp_path / "out", pieces, process)
        for one in answering(process.pid)[:1]:
            os.kill(one, signal.SIGKILL)
            killed += 1
    said = process.communicate(timeout=300)[0]
    assert process.returncode == 3, said
    assert killed >= 2
    rows = rows_of(tmp_path / "out")
    assert [str(row["path"]) for row in rows] == sorted(str(path) for path in (tmp_path / "pictures").iterdir())
    assert sum(row["error"] is not None for row in rows) == 1


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_a_command_that_was_stopped_goes_on_and_leaves_no_process(tmp_path: Path, number: signal.Signals) -> None:
    make_pictures(tmp_path / "pictures", 3000)
    write_model(tmp_path / "model.onnx")
    before = set(Path(tempfile.gettempdir()).glob("whyconv-ray-*"))
    # What ran the tests in the background made them, and so the command, deaf to Ctrl-C.
    heard = signal.signal(signal.SIGINT, signal.default_int_handler)
    process = start(tmp_path, "out")
    signal.signal(signal.SIGINT, heard)
    wait_for_pieces(tmp_path / "out", 2, process)
    family = processes(process.pid)
    process.send_signal(number)
    said = process.communicate(timeout=60)[0]
    assert process.returncode == {signal.SIGKILL: -9, signal.SIGINT: 130, signal.SIGTERM: 143}[number], said
    deadline = time.monotonic() + 120  # two of Ray's own notice after a minute that nobody is left
    while left := [one for one in family if Path(f"/proc/{one}/cmdline").exists() and _runs(one)]:
        assert time.monotonic() < deadline, left
        time.sleep(0.2)
    there = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").glob("*.parquet")}
    again = start(tmp_path, "out")
    assert "are there from before" in again.communicate(timeout=300)[0]
    assert all(path.stat().st_mtime_ns == when for path, when in there.items())
    assert set(Path(tempfile.gettempdir()).glob("whyconv-ray-*")) == before
    assert len(rows_of(tmp_path / "out")) == 3000


def _runs(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False
