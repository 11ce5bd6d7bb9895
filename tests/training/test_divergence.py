"""Steps and weights that are no numbers: they end a training, or single ones are left out as if never begun."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tiny_training import bars, tiny_plan
from whyconv.errors import DivergedError, StoppedError
from whyconv.results import Note, ignore
from whyconv.settings import Plan
from whyconv.training import divergence, loop, waited_steps
from whyconv.training.augment import epoch_order
from whyconv.training.checkpoint import load_state, save_state
from whyconv.training.divergence import MOST_IN_A_ROW, Divergence
from whyconv.training.history import cut_history, read_history
from whyconv.training.loop import train_network
from whyconv.training.outcome import Outcome
from whyconv.training.rotation import states
from whyconv.training.start import start_network

TRAIN, VALIDATION = bars(64), bars(32, seed=1)
NAMES = [f"bars/{row:03}.png" for row in range(64)]


def step_at_work(plan: Plan) -> int:
    """The step that is being taken, from 1: the loop seeds torch's numbers by it."""
    return torch.initial_seed() - plan.seed * 1_000_003 + 1


def spoiling_pictures(network: nn.Module, plan: Plan, steps: set[int]) -> None:
    """Makes pixels infinite in some steps, as the network sees them."""

    def spoil(module: nn.Module, inputs: tuple[Tensor]) -> tuple[Tensor]:
        return (inputs[0] * torch.inf,) if module.training and step_at_work(plan) in steps else inputs

    network.register_forward_pre_hook(spoil)


def spoiling_gradients(network: nn.Module, plan: Plan, steps: set[int]) -> None:
    """Makes gradients infinite in some steps; J is as it was."""

    def spoil(module: nn.Module, _: object, logits: Tensor) -> None:
        if module.training and step_at_work(plan) in steps:
            logits.register_hook(lambda gradient: gradient * torch.inf)

    network.register_forward_hook(spoil)


class Watched:
    """A training of which the weights and statistics after every step are kept."""

    def __init__(
        self,
        plan: Plan,
        spoil: Callable[[nn.Module, Plan, set[int]], None] | None = None,
        steps: set[int] | None = None,
    ) -> None:
        torch.set_num_threads(1)
        self.plan, self.network = plan, start_network(plan)
        if spoil is not None:
            spoil(self.network, plan, steps or set())
        self.after: list[dict[str, Tensor]] = []
        self.told: list[Note] = []

    def run(self, folder: Path | None = None, stop_at: int = 0, validation=VALIDATION) -> Outcome:
        def note() -> int:
            self.after.append({key: value.clone() for key, value in self.network.state_dict().items()})
            return 130 if len(self.after) == stop_at else 0

        def hear(event: object) -> None:
            if isinstance(event, Note):
                self.told.append(event)

        return train_network(
            self.network, TRAIN, validation, self.plan, names=NAMES, folder=folder, notify=hear, stop_requested=note
        )


