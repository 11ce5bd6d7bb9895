"""How long `whyconv check` takes for 10,000 JPEGs of 500 x 375, and how much memory.

    python benchmarks/check_speed.py FOLDER_OF_PHOTOS [NUMBER]

The photos are resized, shifted and compressed into a temporary folder first (about 500 MB), which is not timed.
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

from PIL import Image, ImageEnhance

from whyconv.images.check import check
from whyconv.images.duplicates import find
from whyconv.images.sources import read_pictures
from whyconv.images.survey import survey

SIZE = 500, 375


def write_variants(photos: list[Path], folder: Path, count: int) -> None:
    """Writes ``count`` different JPEGs of 500 x 375 into ten class folders."""

    def write(number: int) -> None:
        with Image.open(photos[number % len(photos)]) as photo:
            turn = number // len(photos)
            # Other rounds show another part of the photo in another light, so that they are not copies.
            width, height = photo.size
            zoom = 1 - 0.15 * turn
            box = (0, 0, max(8, round(width * zoom)), max(8, round(height * zoom)))
            picture = photo.convert("RGB").resize(SIZE, Image.Resampling.BICUBIC, box=box)
        target = folder / f"class {number % 10}" / f"{number:05}.jpg"
        target.parent.mkdir(parents=True, exist_ok=True)
        ImageEnhance.Brightness(picture).enhance(1 - 0.1 * turn).save(target, "JPEG", quality=88)

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
    with tempfile.TemporaryDirectory() as temporary:
        folder, store = Path(temporary, "pictures"), Path(temporary, "cache")
        write_variants(photos, folder, count)
        for run in ("first", "second"):
            found = {"run": run, "cores": os.cpu_count(), "machine": platform.machine(), **measure(folder, store)}
            sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main()
