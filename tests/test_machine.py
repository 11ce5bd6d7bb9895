"""A container's limits count, not the host's."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from whyconv import machine


@pytest.fixture
def eight_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, 8),
        ({"cpu.max": "max 100000\n"}, 8),
        ({"cpu.max": "250000 100000\n"}, 2),
        ({"cpu.max": "20000 100000\n"}, 1),
        ({"cpu.max": "1600000 100000\n"}, 8),
        ({"cpu.max": "nonsense"}, 8),
        ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, 8),
        ({"cpu/cpu.cfs_quota_us": "300000", "cpu/cpu.cfs_period_us": "100000"}, 3),
        ({"cpu/cpu.cfs_quota_us": "300000", "cpu/cpu.cfs_period_us": "0"}, 8),
    ],
)
@pytest.mark.usefixtures("eight_cores")
def test_cores(files: dict[str, str], expected: int, tmp_path: Path) -> None:
    write(tmp_path, files)
    assert machine.num_cores(tmp_path, tmp_path / "none") == expected


@pytest.mark.parametrize(
    ("groups", "files", "expected"),
    [
        ("0::/box/run\n", {"box/run/cpu.max": "300000 100000\n"}, 3),
        ("0::/box/run\n", {"box/run/cpu.max": "max 100000\n", "box/cpu.max": "200000 100000\n"}, 2),
        ("0::/box/run\n", {"box/run/cpu.max": "300000 100000\n", "box/cpu.max": "200000 100000\n"}, 2),
        ("0::/box/run\n", {"cpu.max": "400000 100000\n"}, 4),
        ("0::/../../box\n", {"cpu.max": "400000 100000\n"}, 4),
        ("0::/\n", {"cpu.max": "500000 100000\n", "other/cpu.max": "100000 100000\n"}, 5),
        (
            "4:cpu,cpuacct:/docker/1f\n0::/\n",
            {"cpu,cpuacct/docker/1f/cpu.cfs_quota_us": "300000", "cpu,cpuacct/docker/1f/cpu.cfs_period_us": "100000"},
            3,
        ),
        # As a container without a namespace of its own sees it: the path of the host, its own group at the root.
        ("4:cpu:/docker/1f\n", {"cpu/cpu.cfs_quota_us": "250000", "cpu/cpu.cfs_period_us": "100000"}, 2),
        ("4:memory:/small\n", {"cpu/small/cpu.cfs_quota_us": "1", "cpu/small/cpu.cfs_period_us": "1"}, 8),
        ("nonsense\n::\n", {"cpu.max": "600000 100000\n"}, 6),
    ],
)
@pytest.mark.usefixtures("eight_cores")
def test_cores_of_the_group_of_this_process_and_of_those_around_it(
    groups: str, files: dict[str, str], expected: int, tmp_path: Path
) -> None:
    write(tmp_path / "mount", files)
    (tmp_path / "groups").write_text(groups)
    assert machine.num_cores(tmp_path / "mount", tmp_path / "groups") == expected


@pytest.mark.parametrize("name", ["memory.max", "memory/memory.limit_in_bytes"])
def test_memory_is_the_smaller_of_limit_and_machine(name: str, tmp_path: Path) -> None:
    physical = machine.memory_bytes(tmp_path)
    write(tmp_path, {name: "123456789\n"})
    assert machine.memory_bytes(tmp_path) == 123456789
    write(tmp_path, {name: "max" if name == "memory.max" else str(2**63 - 4096)})
    assert machine.memory_bytes(tmp_path) == physical


def test_the_disk_of_a_folder_that_is_not_there_yet(tmp_path: Path) -> None:
    assert 0 < machine.free_disk_bytes(tmp_path / "a" / "b") <= 2**60


def test_the_disk_of_a_folder_that_cannot_be_asked_for(tmp_path: Path) -> None:
    assert 0 < machine.free_disk_bytes(tmp_path / ("a" * 300) / "b") <= 2**60


def write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (folder / name).parent.mkdir(exist_ok=True, parents=True)
        (folder / name).write_text(text)


HABITS = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")


@pytest.mark.parametrize(
    ("there", "kept"),
    [
        ({}, ("PASSIVE", "1000")),
        ({"OMP_WAIT_POLICY": "ACTIVE"}, ("ACTIVE", None)),
        ({"OMP_WAIT_POLICY": "PASSIVE"}, ("PASSIVE", None)),
        ({"GOMP_SPINCOUNT": "7"}, ("PASSIVE", "7")),
    ],
)
def test_how_threads_wait_is_set_where_nobody_has_said(
    there: dict[str, str], kept: tuple[str, str | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "modules", {name: each for name, each in sys.modules.items() if name != "torch"})
    for name in HABITS:
        monkeypatch.delenv(name, raising=False)
    for name, value in there.items():
        monkeypatch.setenv(name, value)
    machine.set_thread_habits()
    assert tuple(map(os.environ.get, HABITS)) == kept


def test_with_torch_there_already_nothing_is_said_to_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", sys)
    for name in HABITS:
        monkeypatch.delenv(name, raising=False)
    machine.set_thread_habits()
    assert [os.environ.get(name) for name in HABITS] == [None, None]


POOLS = """
import ctypes, sys, threading
from pathlib import Path
from whyconv.machine import bound_memory_pools
if sys.argv[1] != "any":
    bound_memory_pools(int(sys.argv[1]))
malloc, free = ctypes.CDLL(None).malloc, ctypes.CDLL(None).free
malloc.restype, free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
taken, wait = [], threading.Barrier(8)
def take():
    wait.wait()
    taken.append(malloc(1000))
    wait.wait()
for each in [threading.Thread(target=take) for _ in range(8)]:
    each.start()
for each in threading.enumerate():
    if each is not threading.main_thread():
        each.join()
print(len({address >> 26 for address in taken}))  # each pool but the first lies in 64 MB of its own
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="pools are glibc's")
def test_threads_take_memory_from_few_pools() -> None:
    few, many = (
        int(subprocess.run([sys.executable, "-c", POOLS, most], capture_output=True, check=True, text=True).stdout)
        for most in ("2", "any")
    )
    assert few <= 2 < many
