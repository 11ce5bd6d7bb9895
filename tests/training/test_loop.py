"""The loop learns, repeats itself bit for bit, and goes on after a stop as if there had been none."""

from __future__ import annotations

import copy
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from tiny_training import bars, tiny_plan
from whyconv.errors import DivergedError, ModelFileError, StoppedError, UsageError, WhyconvError
from whyconv.settings import Plan
from whyconv.training import going_on, loop, step
from whyconv.training.augment import epoch_order
from whyconv.training.averaging import tensors_of
from whyconv.training.checkpoint import load_weights, save_weights
from whyconv.training.cost import cost
from whyconv.training.history import cut_history, read_history
from whyconv.training.logits import network_logits
from whyconv.training.loop import train_network
from whyconv.training.outcome import Outcome
from whyconv.training.recipe import class_offsets
from whyconv.training.rotation import states
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


@pytest.mark.parametrize("network", ["lesson", "plain", "swift"])
def test_the_same_plan_gives_the_same_bits(network: str) -> None:
    plan = tiny_plan(network=network, epochs=2)
    assert same(run(plan)[0], run(plan)[0])
    other = plan.model_copy(update={"seed": 4})
    assert not same(run(plan)[0], run(other)[0])


@pytest.mark.parametrize(
    ("optimizer", "stop_at"), [("adamw", 1), ("momentum", 4), ("rmsprop", 6), ("gd", 9), ("adam", 16), ("muon", 7)]
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


def test_swift_learns_by_muon_in_both_precisions() -> None:
    recipe = {"optimizer": "muon", "learning_rate": 0.02, "other_learning_rate": 0.003, "average": 0.0}
    for precision in ("float32", "bfloat16"):
        plan = tiny_plan(network="swift", epochs=6, schedule="linear", momentum=0.6, precision=precision, **recipe)
        network, _ = run(plan)
        right = network_logits(network, VALIDATION.pixels, plan.network).argmax(1) == VALIDATION.labels
        assert right.mean() > 0.95


def test_members_of_a_committee_learn_as_if_each_were_alone() -> None:
    plan = tiny_plan(network="plain", members=2, optimizer="gd", learning_rate=0.05, average=0.0, epochs=1)
    together, alone = start_network(plan), copy.deepcopy(start_network(plan).members[1])
    train_network(together, TRAIN, VALIDATION, plan)
    train_network(alone, TRAIN, VALIDATION, plan)
    for one, other in zip(together.members[1].parameters(), alone.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-6)
    logits = network_logits(together, VALIDATION.pixels, plan.network)
    each = [network_logits(member, VALIDATION.pixels, plan.network) for member in together.members]
    np.testing.assert_allclose(logits, np.mean(each, axis=0), rtol=1e-4, atol=1e-5)
    assert not np.allclose(each[0], each[1])


def test_resolution_rises_as_the_plan_says() -> None:
    plan = tiny_plan(network="plain", epochs=3, sides=[6, 8, 8])
    network, seen = start_network(plan), []
    network.register_forward_pre_hook(lambda module, args: seen.append((module.training, args[0].shape[-1])))
    train_network(network, TRAIN, VALIDATION, plan)
    assert [side for is_training, side in seen if is_training] == [6] * 4 + [8] * 8
    assert {side for is_training, side in seen if not is_training} <= {8}


def test_a_checkpoint_without_the_optimizers_state_would_be_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = tiny_plan(optimizer="adam")
    straight, _ = run(plan)
    with pytest.raises(StoppedError):
        run(plan, tmp_path, stop_at=6)
    real = going_on.load_state

    def forgetful(path: Path, optimizer: torch.optim.Optimizer) -> object:
        found = real(path, optimizer)
        for state in optimizer.state.values():
            state["exp_avg"].zero_()
        return found

    monkeypatch.setattr(going_on, "load_state", forgetful)
    assert not same(straight, run(plan, tmp_path)[0])


def test_a_cost_that_is_no_number_ends_it_before_the_step_and_says_on_which_pictures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan, real, seen = tiny_plan(epochs=6), step.cost, []

    def diverging(*given: object) -> torch.Tensor:
        seen.append(1)
        return real(*given) * (torch.nan if len(seen) == 10 else 1)

    monkeypatch.setattr(step, "cost", diverging)
    monkeypatch.setattr(loop, "_CHECKPOINT_SECONDS", -1.0)
    with pytest.raises(DivergedError, match=r"J became nan at step 10 \(epoch 3\)") as caught:
        run(plan, tmp_path)
    order = epoch_order(plan.seed, 3, len(TRAIN))
    assert caught.value.rows == tuple(sorted(order[16:32].tolist()))
    assert [path.name for path in states(tmp_path / "checkpoints")] == [
        f"step-{step:09}.safetensors" for step in (8, 4)
    ]
    # What was saved is of use: with a cost that is a number again it goes on from there.
    monkeypatch.setattr(step, "cost", real)
    assert same(run(plan, tmp_path)[0], run(plan)[0])


@pytest.mark.parametrize("part", ["validation", "weights"])
def test_weights_that_are_no_numbers_are_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: str) -> None:
    plan, real, steps = tiny_plan(epochs=2), loop.costs, [0]

    def spoil() -> None:
        if part == "weights" and steps[0] == 4:
            next(network.parameters()).data[0] = torch.inf

    monkeypatch.setattr(loop, "costs", lambda *given: real(*given) * (torch.nan if part == "validation" else 1))
    torch.set_num_threads(1)
    network = start_network(plan)

    def stop_requested() -> int:
        steps[0] += 1
        spoil()
        return 130 if part == "weights" and steps[0] == 4 else 0

    with pytest.raises(DivergedError, match="on validation became nan" if part == "validation" else "A weight became"):
        train_network(network, TRAIN, VALIDATION, plan, folder=tmp_path, stop_requested=stop_requested)
    assert not states(tmp_path / "checkpoints")