def same(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return all(torch.equal(value, second[key]) for key, value in first.items())


def pictures_of(plan: Plan, step: int) -> list[str]:
    """Those of a step, 16 pictures each and 4 steps an epoch."""
    order = epoch_order(plan.seed, (step - 1) // 4 + 1, 64)
    place = (step - 1) % 4
    return [NAMES[row] for row in sorted(order[16 * place : 16 * place + 16])]


@pytest.mark.parametrize(
    ("spoil", "what", "value"), [(spoiling_pictures, "cost", "nan"), (spoiling_gradients, "gradient", "nan")]
)
def test_a_step_that_is_left_out_leaves_nothing_behind(
    tmp_path: Path, spoil: Callable[[nn.Module, Plan, set[int]], None], what: str, value: str
) -> None:
    plan = tiny_plan(network="plain", on_divergence="skip")
    watched = Watched(plan, spoil, {6, 11})
    outcome = watched.run(tmp_path)
    for step in (6, 11):
        # Weights, and the means and variances of normalization, which a forward pass alone would have spoiled.
        assert same(watched.after[step - 1], watched.after[step - 2])
        assert not same(watched.after[step], watched.after[step - 1])
    assert all(value.isfinite().all() for value in watched.network.state_dict().values())
    assert (outcome.num_epochs, outcome.num_steps) == (4, 16)
    assert [each.model_dump() for each in outcome.skipped] == [
        {"step": step, "what": what, "value": value, "pictures": pictures_of(plan, step)} for step in (6, 11)
    ]
    assert [(note.key, note.values["step"]) for note in watched.told] == [
        (f"run_step_skipped_{what}", 6),
        (f"run_step_skipped_{what}", 11),
    ]


def test_the_history_says_which_steps_were_left_out_and_means_are_over_the_others(tmp_path: Path) -> None:
    plan = tiny_plan(network="plain", on_divergence="skip")
    Watched(plan, spoiling_pictures, {6}).run(tmp_path)
    path = tmp_path / "metrics.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    skipped = [row for row in rows if "skipped" in row]
    assert skipped == [
        {"step": 6, "loss": None, "skipped": {"what": "cost", "value": "nan", "pictures": pictures_of(plan, 6)}}
    ]
    losses, records = read_history(path)
    assert [step for step, loss in enumerate(losses, 1) if np.isnan(loss)] == [6]
    assert records[1].loss == pytest.approx(np.mean([losses[4], losses[6], losses[7]]))
    assert records[1].train_accuracy * 48 == pytest.approx(round(records[1].train_accuracy * 48))
    before = path.read_text()
    cut_history(path, 3)
    assert before.startswith(path.read_text())
    assert '"skipped"' in path.read_text()


def test_a_training_that_leaves_steps_out_goes_on_bit_for_bit(tmp_path: Path) -> None:
    plan = tiny_plan(network="plain", on_divergence="skip")
    straight = Watched(plan, spoiling_pictures, {2, 6})
    found = straight.run(tmp_path / "straight")
    for stop_at in (2, 6, 8):
        place = tmp_path / f"stopped at {stop_at}"
        with pytest.raises(StoppedError):
            Watched(plan, spoiling_pictures, {2, 6}).run(place, stop_at=stop_at)
        resumed = Watched(plan, spoiling_pictures, {2, 6})
        assert resumed.run(place).skipped == found.skipped
        assert same(straight.network.state_dict(), resumed.network.state_dict())
        histories = [
            [
                row
                for row in map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
                if row.pop("seconds", 1)
            ]
            for folder in (tmp_path / "straight", place)
        ]
        assert histories[0] == histories[1]


def test_of_many_left_out_steps_a_state_keeps_the_first_pictures_and_the_history_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(divergence, "MOST_KEPT", 40)
    plan, steps = tiny_plan(network="plain", on_divergence="skip"), {2, 3, 6, 9, 11}
    watched = Watched(plan, spoiling_pictures, steps)
    outcome = watched.run(tmp_path)
    assert [each.step for each in outcome.skipped] == sorted(steps)
    assert [each.pictures for each in outcome.skipped] == [pictures_of(plan, 2), pictures_of(plan, 3), [], [], []]
    rows = map(json.loads, (tmp_path / "metrics.jsonl").read_text().splitlines())
    told = {row["step"]: row["skipped"]["pictures"] for row in rows if "skipped" in row}
    assert told == {step: pictures_of(plan, step) for step in steps}


def test_a_state_after_hundreds_of_left_out_steps_is_read_again(tmp_path: Path) -> None:
    recipe = tiny_plan(on_divergence="skip").training
    found = Divergence(recipe, "folder/of/pictures/number {:05}.png".format, None, ignore)
    network = nn.Linear(1, 1)
    optimizer = torch.optim.SGD(network.parameters(), 0.1)
    for step in range(1000):
        found.leave_out("cost", float("nan"), step + 1, 1, range(step, step + 256))
        network.weight.grad = torch.zeros(1, 1)
        found.may_step(network)
    save_state(tmp_path / "state", {"network": network.state_dict()}, optimizer, {"divergence": found.state()})
    _, progress = load_state(tmp_path / "state", optimizer)
    again = Divergence(recipe, str, None, ignore)
    again.restore(progress["divergence"])
    assert again.skipped == found.skipped
    assert [bool(each.pictures) for each in found.skipped] == [True] * 39 + [False] * 961


def test_without_a_step_to_leave_out_the_policy_changes_no_bit() -> None:
    plain, skipping = (Watched(tiny_plan(network="plain", on_divergence=policy)) for policy in (None, "skip"))
    plain.run()
    skipping.run()
    assert same(plain.network.state_dict(), skipping.network.state_dict())


def test_many_in_a_row_end_it_and_what_was_saved_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "_CHECKPOINT_SECONDS", -1.0)
    plan = tiny_plan(network="plain", on_divergence="skip", epochs=30, batch=4)
    last = 20 + MOST_IN_A_ROW
    with pytest.raises(DivergedError, match=rf"J became nan at step {last} .* {MOST_IN_A_ROW - 1} steps before it"):
        Watched(plan, spoiling_pictures, set(range(21, 60))).run(tmp_path)
    assert [path.name for path in states(tmp_path / "checkpoints")] == ["step-000000016.safetensors"]
    # One that is taken in between begins the count anew.
    between = set(range(21, 40)) - {21 + MOST_IN_A_ROW // 2, 20 + MOST_IN_A_ROW}
    assert len(Watched(plan, spoiling_pictures, between).run().skipped) == len(between)


def test_an_epoch_without_any_step_ends_it() -> None:
    plan = tiny_plan(network="plain", on_divergence="skip")
    with pytest.raises(DivergedError, match="No step of epoch 2 could be taken"):
        Watched(plan, spoiling_pictures, {5, 6, 7, 8}).run()


@pytest.mark.parametrize("policy", [None, "skip"])
def test_weights_that_a_step_spoiled_are_blamed_on_that_step(policy: str | None, monkeypatch) -> None:
    """J is seen to be no number a step later, on pictures that are not to blame; leaving those out would not help."""
    plan = tiny_plan(network="plain", on_divergence=policy)
    watched = Watched(plan)
    parameter = next(watched.network.parameters())
    real = waited_steps.move_mean

    def spoil(mean: nn.Module, network: nn.Module, share: float, step: int) -> None:
        real(mean, network, share, step)
        if step == 6:
            parameter.data[0] = torch.inf

    monkeypatch.setattr(waited_steps, "move_mean", spoil)
    with pytest.raises(DivergedError, match=r"A weight became inf at step 6 \(epoch 2\)") as caught:
        watched.run()
    assert [NAMES[row] for row in caught.value.rows] == pictures_of(plan, 6)


def test_an_infinite_gradient_is_blamed_on_its_step_where_none_may_be_left_out() -> None:
    plan = tiny_plan(network="plain")
    with pytest.raises(DivergedError, match=r"A weight became nan at step 6 .*--on-divergence skip") as caught:
        Watched(plan, spoiling_gradients, {6}).run()
    assert [NAMES[row] for row in caught.value.rows] == pictures_of(plan, 6)
    assert str(caught.value).endswith(f"The pictures of this step: {', '.join(pictures_of(plan, 6)[:8])} and 8 more.")


@pytest.mark.parametrize("validated", [True, False])
def test_weights_that_are_no_numbers_never_become_the_best(validated: bool, tmp_path: Path) -> None:
    """Not even after the very last step, which no other follows, and without a validation part that would tell."""
    plan = tiny_plan(network="plain", epochs=2)
    for folder in (None, tmp_path):
        watched = Watched(plan, spoiling_gradients, {8})
        with pytest.raises(DivergedError, match="A weight became nan at step 8"):
            watched.run(folder, validation=VALIDATION if validated else bars(0))
    assert all(state.stem == "step-000000004" for state in states(tmp_path / "checkpoints"))


@pytest.mark.parametrize("policy", [None, "skip"])
@pytest.mark.parametrize("optimizer", ["gd", "momentum", "adam", "muon"])
def test_a_learning_rate_of_a_million_ends_with_an_error_or_with_numbers(optimizer: str, policy: str | None) -> None:
    plan = tiny_plan(network="plain", optimizer=optimizer, learning_rate=1e6, on_divergence=policy)
    watched, told = Watched(plan), ""
    try:
        watched.run()
    except DivergedError as error:
        told = str(error)
    are_numbers = all(value.isfinite().all() for value in watched.network.parameters())
    assert "lower --learning-rate than 1e+06" in told if told else are_numbers
