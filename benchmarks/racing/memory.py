"""The most memory that a command and its children have held together, looked at several times a second."""

from __future__ import annotations

import threading
from pathlib import Path

_EVERY = 0.2  # seconds


class MemoryWatch(threading.Thread):
    """Watches a process and all below it, where the system has ``/proc``; elsewhere the peaks stay 0.

    The kernel's own peak of a finished child is not used: it counts the memory of the process that started it.

    Attributes:
        allocated_megabytes: Most of what they had allocated.
        resident_megabytes: Most of what they had in memory, with what they read from files and share.
    """

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.pid, self.is_over = str(pid), threading.Event()
        self.allocated_megabytes = self.resident_megabytes = 0.0

    def run(self) -> None:
        """Looks until it is told to end."""
        while not self.is_over.wait(_EVERY):
            allocated, resident = _held(self.pid)
            self.allocated_megabytes = max(self.allocated_megabytes, allocated)
            self.resident_megabytes = max(self.resident_megabytes, resident)

    def __enter__(self) -> MemoryWatch:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.is_over.set()
        self.join()


def _held(process: str) -> tuple[float, float]:
    """Returns megabytes allocated and resident in a process and all below it."""
    totals, found = {"RssAnon": 0, "VmRSS": 0}, [process]
    for each in found:
        found += _children(each)
        try:
            lines = Path(f"/proc/{each}/status").read_text().splitlines()
        except OSError:
            continue
        for line in lines:
            name, _, rest = line.partition(":")
            if name in totals:
                totals[name] += int(rest.split()[0])
    return totals["RssAnon"] / 1024, totals["VmRSS"] / 1024


def _children(process: str) -> list[str]:
    try:
        tasks = list(Path(f"/proc/{process}/task").iterdir())
        return [child for task in tasks for child in (task / "children").read_text().split()]
    except OSError:
        return []