def test_history_holds_j_of_every_step_and_a_record_per_epoch(tmp_path: Path) -> None:
    _, outcome = run(tiny_plan(epochs=3), tmp_path)
    losses, epochs = read_history(tmp_path / "metrics.jsonl")
    assert len(losses) == 3 * 4
    assert [each.epoch for each in epochs] == [1, 2, 3]
    assert epochs[0].loss == pytest.approx(np.mean(losses[:4]))
    assert epochs[outcome.best_epoch - 1].is_best
    assert not any(each.is_best for each in epochs[outcome.best_epoch :])
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


def on_the_clock(
    plan: Plan, monkeypatch: pytest.MonkeyPatch, folder: Path | None, step_seconds: float, deadline: float
):
    """Trains on a clock that only steps move, so that what fits in is known."""
    now, network = [100.0], start_network(plan)
    monkeypatch.setattr("whyconv.training.loop.time.perf_counter", lambda: now[0])

    def pass_time(module: nn.Module, *_: object) -> None:
        now[0] += step_seconds * module.training

    network.register_forward_hook(pass_time)
    outcome = train_network(network, TRAIN, VALIDATION, plan, folder=folder, deadline=100 + deadline)
    monkeypatch.undo()
    return network, outcome


def test_the_clock_ends_it_before_an_epoch_that_does_not_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    # 4 steps an epoch: 3 epochs are done after 12 s, a 4th would be after 16 s.
    _, outcome = on_the_clock(tiny_plan(epochs=50), monkeypatch, None, 1.0, deadline=15.5)
    assert (outcome.reason, outcome.num_epochs, outcome.num_steps, outcome.seconds) == ("clock", 3, 12, 12.0)


@pytest.mark.parametrize(
    "planned", [{"epochs": 50}, {"epochs": 1}, {"epochs": 1, "steps": 12}], ids=["of many", "the last", "less than one"]
)
def test_the_clock_ends_it_inside_an_epoch_and_the_plan_with_that_step_repeats_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, planned: dict[str, int]
) -> None:
    plan = tiny_plan(batch=4, **planned)  # 16 steps an epoch
    network, outcome = on_the_clock(plan, monkeypatch, tmp_path / "run", 1.0, deadline=9.0)
    assert (outcome.reason, outcome.num_epochs, outcome.num_steps) == ("clock", 1, 10)
    _, epochs = read_history(tmp_path / "run" / "metrics.jsonl")
    assert [(each.step, each.validation_loss is not None) for each in epochs] == [(10, True)]
    # Without the clock: what the clock had ended stays ended, and the step is all that a repetition needs.
    assert run(plan, tmp_path / "run")[1] == outcome
    repeated, again = run(tiny_plan(batch=4, stop_after=10, **planned))
    assert same(network, repeated)
    assert (again.reason, again.num_steps) == ("planned", 10)


@pytest.mark.parametrize(("deadline", "ended"), [(14.5, ("clock", 15)), (15.5, ("planned", 16))])
def test_out_of_time_with_the_last_step_of_its_plan_it_ends_as_planned(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, deadline: float, ended: tuple[str, int]
) -> None:
    plan = tiny_plan(epochs=1, batch=4)  # 16 steps; a fiftieth of the time may be overdrawn
    _, outcome = on_the_clock(plan, monkeypatch, tmp_path, 1.0, deadline=deadline)
    assert (outcome.reason, outcome.num_steps) == ended
    assert run(plan, tmp_path)[1] == outcome


def test_the_clock_leaves_five_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    _, outcome = on_the_clock(tiny_plan(epochs=50), monkeypatch, None, 1.0, deadline=-10)
    assert (outcome.num_steps, outcome.num_epochs) == (5, 2)


@pytest.mark.parametrize("stop_at", [2, 6])
def test_less_than_an_epoch_ends_its_schedule_and_goes_on_after_a_stop(tmp_path: Path, stop_at: int) -> None:
    plan = tiny_plan(epochs=1, batch=4, steps=6)
    straight, outcome = run(plan, tmp_path / "straight")
    _, epochs = read_history(tmp_path / "straight" / "metrics.jsonl")
    assert (outcome.reason, outcome.num_epochs, outcome.num_steps) == ("planned", 1, 6)
    assert epochs[0].learning_rate < 0.1 * plan.training.learning_rate
    with pytest.raises(StoppedError, match=r"at step . of 6"):
        run(plan, tmp_path / "stopped", stop_at=stop_at)
    assert same(straight, run(plan, tmp_path / "stopped")[0])


