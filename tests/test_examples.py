"""Every script in examples/ is short, runs, and says something true."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from command_line import Demo

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
MAX_LINES = 60


def run_example(name: str, *words: str, folder: Path) -> str:
    done = subprocess.run(
        [sys.executable, EXAMPLES / name, *words], cwd=folder, capture_output=True, check=False, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_training(demo_run: Demo, tmp_path: Path) -> None:
    said = run_example("01_train_from_a_folder.py", str(demo_run.pictures), "0.05", folder=tmp_path)
    assert (tmp_path / "runs" / "demo-digits-1" / "model.onnx").is_file()
    assert "n=" in said


def test_predicting(demo_run: Demo, tmp_path: Path) -> None:
    threes = sorted((demo_run.pictures / "test" / "3").iterdir())[:4]
    said = run_example("02_predict.py", str(demo_run.run), *map(str, threes), folder=tmp_path)
    assert "probabilities (4, 10)" in said
    assert ": 3, probability" in said


def test_counting(tmp_path: Path) -> None:
    said = run_example("03_count_a_network.py", folder=tmp_path)
    assert "locality 40.96 x sharing 784" in said
    assert said.count("proved     ") == 5


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.name)
def test_a_script_is_short_and_has_a_test(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MAX_LINES
    assert f'"{path.name}"' in Path(__file__).read_text(encoding="utf-8")
