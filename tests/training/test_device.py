"""Where a network is trained is settled, told, and no reason to fail where a plan moves to another machine."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Literal

import pytest
import torch

from command_line import run_whyconv
from tiny_training import bars, tiny_plan, write_bars
from whyconv import train
from whyconv.errors import UsageError
from whyconv.results import Event, Note
from whyconv.training.device import CPU, device_for, lying_on, place_of
from whyconv.training.loop import train_network
from whyconv.training.start import start_network
from whyconv.workflow import train_from_file

without_card = pytest.mark.skipif(torch.cuda.is_available(), reason="says what happens without a graphics card")


@pytest.mark.parametrize(
    ("asked", "have_cards", "num_processes", "found"),
    [
        ("auto", True, 1, "cuda"),
        ("auto", True, 2, "cpu"),
        ("auto", False, 1, "cpu"),
        ("cpu", True, 1, "cpu"),
        ("cpu", False, 2, "cpu"),
        ("cuda", True, 1, "cuda"),
        ("cuda", True, 4, "cuda"),
    ],
)
def test_what_is_settled(
    asked: Literal["auto", "cpu", "cuda"], have_cards: bool, num_processes: int, found: str
) -> None:
    assert device_for(asked, have_cards=have_cards, num_processes=num_processes) == found


@without_card
def test_a_card_that_is_not_there_is_refused_with_the_reason() -> None:
    reason = "built without CUDA" if torch.version.cuda is None else "no NVIDIA card|cannot use|shows no card"
    with pytest.raises(UsageError, match=f"--device cuda: .*({reason}).*Expected --device cpu, or auto"):
        device_for("cuda", have_cards=False)


@without_card
def test_the_command_refuses_it_before_it_reads_a_picture(tmp_path: Path) -> None:
    done = run_whyconv(tmp_path, "train", "nowhere", "--device", "cuda")
    assert done.returncode == 2, done.stdout
    assert "--device cuda: " in done.stdout
    assert not (tmp_path / "runs").exists()
    done = run_whyconv(tmp_path, "train", "nowhere", "--device", "gpu")
    assert done.returncode == 2, done.stdout
    assert "device = 'gpu'" in done.stdout


def test_a_plan_for_the_processor_says_nothing_of_a_device(tmp_path: Path) -> None:
    pictures = write_bars(tmp_path / "bars")
    summary = train(str(pictures), epochs=1, out=str(tmp_path), device="cpu", network="lesson")
    plan = tomllib.loads((Path(summary.run) / "run.toml").read_text())
    assert "device" not in plan
    environment = json.loads((Path(summary.run) / "environment.json").read_text())
    assert environment["card"] is None


@without_card
def test_a_plan_for_a_card_is_carried_out_on_the_processor_and_that_is_told(tmp_path: Path) -> None:
    pictures = write_bars(tmp_path / "bars")
    summary = train(str(pictures), epochs=2, out=str(tmp_path), network="lesson")
    path = tmp_path / "for_a_card.toml"
    path.write_text('device = "cuda"\n' + (Path(summary.run) / "run.toml").read_text())
    heard: list[Event] = []
    again = train_from_file(path, heard.append, out=str(tmp_path))
    assert "run_card_gone" in [event.key for event in heard if isinstance(event, Note)]
    weights = [(Path(each.run) / "model.safetensors").read_bytes() for each in (summary, again)]
    assert weights[0] == weights[1]


@without_card
def test_without_a_card_the_place_is_the_processor() -> None:
    plan = tiny_plan().model_copy(update={"device": "cuda"})
    assert place_of(plan) == CPU
    network = start_network(plan)
    train_network(network, bars(32), bars(8, seed=1), plan)
    with lying_on(place_of(plan), network):
        assert next(network.parameters()).device == CPU
