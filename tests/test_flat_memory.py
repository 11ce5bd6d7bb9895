"""Prediction over any number of files takes the memory of a thousand."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tiny_model import write_model

# Bytes more than after the first thousand.
LIMIT, LIMIT_OF_A_FEW = 50_000_000, 10_000_000

# The verb with a watch on its writer: what it prints is the memory after each thousand predictions.
_WATCHED = """
import resource, sys
from whyconv import predictions
from whyconv.cli import main
as_row = predictions.as_row
count = 0
def watched(prediction, top, **more):
    global count
    count += 1
    if count % 1000 == 0:
        pages = int(open("/proc/self/statm").read().split()[1])
        print(pages * resource.getpagesize(), file=sys.stderr)
    return as_row(prediction, top, **more)
predictions.as_row = watched
main(sys.argv[1:])
"""


def make_files(folder: Path, count: int) -> None:
    """Writes ``count`` small pictures of 50 kinds, a thousand in each folder, every hundredth one cut short."""
    random = np.random.default_rng(0)
    contents = []
    for _ in range(50):
        path = folder.parent / "one.png"
        Image.fromarray(random.integers(0, 256, (12, 12, 3), np.uint8)).save(path)
        contents.append(path.read_bytes())
    for index in range(count):
        place = folder / f"{index // 1000:03}"
        if index % 1000 == 0:
            place.mkdir(parents=True)
        content = contents[index % 50]
        (place / f"{index:06}.png").write_bytes(content[:40] if index % 100 == 0 else content)


def predict(folder: Path, count: int, ending: str, limit: int) -> None:
    if not Path("/proc/self/statm").exists():
        pytest.skip("the memory of a process is read from /proc")
    make_files(folder / "inbox", count)
    table = folder / f"answers.{ending}"
    words = ["predict", write_model(folder / "m.onnx"), folder / "inbox", "--to", table]
    done = subprocess.run(
        [sys.executable, "-c", _WATCHED, *map(str, words)], check=False, capture_output=True, text=True
    )
    assert done.returncode == 3, done.stderr  # of the files cut short
    sizes = [int(line) for line in done.stderr.splitlines() if line.isdigit()]
    assert len(sizes) == count // 1000
    assert max(sizes) - sizes[0] < limit
    if ending == "jsonl":
        rows = [json.loads(line) for line in table.read_text().splitlines()]
        assert [row["path"] for row in rows] == sorted(str(path) for path in (folder / "inbox").glob("*/*"))
        assert sum(row["error"] is not None for row in rows) == count // 100


def test_three_thousand(tmp_path: Path) -> None:
    predict(tmp_path, 3_000, "jsonl", LIMIT_OF_A_FEW)


@pytest.mark.slow
@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
def test_a_hundred_thousand(ending: str, tmp_path: Path) -> None:
    if ending == "parquet":
        pytest.importorskip("pyarrow")
    predict(tmp_path, 100_000, ending, LIMIT)
