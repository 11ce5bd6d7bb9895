"""A state inside an epoch: as short or long as the epoch may be, and in the form of before."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open

from tiny_training import bars, tiny_plan
from whyconv.errors import ModelFileError, StoppedError
from whyconv.results import ignore
from whyconv.training import checkpoint, loop
from whyconv.training.checkpoint import load_state, save_state
from whyconv.training.distributed import ALONE
from whyconv.training.history import read_history
from whyconv.training.loop import train_network
from whyconv.training.outcome import Outcome
from whyconv.training.rotation import states
from whyconv.training.start import start_network

TRAIN, VALIDATION, PLAN = bars(64), bars(32, seed=1), tiny_plan()


def session(folder: Path) -> loop._Session:
    return loop._Session(start_network(PLAN), TRAIN, VALIDATION, PLAN, (), folder, math.inf, ignore, ALONE)


def outcome_of(folder: Path, stop_at: int = 0) -> tuple[Outcome, dict[str, torch.Tensor]]:
    torch.set_num_threads(1)
    network, asked = start_network(PLAN), [0]

    def stop_requested() -> int:
        asked[0] += 1
        return 130 if asked[0] == stop_at else 0

    outcome = train_network(network, TRAIN, VALIDATION, PLAN, folder=folder, stop_requested=stop_requested)
    return outcome, network.state_dict()


def trained(folder: Path, stop_at: int = 0) -> dict[str, torch.Tensor]:
    return outcome_of(folder, stop_at)[1]


def rewritten(path: Path, losses: object, version: int) -> None:
    """The state of a training with these losses in its progress, as the first format had them."""
    optimizer = session(path.parent.parent).optimizer
    tensors, progress = load_state(path, optimizer)
    tensors.pop("epoch")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(checkpoint, "STATE_VERSION", version)
        save_state(path, tensors, optimizer, progress if losses is None else {**progress, "losses": losses})


@pytest.mark.parametrize("num_steps", [0, 3, 400_000])
def test_a_state_holds_what_every_step_of_its_epoch_cost(tmp_path: Path, num_steps: int) -> None:
    """400,000 steps: of a million pictures with batches of two or three."""
    before, after = session(tmp_path), session(tmp_path)
    losses = np.random.default_rng(0).gamma(1.0, size=num_steps)
    losses[1:2] = math.nan  # of a step that was left out
    before.losses = losses.tolist()
    before.save()
    after.begin()
    assert type(after.losses) is list
    np.testing.assert_array_equal(after.losses, losses)


def test_a_state_of_the_first_format_is_gone_on_from(tmp_path: Path) -> None:
    straight = trained(tmp_path / "straight")
    with pytest.raises(StoppedError):
        trained(tmp_path / "stopped", stop_at=6)
    (path, *_) = states(tmp_path / "stopped" / "checkpoints")
    with safe_open(path, framework="pt") as file:
        losses, metadata = file.get_tensor("epoch.losses").tolist(), file.metadata()
    assert len(losses) == 2
    assert "losses" not in json.loads(metadata["progress"])
    rewritten(path, losses, version=1)
    outcome, resumed = outcome_of(tmp_path / "stopped")
    assert 0 < outcome.seconds_before == json.loads(metadata["progress"])["seconds"] < outcome.seconds
    assert all(torch.equal(straight[name], value) for name, value in resumed.items())
    histories = [read_history(tmp_path / name / "metrics.jsonl")[0] for name in ("straight", "stopped")]
    assert histories[0] == histories[1]


@pytest.mark.parametrize("losses", [None, 3, {}])
def test_a_state_without_what_its_steps_cost_is_no_checkpoint(tmp_path: Path, losses: object) -> None:
    session(tmp_path).save()
    rewritten(states(tmp_path / "checkpoints")[0], losses, version=2)
    with pytest.raises(ModelFileError, match="something is missing"):
        session(tmp_path).begin()
