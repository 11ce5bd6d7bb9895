"""The identities hold on layers of every kind; and each proof fails where something is wrong."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from linear_layers import OTHER_LAYERS, drawn_convolution
from whyconv.counting import Axis, Convolution
from whyconv.errors import ParityError, UsageError
from whyconv.measures import proofs, untied, verify, verify_convolution, verify_network
from whyconv.measures.verify import require_proved
from whyconv.nets.layers import LocallyConnected2d
from whyconv.results.fields import Verification

ALL = ("local_twin", "summed_gradient", "matrix", "dense_gradient", "support")


def failed(found: Verification) -> set[str]:
    return {proof.name for proof in found.proofs if proof.is_proved is False}


def tried(found: Verification) -> tuple[str, ...]:
    return tuple(proof.name for proof in found.proofs if proof.is_proved is not None)


@pytest.mark.parametrize("seed", [*range(40), *(pytest.param(s, marks=pytest.mark.slow) for s in range(40, 400))])
def test_random_convolutions_and_transposed_ones(seed: int) -> None:
    layer, shape = drawn_convolution(seed)
    torch.manual_seed(seed)
    layer.reset_parameters()
    found = verify(layer, shape)
    assert tried(found) == ALL
    assert failed(found) == set()
    require_proved([found])


@pytest.mark.parametrize(
    ("layer", "shape"), OTHER_LAYERS, ids=lambda one: str(one) if isinstance(one, nn.Module) else ""
)
def test_other_layers(layer: nn.Module, shape: tuple[int, ...]) -> None:
    found = verify(layer, shape)
    assert failed(found) == set()
    assert {"matrix", "support"} <= set(tried(found))
    assert all(proof.reason for proof in found.proofs if proof.is_proved is None)


def test_the_lecture_s_layer() -> None:
    found = verify(nn.Conv2d(3, 6, 5), (3, 32, 32))
    assert (found.connections, found.channels, found.is_proved) == (352_800, (3, 6), True)
    assert tried(found) == ALL


def test_the_layer_is_left_as_it_was() -> None:
    layer = nn.Conv2d(2, 2, 3)
    before = [parameter.clone() for parameter in layer.parameters()]
    verify(layer, (2, 5, 5))
    assert all(torch.equal(one, other) for one, other in zip(before, layer.parameters(), strict=True))
    assert layer.weight.grad is None
    assert layer.training


def test_a_large_layer_is_tried_on_some_of_its_channels() -> None:
    layer = nn.Conv2d(64, 32, 3, padding=1, groups=2)
    found = verify(layer, (64, 8, 8), most_multiply_adds=10_000_000)
    assert (found.channels, found.all_channels, found.is_whole) == ((4, 8), (64, 32), False)
    assert found.tried_shape == (4, 8, 8)
    assert found.connections == 22 * 22 * 4 * 8
    assert found.is_proved
    transposed = verify(nn.ConvTranspose2d(16, 8, 3, 2), (16, 6, 6), most_multiply_adds=10_000_000)
    assert transposed.channels < transposed.all_channels
    assert transposed.is_proved
    assert verify(nn.AvgPool2d(2), (64, 16, 16), most_multiply_adds=1_000_000).channels == (1, 1)
    linear = verify(nn.Linear(300, 200), (300,), most_multiply_adds=1_000_000)
    assert linear.channels < (300, 200)
    assert linear.is_proved


@pytest.mark.parametrize(
    ("layer", "channels"),
    [
        (nn.Conv2d(3, 8, 7, 2, 3), 3),
        (nn.Conv2d(4, 4, 3, 3, 1, padding_mode="reflect", groups=4), 4),
        (nn.ConvTranspose2d(4, 2, 4, 2, 1, output_padding=1), 4),
        (nn.AvgPool2d(3, 2, 1, ceil_mode=True), 5),
    ],
    ids=str,
)
@pytest.mark.parametrize("side", [60, 61])
def test_a_large_picture_is_made_smaller_with_the_same_borders(layer: nn.Module, channels: int, side: int) -> None:
    found = verify(layer, (channels, side, side), most_multiply_adds=2_000_000)
    assert found.is_proved
    assert max(found.channels) <= 2
    tried, every = found.tried_shape[1], found.input_shape[1]
    assert 5 <= tried < every == side
    if not isinstance(layer, nn.ConvTranspose2d):
        stride = layer.stride if isinstance(layer.stride, int) else layer.stride[0]
        assert (every - tried) % stride == 0


def test_what_cannot_be_afforded_at_all_is_refused_with_what_it_would_take() -> None:
    layer = Convolution((Axis(20_000, 10_000),) * 2, 3, 6)
    with pytest.raises(UsageError, match=r"would take [\d,]+ multiply-adds and [\d.,]+ .B; the least of it [\d,]+ and"):
        verify_convolution(layer)
    with pytest.raises(UsageError, match=r"The limit is 10"):
        verify(LocallyConnected2d(1, 1, 3, 5), (1, 5, 5), most_multiply_adds=10)
    large = verify_convolution(Convolution((Axis(1000, 5), Axis(1000, 5)), 3, 6), most_multiply_adds=100_000_000)
    assert large.is_proved
    assert large.input_shape == (3, 1000, 1000)


@pytest.mark.parametrize(
    "convolution",
    [
        Convolution((Axis(9, 4, 2, (1, 2)), Axis(7, 2, 1, (0, 1))), 2, 4, groups=2),
        Convolution((Axis(9, 3, 1, (2, 2), 2, "reflect"), Axis(7, 3, 1, (1, 1), 1, "reflect")), 1, 2, has_bias=False),
        Convolution((Axis(12, 5, 2, (2, 2), 1, "circular"),), 2, 3),
        Convolution((Axis(4, 2, 1, (1, 0)), Axis(5, 3, 2, (1, 1)), Axis(4, 2)), 1, 2),
    ],
)
def test_convolutions_that_were_only_counted(convolution: Convolution) -> None:
    found = verify_convolution(convolution)
    assert tried(found) == ALL
    assert failed(found) == set()
    assert found.connections == convolution.connections


def test_a_network_layer_by_layer() -> None:
    network = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(4, 4, 3, padding=1),
        nn.Conv2d(4, 4, 3, padding=1),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Linear(64, 3),
    )
    found = verify_network(network, (1, 8, 8))
    assert [one.name for one in found] == ["0", "2", "4", "6"]  # "3" reads as "2" does
    assert all(one.is_proved for one in found)
    assert not any(module._forward_pre_hooks for module in network.modules())
    small = verify_network(network, (1, 8, 8), most_multiply_adds=1_000)
    assert "would take" in small[0].reason
    assert small[0].is_proved is None
    with pytest.raises(UsageError, match="real weights"):
        verify_network(network.to("meta"), (1, 8, 8))


def plant_wrong_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """One place of the local twin has another kernel."""
    make = untied.untie

    def wrong(*given: object) -> untied.LocalTwin:
        twin = make(*given)
        with torch.no_grad():
            twin.local.weight[1, 2, 0, 0, 0, 1] += 1e-6
        return twin

    monkeypatch.setattr(proofs, "untie", wrong)


def plant_wrong_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    """One entry of the matrix is another number."""
    make = proofs.matrix_of

    def wrong(windows: object) -> object:
        made = make(windows)
        made.entries.data[5] += 1e-6
        return made

    monkeypatch.setattr(proofs, "matrix_of", wrong)


def plant_missing_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """The sum over places leaves one out."""
    monkeypatch.setattr(untied._Local, "summed", lambda self: self._by_place()[1:].sum(axis=0))


def plant_wrong_mask(monkeypatch: pytest.MonkeyPatch) -> None:
    """The dense gradient is taken beside the support."""
    make = proofs._dense_gradients

    def wrong(*given: object) -> object:
        for channel, places, dense in make(*given):
            yield channel, places, dense[:, ::-1]

    monkeypatch.setattr(proofs, "_dense_gradients", wrong)


def plant_idle_weight(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tap that only meets padding has a gradient."""
    monkeypatch.setattr(untied._Local, "idle", lambda self: 1e-3)


