"""How long a command of `whyconv` computes, told so that a slow or busy machine neither excuses nor condemns it."""

from __future__ import annotations

import subprocess
import sys
from statistics import median

import pytest

LIBRARIES = "import numpy, onnxruntime, PIL.Image, pydantic, typer"
# What loading them takes on two quiet cores, the machine for which seconds are promised: 0.26 to 0.31.
LIBRARIES_SECONDS = 0.3


def best_seconds(*words: object, limit: float) -> float:
    """Processor seconds of the whole command, best of up to ten runs, as on a machine that is not too slow.

    Where none is quick enough, each of nine more is compared with loading the libraries alone right after it: their
    time on the machine for which the promise was made counts in proportion, and the median decides, so that a
    disturbed run of either neither excuses nor condemns.

    On a machine with nothing else to do that is the time a person waits; unlike the time on the wall, it
    does not count what other programs do meanwhile.
    """
    command = [sys.executable, "-m", "whyconv", *map(str, words)]
    best = float("inf")
    for _ in range(10):
        best = min(best, processor_seconds(command))
        if best < limit:
            return best
    libraries = [sys.executable, "-c", LIBRARIES]
    pairs = [(processor_seconds(command), processor_seconds(libraries)) for _ in range(9)]
    return min(best, median(own * min(1.0, LIBRARIES_SECONDS / others) for own, others in pairs))


def processor_seconds(command: list[str]) -> float:
    """Processor seconds of one run, its children's included."""
    resource = pytest.importorskip("resource")
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return float(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
