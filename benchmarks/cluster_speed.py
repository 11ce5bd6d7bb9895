"""How fast `whyconv predict --cluster local` answers beside plain `predict`, in turns, from the shell.

    python benchmarks/cluster_speed.py RUN FOLDER_OF_PHOTOS [NUMBER [ROUNDS]]

50,000 JPEGs of 128 x 128 are made of the photos first, which is not timed. Ray's start is told apart; the start of the
processes that answer counts.
"""

from __future__ import annotations

import json
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from check_speed import write_variants

SIZE = 128, 128


def whyconv(*words: str) -> tuple[float, str]:
    """Seconds of a command, and what it wrote to stdout."""
    began = time.perf_counter()
    done = subprocess.run([sys.executable, "-m", "whyconv", *words], stdout=subprocess.PIPE, check=True, text=True)
    return time.perf_counter() - began, done.stdout


def one_round(run: str, pictures: Path, folder: Path) -> dict[str, float]:
    """Both ways, one after the other."""
    shutil.rmtree(folder / "out", ignore_errors=True)
    plain, _ = whyconv("predict", run, str(pictures), "--to", str(folder / "plain.parquet"))
    _, told = whyconv("predict", run, str(pictures), "--cluster", "local", "--to", str(folder / "out"), "--json")
    found = json.loads(told)
    assert found["num_unread"] == 0
    return {"plain": plain, "cluster": found["seconds"], "start": found["start_seconds"], "n": found["num_pictures"]}


def main() -> None:
    """Prints one JSON object a round, and the ratios."""
    run, photos = sys.argv[1], sorted(Path(sys.argv[2]).rglob("*.jpg"))
    count, rounds = (int(word) for word in [*sys.argv[3:], *("50000", "3")[len(sys.argv) - 3 :]])
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_variants(photos, folder / "pictures", count, SIZE)
        found = []
        for _ in range(rounds):
            found.append(one_round(run, folder / "pictures", folder))
            print(json.dumps(found[-1]), flush=True)
    ratios = sorted(each["plain"] / each["cluster"] for each in found)
    print(json.dumps({"machine": platform.machine(), "rounds": rounds, "ratio": median(ratios), "all": ratios}))


if __name__ == "__main__":
    main()
