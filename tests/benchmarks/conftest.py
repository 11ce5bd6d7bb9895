"""A small set of pictures, a tool that answers without learning, and an anchor that takes no time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

# What the tool does is the first word of its settings; it notes each start in a file beside the sets.
FAKE_TOOL = """
import csv, json, os, sys, time
from pathlib import Path
words = dict(zip(sys.argv[1::2], sys.argv[2::2]))
told = json.loads(words["--settings"])
with open(told["notes"], "a") as notes:
    notes.write(f"{os.getpid()}\\n")
if told["does"] == "fail":
    sys.exit("it went wrong")
if told["does"] == "hang":
    time.sleep(60)
test = Path(words["--pictures"], "files", "test")
rows = [(f"{path.parent.name}/{path.name}", path.parent.name) for path in sorted(test.rglob("*.png"))]
wrong = int(words["--seed"]) + 1
rows = [(name, "nothing" if place < wrong else answer) for place, (name, answer) in enumerate(rows)]
with open(words["--answers"], "w", newline="") as file:
    csv.writer(file).writerows([("picture", "answer"), *rows])
print("lines before the last one are ignored")
print(json.dumps({"training_seconds": 0.5, "versions": {"fake": "1"}}))
"""


@pytest.fixture
def class_folders(tmp_path: Path) -> Callable[..., Path]:
    """Returns a function that writes class folders: ``parts`` "" for none around them."""

    def write(name: str = "raw", parts: tuple[str, ...] = ("",), num: int = 10, side: int = 12) -> Path:
        random = np.random.default_rng(0)
        for part in parts:
            for label in ("cat", "dog"):
                folder = tmp_path / name / part / label
                folder.mkdir(parents=True)
                for row in range(num):
                    pixels = random.integers(0, 256, (side, side, 3), np.uint8)
                    Image.fromarray(pixels).save(folder / f"{row}.png")
        return tmp_path / name

    return write


@pytest.fixture
def fake_tool(tmp_path: Path) -> Path:
    """Returns the script of the tool."""
    script = tmp_path / "fake_tool.py"
    script.write_text(FAKE_TOOL)
    return script
