"""Dense and shared-global twins of whole networks: the same function, the right weights, and refusals."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.func import jacrev

from twin_networks import BUILDERS, Residual, Tied, drawn_network
from whyconv.errors import UsageError
from whyconv.measures import matrix
from whyconv.nets import (
    DenseMap2d,
    LocallyConnected2d,
    SteppedGlobal2d,
    UnitBatchNorm2d,
    dense_twin,
    local_twin,
    shared_global_twin,
)

DOUBLE = torch.float64
TWINS = {"local": local_twin, "dense": dense_twin, "shared_global": shared_global_twin}


@pytest.mark.parametrize("name", BUILDERS)
@pytest.mark.parametrize("kind", TWINS)
def test_every_twin_computes_what_the_network_computes(name: str, kind: str) -> None:
    network, shape = drawn_network(name)
    state = torch.get_rng_state()
    twin = TWINS[kind](network, shape)
    assert torch.equal(torch.get_rng_state(), state)
    assert not any(isinstance(part, nn.Conv2d) for part in twin.modules())
    x = torch.randn(3, *shape, dtype=DOUBLE)
    torch.testing.assert_close(twin(x), network(x), rtol=1e-12, atol=1e-12)
    without_batch = x[0]
    if name == "lone":
        torch.testing.assert_close(twin(without_batch), network(without_batch), rtol=1e-12, atol=1e-12)


def test_the_dense_matrices_are_those_of_the_layers_two_ways() -> None:
    network, shape = drawn_network("odd reflect")
    twin = dense_twin(network, shape)
    x = torch.randn(1, *shape, dtype=DOUBLE)
    for index in (0, 2):
        layer, dense = network[index], twin[index][1]
        x = network[:index](x).detach()
        entries = torch.from_numpy(matrix(layer, tuple(x.shape[1:])).entries.toarray())
        torch.testing.assert_close(dense.weight.detach(), entries, rtol=1e-14, atol=1e-14)
        jacobian = jacrev(lambda one, layer=layer: layer(one[None])[0].flatten())(x[0]).flatten(1)
        torch.testing.assert_close(dense.weight, jacobian, rtol=1e-12, atol=1e-14)
        x = torch.randn(1, *shape, dtype=DOUBLE)
    assert twin[0][1].bias.shape == (twin[0][1].out_features,)
    assert twin[2][1].bias is None


@pytest.mark.parametrize("kind", TWINS)
def test_what_is_used_again_stays_one_layer_and_ties_stay_ties(kind: str) -> None:
    twin = TWINS[kind](Tied(), (2, 5, 6))
    assert twin.alias[0] is twin.again
    again, tied = (
        next(part for part in layer.modules() if "weight" in part._parameters) for layer in (twin.again, twin.tied)
    )
    assert tied.weight is again.weight
    assert tied.bias is not again.bias
    twin(torch.randn(2, 2, 5, 6)).square().sum().backward()
    assert again.weight.grad.abs().max() > 0


def test_ties_that_a_twin_would_tear_are_refused() -> None:
    network = nn.Sequential(nn.Conv2d(2, 2, 3, padding=1), nn.Conv2d(2, 2, 3, padding=1, padding_mode="circular"))
    network[1].weight = network[0].weight
    local_twin(network, (2, 6, 6))
    with pytest.raises(UsageError, match="1: its weights are those of 0, and it reads other places"):
        dense_twin(network, (2, 6, 6))
    with pytest.raises(UsageError, match="1: its weights are those of 0, and it reads other places"):
        shared_global_twin(network, (2, 6, 6))
    biased = nn.Sequential(nn.Conv2d(2, 2, 3), nn.Conv2d(2, 2, 3))
    biased[1].bias = biased[0].bias
    shared_global_twin(biased, (2, 6, 6))
    for twin in (local_twin, dense_twin):
        with pytest.raises(UsageError, match="1: its biases are those of 0, at 2 x 2 places and not 4 x 4"):
            twin(biased, (2, 6, 6))


@pytest.mark.parametrize("kind", TWINS)
def test_mistakes_and_bytes_are_named_together_before_anything_is_allocated(kind: str) -> None:
    network = nn.Sequential(nn.Conv2d(1, 64, 3), nn.Conv2d(64, 64, 3), nn.AdaptiveAvgPool2d(9), nn.Conv2d(64, 2, 3))
    network[3].register_forward_hook(lambda module, inputs, output: output)
    with pytest.raises(UsageError) as caught:
        TWINS[kind](network, (1, 40, 40), max_bytes=1e6)
    said = str(caught.value)
    assert "3: it carries hooks" in said
    places = {"local": 36**2, "dense": 36**2, "shared_global": 1}[kind]
    inputs = {"local": 64 * 9, "dense": 64 * 38**2, "shared_global": 64 * 38**2}[kind]
    assert (
        f"{4 * 64 * places * (inputs + 1) if kind != 'shared_global' else 4 * 64 * (inputs + 1):,} of them in 1;"
        in said
    )


def test_a_network_without_convolution_or_called_by_name_is_refused() -> None:
    for twin in TWINS.values():
        with pytest.raises(UsageError, match="reaches no Conv2d"):
            twin(nn.Sequential(nn.ReLU()), (1, 4, 4))

    class ByName(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Conv2d(1, 1, 1)

        def forward(self, x):
            return self.layer(input=x)

    with pytest.raises(UsageError, match="layer: it is called with its picture by name"):
        dense_twin(ByName(), (1, 4, 4))


@pytest.mark.parametrize("kind", TWINS)
def test_on_meta_and_in_training_mode(kind: str) -> None:
    network = nn.Conv2d(3, 6, 5, device="meta").train()
    twin = TWINS[kind](network, (3, 500, 500), max_bytes=0)
    assert all(each.is_meta for each in twin.parameters())
    small = nn.Sequential(nn.Conv2d(1, 1, 2), nn.Dropout()).train()
    small[0].weight.requires_grad_(False)
    twin = TWINS[kind](small, (1, 3, 3))
    assert all(part.training for part in twin.modules())
    assert [each.requires_grad for each in twin.parameters()] == [False, True]


@pytest.mark.parametrize("twin", [local_twin, dense_twin])
def test_normalization_per_unit_computes_the_same_and_then_learns_apart(twin) -> None:
    network, shape = drawn_network("residual")
    apart = twin(network, shape, normalization="unit")
    x = torch.randn(5, *shape, dtype=DOUBLE)
    torch.testing.assert_close(apart(x), network(x), rtol=1e-12, atol=1e-12)
    assert isinstance(apart.norm, UnitBatchNorm2d)
    assert apart.norm.weight.shape == (6 * 9 * 7,)
    assert not any(isinstance(part, nn.BatchNorm2d) for part in apart.modules())
    y = apart.stem(x)
    expected = (y - y.mean(0)) / (y.var(0, unbiased=False) + apart.norm.eps).sqrt()
    expected = expected * apart.norm.weight.view(6, 9, 7) + apart.norm.bias.view(6, 9, 7)
    torch.testing.assert_close(apart.norm.train()(y), expected, rtol=1e-9, atol=1e-9)
    with pytest.raises(UsageError, match=r"inputs of shape \(n, 6, 9, 7\)"):
        apart.norm(y[:, :, :8])


def test_normalization_that_cannot_be_per_unit_is_refused() -> None:
    network = nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2, track_running_stats=False))
    with pytest.raises(UsageError, match="1: it keeps no running statistics"):
        local_twin(network, (1, 3, 3), normalization="unit")
    with pytest.raises(UsageError, match=r"'units': expected one of channel, unit\. Did you mean"):
        local_twin(Residual(), (3, 9, 7), normalization="units")
    with pytest.raises(UsageError, match="a perceptron has none"):
        dense_twin(Residual(), (3, 9, 7), match="parameters", normalization="unit")
    plain = nn.Sequential(nn.Conv2d(1, 2, 1), nn.BatchNorm2d(2, affine=False)).double().eval()
    x = torch.randn(2, 1, 3, 3, dtype=DOUBLE)
    torch.testing.assert_close(local_twin(plain, (1, 3, 3), normalization="unit")(x), plain(x))


def test_a_twin_has_twins() -> None:
    network, shape = drawn_network("odd zeros")
    x = torch.randn(2, *shape, dtype=DOUBLE)
    for twin in (local_twin(network, shape), shared_global_twin(network, shape)):
        again = dense_twin(twin, shape)
        assert not any(isinstance(part, LocallyConnected2d) for part in again.modules())
        torch.testing.assert_close(again(x), network(x), rtol=1e-12, atol=1e-12)


def test_the_layers_refuse_other_sizes() -> None:
    with pytest.raises(UsageError, match=r"\(n, 2, 5, 6\); got \(1, 2, 5, 5\)"):
        DenseMap2d((2, 5, 6), (1, 2, 2))(torch.zeros(1, 2, 5, 5))
    with pytest.raises(UsageError, match=r"\(n, 2, 5, 6\); got \(1, 2, 5, 5\)"):
        SteppedGlobal2d(2, 3, 3, (5, 6))(torch.zeros(1, 2, 5, 5))
    with pytest.raises(UsageError, match=r"(?s)height: .*over 7.*at most 5, .*width: .*at most 6"):
        SteppedGlobal2d(2, 3, 7, (5, 6))
    assert "padding=((1, 1), (1, 1))" in repr(SteppedGlobal2d(2, 3, 3, 5, padding=1))
