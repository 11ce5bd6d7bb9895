"""What a record says about the machine, the versions and how busy it was."""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from whyconv.machine import memory_bytes, num_cores

ROOT = Path(__file__).resolve().parents[2]


def default_place() -> Path:
    """Returns the folder of sets and peers' environments, as ``benchmarks/peers.sh`` has it."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(os.environ.get("WHYCONV_RACE") or cache / "whyconv-race")


def machine() -> dict[str, str | int]:
    """Returns processor, cores, memory and system."""
    memory = memory_bytes()
    return {
        "processor": _processor(),
        "cores": num_cores(),
        "memory_gigabytes": round((memory or 0) / 2**30),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")


def versions(*packages: str) -> dict[str, str]:
    """Returns Python's version, those of ``packages`` in this environment, and the commit of the source."""
    found = {"python": platform.python_version()}
    for name in packages:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return {**found, "commit": commit()}


def commit() -> str:
    """Returns the commit of the source, with ``+`` behind it where it was changed since; "" outside of git."""
    head = _git("rev-parse", "--short=12", "HEAD")
    return head + "+" * bool(head and _git("status", "--porcelain", "--", "src"))


def _git(*words: str) -> str:
    try:
        done = subprocess.run(["git", "-C", str(ROOT), *words], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return ""
    return done.stdout.strip()


def load() -> float:
    """Returns the mean number of processes that wanted to run in the last minute."""
    return round(os.getloadavg()[0], 2)


def now() -> str:
    """Returns the date and time, UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")
