"""What is decided before training through windows, and what is recorded after it."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from whyconv.errors import SettingsError, UsageError
from whyconv.nets import Windowed
from whyconv.settings import NetworkPlan, TrainSettings
from whyconv.training.pixel_rows import LabelledPixels, PixelRows
from whyconv.training.realistic import look_through, realistic_settings, through_middle
from whyconv.training.recipe import Facts, augment_plan


class FirstPixel(nn.Module):
    """Answers with the class that the pixel at the upper left of what it sees says."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.one_hot(x[:, 0, 0, 0].long(), 2).float()


def test_weights_are_random_unless_a_file_is_named_and_small_pictures_are_refused() -> None:
    asked = TrainSettings(pictures="x", invariant="realistic")
    assert realistic_settings(asked, 32) == asked
    assert realistic_settings(asked.model_copy(update={"start": "scratch"}), 32).start is None
    assert realistic_settings(asked.model_copy(update={"start": "w.safetensors"}), 32).start == "w.safetensors"
    with pytest.raises(UsageError, match="too small to be looked at through windows"):
        realistic_settings(asked.model_copy(update={"size": 6}), 32)


@pytest.mark.parametrize("start", ["pretrained", "features.onnx"])
def test_a_network_that_has_learned_before_brings_its_own_side(start: str) -> None:
    with pytest.raises(SettingsError, match="expected --start scratch"):
        TrainSettings.of({"pictures": "x", "invariant": "realistic", "start": start})


@pytest.mark.parametrize(("side", "count"), [(8, 100), (32, 500), (32, 20_000)])
def test_nothing_is_moved_so_that_pixels_are_filled_in(side: int, count: int) -> None:
    facts = Facts(counts=[count], side=side, in_channels=3)
    usual = augment_plan(TrainSettings(pictures="x"), facts, flip=True)
    found = augment_plan(TrainSettings(pictures="x", invariant="realistic"), facts, flip=True)
    assert usual.shift_fraction > 0
    assert found == usual.model_copy(update={"shift_fraction": 0.0})


def test_the_record_counts_what_all_windows_and_what_one_would_answer() -> None:
    # Of 4 x 4 pixels, windows of 2: they begin at rows and columns 0, 1, 2; the middle one at (1, 1).
    pictures = torch.zeros(4, 1, 4, 4)
    pictures[0, :, :3, :3] = 1  # all nine say 1, so does the middle one
    pictures[1, :, 1, 1] = 1  # only the middle one says 1
    pictures[2, :, :3, :3] = 1
    pictures[2, :, 1, 1] = 0  # all but the middle one say 1
    found = look_through(Windowed(FirstPixel(), 4, 2), pictures, np.array([1, 0, 1, 0]))
    assert (found.num_windows, found.places, found.window, found.side) == (9, [0, 1, 2], 2, 4)
    assert (found.accuracy.value, found.accuracy_of_one.value, found.changed.value) == (1.0, 0.5, 0.5)
    assert (found.gain.value, found.gain.over, found.gain.n) == (0.5, "pictures", 4)
    # Bonett and Price by hand: of 0, 1, 1, 0 with 1 and -1 added, mean 1 / 3 and variance 5 / 9, over 6 pictures.
    assert found.gain.low == pytest.approx(1 / 3 - 1.959964 * (5 / 9 / 6) ** 0.5, abs=1e-5)
    assert found.price == found.seconds_per_picture / found.seconds_of_one > 0


@pytest.mark.parametrize("is_mapped", [False, True])
def test_layers_behind_windows_are_asked_about_the_middle_window(is_mapped: bool) -> None:
    pixels = np.arange(3 * 8 * 8, dtype=np.uint8).reshape(3, 8, 8, 1)
    part = LabelledPixels(PixelRows(pixels, np.array([2, 0])) if is_mapped else pixels, np.arange(3, dtype=np.int32))
    plan = NetworkPlan.model_construct(side=8, window=6)
    found = through_middle(part, plan).pixels
    rows = pixels[[2, 0]] if is_mapped else pixels
    assert found.shape == (len(rows), 6, 6, 1)
    np.testing.assert_array_equal(found[np.arange(len(rows))], rows[:, 1:7, 1:7])
    assert through_middle(part, plan.model_copy(update={"window": None})) is part
