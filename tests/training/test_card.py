"""On a graphics card: the same training, recorded steps, the same bits every time."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, distributed, nn

from tiny_training import bars, tiny_plan, write_bars
from whyconv.errors import DivergedError, StoppedError, UsageError
from whyconv.nets.catalogue import NETWORKS
from whyconv.settings import Plan
from whyconv.training import card_steps
from whyconv.training.distributed import Launch, group
from whyconv.training.distributed.liveness import Liveness
from whyconv.training.loop import train_network
from whyconv.training.pixel_rows import LabelledPixels
from whyconv.training.self_test import try_precisions
from whyconv.training.start import start_network
from whyconv.training.step import StepRecipe
from whyconv.training.torch_habits import torch_habits

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="torch can use no graphics card here"),
]

OPTIMIZERS = ("gd", "momentum", "rmsprop", "adam", "adamw", "muon")


def card_plan(side: int = 8, channels: int = 1, **words: Any) -> Plan:
    return tiny_plan(side, channels, **words).model_copy(update={"device": "cuda"})


def trained(plan: Plan, train: LabelledPixels, validation: LabelledPixels, **words: Any) -> dict[str, Tensor]:
    with torch_habits(1):
        network = start_network(plan, pixels=train.pixels)
        train_network(network, train, validation, plan, **words)
    assert {each.device.type for each in network.state_dict().values()} == {"cpu"}
    return network.state_dict()


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return all(torch.equal(one[name], other[name]) for name in one)


def require_close(one: dict[str, Tensor], other: dict[str, Tensor], rtol: float, atol: float) -> None:
    apart = {
        name: float((one[name] - value).abs().max())
        for name, value in other.items()
        if not torch.allclose(one[name], value, rtol=rtol, atol=atol)
    }
    assert not apart


@pytest.fixture
def recordings(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Grows by one with each step that is recorded."""
    found: list[bool] = []
    record = card_steps.recorded

    def noted(*given: Any) -> Any:
        graph = record(*given)
        found.append(True)
        return graph

    monkeypatch.setattr(card_steps, "recorded", noted)
    return found


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_recorded_steps_move_weights_as_steps_on_the_processor(optimizer: str, recordings: list[bool]) -> None:
    words: dict[str, Any] = {"network": "swift", "optimizer": optimizer, "epochs": 3, "average": 0.9}
    plan = card_plan(**words)
    on_card = trained(plan, bars(61), bars(16, seed=1))
    assert recordings
    on_cpu = trained(plan.model_copy(update={"device": None}), bars(61), bars(16, seed=1))
    require_close(on_card, on_cpu, rtol=2e-2, atol=5e-3)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_same_plan_gives_the_same_bits(precision: str, tmp_path: Path) -> None:
    plan = card_plan(24, 3, network="swift", optimizer="muon", precision=precision, sides=[18, 24], average=0.0)
    train, validation = bars(150, side=24, channels=3), bars(31, seed=1, side=24, channels=3)
    assert same(trained(plan, train, validation), trained(plan, train, validation, folder=tmp_path))


@pytest.mark.parametrize("stopped", [1, 3, 7])
def test_a_stop_changes_no_bit(stopped: int, tmp_path: Path) -> None:
    plan = card_plan(network="mobilenet_v2" if stopped == 7 else "swift", side=32, optimizer="adamw", epochs=2)
    train, validation = bars(90, side=32), bars(16, seed=1, side=32)
    steps = itertools.count(1)
    with pytest.raises(StoppedError):
        trained(plan, train, validation, folder=tmp_path, stop_requested=lambda: 130 * (next(steps) == stopped))
    assert same(trained(plan, train, validation, folder=tmp_path), trained(plan, train, validation))


def test_pictures_that_do_not_fit_are_sent_batch_by_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = card_plan(network="swift", optimizer="muon")
    lying_there = trained(plan, bars(90), bars(16, seed=1))
    monkeypatch.setattr(card_steps, "_MEMORY_FRACTION", 0.0)
    assert same(trained(plan, bars(90), bars(16, seed=1)), lying_there)


@pytest.mark.parametrize("name", sorted(NETWORKS))
def test_every_network_of_the_catalogue_is_recorded(name: str, recordings: list[bool]) -> None:
    side = 64 if name in {"googlenet", "alexnet", "vgg16"} else 32
    plan = card_plan(side, 3, network=name, optimizer="adam", epochs=1, batch=8, learning_rate=1e-4)
    trained(plan, bars(32, side=side, channels=3), bars(8, seed=1, side=side, channels=3))
    assert recordings


