"""What all tests share: where the real pictures lie, and a quiet single-threaded torch."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock

from command_line import Demo, run_whyconv
from whyconv.machine import num_cores, set_thread_habits

# What is expected here is what a processor computes; tests of a graphics card are asked for by `make gpu-test`.
if "WHYCONV_TEST_CARD" not in os.environ:
    os.environ["CUDA_VISIBLE_DEVICES"] = ""
# Before any test imports torch: threads that spin while they wait make a busy machine many times slower.
set_thread_habits()

_SHARED = Path(os.environ.get("WHYCONV_TEST_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts a file that makes the shared demo run first, then what needs none: of two processes none waits for it."""
    items.sort(
        key=lambda item: (item.path.name != "test_proofs.py", item.path.parent.name not in {"counting", "images"})
    )


@pytest.fixture(scope="session")
def shared_data() -> Callable[[str], Path]:
    """Returns a function from the name of a real data set to its folder; skips where it is absent."""

    def find(name: str) -> Path:
        folder = _SHARED / name
        if not folder.is_dir():
            pytest.skip(f"real pictures '{name}' are not on this machine (looked in {_SHARED})")
        return folder

    return find


@pytest.fixture
def two_cores() -> None:
    """Skips a test that asks for two threads where the process may use one core: so many are refused there."""
    if num_cores() < 2:
        pytest.skip("asks for two threads, and this process may use one core")


@pytest.fixture(scope="session")
def demo_run(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    """The one demo run that all tests share, in whichever process they run: treat it as read-only."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    folder /= "demo"
    said = folder / "said.json"
    with FileLock(f"{folder}.lock"):
        if not said.exists():
            folder.mkdir(exist_ok=True)
            said.write_text(json.dumps(run_demo(folder)))
    return Demo(folder, folder / "demo-digits", folder / "runs" / "demo-digits-1", **json.loads(said.read_text()))


def run_demo(folder: Path) -> dict[str, str | float]:
    start = time.monotonic()
    done = run_whyconv(folder, "demo")
    assert done.returncode == 0, done.stdout
    return {"output": done.stdout, "seconds": time.monotonic() - start}
