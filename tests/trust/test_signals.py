"""Ctrl-C, SIGTERM and a closed terminal at any moment: the command leaves soon, in good order, and the run goes on."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tiny_training import write_bars
from whyconv import workflow
from whyconv.errors import SignalInterrupt, StoppedError
from whyconv.results import ignore
from whyconv.training.stopping import signals_to_end, stop_requests, stops_say_how_to_go_on

HELPERS = Path(__file__).parents[1]
# A command that hears signals as one in a terminal does: a job in the background is deaf to Ctrl-C.
HEARING = """
import os, signal, sys
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, signal.SIG_DFL)
os.execv(sys.argv[1], sys.argv[1:])
"""
GOES_ON = "whyconv train --resume runs/bars-1"


def environment(**more: str) -> dict[str, str]:
    paths = [
        str(HELPERS),
        *(os.path.realpath(path) for path in filter(None, os.environ.get("PYTHONPATH", "").split(":"))),
    ]
    kept = {name: value for name, value in os.environ.items() if name not in {"LANG", "LC_ALL", "PYTHONUNBUFFERED"}}
    return kept | {"PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"} | more


def check_trials(folder: Path, trials: int, seed: int) -> Counter[str]:
    """Returns how often the command was where when it was stopped."""
    command = [sys.executable, str(HELPERS / "signalled_commands.py"), str(folder), str(trials), str(seed)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment(), check=False)
    assert done.returncode == 0, done.stderr
    alone, *rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert (alone["code"], alone["is_done"], len(rows)) == (0, True, trials)
    return Counter(check_trial(row, alone["weights"]) for row in rows)


def check_trial(row: dict[str, Any], weights: str) -> str:
    said, told = row["said"], {name: value for name, value in row.items() if name != "said"}
    assert "Traceback" not in said, said
    assert row["seconds"] < 10, told
    if row["code"] == 0:
        assert row["is_done"], told
        assert row["weights"] == weights, told
        return "was done"
    first = signal.Signals[row["kind"].partition("+")[0]]
    assert row["code"] == 128 + first, told
    name = "Ctrl-C" if first == signal.SIGINT else first.name
    if not row["has_plan"]:
        assert not row["has_folder"], told  # nothing could go on from there
        return "before the plan"
    lines = " ".join(said.split())
    assert GOES_ON in lines, said
    assert f"Stopped by {name}." in lines or "Stopped at step " in lines or "Error: Stopped. " in lines, said
    assert row["resumed"] == 0, row["after"]["said"]
    assert row["after"]["weights"] == weights, told
    return "after the training" if row["weights"] else "in the training"


def test_signals_at_random_moments_end_the_command_and_the_run_goes_on_to_the_same_bits(tmp_path: Path) -> None:
    assert check_trials(tmp_path, 2, seed=0).total() == 2


@pytest.mark.long
def test_two_hundred_signals_at_random_moments(tmp_path: Path) -> None:
    found = check_trials(tmp_path, 200, seed=1)
    assert found.total() == 200
    assert min(found["before the plan"], found["in the training"] + found["after the training"]) > 20


@pytest.mark.long
@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGHUP"])
def test_the_command_as_it_is_started_hears_signals_while_it_loads(tmp_path: Path, name: str) -> None:
    """A real process with all of its imports: torch's, in which errors of many kinds are caught."""
    write_bars(tmp_path / "bars")
    words, number = [sys.executable, "-m", "whyconv", "train", "bars", "--epochs", "500"], signal.Signals[name]
    for tenth in range(4, 60, 4):
        with subprocess.Popen(
            [sys.executable, "-c", HEARING, *words, "--out", f"runs-{tenth}"],
            cwd=tmp_path,
            env=environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            time.sleep(tenth / 10)
            sent = time.monotonic()
            process.send_signal(number)
            _, said = process.communicate(timeout=60)
        assert time.monotonic() - sent < 10
        assert process.returncode in {128 + number, -number}, said
        assert process.returncode == 128 + number or tenth <= 8, said  # the first moments are Python's own
        assert "Traceback" not in said or tenth <= 8, said


def test_a_second_ctrl_c_waits_until_a_folder_without_a_plan_is_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remove, is_done = shutil.rmtree, threading.Event()

    def interrupted(*args: object, **words: object) -> None:
        os.kill(os.getpid(), signal.SIGINT)
        remove(*args, **words)  # type: ignore[arg-type]

    monkeypatch.setattr(workflow.shutil, "rmtree", interrupted)  # type: ignore[attr-defined]
    # A job in the background is deaf to Ctrl-C.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    # Another thread, as torch has some, takes what the main thread does not.
    threading.Thread(target=is_done.wait, daemon=True).start()
    try:
        with pytest.raises(KeyboardInterrupt), workflow._new_run(str(tmp_path / "runs"), "pets", ignore):
            raise ValueError("of its own")
    finally:
        signal.signal(signal.SIGINT, before)
        is_done.set()
    assert not list((tmp_path / "runs").iterdir())


def _read_while_interrupted(error: Exception) -> None:
    """As code in C does that was reading a tensor."""
    try:
        signal.raise_signal(signal.SIGINT)
    except KeyboardInterrupt:
        raise error from None


def test_a_second_ctrl_c_is_one_whatever_error_becomes_of_it() -> None:
    with pytest.raises(KeyboardInterrupt), stop_requests():
        signal.raise_signal(signal.SIGINT)
        _read_while_interrupted(ValueError("could not determine the shape"))
    for error in (StoppedError("Stopped at step 3.", exit_code=130), ValueError("of its own")):
        with pytest.raises(type(error)), stop_requests():
            signal.raise_signal(signal.SIGINT)
            raise error
    with pytest.raises(StoppedError), stop_requests():
        signal.raise_signal(signal.SIGINT)
        _read_while_interrupted(StoppedError("Stopped at step 3.", exit_code=130))


def test_a_second_ctrl_c_interrupts_at_once_and_a_signal_of_before_is_kept() -> None:
    with pytest.raises(KeyboardInterrupt), stop_requests() as stop_requested:
        signal.raise_signal(signal.SIGTERM)
        assert stop_requested() == 143
        signal.raise_signal(signal.SIGTERM)
        assert stop_requested() == 143
        signal.raise_signal(signal.SIGINT)
    with (
        pytest.raises(StoppedError, match=r"Stopped by SIGHUP\. Go on with:  whyconv train --resume pets-1") as stopped,
        stops_say_how_to_go_on("whyconv train --resume pets-1"),
    ):
        raise SignalInterrupt(signal.SIGHUP)
    assert stopped.value.exit_code == 129


def test_under_nohup_a_closed_terminal_is_no_reason_to_stop() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    try:
        assert signal.SIGHUP in signals_to_end()
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        assert signal.SIGHUP not in signals_to_end()
        with stop_requests() as stop_requested:
            signal.raise_signal(signal.SIGHUP)
            assert stop_requested() == 0
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize(
    ("caught", "then"),
    [
        ("Exception", "raise SystemExit('held up')"),
        ("BaseException", "raise ImportError('cannot load module more than once per process')"),
        ("BaseException", "time.sleep(30)"),
    ],
)
def test_an_error_handler_on_the_way_does_not_hold_a_signal_up(caught: str, then: str) -> None:
    """As the many in torch's imports and exporter do with every exception, and code in C with interrupts as well."""
    script = (
        "import signal, time\nfrom whyconv import doctor\nfrom whyconv.cli import application\n"
        "def diagnose(*_):\n    try:\n        signal.raise_signal(signal.SIGTERM)\n"
        f"    except {caught}:\n        pass\n    {then}\n"
        "doctor.diagnose = diagnose\napplication._AGAIN_SECONDS = 0.2\napplication.main(['doctor'])"
    )
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (143, "Error: Stopped by SIGTERM.\n")


def test_a_signal_before_the_verb_is_told_as_well() -> None:
    """While typer reads the words, say."""
    script = (
        "import signal, typer\nfrom whyconv.cli import application\n"
        "def callback():\n    signal.raise_signal(signal.{name})\n"
        "application.app.callback()(callback)\napplication.main(['doctor'])"
    )
    for name, told in (("SIGTERM", "SIGTERM"), ("SIGHUP", "SIGHUP"), ("SIGINT", "Ctrl-C")):
        command = [sys.executable, "-c", HEARING, sys.executable, "-c", script.format(name=name)]
        done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)
        assert done.returncode == 128 + signal.Signals[name], done.stderr
        assert done.stderr == f"Error: Stopped by {told}.\n"