class Own(nn.Module):
    """What a recording would freeze or break: it asks for a number, counts in Python, and drops out."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution, self.dropout, self.count = nn.Conv2d(1, 2, 8), nn.Dropout(), 0

    def forward(self, x: Tensor) -> Tensor:
        self.count += 1
        return self.dropout(self.convolution(x).flatten(1)) * float(x.abs().max())


def test_a_network_of_ones_own_is_not_recorded(recordings: list[bool], monkeypatch: pytest.MonkeyPatch) -> None:
    plan, own = card_plan(network="my_networks:own", optimizer="adam"), Own()
    monkeypatch.setattr("whyconv.training.start.build_planned", lambda sizes: own)
    before = own.convolution.weight.detach().clone()
    trained(plan, bars(64), bars(16, seed=1))
    assert recordings == []
    assert own.count == 16  # four epochs of four steps; validation asks the averaged network
    assert not torch.equal(own.convolution.weight, before)


def test_weights_that_a_step_spoiled_are_blamed_on_that_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """J is seen to be no number a step later, on pictures that are not to blame."""
    plan, real = card_plan(network="swift", optimizer="gd"), StepRecipe.answers

    def spoiling(*given: Any) -> Any:
        found = real(*given)
        return found._replace(loss=found.loss + (found.loss - found.loss.detach()).sqrt())  # by 0, its slope infinite

    monkeypatch.setattr(StepRecipe, "answers", spoiling)
    with pytest.raises(DivergedError, match=r"A weight became (inf|nan) at step 1 \(epoch 1\)"):
        trained(plan, bars(64), bars(16, seed=1))


def test_a_cost_that_is_no_number_ends_it_and_names_the_step() -> None:
    plan = card_plan(network="lesson", optimizer="gd", learning_rate=1e18, warmup_fraction=0.0)
    with pytest.raises(DivergedError, match=r"at step \d+ \(epoch \d+\).*The pictures of this step: row \d+"):
        trained(plan, bars(64), bars(16, seed=1))


def test_steps_that_may_be_left_out_are_waited_for() -> None:
    plan = card_plan(network="swift", optimizer="adam", on_divergence="skip")
    waited = trained(plan, bars(64), bars(16, seed=1))
    recorded = trained(card_plan(network="swift", optimizer="adam"), bars(64), bars(16, seed=1))
    require_close(recorded, waited, rtol=1e-3, atol=1e-4)


def test_bfloat16_is_found_faster_and_right() -> None:
    plan = card_plan(32, 3, network="swift")
    x, labels = torch.randn(512, 3, 32, 32, device="cuda"), torch.zeros(512, dtype=torch.int64, device="cuda")
    with torch_habits(1):
        found = try_precisions(start_network(plan).to("cuda"), x, labels)
    assert found.precision == "bfloat16", found


def test_members_of_a_committee_and_windows(recordings: list[bool]) -> None:
    plan = card_plan(24, 3, network="swift", members=3, optimizer="muon")
    trained(plan, bars(64, side=24, channels=3), bars(16, seed=1, side=24, channels=3))
    sizes = plan.network.model_copy(update={"members": 1, "window": 20, "invariant": "realistic"})
    plan = plan.model_copy(update={"network": sizes})
    trained(plan, bars(64, side=24, channels=3), bars(16, seed=1, side=24, channels=3))
    assert recordings


def test_a_card_that_is_too_small_is_said_to_be() -> None:
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(1e-4)
    try:
        with pytest.raises(UsageError, match=r"memory of .* is not enough .* --device cpu"):
            trained(card_plan(64, 3, network="resnet18"), bars(64, side=64, channels=3), bars(2, side=64, channels=3))
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)


class Elsewhere(nn.Module):
    """Makes a tensor without saying where."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(64, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(x.flatten(1) * torch.ones(64))


def test_a_network_that_computes_elsewhere_is_said_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("whyconv.training.start.build_planned", lambda sizes: Elsewhere())
    with pytest.raises(UsageError, match=r"device=x\.device"):
        trained(card_plan(optimizer="adam"), bars(64), bars(16, seed=1))


def test_cards_that_talk_to_each_other_change_no_bit() -> None:
    """One process of one, connected by nccl: the way of several, whose sums are those of one."""
    plan = card_plan(network="swift", optimizer="muon", on_divergence="skip")
    alone = trained(plan, bars(64), bars(16, seed=1))
    launch, store = Launch(0, 1), distributed.HashStore()
    assert group._backend(launch) == "cpu:gloo,cuda:nccl"
    distributed.init_process_group(group._backend(launch), store=store, rank=0, world_size=1)
    liveness = Liveness(distributed.PrefixStore("beats", store), 0)
    try:
        assert same(trained(plan, bars(64), bars(16, seed=1), group=group.Together(launch, store, liveness)), alone)
    finally:
        liveness.end()
        distributed.destroy_process_group()


def test_processes_that_share_a_card_take_the_steps_of_one(tmp_path: Path) -> None:
    write_bars(tmp_path / "bars", 90)
    words = ["train", "bars", "--device", "cuda", "--epochs", "3", "--network", "swift", "--flips", "off"]
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node"]
    losses = []
    for processes in ("1", "2"):
        done = subprocess.run(
            [*command, processes, "-m", "whyconv", *words, "--out", processes],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        rows = [
            json.loads(line)
            for line in (tmp_path / processes / "bars-1" / "metrics.jsonl").read_text().split("\n")[:-1]
        ]
        losses.append([row["loss"] for row in rows if "loss" in row])
    assert len(losses[0]) > 9
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-3)


def test_what_a_caller_has_set_of_torch_is_put_back() -> None:
    places: tuple[Any, ...] = torch.backends.cuda.matmul, torch.backends.cudnn.conv, torch.backends.cudnn.rnn
    before = [place.fp32_precision for place in places]
    try:
        torch.backends.fp32_precision = "tf32"
        asked = [place.fp32_precision for place in places]
        torch.cuda.manual_seed(7)
        state = torch.cuda.get_rng_state()
        with torch_habits(1):
            assert [place.fp32_precision for place in places] == ["ieee"] * 3
            torch.rand(1, device="cuda")
        assert [place.fp32_precision for place in places] == asked
        assert torch.equal(torch.cuda.get_rng_state(), state)
    finally:
        torch.backends.fp32_precision = "none"
        for place, precision in zip(places, before, strict=True):
            place.fp32_precision = precision
