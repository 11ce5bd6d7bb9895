"""Several processes train as one does: the same batches, the same sums, the same weights."""

from __future__ import annotations

import copy
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from torch import nn

import shared_steps
from several_processes import in_processes
from tiny_model import write_model
from whyconv.training.distributed import ALONE, Group
from whyconv.training.distributed.normalization import normalizing_together


def alone(function: str, *words: str) -> dict[str, torch.Tensor]:
    torch.set_num_threads(1)
    found: dict[str, torch.Tensor] = getattr(shared_steps, function)(ALONE, *words)
    return found


def test_parts_follow_each_other_and_differ_by_one() -> None:
    for size in range(1, 6):
        for count in range(20):
            parts = []
            for rank in range(size):
                group = Group()
                group.rank, group.size = rank, size
                parts.append(list(range(count))[group.part(count)])
            assert [row for part in parts for row in part] == list(range(count))
            assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_what_is_said_and_added_up_is_the_same_everywhere(tmp_path: Path) -> None:
    found = in_processes(3, "shared_steps:agreed", tmp_path)
    assert torch.cat([each["part"] for each in found]).tolist() == list(range(7))
    for each in found:
        assert torch.equal(each["whole"], torch.arange(7.0)[:, None] * torch.ones(1, 3))
        assert each["greatest"].tolist() == [2, 5]
        assert each["lately"].tolist() == [[0, 0], [2, 3], [2, 4]]
        assert each["told"] == ["first from 0", "second from 0"]
        assert each["content"] == [7, 7, 7]
        assert each["nothing"] == []
        assert each["each"] == ["from 0", "é" * 250, "from 2"]


def test_the_leader_goes_last(tmp_path: Path) -> None:
    """Without torchrun, what is said lies in the leader's memory."""
    assert [each["told"] for each in in_processes(3, "shared_steps:heard_late", tmp_path)] == ["the end"] * 3


@pytest.mark.slow
def test_a_step_is_timed_by_all_processes(tmp_path: Path) -> None:
    found = in_processes(2, "shared_steps:timed_together", tmp_path)
    for each in found:
        assert each["seconds"].shape == (2,)
        assert (each["seconds"] > 0).all()
    # They wait for each other in every step.
    torch.testing.assert_close(found[0]["seconds"], found[1]["seconds"], rtol=0.5, atol=0.05)


def test_a_process_with_one_number_of_each_channel_normalizes_by_those_of_all() -> None:
    """Torch refuses to normalize a single number; here the other process has 5 where this one has 1, and 0 for 0."""
    layer, own = nn.BatchNorm1d(2, momentum=1.0), torch.tensor([[1.0, 0.0]])
    others = torch.tensor([5.0, 0.0, 25.0, 0.0, 1.0], dtype=torch.float64)
    with normalizing_together(layer, lambda values: values + others):
        y = layer(own)
    assert layer.running_mean is not None
    assert layer.running_var is not None
    assert layer.running_mean.tolist() == [3.0, 0.0]
    assert layer.running_var.tolist() == [8.0, 0.0]
    torch.testing.assert_close(y, torch.tensor([[-1.0, 0.0]]), atol=1e-5, rtol=1e-5)


