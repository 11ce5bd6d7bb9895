"""Two hosts, each a network namespace, whose link is cut: for a moment, and for good."""

from __future__ import annotations

import hashlib
import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tiny_training import write_bars
from two_hosts import Hosts, can_be_made, two_hosts

pytestmark = pytest.mark.slow

COMMAND = str(Path(__file__).parents[1] / "torchrun_command.py")
WORDS = ["train", "bars", "--network", "swift", "--epochs", "40", "--search", "off", "--flips", "off", "--seed", "1"]
WORDS += ["--threads", "1", "--batch", "8"]


@pytest.fixture(scope="module")
def hosts() -> Iterator[Hosts]:
    if not can_be_made():
        pytest.skip("needs the right to make network namespaces, and iproute2")
    with two_hosts() as found:
        yield found


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cut")
    write_bars(folder / "bars", n=120)
    return folder


def start(hosts: Hosts, place: Path, out: str, number: int, **variables: str) -> subprocess.Popen[str]:
    return hosts.start(number, place, COMMAND, *WORDS, "--out", out, **variables)


def end(both: list[subprocess.Popen[str]]) -> None:
    """Waits for both, and requires that they end well."""
    said = [each.communicate(timeout=200)[0] for each in both]
    assert [each.returncode for each in both] == [0, 0], said


def digest(run: Path) -> str:
    return hashlib.sha256((run / "model.safetensors").read_bytes()).hexdigest()


def wait_for_epochs(run: Path, count: int, process: subprocess.Popen[str]) -> None:
    metrics, deadline = run / "metrics.jsonl", time.monotonic() + 120
    while not metrics.exists() or metrics.read_text().count('"epoch"') < count:
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture(scope="module")
def undisturbed(hosts: Hosts, place: Path) -> str:
    end([start(hosts, place, "undisturbed", number) for number in (0, 1)])
    return digest(place / "undisturbed" / "bars-1")


def test_a_link_that_is_down_for_a_moment_costs_no_more_than_that(hosts: Hosts, place: Path, undisturbed: str) -> None:
    both = [start(hosts, place, "moment", number) for number in (0, 1)]
    wait_for_epochs(place / "moment" / "bars-1", 5, both[0])
    hosts.cut()
    time.sleep(4)
    steps = (place / "moment" / "bars-1" / "metrics.jsonl").read_text()
    time.sleep(1)
    # It waits: no step is taken by one host alone.
    assert (place / "moment" / "bars-1" / "metrics.jsonl").read_text() == steps
    hosts.mend()
    end(both)
    assert digest(place / "moment" / "bars-1") == undisturbed


def test_a_link_that_stays_down_is_named_and_started_anew_costs_no_bit(
    hosts: Hosts, place: Path, undisturbed: str
) -> None:
    run = place / "gone" / "bars-1"
    both = [start(hosts, place, "gone", number, PATIENCE="10") for number in (0, 1)]
    try:
        wait_for_epochs(run, 5, both[0])
        hosts.cut()
        told, deadline = "", time.monotonic() + 70
        assert both[0].stdout is not None
        while "is gone or frozen" not in told:
            assert time.monotonic() < deadline, told
            told += both[0].stdout.readline()
        assert f"Process 1 on {os.uname().nodename}" in told
    finally:
        hosts.lose_power()
        hosts.mend()
        for each in both:
            each.communicate()
    assert not (run / "model.safetensors").exists()
    end([hosts.start(number, place, COMMAND, "train", "--resume", str(run)) for number in (0, 1)])
    assert digest(run) == undisturbed