def plant_wrong_count(monkeypatch: pytest.MonkeyPatch) -> None:
    """Padding is counted."""
    monkeypatch.setattr(Convolution, "connections", property(lambda self: self.nominal_multiply_adds))


@pytest.mark.parametrize(
    ("plant", "expected"),
    [
        (plant_wrong_place, {"local_twin", "summed_gradient", "dense_gradient"}),
        (plant_wrong_entry, {"matrix", "dense_gradient"}),
        (plant_missing_place, {"summed_gradient"}),
        (plant_wrong_mask, {"dense_gradient"}),
        (plant_idle_weight, {"dense_gradient"}),
    ],
)
def test_each_proof_can_fail(
    plant: Callable[[pytest.MonkeyPatch], None], expected: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    layer = nn.Conv2d(2, 2, 3, padding=1)
    assert failed(verify(layer, (2, 6, 6))) == set()
    plant(monkeypatch)
    found = verify(layer, (2, 6, 6), name="conv")
    assert failed(found) == expected
    with pytest.raises(ParityError, match="conv: ") as raised:
        require_proved([found])
    assert raised.value.exit_code == 4
    assert all(name in str(raised.value) for name in expected)


def test_a_count_that_is_off_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """Counts decide how much is allocated, so this one is planted where the proof reads it."""
    convolution = Convolution((Axis(6, 3, 1, (1, 1)),) * 2, 1, 1)
    real = proofs.matrix_of

    def counted_wrongly(windows: untied.LayerWindows) -> object:
        made = real(windows)
        wrong = dataclasses.replace(windows.convolution, axes=(Axis(6, 3), Axis(6, 3)))
        object.__setattr__(windows, "convolution", _Miscounted(windows.convolution, wrong.connections))
        return made

    assert failed(verify_convolution(convolution)) == set()
    monkeypatch.setattr(proofs, "matrix_of", counted_wrongly)
    assert failed(verify_convolution(convolution)) == {"support"}


class _Miscounted:
    """A convolution that gives one wrong number."""

    def __init__(self, convolution: Convolution, connections: int) -> None:
        self._convolution, self.connections = convolution, connections

    def __getattr__(self, name: str) -> object:
        return getattr(self._convolution, name)


def test_a_wrong_pattern_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = proofs._jacobian_rows

    def wrong(*given: object) -> object:
        for found in rows(*given):
            yield found * (np.arange(len(found)) > 0)

    monkeypatch.setattr(proofs, "_jacobian_rows", wrong)
    assert failed(verify(nn.Conv2d(1, 1, 3), (1, 5, 5))) == {"support"}
