"""Does a training on shards take more memory the more is read?

    python benchmarks/stream_memory.py [--gigabytes 1 10 100] [--place /tmp]

One gigabyte of shards is written: a thousand digits of the demo as PPM files of a megabyte. Through links in further
folders the same shards are named once, ten and a hundred times; `whyconv train` learns from all that is named, one
pass. While it runs, the memory of the process is looked at four times a second.

Reported: what was read, peak of the memory that is the process' own (anonymous) and of all that is resident (with files
that are mapped), and their peaks in the first and in the last quarter of the training.
"""

from __future__ import annotations

import argparse
import io
import itertools
import re
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

SIDE, SHARDS, PER_SHARD = 577, 10, 100
HELD = 50


class Look(NamedTuple):
    """What the system says of a process."""

    resident: int
    anonymous: int
    read: int


def write_shards(folder: Path) -> None:
    """Writes a thousand digits, enlarged, as ten tar files."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    folder.mkdir(parents=True)
    rows = itertools.count()
    for shard in range(SHARDS):
        with tarfile.open(folder / f"digits-{shard}.tar", "w") as archive:
            for row in itertools.islice(rows, PER_SHARD):
                pixels = (
                    Image.fromarray((digits.images[row] * 15.9).astype(np.uint8)).resize((SIDE, SIDE)).convert("RGB")
                )
                file = io.BytesIO()
                pixels.save(file, "ppm")
                for ending, content in (("ppm", file.getvalue()), ("cls", str(digits.target[row]).encode())):
                    member = tarfile.TarInfo(f"{row:04d}.{ending}")
                    member.size = len(content)
                    archive.addfile(member, io.BytesIO(content))


def look(process: int) -> Look | None:
    """Memory in bytes, and bytes read so far; None where it has ended."""
    try:
        memory = Path(f"/proc/{process}/smaps_rollup").read_text()
        read = int(Path(f"/proc/{process}/io").read_text().split()[1])
    except (OSError, IndexError):
        return None
    found = {
        name: int(value) * 1024 for name, value in re.findall(r"^(Rss|Anonymous):\s+(\d+) kB", memory, re.MULTILINE)
    }
    return Look(found["Rss"], found["Anonymous"], read) if len(found) == 2 else None


def measure(folder: Path, times: int) -> None:
    """Trains on what is named ``times`` times, and prints what it took."""
    words = f"{folder}/r{{000..{times - 1:03d}}}/digits-{{0..{SHARDS - 1}}}.tar"
    fraction = HELD / (times * SHARDS * PER_SHARD)
    asked = ["--size", "32", "--network", "lesson", "--epochs", "1", "--test-fraction", "0", "--seed", "1"]
    command = [sys.executable, "-m", "whyconv", "train", words, "--validation-fraction", str(fraction), *asked]
    began = time.perf_counter()
    with (folder / f"told-{times}.txt").open("w") as told:
        process = subprocess.Popen(
            [*command, "--out", str(folder / f"runs-{times}"), "--store", str(folder / "cache")],
            stdout=told,
            stderr=told,
        )
        looks = []
        while process.poll() is None:
            if (found := look(process.pid)) is not None:
                looks.append(found)
            time.sleep(0.25)
    if process.returncode:
        sys.exit((folder / f"told-{times}.txt").read_text())
    quarter = max(1, len(looks) // 4)
    first, last = looks[quarter : 2 * quarter], looks[-quarter:]
    print(
        f"{times:4} x 1 GB: read {looks[-1].read / 1e9:6.1f} GB in {time.perf_counter() - began:6.0f} s; peak, MB: own "
        f"{max(each.anonymous for each in looks) / 1e6:5.0f}, all  {max(each.resident for each in looks) / 1e6:5.0f}; "
        f"own in the second quarter {max(each.anonymous for each in first) / 1e6:5.0f}, in the last "
        f"{max(each.anonymous for each in last) / 1e6:5.0f} ({len(looks)} looks)",
        flush=True,
    )


def main() -> None:
    """Measures each size in turn."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gigabytes", type=int, nargs="+", default=[1, 10, 100])
    parser.add_argument("--place", type=Path, default=None)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=asked.place) as place:
        folder = Path(place)
        write_shards(folder / "shards")
        for number in range(max(asked.gigabytes)):
            (folder / f"r{number:03d}").symlink_to("shards")
        for times in asked.gigabytes:
            measure(folder, times)


if __name__ == "__main__":
    main()