def test_a_stream_that_was_closed_becomes_no_file_of_ours(tmp_path: Path) -> None:
    """What a library writes on the streams it has always had must not end up in the next file that is opened."""
    script = (
        "import contextlib, os, sys\nfrom whyconv import doctor\nfrom whyconv.cli import main\n"
        "def diagnose(*_):\n    with open(sys.argv[1], 'wb'):\n        for number in (1, 2):\n"
        "            with contextlib.suppress(OSError):\n                os.write(number, b'noise')\n"
        "    raise SystemExit(7)\n"
        "doctor.diagnose = diagnose\nmain(['doctor'])"
    )
    command = shlex.join([sys.executable, "-c", script, str(tmp_path / "ours")])
    done = subprocess.run(["bash", "-c", f"{command} >&- 2>&-"], env=environment(), check=False)
    assert done.returncode == 7
    assert (tmp_path / "ours").read_bytes() == b""


@pytest.mark.parametrize(
    ("redirected", "said"),
    [
        ("2>&1 | head -1", "30 pictures, 2 classes"),
        ("2>&1 >&- | cat", "30 pictures, 2 classes"),
        (">&- 2>&- <&-", ""),
        ("2>/dev/full >/dev/null", ""),
    ],
)
def test_a_reader_that_is_gone_or_never_was_is_no_failure(tmp_path: Path, redirected: str, said: str) -> None:
    write_bars(tmp_path / "bars", 30)
    command = f"{shlex.quote(sys.executable)} -m whyconv check bars --lang en {redirected}; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        ["bash", "-c", command],
        cwd=tmp_path,
        env=environment(XDG_CACHE_HOME=str(tmp_path / "cache")),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert said in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.long
@pytest.mark.parametrize("redirected", ["2>&1 | head -1", ">&- 2>&- <&-", "2>/dev/full >/dev/full"])
def test_a_training_goes_on_when_nobody_reads_what_it_says(tmp_path: Path, redirected: str) -> None:
    write_bars(tmp_path / "bars")
    words = "train bars --network lesson --epochs 3 --flips off --threads 1"
    command = f"{shlex.quote(sys.executable)} -m whyconv {words} {redirected}; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        ["bash", "-c", command], cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "runs" / "bars-1" / "summary.json").exists()
    # No file of the run has become a stream that was closed.
    for path in (tmp_path / "runs" / "bars-1").iterdir():
        assert b"epoch 1/3" not in path.read_bytes(), path
