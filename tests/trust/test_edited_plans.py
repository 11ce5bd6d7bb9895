"""A plan that was edited into one that cannot be carried out is refused when it is read, in words."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch

from golden_runs import GOLDEN
from tiny_training import tiny_plan
from whyconv.carrying_out import what_ended
from whyconv.errors import DataError, SettingsError, UsageError
from whyconv.results import RunSummary
from whyconv.settings import Plan
from whyconv.training.start import start_network
from whyconv.workflow import train_from_file


def written(path: Path, group: str, **changes: Any) -> Path:
    """The file of a sound plan in which some values of one group are others."""
    plan = tiny_plan()
    edited = getattr(plan, group).model_copy(update=changes)
    path.write_text(plan.model_copy(update={group: edited}).to_toml())
    return path


EDITS: dict[str, tuple[str, dict[str, Any], str]] = {
    "two means for one channel": ("network", {"mean": [60.0, 60.0]}, r"network\.mean = .* expected 1 number"),
    "no mean": ("network", {"mean": []}, r"network\.mean = .* expected 1 number"),
    "a mean that is none": ("network", {"mean": [math.nan]}, r"network\.mean\.0 = nan: .*finite"),
    "three deviations": ("network", {"std": [1.0, 2.0, 3.0]}, r"network\.std = .* expected 1 number"),
    "one for three channels": ("network", {"in_channels": 3}, r"network\.mean = .* expected 3 numbers"),
    "a deviation of 0": ("network", {"std": [0.0]}, r"network\.std\.0 = 0\.0: .*greater than 0"),
    "an endless deviation": ("network", {"std": [math.inf]}, r"network\.std\.0 = inf: .*finite"),
    "a deviation that is none": ("network", {"std": [math.nan]}, r"network\.std\.0 = nan"),
    "a name twice": ("network", {"classes": ["a", "a"]}, r"network\.classes = .* 'a' stands there twice"),
    "no view of the whole": ("network", {"views": ["closer"]}, r"network: .*views .*closer.*upright"),
    "realistic without windows": ("network", {"invariant": "realistic"}, r"network\.window = None: .*realistic"),
    "windows of what is not realistic": ("network", {"window": 6}, r"network\.window = 6: .*realistic"),
    "one class": ("network", {"classes": ["a"]}, r"network\.classes = .*at least 2"),
    "an offset too few": ("training", {"class_offsets": [0.0]}, r"training: .*class_offsets has 1 .*classes has 2"),
    "no offset": ("training", {"class_offsets": []}, r"training: .*class_offsets has 0 .*classes has 2"),
    "an offset too many": (
        "training",
        {"class_offsets": [0.0] * 3},
        r"training: .*class_offsets has 3 .*classes has 2",
    ),
    "an endless offset": ("training", {"class_offsets": [0.0, math.inf]}, r"training\.class_offsets\.1 = inf"),
    "a side of 0": (
        "training",
        {"sides": [0]},
        r"training\.sides\.0 = 0: .*equal to 6",
    ),
    "a side too small": ("training", {"sides": [4, 8]}, r"training\.sides\.0 = 4: .*equal to 6"),
    "a huge side": ("training", {"sides": [8, 5000]}, r"training\.sides\.1 = 5000: .*equal to 4096"),
    "an endless rate": ("training", {"learning_rate": math.inf}, r"training\.learning_rate = inf: .*finite"),
}


@pytest.mark.parametrize("name", EDITS)
def test_what_cannot_be_is_refused_by_its_name_and_in_a_line(name: str, tmp_path: Path) -> None:
    group, changes, told = EDITS[name]
    path = written(tmp_path / "edited.toml", group, **changes)
    with pytest.raises(SettingsError, match=told) as refused:
        Plan.read(path)
    head, *lines = str(refused.value).splitlines()
    # Channels are those of mean and deviation.
    assert head == f"{path}: {2 if 'in_channels' in changes else 1} mistake(s)"
    assert max(map(len, lines)) < 400


@pytest.mark.parametrize(
    ("epochs", "steps", "told"),
    [
        (50, 7, r"training\.epochs = 50 .* 200 steps, 4 each, and training\.steps = 7\..* epochs = 2 "),
        (1, 50, r"training\.epochs = 1 .* 4 steps, 4 each, and training\.steps = 50\..* epochs = 13 "),
        (4, 12, r"training\.steps = 12\..* steps = 0 .* epochs = 3 "),
        (4, 17, r"training\.steps = 17\..* steps = 0 .* epochs = 5 "),
        (4, 13, ""),
        (4, 16, ""),
        (4, 0, ""),
    ],
)
def test_steps_that_its_epochs_do_not_end_with_are_refused_before_pictures_are_read(
    epochs: int, steps: int, told: str, tmp_path: Path
) -> None:
    path = written(tmp_path / "edited.toml", "training", epochs=epochs, steps=steps)
    with pytest.raises(SettingsError if told else DataError, match=told or None):
        train_from_file(path, out=str(tmp_path))
    assert [each.name for each in tmp_path.iterdir()] == ["edited.toml"]


def test_where_epochs_end_before_the_steps_a_run_ended_by_its_plan() -> None:
    summary = RunSummary.model_construct(num_steps=4, stopped="planned")
    assert what_ended(summary, tiny_plan(epochs=1, steps=50)) == "planned"
    assert what_ended(summary, tiny_plan(epochs=2, steps=7)) == "clock"


def test_a_long_list_is_not_printed_whole(tmp_path: Path) -> None:
    names = [f"class {number}" for number in range(50_000)]
    path = written(tmp_path / "edited.toml", "network", classes=[*names, "class 7"])
    with pytest.raises(SettingsError, match="'class 7' stands there twice") as refused:
        Plan.read(path)
    assert len(str(refused.value)) < 1000


def test_every_plan_that_is_kept_from_before_is_read() -> None:
    found = sorted(GOLDEN.rglob("run.toml"))
    assert found
    for path in found:
        assert Plan.read(path).to_toml() == path.read_text()


@pytest.mark.parametrize(("network", "side", "small"), [("lenet5", 32, 8), ("lenet5", 32, 24), ("plain", 512, 6)])
def test_a_side_that_the_network_does_not_take_is_refused_before_step_1(network: str, side: int, small: int) -> None:
    with pytest.raises(
        UsageError, match=rf"{network} does not take pictures of {small} x {small} pixels.*training\.sides"
    ):
        start_network(tiny_plan(side, network=network, sides=[small, side]))


@pytest.mark.parametrize("network", ["swift", "plain"])
def test_sides_that_are_taken_change_no_weight(network: str) -> None:
    alone, with_sides = (start_network(tiny_plan(24, network=network, sides=sides)) for sides in ([], [18, 24]))
    assert with_sides.training
    for name, values in alone.state_dict().items():
        assert torch.equal(values, with_sides.state_dict()[name])
