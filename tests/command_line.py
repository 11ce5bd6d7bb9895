"""Running `whyconv` as a person does, for tests of the whole."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

# Every verb, in the order of `whyconv --help`.
VERBS = (
    *("doctor", "demo", "check", "train", "evaluate", "predict", "explain", "export", "serve", "layer", "inspect"),
    *("why", "atlas", "selftest", "cache"),
)


@dataclass(frozen=True)
class Demo:
    """What one `whyconv demo` left: the folder it ran in, and what it said."""

    folder: Path
    pictures: Path
    run: Path
    output: str
    seconds: float


def run_whyconv(
    folder: Path, *words: str, python: Sequence[str] = (sys.executable,), timeout: int = 300
) -> subprocess.CompletedProcess[str]:
    """Runs `whyconv ...` in ``folder`` as a person without a terminal would; both streams come back as one text.

    Caches and language are the test's own. ``python`` may be another interpreter, or one behind a wrapper.
    """
    foreign = ("LC_", "WHYCONV_", "PYTHON", "COLUMNS", "ORT_")
    environment = {key: value for key, value in os.environ.items() if not key.startswith(foreign)}
    environment |= {"LANG": "C.UTF-8", "XDG_CACHE_HOME": str(folder / "cache"), "NO_COLOR": "1"}
    return subprocess.run(
        [*python, "-m", "whyconv", *words],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
        encoding="utf-8",
        timeout=timeout,
    )


class Outcome(NamedTuple):
    """Exit code, what went to stdout, what went to stderr."""

    code: int
    data: str
    text: str


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def shell(*words: object, **changes: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name not in ("LC_ALL", "LANG")} | changes
    command = [sys.executable, "-m", "whyconv", *map(str, words)]
    return subprocess.run(command, check=False, capture_output=True, text=True, env=environment, timeout=60)
