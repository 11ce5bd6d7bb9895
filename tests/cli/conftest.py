"""The command line inside the test process, and what it is tried on."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from command_line import Outcome
from tiny_model import COLORS, write_model
from whyconv.cli import main


@pytest.fixture
def run(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[Callable[..., Outcome]]:
    """Runs the command line inside this process, in English unless asked otherwise, with a cache of its own."""
    for name in ("LC_ALL", "LC_MESSAGES", "LANG", "CI", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    before = {
        number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGALRM)
    }

    def call(*words: object) -> Outcome:
        with pytest.raises(SystemExit) as end:
            main([str(word) for word in words])
        captured = capsys.readouterr()
        return Outcome(end.value.code or 0, captured.out, captured.err)

    yield call
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    write_model(tmp_path / "runs" / "colors-1" / "model.onnx")
    return tmp_path / "runs" / "colors-1"


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    folder = tmp_path / "inbox"
    folder.mkdir()
    for name, color in COLORS.items():
        Image.new("RGB", (20, 10), color).save(folder / f"{name}.png")
    return folder


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    random = np.random.default_rng(3)
    for label in ("cat", "dog"):
        (tmp_path / "pets" / label).mkdir(parents=True)
        for index in range(6):
            pixels = random.integers(0, 256, (40, 50, 3), np.uint8)
            Image.fromarray(pixels).save(tmp_path / "pets" / label / f"{index}.png")
    return tmp_path / "pets"
