"""The loop learns, repeats itself bit for bit, and goes on after a stop as if there had been none."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from tiny_training import bars, tiny_plan
from whyconv.errors import ModelFileError, StoppedError, WhyconvError
from whyconv.settings import Plan
from whyconv.training.checkpoint import load_weights, save_weights
from whyconv.training.history import read_history
from whyconv.training.loop import Outcome, cost, network_logits, train_network
from whyconv.training.start import start_network

TRAIN, VALIDATION = bars(64), bars(32, seed=1)


def run(plan: Plan, folder: Path | None = None, stop_at: int = 0) -> tuple[nn.Module, Outcome]:
    torch.set_num_threads(1)
    network, steps = start_network(plan), [0]

    def stop_requested() -> int:
        steps[0] += 1
        return 130 if steps[0] == stop_at else 0

    outcome = train_network(network, TRAIN, VALIDATION, plan, folder=folder, stop_requested=stop_requested)
    return network, outcome


def same(first: nn.Module, second: nn.Module) -> bool:
    return all(
        torch.equal(a, b) for a, b in zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    )


def test_it_learns_what_can_be_learned() -> None:
    plan = tiny_plan(epochs=15)
    network, outcome = run(plan)
    right = network_logits(network, VALIDATION.pixels, plan.network).argmax(1) == VALIDATION.labels
    assert right.mean() > 0.95
    assert outcome.num_epochs == 15
    assert outcome.reason == "planned"


@pytest.mark.parametrize("network", ["lesson", "plain"])
def test_the_same_plan_gives_the_same_bits(network: str) -> None:
    plan = tiny_plan(network=network, epochs=2)
    assert same(run(plan)[0], run(plan)[0])
    other = plan.model_copy(update={"seed": 4})
    assert not same(run(plan)[0], run(other)[0])


@pytest.mark.parametrize(
    ("optimizer", "stop_at"), [("adamw", 1), ("momentum", 4), ("rmsprop", 6), ("gd", 9), ("adam", 16)]
)
def test_a_stopped_training_goes_on_bit_for_bit(tmp_path: Path, optimizer: str, stop_at: int) -> None:
    plan = tiny_plan(network="plain", optimizer=optimizer, learning_rate=0.01)
    straight, _ = run(plan, tmp_path / "straight")
    with pytest.raises(StoppedError, match="whyconv train --resume") as stopped:
        run(plan, tmp_path / "stopped", stop_at=stop_at)
    assert stopped.value.exit_code == 130
    resumed, _ = run(plan, tmp_path / "stopped")
    assert same(straight, resumed)
    assert (
        read_history(tmp_path / "straight" / "metrics.jsonl")[0]
        == read_history(tmp_path / "stopped" / "metrics.jsonl")[0]
    )


def test_a_checkpoint_without_the_optimizers_state_would_be_noticed(tmp_path: Path) -> None:
    plan = tiny_plan(optimizer="adam")
    straight, _ = run(plan)
    with pytest.raises(StoppedError):
        run(plan, tmp_path, stop_at=6)
    path = tmp_path / "checkpoints" / "last.safetensors"
    from safetensors import safe_open
    from safetensors.torch import save_file

    with safe_open(path, framework="pt") as file:
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        metadata = file.metadata()
    forgotten = {key: torch.zeros_like(value) if "exp_avg" in key else value for key, value in tensors.items()}
    save_file(forgotten, path, metadata)
    assert not same(straight, run(plan, tmp_path)[0])


def test_history_holds_j_of_every_step_and_a_record_per_epoch(tmp_path: Path) -> None:
    _, outcome = run(tiny_plan(epochs=3), tmp_path)
    losses, epochs = read_history(tmp_path / "metrics.jsonl")
    assert len(losses) == 3 * 4
    assert [each.epoch for each in epochs] == [1, 2, 3]
    assert epochs[0].loss == pytest.approx(np.mean(losses[:4]))
    assert epochs[outcome.best_epoch - 1].is_best
    best = min(each.validation_loss for each in epochs if each.validation_loss is not None)
    assert epochs[outcome.best_epoch - 1].validation_loss == best
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert json.loads(lines[0]) == {"step": 1, "loss": losses[0]}


def test_no_gain_on_validation_ends_it_early() -> None:
    # Labels that have nothing to do with the pictures: what is learned by heart does not help on validation.
    noise = bars(64)
    noise.labels[:] = np.random.default_rng(0).integers(0, 2, 64)
    plan = tiny_plan(epochs=60, patience=5, learning_rate=0.02)
    network = start_network(plan)
    outcome = train_network(network, noise, VALIDATION, plan)
    assert outcome.reason == "no_gain"
    assert outcome.num_epochs == outcome.best_epoch + 5 < 60


def test_the_clock_ends_it_between_two_epochs() -> None:
    _, outcome = run(tiny_plan(epochs=10_000, seconds=0.5))
    assert outcome.reason == "clock"
    assert 1 <= outcome.num_epochs < 10_000


def test_a_cost_that_is_no_number_is_an_error_that_says_what_to_do() -> None:
    with pytest.raises(WhyconvError, match=r"J became .* lower --learning-rate"):
        run(tiny_plan(network="lesson", optimizer="gd", learning_rate=1e9, epochs=10))


def test_weights_of_another_network_are_refused_by_name(tmp_path: Path) -> None:
    save_weights(tmp_path / "w.safetensors", start_network(tiny_plan(network="lesson")))
    with pytest.raises(ModelFileError, match="does not fit the network"):
        load_weights(tmp_path / "w.safetensors", start_network(tiny_plan(network="plain")))
    (tmp_path / "w.safetensors").write_bytes(b"not safetensors")
    with pytest.raises(ModelFileError, match="damaged"):
        load_weights(tmp_path / "w.safetensors", start_network(tiny_plan()))


def test_weights_and_smoothing_together_leave_the_certain_answer_the_best() -> None:
    """The least J of a certain picture of the common class answers that class, however rare the other one is."""
    weights = torch.tensor([0.505, 50.5])
    answers = torch.linspace(0.001, 0.999, 999)
    logits = torch.stack([answers, 1 - answers], dim=1).log()
    labels = torch.zeros(1, dtype=torch.int64)
    costs = torch.stack([cost(each[None], labels, weights, 0.1) for each in logits])
    assert float(answers[costs.argmin()]) == pytest.approx(0.95, abs=0.002)


def test_the_cost_is_the_formula() -> None:
    generator = np.random.default_rng(0)
    logits, labels, weights = generator.normal(size=(5, 3)), np.array([0, 2, 1, 1, 0]), np.array([0.5, 1.0, 2.0])
    shares = 0.9 * np.eye(3)[labels] + 0.1 / 3
    log_probabilities = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    expected = np.mean(weights[labels] * -(shares * log_probabilities).sum(axis=1))
    found = cost(torch.from_numpy(logits), torch.from_numpy(labels), torch.from_numpy(weights), 0.1)
    assert float(found) == pytest.approx(expected)
