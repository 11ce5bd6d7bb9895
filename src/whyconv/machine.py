"""What this process may use of the machine it runs on: cores, memory, disk, graphics card."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

_CGROUP = Path("/sys/fs/cgroup")


def num_cores(cgroup: Path = _CGROUP) -> int:
    """Returns how many processor cores this process may use, at least 1.

    A container's quota and the process' affinity count, not the cores of the host: a thread pool as
    large as the host inside a small container is slower than one thread.
    """
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = _cpu_quota(cgroup)
    return max(1, affinity if quota is None else min(affinity, round(quota)))


def set_thread_habits() -> None:
    """Sets how torch's threads wait and how it asks for memory; to be called before torch is imported.

    Threads that spin while they wait make a step many times slower as soon as another process uses a core:
    they sleep instead. Large buffers are taken in huge pages. What the environment already says is kept.
    """
    if "torch" not in sys.modules:
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
        os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")


def memory_bytes(cgroup: Path = _CGROUP) -> int | None:
    """Returns the memory this process may use in bytes: the container's limit or the machine's; None if unknown."""
    names = ("SC_PHYS_PAGES", "SC_PAGE_SIZE")
    known = hasattr(os, "sysconf") and all(name in os.sysconf_names for name in names)
    physical = os.sysconf(names[0]) * os.sysconf(names[1]) if known else None
    limits = [_number(cgroup / "memory.max"), _number(cgroup / "memory" / "memory.limit_in_bytes"), physical]
    return min((limit for limit in limits if limit), default=None)


def free_disk_bytes(folder: Path) -> int:
    """Returns the free space of the disk that holds ``folder``, or its nearest parent that exists."""
    existing = next(place for place in (folder.absolute(), *folder.absolute().parents) if place.exists())
    return shutil.disk_usage(existing).free


def graphics_card() -> str | None:
    """Returns the name of the first NVIDIA card the system's driver reports, or None; no driver is loaded."""
    if sys.platform != "linux":
        return None
    for facts in sorted(Path("/proc/driver/nvidia/gpus").glob("*/information")):
        for line in facts.read_text(errors="replace").splitlines():
            if line.startswith("Model:"):
                return line.partition(":")[2].strip()
    return None


def _cpu_quota(cgroup: Path) -> float | None:
    """Returns the cores a control group grants, version 2 (``cpu.max``) or 1; None without a limit."""
    try:
        quota, period = (cgroup / "cpu.max").read_text().split()
    except (OSError, ValueError):
        quota, period = (str(_number(cgroup / "cpu" / f"cpu.cfs_{name}_us")) for name in ("quota", "period"))
    if not (quota.isdigit() and period.isdigit() and int(period)):
        return None
    return int(quota) / int(period)


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None
