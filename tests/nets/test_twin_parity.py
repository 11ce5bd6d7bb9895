"""A twin that would compute something else, or that the network's own code cannot live with, is refused."""

from __future__ import annotations

import random
import threading
import warnings
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from whyconv.errors import UsageError
from whyconv.nets import LocallyConnected2d, dense_twin, local_twin, shared_global_twin
from whyconv.nets.twins import replacing

TWINS = {"local": local_twin, "dense": dense_twin, "shared-global": shared_global_twin}
SHAPE = (3, 6, 5)


class Looking(nn.Module):
    """A network that does with its second convolution what ``look`` does."""

    def __init__(self, look: Callable[[nn.Conv2d, Tensor], Tensor]) -> None:
        super().__init__()
        self.first, self.second, self.head = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3, padding=1), nn.Linear(4, 2)
        self.norm, self.drop = nn.BatchNorm2d(4), nn.Dropout()
        self.look = look

    def forward(self, x: Tensor) -> Tensor:
        x = self.drop(self.norm(self.first(x).relu()))
        return self.head(self.look(self.second, x).mean((2, 3)))


def with_its_energy(layer: nn.Conv2d, x: Tensor) -> Tensor:
    return layer(x) + layer.weight.pow(2).sum()


def with_its_sum_on_the_picture(layer: nn.Conv2d, x: Tensor) -> Tensor:
    return layer(x) + x * layer.weight.sum()  # nothing on a black picture behind no bias


def with_its_shape(layer: nn.Conv2d, x: Tensor) -> Tensor:
    return layer(x) * layer.weight.shape[0]


def restricted(layer: nn.Conv2d, x: Tensor) -> Tensor:
    return functional.linear(layer(x).movedim(1, -1), layer.weight[:, :, 0, 0]).movedim(-1, 1)


@pytest.mark.parametrize("look", [with_its_energy, with_its_sum_on_the_picture, restricted])
@pytest.mark.parametrize("kind", TWINS)
def test_a_network_that_reads_the_weights_has_no_twin(look: Callable[..., Tensor], kind: str) -> None:
    torch.manual_seed(0)
    network = Looking(look)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    state = torch.get_rng_state()
    with pytest.raises(
        UsageError, match=f"no {kind} twin:\n  second: with its twin the (network fails|answers)"
    ) as one:
        TWINS[kind](network, SHAPE)
    assert "first" not in str(one.value)
    assert torch.equal(torch.get_rng_state(), state)
    assert network.training
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())


def test_what_is_named_is_what_was_asked_for() -> None:
    network = Looking(with_its_energy)
    assert isinstance(local_twin(network, SHAPE, only="first").first, LocallyConnected2d)
    with pytest.raises(UsageError, match="second: with its twin the answers"):
        local_twin(network, SHAPE, only="second")
    with pytest.raises(UsageError, match="AttributeError: 'DenseMap2d' object has no attribute 'weight'"):
        dense_twin(network, SHAPE)


def test_reading_what_the_twin_has_too_does_no_harm() -> None:
    network = Looking(lambda layer, x: layer(x) * layer.out_channels + layer.stride[0]).eval()
    x = torch.rand(2, *SHAPE)
    torch.testing.assert_close(local_twin(network, SHAPE)(x), network(x))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16])
@pytest.mark.parametrize("kind", TWINS)
def test_rounding_is_no_difference(kind: str, dtype: torch.dtype) -> None:
    torch.manual_seed(1)
    layers = [nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU()) for _ in range(8)]
    network = nn.Sequential(nn.Conv2d(3, 4, 1), *layers, nn.Flatten(), nn.Linear(120, 5)).to(dtype)
    if kind == "shared-global" and dtype.itemsize == 2:
        pytest.skip("torch has no such Fourier transform")
    TWINS[kind](network, SHAPE)


class Noisy(nn.Module):
    """Draws in evaluation too, by torch or by what torch does not know."""

    def __init__(self, draw: Callable[[], float]) -> None:
        super().__init__()
        self.conv, self.draw = nn.Conv2d(3, 4, 3), draw

    def forward(self, x: Tensor) -> Tensor:
        return functional.dropout(self.conv(x), training=True) + self.draw()


@pytest.mark.parametrize("draw", [lambda: torch.randn(1), random.random])
def test_a_network_that_draws_keeps_its_twin(draw: Callable[[], float]) -> None:
    network = Noisy(draw)
    assert isinstance(local_twin(network, SHAPE).conv, LocallyConnected2d)


def test_a_network_that_draws_is_compared_where_torch_draws() -> None:
    network = nn.Sequential(Noisy(lambda: torch.randn(1)), nn.Flatten(), nn.Linear(48, 4), nn.Unflatten(1, (4, 1, 1)))
    network.append(Looking(with_its_energy).second)
    network[0].register_forward_hook(lambda module, _, answer: answer + module.conv.weight.sum())
    with pytest.raises(UsageError, match=r"0\.conv: with its twin the answers"):
        local_twin(network, SHAPE)


def test_weights_of_a_hook_are_refused_and_what_cannot_be_copied_is_told() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.utils.weight_norm(nn.Conv2d(4, 4, 3)))
    for kind, twin in TWINS.items():
        with pytest.raises(UsageError, match=f"no {kind} twin:\n  1: it carries hooks"):
            twin(network, SHAPE)
    other = nn.Sequential(nn.Conv2d(3, 4, 3))
    other.kept = (threading.Lock(),)
    with pytest.raises(UsageError, match="it cannot be copied: TypeError: cannot pickle"):
        local_twin(other, SHAPE)


def test_a_layer_alone_is_asked_too(monkeypatch) -> None:
    layer = nn.Conv2d(3, 4, 3)
    assert isinstance(local_twin(layer, SHAPE), LocallyConnected2d)
    monkeypatch.setattr(replacing, "_fill", filled_with_zeros)
    with pytest.raises(UsageError, match="the layer itself: with its twin the answers"):
        local_twin(layer, SHAPE)


def filled_with_zeros(new: nn.Module, *_: object) -> None:
    new.to_empty(device="cpu")
    with torch.no_grad():
        for parameter in new.parameters():
            parameter.zero_()
