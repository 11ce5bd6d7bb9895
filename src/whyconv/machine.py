"""What this process may use of the machine it runs on: cores, memory, disk, graphics card."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
from pathlib import Path, PurePosixPath

_CGROUP = Path("/sys/fs/cgroup")
_OWN_GROUPS = Path("/proc/self/cgroup")
_SPINS = "1000"  # turns of a loop, some 20 microseconds
_POOLS = -8  # M_ARENA_MAX of glibc's malloc.h


def num_cores(cgroup: Path = _CGROUP, own_groups: Path = _OWN_GROUPS) -> int:
    """Returns how many processor cores this process may use, at least 1.

    Where a launcher such as torchrun has started several processes on this machine, they share them. A container's
    quota and the process' affinity count, not the cores of the host: a thread pool as large as the host inside a small
    container is slower than one thread.

    Args:
        cgroup: Where control groups are mounted.
        own_groups: The file that names the groups of this process.
    """
    affinity = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = _cpu_quota(cgroup, own_groups)
    cores = affinity if quota is None else min(affinity, round(quota))
    return max(1, cores // (_decimal(os.environ.get("LOCAL_WORLD_SIZE", "")) or 1))


def threads_here(recorded: int) -> int:
    """Returns how many threads to use where a run recorded so many, maybe on another machine, and no weights follow.

    Args:
        recorded: Threads of the run's training.
    """
    return min(recorded, num_cores())


def set_thread_habits() -> None:
    """Sets how torch's threads wait and how it asks for memory; to be called before torch is imported.

    Threads that spin while they wait make a step many times slower as soon as another process uses a core, and threads
    that sleep at once are late for the next layer: they spin for some microseconds, and then sleep. Large buffers are
    taken in huge pages. Of several processes each would warn of every network that uses all of its parameters, and is
    kept from it. Products of matrices on a graphics card get memory of their own, without which their bits may differ.
    What the environment already says is kept.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read at the first product
    if "torch" not in sys.modules:
        if "OMP_WAIT_POLICY" not in os.environ:
            os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
            os.environ.setdefault("GOMP_SPINCOUNT", _SPINS)
        os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
        if "RANK" in os.environ:
            os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")


def bound_memory_pools(count: int) -> None:
    """Lets threads take memory from at most so many pools; to be called before there are threads.

    Each pool keeps what lies between blocks in use. By default there are eight for each core, and a server that reads
    large pictures in many threads grows for tens of thousands of requests. Nothing happens where C's library is not
    glibc.
    """
    import ctypes  # which takes time to load, and predicting does without

    with contextlib.suppress(OSError, AttributeError, TypeError):
        ctypes.CDLL(None).mallopt(_POOLS, count)


def memory_bytes(cgroup: Path = _CGROUP) -> int | None:
    """Returns the memory this process may use in bytes: the container's limit or the machine's; None if unknown."""
    names = ("SC_PHYS_PAGES", "SC_PAGE_SIZE")
    known = hasattr(os, "sysconf") and all(name in os.sysconf_names for name in names)
    physical = os.sysconf(names[0]) * os.sysconf(names[1]) if known else None
    limits = [_number(cgroup / "memory.max"), _number(cgroup / "memory" / "memory.limit_in_bytes"), physical]
    return min((limit for limit in limits if limit), default=None)


def free_disk_bytes(folder: Path) -> int:
    """Returns the free space of the disk that holds ``folder``, or its nearest parent that exists and may be asked."""
    existing = next(place for place in (folder.absolute(), *folder.absolute().parents) if _is_there(place))
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


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:
        return False  # what lies around it may not be entered


def _cpu_quota(cgroup: Path, own_groups: Path) -> float | None:
    """Returns the cores that control groups grant, version 2 (``cpu.max``) or 1; None without a limit.

    The limit of every group that the process' own lies in holds, so the least of them counts.

    References:
        Linux kernel, *Control Group v2*, section "CPU interface files", and *CFS Bandwidth Control*.
    """
    quotas = []
    for version, path in _own_paths(own_groups):
        mounts = [cgroup] if version == 2 else [cgroup / name for name in ("cpu", "cpu,cpuacct", "cpuacct,cpu")]
        for mount in mounts:
            quotas += [_quota_of(mount / place, version) for place in (path, *path.parents)]
    return min((quota for quota in quotas if quota is not None), default=None)


def _own_paths(own_groups: Path) -> list[tuple[int, PurePosixPath]]:
    """Returns version and path below the mount of the groups that limit this process' cores; the roots by default."""
    paths = {1: PurePosixPath(), 2: PurePosixPath()}
    try:
        lines = own_groups.read_text().splitlines()
    except OSError:
        lines = []
    for line in lines:
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        # Where the path leads out of what is mounted, its root is all that can be seen.
        if ".." not in path and (number == "0" or "cpu" in controllers.split(",")):
            paths[2 if number == "0" else 1] = PurePosixPath(path.lstrip("/"))
    return list(paths.items())


def _quota_of(group: Path, version: int) -> float | None:
    """Returns the cores that one group grants; None without a limit, or without such a group."""
    if version == 2:
        words = _text(group / "cpu.max").split()
    else:
        words = [_text(group / f"cpu.cfs_{name}_us").strip() for name in ("quota", "period")]
    if len(words) != 2 or not all(word.isdigit() for word in words) or not int(words[1]):
        return None
    return int(words[0]) / int(words[1])


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def _number(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None


def _decimal(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() else None
