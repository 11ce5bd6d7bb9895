"""`whyconv inspect --pictures`: the effective field of a layer on a person's pictures."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from command_line import Outcome


@pytest.fixture
def noise(tmp_path: Path) -> Path:
    """Twelve pictures without edges of their own, and a file that is none."""
    generator = np.random.default_rng(0)
    for index in range(12):
        pixels = generator.integers(0, 256, (40, 40, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{index:02}.png")
    (tmp_path / "00.png").write_bytes(b"no picture")
    return tmp_path


def test_one_convolution_sees_its_kernel(run: Callable[..., Outcome], noise: Path) -> None:
    words = ("inspect", "lenet5", "--input", "1x32x32", "--pictures", str(noise), "--layer", "conv1", "--json")
    found = json.loads(run(*words).data)
    effective = found["effective"]
    assert (effective["layer"], effective["theoretical"], effective["n"]) == ("conv1", [5, 5], 11)
    # The gradient of one convolution is its kernel: all of it lies in the kernel's square, whatever the pictures.
    sides = [square["side"]["value"] for square in effective["squares"]]
    assert sides == sorted(sides)
    assert sides[-1] == 5
    assert any("00.png" in str(note) for note in found["notes"])


def test_it_is_told_with_its_interval_and_refused_where_it_means_nothing(
    run: Callable[..., Outcome], noise: Path
) -> None:
    told = run("inspect", "lenet5", "--input", "1x32x32", "--pictures", str(noise))
    assert "95 % intervals over pictures" in told.text
    refused = run("inspect", "lenet5", "--input", "1x32x32", "--pictures", str(noise), "--layer", "fc1")
    assert (refused.code, "no effective field" in refused.text) == (2, True)
    alone = run("inspect", "lenet5", "--input", "1x32x32", "--layer", "conv1")
    assert (alone.code, "--pictures" in alone.text) == (2, True)
    wide = run("inspect", "resnet18", "--input", "3x64x96", "--pictures", str(noise))
    assert (wide.code, "squares" in wide.text) == (2, True)
