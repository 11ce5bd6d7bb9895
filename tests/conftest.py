"""What all tests share: where the real pictures lie, and a quiet single-threaded torch."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

_SHARED = Path(os.environ.get("WHYCONV_TEST_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))


@pytest.fixture(scope="session")
def shared_data() -> Callable[[str], Path]:
    """Returns a function from the name of a real data set to its folder; skips where it is absent."""

    def find(name: str) -> Path:
        folder = _SHARED / name
        if not folder.is_dir():
            pytest.skip(f"real pictures '{name}' are not on this machine (looked in {_SHARED})")
        return folder

    return find


@dataclass(frozen=True)
class Demo:
    """What one `whyconv demo` left: the folder it ran in, and what it said."""

    folder: Path
    pictures: Path
    run: Path
    output: str
    seconds: float

    def whyconv(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Runs `whyconv ...` in that folder; stdout and stderr come back as one text, in their order."""
        return whyconv_in(self.folder, *words)


def whyconv_in(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Runs `whyconv ...` as a person without a terminal would, with caches and language of its own."""
    environment = {
        key: value for key, value in os.environ.items() if not key.startswith(("LC_", "WHYCONV_", "COLUMNS"))
    }
    environment |= {"LANG": "C.UTF-8", "XDG_CACHE_HOME": str(folder / "cache"), "NO_COLOR": "1"}
    return subprocess.run(
        [sys.executable, "-m", "whyconv", *words],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
        encoding="utf-8",
        timeout=300,
    )


@pytest.fixture(scope="session")
def demo_run(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    """The one demo run that all tests share: treat it as read-only."""
    folder = tmp_path_factory.mktemp("demo")
    start = time.monotonic()
    done = whyconv_in(folder, "demo")
    seconds = time.monotonic() - start
    assert done.returncode == 0, done.stdout
    return Demo(folder, folder / "demo-digits", folder / "runs" / "demo-digits-1", done.stdout, seconds)
