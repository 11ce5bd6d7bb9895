"""Nothing is fetched and nothing is sent: the whole path with the network closed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from command_line import Demo, run_whyconv

CLOSED = ["unshare", "--net"] if getattr(os, "geteuid", lambda: 1)() == 0 else ["unshare", "--map-root-user", "--net"]
REACH = "import socket; socket.create_connection(('127.0.0.1', 9), timeout=5)"


@pytest.fixture(scope="module")
def closed_python() -> list[str]:
    """The interpreter behind a wall; skips where this machine does not allow to build one."""
    if shutil.which("unshare") is None:
        pytest.skip("no 'unshare' on this machine: the network cannot be closed for one process")
    allowed = subprocess.run([*CLOSED, "true"], capture_output=True, check=False, text=True)
    if allowed.returncode:
        pytest.skip(f"closing the network is not allowed here: {allowed.stderr.strip()}")
    return [*CLOSED, sys.executable]


def test_the_wall_stands(closed_python: list[str]) -> None:
    done = subprocess.run([*closed_python, "-c", REACH], capture_output=True, check=False, text=True)
    assert "Network is unreachable" in done.stderr


def test_check_train_evaluate_predict(closed_python: list[str], demo_run: Demo, tmp_path: Path) -> None:
    def run(*words: str) -> str:
        done = run_whyconv(tmp_path, *words, python=closed_python)
        assert done.returncode == 0, done.stdout
        return done.stdout

    pictures = tmp_path / "digits"
    for kind in ("1", "7"):
        shutil.copytree(demo_run.pictures / "train" / kind, pictures / kind)
    run("check", "digits")
    run("train", "digits", "--epochs", "1", "--flips", "off")
    run("evaluate", "runs/digits-1")
    run("predict", "runs/digits-1", "digits/7", "--to", "answers.jsonl")
    answers = [json.loads(line) for line in (tmp_path / "answers.jsonl").read_text().splitlines()]
    assert len(answers) == len(list((pictures / "7").iterdir()))


VAIN = "import socket\ntry:\n    socket.create_connection(('192.0.2.1', 9), timeout=0.1)\nexcept OSError:\n    pass"


@pytest.fixture
def watched_python(tmp_path: Path) -> list[str]:
    """The interpreter, whose calls to others, in vain or not, stand in ``calls``; skips where none can be seen."""
    strace = shutil.which("strace")
    watch = [strace or "", "-f", "-qq", "-e", "trace=connect,sendto,sendmsg,sendmmsg", "-o", str(tmp_path / "calls")]
    if strace is None or subprocess.run([*watch, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no strace, or not allowed on this machine: whom a process calls cannot be seen")
    return [*watch, sys.executable]


def called(folder: Path) -> list[str]:
    """System calls that name an address of the network."""
    return [line for line in (folder / "calls").read_text().splitlines() if "AF_INET" in line]


def test_who_is_called_in_vain_is_seen(watched_python: list[str], tmp_path: Path) -> None:
    subprocess.run([*watched_python, "-c", VAIN], check=True)
    assert len(called(tmp_path)) == 1
    assert "192.0.2.1" in called(tmp_path)[0]


@pytest.mark.parametrize(
    "words",
    [
        ("check", "digits"),
        ("train", "digits", "--epochs", "1", "--flips", "off"),
        ("evaluate", "run"),
        ("predict", "run", "digits/7"),
        ("explain", "run", "seven.png"),
        ("why", "run", "--quick"),
        ("doctor",),
    ],
    ids=lambda words: words[0],
)
def test_nobody_is_called_not_even_in_vain(
    watched_python: list[str], demo_run: Demo, tmp_path: Path, words: tuple[str, ...]
) -> None:
    for kind in ("1", "7"):
        shutil.copytree(demo_run.pictures / "train" / kind, tmp_path / "digits" / kind)
    shutil.copy(min((tmp_path / "digits" / "7").iterdir()), tmp_path / "seven.png")
    shutil.copytree(demo_run.run, tmp_path / "run")
    done = run_whyconv(tmp_path, *words, python=watched_python)
    assert done.returncode == 0, done.stdout
    assert called(tmp_path) == []


WITHIN = """
import http.server
import threading
import urllib.request
from pathlib import Path


def test_there_is_nothing_but_loopback_and_that_is_up():
    lines = Path("/proc/net/dev").read_text().splitlines()[2:]
    assert [line.partition(":")[0].strip() for line in lines] == ["lo"]
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        assert urllib.request.urlopen(f"http://127.0.0.1:{server.server_port}/", timeout=5).status == 200
        server.shutdown()
"""


def test_all_tests_can_be_run_behind_the_wall(closed_python: list[str], tmp_path: Path) -> None:
    """`make closed` does; here one test looks at where it is."""
    (tmp_path / "test_within.py").write_text(WITHIN, encoding="utf-8")
    words = ["-q", "-c", os.devnull, "--rootdir", str(tmp_path), "-p", "no:cacheprovider", str(tmp_path)]
    environment = os.environ | {"PYTHON_OF_TESTS": closed_python[-1]}
    script = Path(__file__).parents[1] / "scripts" / "closed"
    done = subprocess.run([script, *words], env=environment, capture_output=True, check=False, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout
