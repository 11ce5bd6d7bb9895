"""How long `whyconv check` takes for 10,000 JPEGs of 500 x 375, or for others, and how much memory.

    python benchmarks/check_speed.py FOLDER_OF_PHOTOS [NUMBER]
    python benchmarks/check_speed.py FOLDER_OF_PHOTOS 100000 128x128

Details of the photos are resized and compressed into a temporary folder first (50 kB each at 500 x 375), which is not
timed.
"""

from __future__ import annotations

import json
import os
import platform
import resource
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from whyconv.images.check import check
from whyconv.images.duplicates import find
from whyconv.images.sources import read_pictures
from whyconv.images.survey import survey

SIZE = 500, 375


def write_variants(photos: list[Path], folder: Path, count: int, size: tuple[int, int]) -> None:
    """Writes ``count`` different JPEGs of one size into ten class folders."""

    def write(number: int) -> None:
        random = np.random.default_rng(number)
        with Image.open(photos[number % len(photos)]) as photo:
            # Later rounds show a detail each, somewhere in the photo, so that they are not copies.
            zoom = 1.0 if number < len(photos) else random.uniform(0.3, 0.6)
            width, height = photo.width * zoom, photo.height * zoom
            x, y = random.uniform(0, photo.width - width), random.uniform(0, photo.height - height)
            picture = photo.convert("RGB").resize(size, Image.Resampling.BICUBIC, box=(x, y, x + width, y + height))
        target = folder / f"class {number % 10}" / f"{number:06}.jpg"
        target.parent.mkdir(parents=True, exist_ok=True)
        picture.save(target, "JPEG", quality=88)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(write, range(count)))


def peak_megabytes() -> float:
    """Returns the most memory this process has taken so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def measure(folder: Path, store: Path) -> dict[str, float]:
    """Runs one check and returns its times and memory growth."""
    before, start = peak_megabytes(), time.perf_counter()
    pictures = read_pictures(folder)
    listed = time.perf_counter()
    looked = survey(pictures, store=store)
    surveyed = time.perf_counter()
    report = check(pictures, looked, find(looked, pictures))
    done = time.perf_counter()
    return {
        "pictures": report.num_pictures,
        "groups_of_copies": len(report.duplicates),
        "list_seconds": round(listed - start, 2),
        "survey_seconds": round(surveyed - listed, 2),
        "copies_seconds": round(done - surveyed, 2),
        "total_seconds": round(done - start, 2),
        "memory_growth_megabytes": round(peak_megabytes() - before, 1),
    }


def main() -> None:
    """Writes the pictures, checks them twice, prints one JSON line a check."""
    photos = sorted(path for path in Path(sys.argv[1]).rglob("*") if path.suffix.lower() in (".jpg", ".jpeg"))
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 10_000
    width, height = map(int, sys.argv[3].split("x")) if len(sys.argv) > 3 else SIZE
    with tempfile.TemporaryDirectory() as temporary:
        folder, store = Path(temporary, "pictures"), Path(temporary, "cache")
        write_variants(photos, folder, count, (width, height))
        for run in ("first", "second"):
            found = {
                "run": run,
                "size": [width, height],
                "cores": os.cpu_count(),
                "machine": platform.machine(),
                **measure(folder, store),
            }
            sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