def test_a_layer_without_running_statistics_is_that_of_the_whole_batch_too() -> None:
    layer, x, goal = shared_steps.normalization_case(tracks=False)
    x.requires_grad_()
    y = layer(x)
    torch.autograd.backward((y * goal).sum())
    parts, sums = [slice(0, 4), slice(4, 5), slice(5, 11)], list[torch.Tensor]()
    barrier = threading.Barrier(len(parts))

    def total(values: torch.Tensor) -> torch.Tensor:
        sums.append(values)
        barrier.wait(timeout=60)
        found = torch.stack(sums[-len(parts) :]).sum(dim=0)
        barrier.wait(timeout=60)
        return found

    def normalized(part: slice) -> list[torch.Tensor | None]:
        own_layer, own = copy.deepcopy(layer), x[part].detach().clone().requires_grad_()
        own_layer.zero_grad()
        with normalizing_together(own_layer, total):
            own_y = own_layer(own)
        torch.autograd.backward((own_y * goal[part]).sum())
        own_layer.eval()
        with normalizing_together(own_layer, total):  # where it answers, nobody is waited for
            assert torch.equal(own_layer(own), type(layer).forward(own_layer, own))
        return [own_y.detach(), own.grad, own_layer.weight.grad, own_layer.bias.grad]

    with ThreadPoolExecutor(len(parts)) as pool:
        ys, xs, weights, biases = zip(*pool.map(normalized, parts), strict=True)
    assert len(sums) == 2 * len(parts)
    torch.testing.assert_close(torch.cat(ys), y.detach(), rtol=1e-5, atol=2e-5)
    torch.testing.assert_close(torch.cat(xs), x.grad, rtol=1e-4, atol=2e-6)
    torch.testing.assert_close(sum(weights), layer.weight.grad, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(sum(biases), layer.bias.grad, rtol=1e-4, atol=1e-4)


def test_normalization_is_that_of_the_whole_batch(tmp_path: Path) -> None:
    layer, x, goal = shared_steps.normalization_case()
    x.requires_grad_()
    y = layer(x)
    torch.autograd.backward((y * goal).sum())
    found = in_processes(3, "shared_steps:normalized", tmp_path)
    torch.testing.assert_close(torch.cat([each["y"] for each in found]), y.detach(), rtol=1e-5, atol=2e-5)
    torch.testing.assert_close(torch.cat([each["x"] for each in found]), x.grad, rtol=1e-4, atol=2e-6)
    torch.testing.assert_close(sum(each["weight"] for each in found), layer.weight.grad, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(sum(each["bias"] for each in found), layer.bias.grad, rtol=1e-4, atol=1e-4)
    for each in found:
        torch.testing.assert_close(each["mean"], layer.running_mean)
        torch.testing.assert_close(each["variance"], layer.running_var)


def test_the_first_gradients_are_those_of_one_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By their size too, which optimizers such as muon and adam do not see."""
    monkeypatch.setattr("whyconv.nets.swift._MAX_PATCHES", 0)  # put back afterwards, whatever is tried with
    one = alone("first_gradients")
    for each in in_processes(2, "shared_steps:first_gradients", tmp_path):
        assert each.keys() == one.keys()
        for name, value in one.items():
            assert (each[name] - value).norm() <= 2e-6 * value.norm(), name


def test_muon_divides_the_kernels_and_finds_the_same_numbers(tmp_path: Path) -> None:
    one = alone("moved_by_muon")
    found = in_processes(3, "shared_steps:moved_by_muon", tmp_path)
    assert one["made"] == sum(each.pop("made") for each in found) == 3 * 4
    assert one.pop("made") == 12
    for each in found:
        for name, value in one.items():
            assert torch.equal(each[name], value), name


@pytest.mark.parametrize("size", [2, pytest.param(4, marks=pytest.mark.slow)])
def test_the_cost_of_fifty_steps_is_that_of_one_process(tmp_path: Path, size: int) -> None:
    one = alone("trained", "swift", "float32")
    found = in_processes(size, "shared_steps:trained", tmp_path, "swift", "float32")
    for each in found:
        assert len(each["losses"]) == shared_steps.NUM_STEPS
        assert ((each["losses"] - one["losses"]) / one["losses"]).abs().max() < 1e-4
        assert ((each["validation"] - one["validation"]) / one["validation"]).abs().max() < 1e-3
        assert torch.equal(each["train"], one["train"])
        for name, value in found[0].items():
            assert torch.equal(each[name], value), name


@pytest.mark.slow
def test_in_sixteen_bits_all_processes_have_the_same_weights(tmp_path: Path) -> None:
    found = in_processes(2, "shared_steps:trained", tmp_path, "plain", "bfloat16")
    for name, value in found[0].items():
        assert torch.equal(found[1][name], value), name


def test_parts_are_scored_by_all_as_by_one(tmp_path: Path) -> None:
    """Also where there are fewer pictures than processes."""
    model = write_model(tmp_path / "tiny.onnx")
    one, found = alone("scored", str(model)), in_processes(3, "shared_steps:scored", tmp_path / "three", str(model))
    assert [each["asked"] for each in found] == [[5, 1], [4, 0], [4, 0]]
    torch.testing.assert_close(found[0]["logits"], one["logits"], rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(found[0]["probabilities"], one["probabilities"], rtol=1e-6, atol=1e-7)
    torch.testing.assert_close(found[0]["features"], one["features"], rtol=1e-6, atol=1e-7)
    torch.testing.assert_close(one["probabilities"].sum(dim=1), torch.ones(14))
    assert found[0]["novelty"] == one["novelty"] == [True, True]
