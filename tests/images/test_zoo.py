"""Pillow's own collection of odd, broken and hostile files: every one ends as a picture or with its reason."""

from __future__ import annotations

import json
import subprocess
import sys
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from whyconv.errors import PictureError
from whyconv.images.decode import decode
from zoo_table import NUM_READABLE, UNREADABLE

# Run in a process of its own, so that its standard error and its memory are the zoo's alone.
_VISIT = """
import json, sys, time
from pathlib import Path
from whyconv.errors import PictureError
from whyconv.images import isolation
from whyconv.images.prepare import PicturePolicy, prepare

def peak_bytes(pid):
    status = Path(f"/proc/{pid}/status")
    if not status.exists():
        return 0
    return next(int(line.split()[1]) * 1024 for line in status.read_text().splitlines() if line.startswith("VmHWM"))

folder, first = Path(sys.argv[1]), sys.argv[2]
policy = PicturePolicy(side=64, channels=3)
prepare((folder / first).read_bytes(), policy)
worker = isolation._pool.idle[0].process.pid
before = peak_bytes("self"), peak_bytes(worker)
seconds = {}
for path in sorted(folder.iterdir()):
    content = path.read_bytes()
    started = time.perf_counter()
    try:
        prepare(content, policy)
    except PictureError:
        pass
    seconds[path.name] = time.perf_counter() - started
growth = peak_bytes("self") - before[0] + peak_bytes(worker) - before[1]
survivors = [idle.process.pid for idle in isolation._pool.idle]
print(json.dumps({"seconds": seconds, "growth": growth, "worker": worker, "survivors": survivors}))
"""


def _files(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.iterdir()) if path.suffix != ".md"]


def test_every_file_ends_as_the_table_says(shared_data):
    files = _files(shared_data("zoo"))
    assert len(files) == 556
    reasons, readable = {}, Counter()
    for path in files:
        try:
            decoded = decode(path.read_bytes())
        except PictureError as error:
            reasons[path.name] = str(error)
            continue
        readable[decoded.facts.format] += 1
        facts = decoded.facts
        assert decoded.pixels.shape == (facts.height, facts.width, facts.channels), path.name
        assert decoded.pixels.dtype == np.uint8
    assert reasons == UNREADABLE
    assert readable == NUM_READABLE


def test_none_takes_long_or_much_memory_or_talks(shared_data):
    done = subprocess.run(
        [sys.executable, "-c", _VISIT, str(shared_data("zoo")), "hopper.tif"],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.stderr == ""
    visit = json.loads(done.stdout)
    assert len(visit["seconds"]) >= 556
    assert max(visit["seconds"].values()) < 1, max(visit["seconds"], key=visit["seconds"].get)
    assert visit["growth"] < 300e6
    assert visit["survivors"] == [visit["worker"]]


def test_pixels_agree_with_pillow_where_the_rules_are_the_same(shared_data):
    """Pillow's own turn, palette, inks and blend, for all but 16-bit, float and LAB files."""
    num_compared = 0
    for path in _files(shared_data("zoo")):
        if path.name in UNREADABLE:
            continue
        with warnings.catch_warnings(action="ignore"), Image.open(path) as image:
            image.load()
            if image.mode in ("F", "LAB") or image.mode.startswith("I"):
                continue
            expected = ImageOps.exif_transpose(image)
            if expected.has_transparency_data:
                white = Image.new("RGBA", expected.size, "white")
                expected = Image.alpha_composite(white, expected.convert("RGBA"))
            expected = np.asarray(expected.convert("RGB"))
        pixels = np.broadcast_to(decode(path.read_bytes()).pixels, expected.shape)
        if not np.array_equal(pixels, expected):
            assert np.abs(expected.astype(int) - pixels).max() <= 1, path.name
        num_compared += 1
    assert num_compared == 504


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("uint16_1_4660.tif", lambda values: values / 257),
        ("16bit.cropped.tif", lambda values: values / 257),
        ("16bit.MM.cropped.tif", lambda values: values / 257),
        ("12bit.cropped.tif", lambda values: values / 4095 * 255),
        ("hopper_16bit.pgm", lambda values: values / 257),
        ("16_bit_binary.pgm", lambda values: values / 257),
    ],
)
def test_deep_files_follow_the_formula(shared_data, name, expected):
    path = shared_data("zoo") / name
    with Image.open(path) as image:
        values = np.asarray(image).astype(float)
    assert np.abs(decode(path.read_bytes()).pixels[:, :, 0] - expected(values)).max() <= 0.5