def test_a_constant_schedule_keeps_the_learning_rate(tmp_path: Path) -> None:
    run(tiny_plan(epochs=3, schedule="constant"), tmp_path)
    assert [each.learning_rate for each in read_history(tmp_path / "metrics.jsonl")[1]] == [0.005] * 3


def test_a_checkpoint_of_another_plan_is_refused(tmp_path: Path) -> None:
    with pytest.raises(StoppedError):
        run(tiny_plan(), tmp_path, stop_at=6)
    with pytest.raises(UsageError, match=r"not the plan .* whyconv train --config .*run\.toml"):
        run(tiny_plan(learning_rate=0.004), tmp_path)


def test_a_checkpoint_of_another_network_is_refused(tmp_path: Path) -> None:
    plan = tiny_plan()
    with pytest.raises(StoppedError):
        run(plan, tmp_path, stop_at=6)
    # The user's own network, say, of which the code was changed since.
    with pytest.raises(ModelFileError, match=r"step-000000006\.safetensors does not fit"):
        train_network(start_network(tiny_plan(network="plain")), TRAIN, VALIDATION, plan, folder=tmp_path)


class Tied(nn.Module):
    """One layer used under two names, as language models do with their first and last."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(64, 64)
        self.second = self.first
        self.head = nn.Linear(64, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.second(self.first(x.flatten(1)).relu()).relu())


def test_tied_weights_are_saved_and_averaged_once(tmp_path: Path) -> None:
    plan = tiny_plan(epochs=2, average=0.0)
    torch.manual_seed(0)
    start, straight = Tied(), Tied()
    straight.load_state_dict(start.state_dict())
    train_network(straight, TRAIN, VALIDATION, plan)
    steps = [0]

    def stop_requested() -> int:
        steps[0] += 1
        return 130 if steps[0] == 6 else 0

    with pytest.raises(StoppedError):
        train_network(copy.deepcopy(start), TRAIN, VALIDATION, plan, folder=tmp_path, stop_requested=stop_requested)
    resumed = Tied()
    train_network(resumed, TRAIN, VALIDATION, plan, folder=tmp_path)
    assert same(straight, resumed)
    save_weights(tmp_path / "w.safetensors", straight)
    load_weights(tmp_path / "w.safetensors", resumed)
    assert len(list(tensors_of(straight))) == 4


def test_history_is_cut_by_one_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(tiny_plan(epochs=3), tmp_path)
    path = tmp_path / "metrics.jsonl"
    before = path.read_text()

    def fails(*_: object) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr("whyconv.files.os.replace", fails)
    with pytest.raises(OSError, match="the disk is full"):
        cut_history(path, 2)
    monkeypatch.undo()
    assert path.read_text() == before
    cut_history(path, 2)
    assert before.startswith(path.read_text())
    assert [each.epoch for each in read_history(path)[1]] == [1, 2]


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


def best_constant_answer(counts: list[int], offsets: list[float]) -> np.ndarray:
    """The logits, alike for all pictures, that make J least: found by descent."""
    labels = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    logits = torch.zeros(len(counts), dtype=torch.float64, requires_grad=True)
    descent = torch.optim.LBFGS([logits], max_iter=200, tolerance_grad=1e-12)

    def closure() -> torch.Tensor:
        descent.zero_grad()
        loss = cost(logits.expand(len(labels), -1), labels, torch.tensor(offsets, dtype=torch.float64), 0.0)
        loss.backward()
        return loss

    descent.step(closure)
    return logits.detach().numpy()


def test_with_offsets_nothing_is_learned_from_how_many_pictures_a_class_has() -> None:
    counts = [90, 9, 1]
    np.testing.assert_allclose(np.ptp(best_constant_answer(counts, class_offsets(counts, "on"))), 0, atol=1e-5)
    plain = best_constant_answer(counts, class_offsets(counts, "off"))
    np.testing.assert_allclose(plain[0] - plain[2], np.log(90), rtol=1e-5)


def test_the_cost_is_the_formula() -> None:
    generator = np.random.default_rng(0)
    logits, labels, offsets = generator.normal(size=(5, 3)), np.array([0, 2, 1, 1, 0]), np.array([0.5, -1.0, 2.0])
    shares = 0.9 * np.eye(3)[labels] + 0.1 / 3
    moved = logits + offsets
    log_probabilities = moved - np.log(np.exp(moved).sum(axis=1, keepdims=True))
    expected = np.mean(-(shares * log_probabilities).sum(axis=1))
    found = cost(torch.from_numpy(logits), torch.from_numpy(labels), torch.from_numpy(offsets), 0.1)
    assert float(found) == pytest.approx(expected)
